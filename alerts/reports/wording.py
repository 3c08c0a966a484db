"""Instants and counts as a report says them, in its zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def day_and_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return `1 Oct 2026, 00:00 CEST`."""
    local = instant.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M} {local:%Z}"


def day(instant: datetime, zone: ZoneInfo) -> str:
    """Return `1 Oct 2026`."""
    local = instant.astimezone(zone)
    return f"{local.day} {local:%b %Y}"


def counted(number: int, noun: str) -> str:
    """Return `1 charge`, `1,200 charges`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
