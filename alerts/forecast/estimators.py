"""Simple estimators of what a counter will grow by; which of them to believe, by their past errors on this account.

Each estimator looks at nothing but the whole hours before an instant, so its error on the account's own past is the
error it would really have made. What is shared here is dimensionless or an estimate, so it is Python's floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul

from msgspec import Struct

DAY, WEEK = 24, 168
_FADING: list[float] = [0.5 ** (age / 4) for age in range(DAY, 0, -1)]
"""The weights of the last day's hours, oldest first: an hour counts half of the one four hours later."""
_FADING_SUM = sum(_FADING)


class Hours(Struct, frozen=True, gc=False):
    """The whole hours of a counter: `sums[i]` is what the first i of them grew by, `scheduled` what was planned.

    `start` is the first hour, counted from the epoch. `rate` is the schedule's now, in micro-dollars an hour, and
    `lead` how that compares with its usual.
    """

    start: int
    hours: Sequence[int]
    sums: Sequence[float]
    scheduled: Sequence[float] | None = None
    rate: float | None = None
    lead: float | None = None

    @classmethod
    def of(cls, start: int, hours: Sequence[int], scheduled: Sequence[int] | None = None) -> Hours:
        plan = list(accumulate(scheduled, initial=0)) if scheduled else None
        return cls(start, hours, list(accumulate(hours, initial=0)), plan if plan and plan[-1] else None)

    def at_rate(self, rate: float) -> Hours:
        """Return the same history with the schedule's rate now."""
        if self.scheduled is None:
            return self
        lead = _lead(self.scheduled, len(self.hours), rate)
        return Hours(self.start, self.hours, self.sums, self.scheduled, rate, lead)


Estimator = Callable[[Hours, int, float], float]
"""Returns the growth over a lead in hours after the first so many whole hours of the history, at least a day."""


def everything(past: Hours, end: int, lead: float) -> float:
    """The mean of all hours."""
    return past.sums[end] / end * lead


def last_day(past: Hours, end: int, lead: float) -> float:
    """The mean of the last day."""
    return (past.sums[end] - past.sums[end - DAY]) / DAY * lead


def last_hours(past: Hours, end: int, lead: float) -> float:
    """The mean of the last hours, the latest counting most."""
    faded: float = sum(map(mul, past.hours[end - DAY : end], _FADING))
    return faded / _FADING_SUM * lead


def same_hours(past: Hours, end: int, lead: float) -> float:
    """What the same hours of the last seven days grew by."""
    return _again(past.sums, end, lead, DAY, min(end // DAY, 7))


def same_weekdays(past: Hours, end: int, lead: float) -> float:
    """What the same hours of the last weeks grew by; before there is a week, the same hours of the last days."""
    weeks = end // WEEK
    return _again(past.sums, end, lead, WEEK, weeks) if weeks else same_hours(past, end, lead)


def _again(sums: Sequence[float], end: int, lead: float, period: int, count: int) -> float:
    """Return what so many last periods grew by over the lead, on average; it goes around as often as needed."""
    begin = end - period * count
    whole, rest = divmod(lead, period)
    grown = whole * (sums[end] - sums[begin])
    if rest:
        hour = int(rest)
        part, place = rest - hour, begin + hour
        reached = sum(sums[place:end:period])
        if part:
            reached += (sum(sums[place + 1 : end + 1 : period]) - reached) * part
        grown += reached - sum(sums[begin:end:period])
    return grown / count


def as_scheduled(past: Hours, end: int, lead: float) -> float:
    """The schedule as it stands."""
    plan = past.scheduled
    assert plan is not None
    return (plan[end] - plan[end - 1] if past.rate is None else past.rate) * lead


def led_hours(past: Hours, end: int, lead: float) -> float:
    """The same hours of the last days, by how the schedule now compares with its own usual at this hour."""
    plan = past.scheduled
    assert plan is not None
    led = _lead(plan, end, plan[end] - plan[end - 1]) if past.lead is None else past.lead
    return same_hours(past, end, lead) * led


def _lead(plan: Sequence[float], end: int, rate: float) -> float:
    """Return the last two hours and the rate now, in parts of what such three hours were before."""
    now = plan[end - 1] - plan[end - 3] + rate
    days = min((end - 3) // DAY, 7)
    begin = end - DAY * days
    usual = (sum(plan[begin:end:DAY]) - sum(plan[begin - 3 : end - 3 : DAY])) / days if days else now
    least = 0.15 * plan[end] / end + 1e-9
    return (now + least) / (usual + least)
