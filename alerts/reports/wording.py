"""Instants and counts as a report says them, in its zone."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from alerts.model.instants import INSTANT_IN_TEXT


def day_and_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return `1 Oct 2026, 00:00 CEST`."""
    local = instant.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M} {local:%Z}"


def day(instant: datetime, zone: ZoneInfo) -> str:
    """Return `1 Oct 2026`."""
    local = instant.astimezone(zone)
    return f"{local.day} {local:%b %Y}"


def in_zone(text: str, zone: ZoneInfo) -> str:
    """Return text with each of its instants as `1 Oct 2026, 00:00 CEST`."""
    return INSTANT_IN_TEXT.sub(lambda found: day_and_time(datetime.fromisoformat(found[0]), zone), text)


def calendar_day(key: str) -> str:
    """Return `1 Oct 2026` of `2026-10-01`."""
    found = date.fromisoformat(key)
    return f"{found.day} {found:%b %Y}"


def counted(number: int, noun: str) -> str:
    """Return `1 charge`, `1,200 charges`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
