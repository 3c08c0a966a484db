"""Periods: the day, week, month or quarter that an instant falls in, in one zone; and the provider's own period.

Right over clock changes: a day is as long as the zone makes it, and a month begins at local midnight.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.model.readings import Metrics
from alerts.model.spans import SpanKind, span_at
from alerts.model.specs import Period

CALENDAR = (Period.DAY, Period.WEEK, Period.MONTH, Period.QUARTER)
LONGEST_BILLING = timedelta(days=400)
"""A provider's period that claims to be longer is not believed."""
JITTER = timedelta(minutes=10)
JITTER_PARTS = 100
"""A provider's period whose start is off by at most `JITTER`, and by at most this part of its length, is the same."""
STEP_PARTS = 20
"""A window that overlaps the one before it and ends later by at most this part of its length is that one, moved on."""
ENDS_NOW = timedelta(minutes=5)
"""A provider's period that ends within so much of the answer (and within a part of its length) ends with it."""


class Spanned(Protocol):
    """Anything with a start and an end."""

    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...


class PeriodBounds(Struct, frozen=True, gc=False):
    """From `start` (included) to `end` (excluded), aware UTC."""

    start: datetime
    end: datetime


def calendar(period: Period, instant: datetime, zone: ZoneInfo) -> PeriodBounds:
    """Return the calendar period that holds `instant` in `zone`; a week begins on Monday. Not for `Period.BILLING`."""
    return _holding(period, instant.astimezone(zone).date(), zone)


@lru_cache(maxsize=256)
def _holding(period: Period, day: date, zone: ZoneInfo) -> PeriodBounds:
    """The period of a local day: worked out once for all accounts, which then share it."""
    instant = datetime.combine(day, time(12), zone)
    if period is not Period.QUARTER:
        span = span_at(SpanKind(period.value), instant, zone)
        return PeriodBounds(span.start, span.end)
    start = end = span_at(SpanKind.MONTH, instant, zone)
    while start.start.astimezone(zone).month % 3 != 1:
        start = span_at(SpanKind.MONTH, start.start - timedelta(milliseconds=1), zone)
    while end.end.astimezone(zone).month % 3 != 1:
        end = span_at(SpanKind.MONTH, end.end, zone)
    return PeriodBounds(start.start, end.end)


def begins_with(one: Spanned, other: Spanned) -> bool:
    """Whether both begin at the same time, but for jitter."""
    return abs(one.start - other.start) <= min(_jitter(one), _jitter(other))


def is_same(one: Spanned, other: Spanned) -> bool:
    """Whether both begin and end at the same time, but for jitter."""
    return begins_with(one, other) and abs(one.end - other.end) <= min(_jitter(one), _jitter(other))


def goes_on(old: Spanned, own: Spanned, elapsed: timedelta) -> bool:
    """Whether what the provider says now is the period `old` still, `elapsed` after it was last said.

    It is where it begins as that did. A window that moves with the clock is the old one for as long as it overlaps what
    that was at first.
    """
    if begins_with(old, own):
        return True
    length, jitter = own.end - own.start, _jitter(own)
    moved = own.end - old.end
    if not timedelta() <= moved <= max(elapsed, length / STEP_PARTS) + jitter:
        return False
    return old.start < own.start < min(old.end, old.start + length) - jitter


def ends_now(own: Spanned, at: datetime) -> bool:
    """Whether a provider's period ends with the answer of `at`: it is the last so many hours or days, or to date."""
    return abs(own.end - at) <= min(ENDS_NOW, (own.end - own.start) / STEP_PARTS)


def _jitter(own: Spanned) -> timedelta:
    return min(JITTER, (own.end - own.start) / JITTER_PARTS)


def billing(metrics: Metrics) -> PeriodBounds | None:
    """Return the provider's own period; None where it says none, or one that cannot be."""
    start, end = metrics.period_start_at, metrics.period_end_at
    if start is None or end is None or not timedelta() < end - start <= LONGEST_BILLING:
        return None
    return PeriodBounds(start, end)
