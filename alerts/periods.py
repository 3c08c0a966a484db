"""Periods: the day, week, month or quarter that an instant falls in, in one zone; and the provider's own period.

Right over clock changes: a day is as long as the zone makes it, and a month begins at local midnight.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.readings import Metrics
from alerts.rules.specs import Period
from alerts.spans import SpanKind, span_at

CALENDAR = (Period.DAY, Period.WEEK, Period.MONTH, Period.QUARTER)
LONGEST_BILLING = timedelta(days=400)
"""A provider's period that claims to be longer is not believed."""
SAME_BILLING = timedelta(days=1)
"""A provider's period whose start moves by less is the same period: some say it to the second, or counted from now."""


class Stretch(Struct, frozen=True, gc=False):
    """From `start` (included) to `end` (excluded), aware UTC."""

    start: datetime
    end: datetime


def calendar(period: Period, instant: datetime, zone: ZoneInfo) -> Stretch:
    """Return the calendar period that holds `instant` in `zone`; a week begins on Monday. Not for `Period.BILLING`."""
    return _holding(period, instant.astimezone(zone).date(), zone)


@lru_cache(maxsize=256)
def _holding(period: Period, day: date, zone: ZoneInfo) -> Stretch:
    """The period of a local day: worked out once for all accounts, which then share it."""
    instant = datetime.combine(day, time(12), zone)
    if period is not Period.QUARTER:
        span = span_at(SpanKind(period.value), instant, zone)
        return Stretch(span.start, span.end)
    start = end = span_at(SpanKind.MONTH, instant, zone)
    while start.start.astimezone(zone).month % 3 != 1:
        start = span_at(SpanKind.MONTH, start.start - timedelta(milliseconds=1), zone)
    while end.end.astimezone(zone).month % 3 != 1:
        end = span_at(SpanKind.MONTH, end.end, zone)
    return Stretch(start.start, end.end)


def is_same_billing(start: datetime, other: datetime) -> bool:
    """Whether both begin the same period of the provider."""
    return abs(start - other) < SAME_BILLING


def billing(metrics: Metrics) -> Stretch | None:
    """Return the provider's own period; None where it says none, or one that cannot be."""
    start, end = metrics.period_start_at, metrics.period_end_at
    if start is None or end is None or not timedelta() < end - start <= LONGEST_BILLING:
        return None
    return Stretch(start, end)
