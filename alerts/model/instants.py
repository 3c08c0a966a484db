"""Instants: aware UTC datetimes inside, integer milliseconds since the epoch in the store, RFC 3339 with Z outside."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT_IN_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
"""An instant as `rfc3339` writes it, within a longer text."""
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Return whole milliseconds since the epoch, rounded down. The instant must be aware."""
    return (instant - EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the aware UTC instant of so many milliseconds since the epoch."""
    return EPOCH + ms * _MILLISECOND


def rfc3339(instant: datetime) -> str:
    """Return `2026-11-01T08:00:00Z` (with milliseconds where there are any), always in UTC."""
    utc = instant.astimezone(UTC)
    spec = "milliseconds" if utc.microsecond // 1000 else "seconds"
    return utc.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
