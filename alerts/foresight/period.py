"""The projected end of a period: what a budget will have been spent to, with a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import exp

from alerts.foresight.memory import BurnMemory
from alerts.foresight.outlook import Z_10_90, spend_outlook, used_outlook

EARLIEST_PART = 20
"""Nothing is projected before a twentieth of the period has passed."""


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
    length, passed = period_end - period_start, now - period_start
    if passed * EARLIEST_PART < length or now >= period_end:
        return None
    part = passed / length
    left_hours = (period_end - now).total_seconds() / 3600
    by_pace = spent * (1 - part) / part
    outlook = used_outlook(memory, now) if volume else spend_outlook(memory, scheduled_microusd_per_day, now)
    if outlook is None:
        return Projection(spent, spent + round(by_pace), spent + round(2 * by_pace))
    recent = outlook.growth_over(left_hours)
    to_come = part * by_pace + (1 - part) * recent
    wide = exp(Z_10_90 * outlook.spread_over(left_hours))
    # The range is the recent burn's, moved to where the two together expect the end.
    return Projection(spent + round(to_come / wide), spent + round(to_come), spent + round(to_come * wide))
