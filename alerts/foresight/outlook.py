"""The outlook from one instant: the median path of what will be spent (or stored), and the range around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import exp

from msgspec import Struct

from alerts.foresight.hourly import HOUR_MS, Hourly
from alerts.foresight.memory import MILLISECOND, BurnMemory, spent_over
from alerts.foresight.past import PRIOR_SCHEDULED, PRIOR_SPREADS, Spreads, spread_over
from alerts.foresight.pattern import Pattern, learn
from alerts.model.instants import EPOCH, to_ms

SCHEDULED, OBSERVED = "scheduled", "observed"
Z_10_90 = 1.2816
"""The normal distribution's tenth and ninetieth percentile, in standard deviations."""
HORIZON_HOURS = 24 * 730
"""Two years: what lies beyond is not foretold."""
_CROSSING_STEPS = 40
_SHORTEST = timedelta(minutes=10)
"""Less history than this says nothing of a rate."""
_DAY = timedelta(days=1)


class Outlook(Struct, frozen=True, gc=False):
    """What is expected from `start_hour` (hours since the epoch, not whole) on. Micro-units.

    `per_day` is the mean day: burn. `partial` says that less than a day of history stands behind an observed one.
    """

    start_hour: float
    per_day: float
    basis: str
    partial: bool
    history_days: float
    spreads: Spreads
    level: float
    why: str = ""
    """Why this basis: one clause for a person."""
    pattern: Pattern | None = None

    def growth_over(self, lead: float, z: float = 0.0) -> float:
        """Return what is expected over `lead` hours, `z` standard deviations above the median."""
        if self.pattern is None:
            median = self.level * lead
        else:
            median = self.level * self.pattern.shape_over(self.start_hour, lead) * self.pattern.trended(lead)
        return median * exp(z * self.spread_over(lead)) if z else median

    def spread_over(self, lead: float) -> float:
        """Return the standard deviation of the logarithm of what is spent over `lead` hours."""
        return spread_over(self.spreads, lead)

    def hours_until(self, amount: int, z: float = 0.0) -> float | None:
        """Return after how many hours `amount` is used up on that path, or None where not within two years."""
        if amount <= 0:
            return 0.0
        if self.per_day <= 0:
            return None
        guess = min(max(amount / self.per_day * 24, 0.05), HORIZON_HOURS)
        low, high = 0.0, guess
        below, above = -1.0 * amount, self.growth_over(high, z) - amount
        while above < 0:
            if high >= HORIZON_HOURS:
                return None
            low, below = high, above
            high = min(high * 1.6, HORIZON_HOURS)
            above = self.growth_over(high, z) - amount
        return self._between(amount, z, (low, below), (high, above))

    def _between(self, amount: int, z: float, under: tuple[float, float], over: tuple[float, float]) -> float:
        """Return where the path crosses `amount`: false position with the Illinois step, since the path only rises."""
        (low, below), (high, above) = under, over
        side, steps = 0, 0
        while steps < _CROSSING_STEPS and high - low > 0.01 and above > amount * 1e-4:
            steps += 1
            middle = (low * above - high * below) / (above - below)
            value = self.growth_over(middle, z) - amount
            if value < 0:
                low, below = middle, value
                above = above / 2 if side < 0 else above
                side = -1
            else:
                high, above = middle, value
                below = below / 2 if side > 0 else below
                side = 1
        return high


def spend_outlook(memory: BurnMemory, scheduled_microusd_per_day: int | None, now: datetime) -> Outlook | None:
    """Return the outlook of an account's spend, or None where neither a schedule nor a history says anything.

    With a day of history the basis is the way that would have forecast the account's own past best; the schedule is
    preferred where it is about as good. Before that, and where nothing was spent at all, the schedule it is.
    """
    global _latest
    asked, kept = (memory, scheduled_microusd_per_day, now), _latest
    if kept.memory is memory and (kept.scheduled, kept.now) == asked[1:]:
        return kept.outlook
    outlook = _spend_outlook(*asked)
    _latest = _Kept(*asked, outlook)
    return outlook


class _Kept(Struct, frozen=True, gc=False):
    memory: BurnMemory | None
    scheduled: int | None
    now: datetime
    outlook: Outlook | None


_latest = _Kept(None, None, EPOCH, None)
"""One reading is asked for its burn, its runway and its projection: the answer is kept until the next question."""


def _spend_outlook(memory: BurnMemory, scheduled: int | None, now: datetime) -> Outlook | None:
    spend = memory.spend
    pattern = learn(spend, memory.schedule.counter if memory.schedule else None) if spend else None
    if scheduled and (pattern is None or pattern.level <= 0):
        why = "there is no day of history yet" if pattern is None else "nothing was spent so far"
        return _flat(scheduled / 24, SCHEDULED, False, spend, PRIOR_SCHEDULED, now, why)
    if pattern is not None:
        return _patterned(pattern, scheduled, now)
    if spend is not None:
        observed = _observed_so_far(spend, now)
        if observed is not None:
            return observed
    if scheduled is None:
        return None
    return _flat(0.0, SCHEDULED, False, spend, PRIOR_SCHEDULED, now, "there is no day of history yet")


def used_outlook(memory: BurnMemory, now: datetime) -> Outlook | None:
    """Return the outlook of an account's stored volume, in micro-gigabytes, or None before there is any history."""
    if memory.used is None:
        return None
    pattern = learn(memory.used)
    return _patterned(pattern, None, now) if pattern else _observed_so_far(memory.used, now)


def _patterned(pattern: Pattern, scheduled: int | None, now: datetime) -> Outlook:
    start = to_ms(now) / HOUR_MS
    level = pattern.level_now(int(start), scheduled)
    basis = SCHEDULED if pattern.by_schedule and scheduled is not None else OBSERVED
    per_day = level * pattern.week / 7
    if basis is SCHEDULED:
        why = "the schedule tells the account's past best"
    else:
        why = "the provider says no schedule" if scheduled is None else "what was spent tells the account's past best"
    return Outlook(start, per_day, basis, False, pattern.hours / 24, pattern.spreads, level, why, pattern)


def _flat(
    per_hour: float,
    basis: str,
    partial: bool,
    counter: Hourly | None,
    spreads: Sequence[float],
    now: datetime,
    why: str,
) -> Outlook:
    days = (counter.last_ms - counter.first_ms) / (24 * HOUR_MS) if counter else 0.0
    return Outlook(to_ms(now) / HOUR_MS, per_hour * 24, basis, partial, days, spreads, per_hour, why)


def _observed_so_far(counter: Hourly, now: datetime) -> Outlook | None:
    spent, known_ms = spent_over(counter, _DAY, now)
    if known_ms < _SHORTEST // MILLISECOND:
        return None
    why = "the provider says no schedule"
    return _flat(spent * HOUR_MS / known_ms, OBSERVED, known_ms < 24 * HOUR_MS, counter, PRIOR_SPREADS, now, why)
