"""The burn brake: burn far beyond the account's own past is a leak or an attack, not a need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.forecast.burn import observed
from alerts.forecast.memory import BurnMemory

PAST_DAYS = 7
"""Without so many days of past there is nothing to compare with, and no brake."""
WINDOW = timedelta(hours=6)
TIMES_LARGEST = 5
TIMES_MEAN = 10
RELEASED_FOR = timedelta(hours=24)
"""After a person resumed, the brake does not hold again for so long."""


@dataclass(frozen=True, slots=True)
class BurnPace:
    """What was burnt within the last six hours, and within six hours of the past: the most, and the mean."""

    recent_microusd: int
    largest_microusd: int
    mean_microusd: int

    def far_beyond(self, amount_microusd: int) -> bool:
        """Whether the recent burn is far beyond the past, and large enough to matter beside the charge."""
        return (
            self.recent_microusd > TIMES_LARGEST * self.largest_microusd
            and self.recent_microusd > TIMES_MEAN * self.mean_microusd
            and self.recent_microusd * 2 >= amount_microusd
        )


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
