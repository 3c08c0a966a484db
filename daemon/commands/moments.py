"""Instants as a person types and reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from daemon.commands.common import USAGE, fail
from daemon.config.durations import parse_duration


def parse_since(text: str, now: datetime) -> datetime:
    """Return the instant of "24h" (so long before `now`) or of an RFC 3339 text; without a zone it is UTC.

    Ends the command with a sentence for anything else.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f'{text!r} is neither a duration such as "24h" nor an instant such as 2026-11-01T08:00:00Z', USAGE)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def moment(instant: datetime, zone: ZoneInfo) -> str:
    """Return the instant to the minute in the configured zone, which it names."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
