"""Simple estimators of what a counter will grow by; which of them to believe, by their past errors on this account.

Each estimator looks at nothing but the whole hours before an instant, so its error on the account's own past is the
error it would really have made. What is shared here is dimensionless or an estimate, so it is Python's floats.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from operator import mul, sub

from msgspec import Struct
from msgspec.structs import replace

DAY, WEEK = 24, 168
_FADING: list[float] = [0.5 ** (age / 4) for age in range(DAY, 0, -1)]
"""The weights of the last day's hours, oldest first: an hour counts half of the one four hours later."""
_FADING_SUM = sum(_FADING)
RISE_HOURS, RISE_KNOWN = 6, 48
"""A rise is a level of its own after so many hours; after so many more the other estimators have learnt it."""
RISE = 2
"""...where it is at least so many times the mean of the week before."""


FALL_HOURS, FALL = (4 * DAY, 2 * DAY, DAY, 12, 6), 2
"""A fall is that the last so many hours grew by less than any earlier stretch as long, by so many times."""
BURST_KNOWN = 4 * DAY
"""Hours of history before which nothing is taken for a burst."""
PAUSE_HOURS, PAUSE = 3 * DAY, 2
"""A pause is so many hours, and so many times as long as every other idle stretch: longer than a weekend."""
IDLE = 50
"""An hour is idle that is less than the mean by so many times."""


class Hours(Struct, frozen=True, gc=False):
    """The whole hours of a counter: `sums[i]` is what the first i of them grew by, `scheduled` what was planned.

    `start` is the first hour, counted from the epoch: that of the first spend, where before it there was none for a
    day or more. `rate` is the schedule's now, in micro-dollars an hour, and `lead` how that compares with its usual.
    `risen` says how many of the last hours are a level of their own, or 0; `fallen` what an hour grew by before a fall
    and since, or None; `paused` the first hour and the length of a pause that has ended: the hours of the days before
    it are put there, and `spent` is what `sums` would be without.
    """

    start: int
    hours: Sequence[int]
    sums: Sequence[float]
    scheduled: Sequence[float] | None = None
    rate: float | None = None
    lead: float | None = None
    risen: int = 0
    fallen: tuple[float, float] | None = None
    paused: tuple[int, int] | None = None
    spent: Sequence[float] = ()

    @classmethod
    def of(cls, start: int, hours: Sequence[int], scheduled: Sequence[int] | None = None) -> Hours:
        """Return the history of a day or more."""
        if idle := _idle_at_first(hours):
            start, hours, scheduled = start + idle, hours[idle:], scheduled and scheduled[idle:]
        plan = _summed(scheduled) if scheduled else None
        plan = plan if plan and plan[-1] else None
        spent = sums = _summed(hours)
        paused = _paused(hours, sums[-1] // len(hours))
        if paused:
            hours = list(hours)
            for hour in range(paused[0], sum(paused)):
                hours[hour] = hours[hour - DAY]
            paused, sums = (start + paused[0], paused[1]), _summed(hours)
        risen = _risen(hours, sums[-1] / len(hours))
        return cls(start, hours, sums, plan, None, None, risen, fallen(sums, len(hours)), paused, spent)

    def at_rate(self, rate: float) -> Hours:
        """Return the same history with the schedule's rate now."""
        if self.scheduled is None:
            return self
        return replace(self, rate=rate, lead=_lead(self.scheduled, len(self.hours), rate))


def _summed(hours: Sequence[int]) -> Sequence[int]:
    """Return what the first 0, 1, 2, … hours add up to, as machine integers where they fit: a fifth of the memory."""
    sums = list(accumulate(hours, initial=0))
    return array("q", sums) if sums[-1] < 2**63 else sums


def _idle_at_first(hours: Sequence[int]) -> int:
    """Return how many hours there are before the first spend: an account that had not begun yet has no level.

    None where they are fewer than a day (a night) or than the account was idle later without a pause (as always on
    some days), and none before a day of history is left.
    """
    if any(hours[:DAY]) or not any(hours):
        return 0  # Nearly always, so that the rest costs nothing.
    first, *later, _ = map(len, bytes(map((0).__eq__, hours)).split(b"\0"))
    usual = max((idle for idle in later if idle < PAUSE_HOURS), default=0)
    return first if usual < first <= len(hours) - DAY else 0


def _paused(hours: Sequence[int], mean: int) -> tuple[int, int] | None:
    """Return where the one long pause begins and how long it lasted, or None: also while it lasts.

    A paused account goes on as before it, so a pause that has ended is no level, and says nothing of the next days.
    """
    least = mean // IDLE
    if all(max(pair) > least for pair in pairwise(hours[:: PAUSE_HOURS // 2])):
        return None  # Nearly always, so that the rest costs nothing.
    idle = bytes(map(least.__ge__, hours))
    *_, next_longest, longest = sorted([0, *map(len, idle.split(b"\0"))])
    if longest < PAUSE_HOURS or longest < PAUSE * next_longest:
        return None
    begin = idle.index(bytes([1]) * longest)
    return (begin, longest) if begin >= DAY and begin + longest < len(hours) else None


def _risen(hours: Sequence[int], mean: float) -> int:
    """Return how many of the last hours are all above nineteen of twenty of the week before, and twice its mean.

    A burst of fewer hours is no level, and one that has ended is none from its first calm hour on.
    """
    level = sum(hours[-RISE_HOURS:]) / RISE_HOURS
    if level <= mean:
        return 0
    begin = len(hours) - RISE_HOURS
    known = max(len(hours) - RISE_KNOWN, DAY)
    while begin > known and hours[begin - 1] > level / 2:
        begin -= 1
    before = hours[max(begin - WEEK, 0) : begin]
    if begin <= known or level * len(before) < RISE * sum(before):
        return 0
    return len(hours) - begin if min(hours[begin:]) > sorted(before)[len(before) * 19 // 20] else 0


def fallen(sums: Sequence[float], end: int) -> tuple[float, float] | None:
    """Return what an hour grew by before a fall and what it does in the last hours, or None where nothing fell."""
    hours = FALL_HOURS[-1]
    since = (sums[end] - sums[end - hours]) / hours
    if FALL * since * end >= sums[end]:
        return None
    for count in FALL_HOURS:
        begin = end - count
        if begin < max(count, DAY) or FALL * (sums[end] - sums[begin]) * begin >= sums[begin] * count:
            continue  # Nearly always, so that the rest costs nothing.
        if FALL * (sums[end] - sums[begin]) < min(map(sub, sums[count : begin + 1], sums)):
            return sums[begin] / begin, since
    return None


def bounded(past: Hours) -> Hours:
    """Return the history with bursts of the last day cut to the highest hour of the week before: they are no level.

    A burst is an hour of at least twice that. What has risen for good is left as it is, and so is a young history.
    """
    hours = past.hours
    most = max(hours[-WEEK - DAY : -DAY], default=0)
    if past.risen or len(hours) < BURST_KNOWN or not 0 < RISE * most <= max(hours[-DAY:]):
        return past
    last = [most if grown >= RISE * most else grown for grown in hours[-DAY:]]
    cut = [*hours[:-DAY], *last]
    return replace(past, hours=cut, sums=_summed(cut))


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


def yesterday(past: Hours, end: int, lead: float) -> float:
    """What the same hours of the last day grew by."""
    return _again(past.sums, end, lead, DAY, 1)


def since_rise(past: Hours, end: int, lead: float) -> float:
    """What goes on as in the hours since the rise: level, or the same hours of the days before it, whichever is less.

    The shape of the days before is raised by what these hours were above theirs: a rise by day is none of the nights.
    """
    count = past.risen
    begin, risen = end - count, past.sums[end] - past.sums[end - count]
    usual = same_hours(past, begin, count)
    level = risen / count * lead
    if usual <= 0:
        return level
    return min(level, (same_hours(past, begin, count + lead) - usual) * risen / usual)


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


LEVEL = frozenset({everything, last_day, last_hours, as_scheduled})
"""Those that grow evenly: over a lead of one hour they say all that they have to say."""


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
