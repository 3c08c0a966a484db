"""How long a provider asks to be left alone: `Retry-After` and `X-RateLimit-Reset`, in whatever they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

from alerts.model.instants import EPOCH
from daemon.limits import RETRY_AFTER_MAX_S

RETRY_AFTER_MIN_S = 1.0
AHEAD_MAX = timedelta(days=31)
"""A wish for later than the end of a monthly quota is a mistake, and left aside like one for the past."""
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,12})?", re.ASCII)
_WAIT_BELOW = 100_000_000
"""A smaller number is seconds to wait: no Unix time since 1973 is that small."""
_FINER_FROM = 100_000_000_000
"""An epoch number above this (the year 5138 in seconds) counts thousandths: milli-, micro- or nanoseconds."""
_SECOND = timedelta(seconds=1)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return the instant that `Retry-After` names, within an hour; None where it names none that can be meant."""
    return _named(headers, "retry-after", now)


def rate_reset(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return the instant that `X-RateLimit-Reset` names, within an hour; None where it names none that can be meant."""
    return _named(headers, "x-ratelimit-reset", now)


def _named(headers: Mapping[str, str], name: str, now: datetime) -> datetime | None:
    """Clamp to between one second and one hour from now: no tight loop, no lost account."""
    value = headers.get(name, "").strip()
    number = Decimal(value) if _NUMBER.fullmatch(value) else None
    if number is not None and number < _WAIT_BELOW:
        wait = _seconds(number)
    else:
        moment = _date(value) if number is None else EPOCH + _seconds(_in_seconds(number))
        if moment is None:
            return None
        # By the provider's own clock, where it says what that shows: it may be set otherwise than ours.
        wait = moment - (_date(headers.get("date", "")) or now)
    if not timedelta() <= wait <= AHEAD_MAX:
        return None
    return now + min(max(wait, RETRY_AFTER_MIN_S * _SECOND), RETRY_AFTER_MAX_S * _SECOND)


def _in_seconds(epoch: Decimal) -> Decimal:
    while epoch >= _FINER_FROM:
        epoch /= 1000
    return epoch


def _seconds(number: Decimal) -> timedelta:
    return timedelta(microseconds=int(number * 1_000_000))


def _date(value: str) -> datetime | None:
    """An HTTP date or ISO 8601 text as an instant; without an offset it is UTC."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(value.strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            continue
    return None
