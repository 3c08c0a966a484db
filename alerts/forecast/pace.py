"""What an account burns now, beside what it burnt before: what a charge is sized by and judged against. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.forecast.burn import burn, observed
from alerts.forecast.memory import BurnMemory
from alerts.model.readings import Metrics

PAST_DAYS = 7
"""Without so many days of past there is nothing to compare with."""
WINDOW = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class BurnPace:
    """What was burnt within the last six hours, and within six hours of the past: the most, and the mean."""

    recent_microusd: int
    largest_microusd: int
    mean_microusd: int


@dataclass(frozen=True, slots=True)
class BurnNow:
    """What is known of an account's burn; None where it is not."""

    microusd_per_day: int | None = None
    pace: BurnPace | None = None


def burn_now(memory: BurnMemory, metrics: Metrics, now: datetime) -> BurnNow:
    """Return what the account burns by a reading and its past."""
    found = burn(memory, metrics, now)
    return BurnNow(found.microusd_per_day if found is not None else None, pace(memory, now))


def pace(memory: BurnMemory, now: datetime) -> BurnPace | None:
    """Return the pace, or None while there are not `PAST_DAYS` of past before the last day."""
    if memory.spend is None:
        return None
    past = list(memory.spend.hours)[:-24]
    if len(past) < PAST_DAYS * 24:
        return None
    recent = observed(memory, WINDOW, now)
    if recent is None:
        return None
    span = WINDOW // timedelta(hours=1)
    rolling = sum(past[:span])
    largest = rolling
    for leaving, entering in zip(past, past[span:], strict=False):
        rolling += entering - leaving
        largest = max(largest, rolling)
    return BurnPace(recent.spent_microusd, largest, sum(past) * span // len(past))
