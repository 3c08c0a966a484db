"""The projected end of a period: what a budget will have been spent to, with a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp

from alerts.foresight.memory import BurnMemory
from alerts.foresight.outlook import Z_10_90, Outlook, spend_outlook, used_outlook
from alerts.values import quickly_made

EARLIEST_PART = 20
"""Nothing is projected before a twentieth of the period has passed."""


@quickly_made
@dataclass(frozen=True, slots=True)
class Projection:
    """Micro-units at the end of the period: the tenth, fiftieth and ninetieth percentile. Never below what is spent."""

    low: int
    likely: int
    high: int


def project(
    memory: BurnMemory,
    spent: int,
    period_start: datetime,
    period_end: datetime,
    now: datetime,
    *,
    scheduled_microusd_per_day: int | None = None,
    volume: bool = False,
) -> Projection | None:
    """Return the projected total of the period, or None before a twentieth of it has passed or after its end.

    `spent` so far is in micro-dollars, with `volume` in micro-gigabytes. What is still to come is weighed between the
    period's own pace, which counts by the part that has passed, and the recent burn, which counts for the rest.
    """
    if not _is_projected(period_start, period_end, now):
        return None
    outlook = _outlook(memory, scheduled_microusd_per_day, volume, now)
    to_come = _to_come(outlook, spent, period_start, period_end, now)
    if outlook is None:
        return Projection(spent, spent + round(to_come), spent + round(2 * to_come))
    wide = exp(Z_10_90 * outlook.spread_over(_hours(period_end - now)))
    # The range is the recent burn's, moved to where the two together expect the end.
    return Projection(spent + round(to_come / wide), spent + round(to_come), spent + round(to_come * wide))


def likely(
    memory: BurnMemory,
    spent: int,
    period_start: datetime,
    period_end: datetime,
    now: datetime,
    *,
    scheduled_microusd_per_day: int | None = None,
    volume: bool = False,
) -> int | None:
    """Return what `project` finds likely, without its range: what a rule asks at every reading."""
    if not _is_projected(period_start, period_end, now):
        return None
    outlook = _outlook(memory, scheduled_microusd_per_day, volume, now)
    return spent + round(_to_come(outlook, spent, period_start, period_end, now))


def _is_projected(period_start: datetime, period_end: datetime, now: datetime) -> bool:
    return now < period_end and (now - period_start) * EARLIEST_PART >= period_end - period_start


def _outlook(memory: BurnMemory, scheduled: int | None, volume: bool, now: datetime) -> Outlook | None:
    return used_outlook(memory, now) if volume else spend_outlook(memory, scheduled, now)


def _to_come(outlook: Outlook | None, spent: int, period_start: datetime, period_end: datetime, now: datetime) -> float:
    part = (now - period_start) / (period_end - period_start)
    by_pace = spent * (1 - part) / part
    if outlook is None:
        return by_pace
    return part * by_pace + (1 - part) * outlook.growth_over(_hours(period_end - now))


def _hours(span: timedelta) -> float:
    return span.total_seconds() / 3600
