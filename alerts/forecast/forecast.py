"""The forecast from one instant: the median path of what will be spent (or stored), and the range around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import exp, log, sqrt

from msgspec import Struct

from alerts.forecast.estimators import DAY, WEEK, Hours, as_scheduled, since_rise
from alerts.forecast.hourly import HOUR_MS, Hourly
from alerts.forecast.learning import (
    LEADS,
    SCHEDULED_WIDTH,
    UNEXPLAINED,
    WIDEST,
    YOUNG,
    Belief,
    Believed,
    learn,
    weighted_median,
)
from alerts.forecast.memory import MILLISECOND, BurnMemory, spent_over
from alerts.model.instants import EPOCH, to_ms

SCHEDULED, OBSERVED_BASIS = "scheduled", "observed"
EARLY, LIKELY, LATE = 1, 0, -1
"""The edges of the range and its middle: the tenth, fiftieth and ninetieth percentile of when an amount is used up."""
HORIZON_HOURS = 24 * 730
"""Two years: what lies beyond is not foretold."""
_CROSSING_STEPS = 40
_CLOSE, _LEFT_OVER = 1e-4, 1e-6
"""An amount is used up where at most so much of it more is, or so little of it is left: where it ends in the evening,
nothing decides between the hours of an idle night."""
_SHORTEST = timedelta(minutes=10)
"""Less history than this says nothing of a rate."""


class Forecast(Struct, frozen=True, gc=False):
    """What is expected from now on. Micro-units.

    `per_day` is the mean day of the week ahead: burn. `partial` says that less than a day of history stands behind an
    observed one. `since` is the part of the hours since the last whole one, which has passed already.
    """

    per_day: float
    basis: str
    partial: bool
    history_days: float
    widths: Sequence[float]
    why: str = ""
    """Why this basis: one clause for a person."""
    since: float = 0.0
    past: Hours | None = None
    believed: Believed = ()

    def growth_over(self, lead: float, edge: int = LIKELY) -> float:
        """Return what is expected over `lead` hours, at an edge of the range or in its middle."""
        if self.past is None:
            growth = self.per_day / DAY * lead
        else:
            growth = _grown(self.past, self.believed, self.since + lead)
            growth -= _grown(self.past, self.believed, self.since) if self.since else 0.0
        return self.at_edge(growth, lead, edge) if edge else growth

    def at_edge(self, growth: float, lead: float, edge: int) -> float:
        """Return an edge of the range around what is expected over `lead` hours."""
        growth *= exp(edge * self.width_over(lead))
        if self.past is not None and self.past.fallen:
            # Nobody knows yet whether what fell stays there or comes back: the range holds both.
            before, since = self.past.fallen
            growth = max(growth, before * lead) if edge == EARLY else min(growth, since * lead)
        return growth

    def width_over(self, lead: float) -> float:
        """Return the logarithm of how far the range reaches over `lead` hours: linear in the lead's logarithm."""
        if lead <= LEADS[0]:
            return self.widths[0]
        for index in range(1, len(LEADS)):
            if lead <= LEADS[index]:
                before, after = LEADS[index - 1], LEADS[index]
                part = log(lead / before) / log(after / before)
                return self.widths[index - 1] + (self.widths[index] - self.widths[index - 1]) * part
        return max(self.widths[-1], min(self.widths[-1] * sqrt(lead / LEADS[-1]), WIDEST))

    def hours_until(self, amount: int, edge: int = LIKELY) -> float | None:
        """Return after how many hours `amount` is used up on that path, or None where not within two years."""
        if amount <= 0:
            return 0.0
        guess = amount / self.per_day * DAY if self.per_day > 0 else 1.0 * HORIZON_HOURS
        guess = min(max(guess * exp(-edge * self.width_over(guess)), 0.05), HORIZON_HOURS)
        low, high = 0.0, guess
        below, above = -1.0 * amount, self.growth_over(high, edge) - amount
        while above < 0:
            if high >= HORIZON_HOURS:
                return None
            low, below = high, above
            high = min(high * 1.6, HORIZON_HOURS)
            above = self.growth_over(high, edge) - amount
        return self._between(amount, edge, (low, below), (high, above))

    def _between(self, amount: int, edge: int, under: tuple[float, float], over: tuple[float, float]) -> float:
        """Return where the path crosses `amount`: false position with the Illinois step, since the path only rises."""
        (low, below), (high, above) = under, over
        beyond, side, steps = above, 0, 0
        while steps < _CROSSING_STEPS and high - low > 0.01 and beyond > _CLOSE * amount:
            steps += 1
            middle = (low * above - high * below) / (above - below)
            value = self.growth_over(middle, edge) - amount
            if value < -_LEFT_OVER * amount:
                low, below = middle, value
                above = above / 2 if side < 0 else above
                side = -1
            else:
                high, above, beyond = middle, value, value
                below = below / 2 if side > 0 else below
                side = 1
        return high


def _grown(past: Hours, believed: Believed, lead: float) -> float:
    end = len(past.hours)
    if len(believed) == 1:
        return believed[0][0](past, end, lead)
    return weighted_median([estimate(past, end, lead) for estimate, _ in believed], [weight for _, weight in believed])


def spend_forecast(memory: BurnMemory, scheduled_microusd_per_day: int | None, now: datetime) -> Forecast | None:
    """Return the forecast of an account's spend, or None where neither a schedule nor a history says anything.

    With a day of history it is what would have forecast the account's own past best; the schedule is preferred where
    it is about as good. Before that, and where nothing was spent at all, the schedule it is.
    """
    global _latest
    asked, kept = (memory, scheduled_microusd_per_day, now), _latest
    if kept.memory is memory and (kept.scheduled, kept.now) == asked[1:]:
        return kept.forecast
    forecast = _spend_forecast(*asked)
    _latest = _Kept(*asked, forecast)
    return forecast


class _Kept(Struct, frozen=True, gc=False):
    memory: BurnMemory | None
    scheduled: int | None
    now: datetime
    forecast: Forecast | None


_latest = _Kept(None, None, EPOCH, None)
"""One reading is asked for its burn, its runway and its projection: the answer is kept until the next question."""


def _spend_forecast(memory: BurnMemory, scheduled: int | None, now: datetime) -> Forecast | None:
    spend = memory.spend
    belief = learn(spend, memory.schedule.counter if memory.schedule else None) if spend else None
    if scheduled and (belief is None or belief.past.sums[-1] <= 0):
        why = "there is no day of history yet" if belief is None else "nothing was spent so far"
        return _flat(scheduled, SCHEDULED, False, spend, why)
    if belief is not None:
        return _by(belief, scheduled, now)
    if spend is not None:
        observed = _observed_so_far(spend, now)
        if observed is not None:
            return observed
    if scheduled is None:
        return None
    return _flat(0.0, SCHEDULED, False, spend, "there is no day of history yet")


def used_forecast(memory: BurnMemory, now: datetime) -> Forecast | None:
    """Return the forecast of an account's stored volume, in micro-gigabytes, or None before there is any history."""
    if memory.used is None:
        return None
    belief = learn(memory.used)
    return _by(belief, None, now) if belief else _observed_so_far(memory.used, now)


def _by(belief: Belief, scheduled: int | None, now: datetime) -> Forecast:
    past, days, widths = belief.past, len(belief.past.hours) / DAY, belief.learnt.widths
    believed: Believed
    if past.risen and since_rise(past, len(past.hours), DAY) > (1 + UNEXPLAINED) * (scheduled or 0):
        believed, why = [(since_rise, 1.0)], "what is spent has been far above its usual for hours"
        widths = [max(pair) for pair in zip(widths, YOUNG, strict=True)]
    elif scheduled is None:
        believed, why = belief.unplanned, "the provider says no schedule"
    elif belief.planned[0][0] is as_scheduled:
        why = "the schedule tells the account's past best"
        return Forecast(scheduled, SCHEDULED, False, days, widths, why)
    else:
        believed, why = belief.planned, "what was spent tells the account's past best"
        past = past.at_rate(scheduled / DAY)
    since = to_ms(now) / HOUR_MS - past.start - len(past.hours)
    per_day = _grown(past, believed, WEEK) / 7
    return Forecast(per_day, OBSERVED_BASIS, False, days, widths, why, since, past, believed)


def _flat(per_day: float, basis: str, partial: bool, counter: Hourly | None, why: str) -> Forecast:
    days = (counter.last_ms - counter.first_ms) / (DAY * HOUR_MS) if counter else 0.0
    scale = SCHEDULED_WIDTH if basis == SCHEDULED else 1.0
    return Forecast(per_day, basis, partial, days, [scale * width for width in YOUNG], why)


def _observed_so_far(counter: Hourly, now: datetime) -> Forecast | None:
    spent, known_ms = spent_over(counter, timedelta(days=1), now)
    if known_ms < _SHORTEST // MILLISECOND:
        return None
    why = "the provider says no schedule"
    day_ms = DAY * HOUR_MS
    return _flat(spent * day_ms / known_ms, OBSERVED_BASIS, known_ms < day_ms, counter, why)
