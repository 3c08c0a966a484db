"""Periods: the day, week, month or quarter that an instant falls in, in one zone; and the provider's own period.

Correct across daylight saving: a day has 23 to 25 hours, and a month begins at local midnight.
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
"""A longer provider period is implausible and ignored."""
JITTER = timedelta(minutes=10)
JITTER_PARTS = 100
"""Two starts of a provider's period are the same if they differ by at most `JITTER` and 1/100 of its length."""
STEP_PARTS = 20
"""A period that overlaps the last and ends at most 1/20 of its length later is the same sliding window."""
ENDS_NOW = timedelta(minutes=5)
"""A period ends with each answer if its end is this close to the answer's time, and within 1/20 of its length."""


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
    """The period of a local day, computed once and shared by all accounts."""
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
    """Whether both begin at the same time, within the jitter."""
    return abs(one.start - other.start) <= min(_jitter(one), _jitter(other))


def is_same(one: Spanned, other: Spanned) -> bool:
    """Whether both begin and end at the same time, within the jitter."""
    return begins_with(one, other) and abs(one.end - other.end) <= min(_jitter(one), _jitter(other))


def goes_on(old: Spanned, own: Spanned, elapsed: timedelta) -> bool:
    """Whether the provider's period `own` continues `old`, which was last reported `elapsed` earlier.

    It does if both begin together. A sliding window continues for as long as it overlaps its first position.
    """
    if begins_with(old, own):
        return True
    length, jitter = own.end - own.start, _jitter(own)
    moved = own.end - old.end
    if not timedelta() <= moved <= max(elapsed, length / STEP_PARTS) + jitter:
        return False
    return old.start < own.start < min(old.end, old.start + length) - jitter


def ends_now(own: Spanned, at: datetime) -> bool:
    """Whether the provider's period ends at `at`, the time of the answer: a sliding window, or one to date."""
    return abs(own.end - at) <= min(ENDS_NOW, (own.end - own.start) / STEP_PARTS)


def _jitter(own: Spanned) -> timedelta:
    return min(JITTER, (own.end - own.start) / JITTER_PARTS)


def billing(metrics: Metrics) -> PeriodBounds | None:
    """Return the provider's own period; None if it reports none, or an impossible one."""
    start, end = metrics.period_start_at, metrics.period_end_at
    if start is None or end is None or not timedelta() < end - start <= LONGEST_BILLING:
        return None
    return PeriodBounds(start, end)
