"""The projected end of a period: what a budget will have been spent to, with a range."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from alerts.forecast.forecast import EARLY, LATE, Forecast, spend_forecast, used_forecast
from alerts.forecast.memory import BurnMemory

EARLIEST_PART = 1 / 20
"""Nothing is projected before a twentieth of the period has passed."""


class Projection(Struct, frozen=True, gc=False):
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
    expected = _expected(memory, spent, (period_start, period_end), now, scheduled_microusd_per_day, volume)
    if expected is None:
        return None
    to_come, left_hours, forecast = expected
    if forecast is None:
        return Projection(spent, spent + round(to_come), spent + round(2 * to_come))
    # The range is the recent burn's, moved to where the two together expect the end.
    low, high = (forecast.at_edge(to_come, left_hours, edge) for edge in (LATE, EARLY))
    return Projection(spent + round(low), spent + round(to_come), spent + round(high))


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
    expected = _expected(memory, spent, (period_start, period_end), now, scheduled_microusd_per_day, volume)
    return None if expected is None else spent + round(expected[0])


def _expected(
    memory: BurnMemory,
    spent: int,
    period: tuple[datetime, datetime],
    now: datetime,
    scheduled: int | None,
    volume: bool,
) -> tuple[float, float, Forecast | None] | None:
    """Return what is still to come, in how many hours, and the recent burn's forecast."""
    start, end = period
    if now >= end:
        return None
    part = (now - start) / (end - start)
    if part < EARLIEST_PART:
        return None
    left_hours = (end - now).total_seconds() / 3600
    by_pace = spent * (1 - part) / part
    forecast = used_forecast(memory, now) if volume else spend_forecast(memory, scheduled, now)
    if forecast is None:
        return by_pace, left_hours, None
    return part * by_pace + (1 - part) * forecast.growth_over(left_hours), left_hours, forecast
