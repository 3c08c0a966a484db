"""The pattern of a counter: its level, its shape, its trend, and how far off such a forecast was before.

Learnt from the whole hours up to the last midnight (UTC), once a day and only when somebody asks; the level then
follows hour by hour. It is a function of the remembered hours alone, so a restart changes nothing. The numbers here
are dimensionless shapes and estimates, so they are Python's floats; money goes in and out as whole micro-units.

Method: several ways to tell the level (the provider's schedule as it stands; the schedule led by the shape; what was
spent, by exponential weights of three half-lives) each forecast the account's own past, and the one that did best
forecasts its future. The errors it made, lead by lead, pooled with a prior that counts less as history grows, are the
spread of the range.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from math import exp, log, sqrt

from msgspec import Struct

from alerts.foresight.hourly import KEPT_HOURS, Hourly
from alerts.foresight.past import Spreads, Track, measure, pooled, score
from alerts.foresight.shape import WEEK_HOURS, week_shape
from alerts.model.values import replace

LEARNING_HOURS = 24
"""A day of whole hours: before it there is no pattern."""
HALF_LIVES = ((4.0, 1.03), (12.0, 1.02), (24.0, 1.0), (72.0, 1.05))
"""Half-lives of the observed level in hours, each with how much better than a day's it must do to be taken."""
LED_HALF_LIFE = 3.0
LED_PENALTY = 0.95
SCHEDULE_PENALTY = 0.90
"""The provider's own schedule is taken unless another way did better than it by so much."""
RATIO_HALF_LIFE = 72.0
TREND_MEMORY_DAYS = 7.0


class Weighted(Struct, frozen=True, gc=False):
    """A level by exponential weights: weighted growth over weighted shape. O(1) to move on by an hour."""

    half_life: float
    total: float = 0.0
    weight: float = 0.0

    def after_all(self, growth: Sequence[float], shapes: Sequence[float]) -> Weighted:
        keep, total, weight = 0.5 ** (1 / self.half_life), self.total, self.weight
        for amount, shape in zip(growth, shapes, strict=True):
            total = keep * total + amount
            weight = keep * weight + shape
        return Weighted(self.half_life, total, weight)

    def level_after(self, growth: float, shape: float, fallback: float) -> float:
        """Return the level as it will be after one more hour."""
        keep = 0.5 ** (1 / self.half_life)
        total, weight = keep * self.total + growth, keep * self.weight + shape
        return total / weight if weight > 1e-6 else fallback

    def level(self, fallback: float) -> float:
        return self.total / self.weight if self.weight > 1e-6 else fallback


class Way(Struct, frozen=True, gc=False):
    """One way to tell the level. Observed: `growth` alone. Led: `growth` is the schedule's, times `ratio`'s level.

    Neither: the schedule as it stands. `score` is how far off it was on the past, lower is better.
    """

    score: float
    levels: Sequence[float]
    growth: Weighted | None = None
    ratio: Weighted | None = None

    @property
    def by_schedule(self) -> bool:
        return self.growth is None


class Pattern(Struct, frozen=True, gc=False):
    """What is expected of a counter from `end_hour` on. `level` is micro-units an hour where the shape is 1."""

    end_hour: int
    hours: int
    level: float
    sums: Sequence[float]
    """Sums of the shape over two weeks from the start of the epoch's week, so that any stretch is one difference."""
    trend_per_day: float
    spreads: Spreads
    way: Way

    @property
    def week(self) -> float:
        """The shape summed over one week."""
        return self.sums[WEEK_HOURS]

    def shape_at(self, hour: int) -> float:
        place = hour % WEEK_HOURS
        return self.sums[place + 1] - self.sums[place]

    def shape_over(self, start: float, lead: float) -> float:
        """Return the shape summed over `lead` hours from `start`, both in hours and not whole."""
        weeks, rest = divmod(lead, WEEK_HOURS)
        begin = start % WEEK_HOURS
        return weeks * self.week + self._sum_to(begin + rest) - self._sum_to(begin)

    def _sum_to(self, place: float) -> float:
        whole = int(place)
        return self.sums[whole] + (self.sums[whole + 1] - self.sums[whole]) * (place - whole)

    @property
    def by_schedule(self) -> bool:
        """Whether the schedule as it stands forecast best: its rate now is the level, and it has no shape."""
        return self.way.by_schedule

    def level_now(self, hour: int, scheduled_per_day: int | None) -> float:
        """Return the level, where a schedule leads it by its rate now."""
        way = self.way
        if scheduled_per_day is None or (way.growth and not way.ratio):
            return self.level
        if way.growth is None or way.ratio is None:
            return scheduled_per_day / 24
        led = way.growth.level_after(scheduled_per_day / 24, self.shape_at(hour), 0.0)
        return way.ratio.level(0.0) * led if led else self.level

    def moved_on(self, growth: Sequence[int], scheduled: Sequence[int] | None) -> Pattern | None:
        """Return the pattern with further hours' growth; None where its way needs a schedule that is not there."""
        way, level, hour = self.way, self.level, self.end_hour
        if not growth:
            return self
        shapes = [self.shape_at(hour + index) for index in range(len(growth))]
        if way.growth is not None and way.ratio is None:
            observed = way.growth.after_all(growth, shapes)
            way, level = Way(way.score, way.levels, observed), observed.level(level)
        elif scheduled is None:
            return None
        elif way.growth is None or way.ratio is None:
            level = scheduled[-1]
        else:
            led, ratio = way.growth.after_all(scheduled, shapes), way.ratio.after_all(growth, scheduled)
            way, level = Way(way.score, way.levels, led, ratio), ratio.level(1.0) * led.level(level)
        end, count = hour + len(growth), self.hours + len(growth)
        return Pattern(end, count, level, self.sums, self.trend_per_day, self.spreads, way)

    def trended(self, lead: float) -> float:
        """Return the factor of a trend that fades: its mean effect over `lead` hours."""
        if not self.trend_per_day:
            return 1.0
        faded = TREND_MEMORY_DAYS * (1 - exp(-lead / 24 / TREND_MEMORY_DAYS))
        return exp(self.trend_per_day * faded / 2)


def learn(counter: Hourly, schedule: Hourly | None = None) -> Pattern | None:
    """Return the pattern of the counter's whole hours, or None before a day of them. Kept until the hour is over."""
    memo = counter.memo
    if memo.pattern is None:
        memo.pattern = _follow(counter, schedule)
    return memo.pattern if isinstance(memo.pattern, Pattern) else None


def _follow(counter: Hourly, schedule: Hourly | None) -> Pattern | None:
    """Return what was learnt up to the last midnight, moved on by the hours since."""
    hours = counter.hours
    count = len(hours)
    if count < LEARNING_HOURS:
        return None
    scheduled: Sequence[int] | None = None
    if schedule is not None and schedule.hour == counter.hour and len(schedule.hours) >= count:
        scheduled = schedule.hours[len(schedule.hours) - count :]
    since = counter.hour % 24
    known = count - since
    if known < LEARNING_HOURS:
        return _learn(hours, scheduled, counter.hour)
    learnt = counter.memo.learnt
    if not isinstance(learnt, Pattern) or learnt.end_hour != counter.hour - since:
        # As many hours as are there all day long, so that it does not matter at which hour it is learnt.
        first = max(0, known - (KEPT_HOURS - 24))
        learnt = _learn(hours[first:known], scheduled and scheduled[first:known], counter.hour - since)
        counter.memo.learnt = learnt
    moved = learnt.moved_on(hours[known:], scheduled and scheduled[known:])
    return moved or _learn(hours, None, counter.hour)


def _learn(hours: Sequence[int], scheduled: Sequence[int] | None, end_hour: int) -> Pattern:
    hours, scheduled = list(hours), scheduled and list(scheduled)
    count = len(hours)
    start = end_hour - count
    shape = week_shape(hours, start)
    seasonal = [shape[hour % WEEK_HOURS] for hour in range(start, end_hour)]
    track = Track.of(hours, seasonal)
    ways = []
    for half_life, penalty in HALF_LIVES:
        levels, last = weighted_levels(hours, seasonal, half_life)
        ways.append(Way(penalty * score(track, levels), levels, last))
    if scheduled is not None and any(scheduled):
        ways += _schedule_ways(hours, scheduled, seasonal, track)
    best = min(ways, key=lambda way: way.score)
    if best.by_schedule:
        shape, track, trend = _FLAT, Track.of(hours, [1.0] * count), 0.0
    else:
        trend = _trend(hours, seasonal)
    return Pattern(
        end_hour=end_hour,
        hours=count,
        level=best.levels[-1],
        sums=array("f", [0.0, *accumulate(shape + shape)]),
        trend_per_day=trend,
        spreads=pooled(measure(track, best.levels), scheduled=best.by_schedule or best.ratio is not None),
        way=replace(best, levels=()),
    )


def _schedule_ways(
    hours: Sequence[int], scheduled: Sequence[int], seasonal: Sequence[float], track: Track
) -> list[Way]:
    flat = Track.of(hours, [1.0] * len(hours))
    ratios, ratio = weighted_levels(hours, scheduled, RATIO_HALF_LIFE)
    follows, led = weighted_levels(scheduled, seasonal, LED_HALF_LIFE)
    levels = [ratio * level for ratio, level in zip(ratios, follows, strict=True)]
    return [
        Way(SCHEDULE_PENALTY * score(flat, scheduled), scheduled),
        Way(LED_PENALTY * score(track, levels), levels, led, ratio),
    ]


def weighted_levels(hours: Sequence[int], seasonal: Sequence[float], half_life: float) -> tuple[list[float], Weighted]:
    """Return the level as it was known after each hour, and the weights after the last."""
    keep = 0.5 ** (1 / half_life)
    total = weight = 0.0
    fallback = sum(hours) / max(sum(seasonal), 1e-9)
    levels = []
    for growth, shape in zip(hours, seasonal, strict=True):
        total = keep * total + growth
        weight = keep * weight + shape
        levels.append(total / weight if weight > 1e-6 else fallback)
    return levels, Weighted(half_life, total, weight)


def _trend(hours: Sequence[int], seasonal: Sequence[float]) -> float:
    """Return the level's growth a day, as a logarithm: the slope of the daily totals, believed by its certainty."""
    days = min(len(hours) // 24, 14)
    if days < 5:
        return 0.0
    logs = []
    for end in range(len(hours) - 24 * (days - 1), len(hours) + 1, 24):
        total, shape = sum(hours[end - 24 : end]), sum(seasonal[end - 24 : end])
        if total <= 0 or shape <= 0:
            return 0.0
        logs.append(log(total / shape))
    middle, mean = (days - 1) / 2, sum(logs) / days
    across = sum((day - middle) ** 2 for day in range(days))
    slope = sum((day - middle) * (value - mean) for day, value in enumerate(logs)) / across
    rest = sum((value - mean - slope * (day - middle)) ** 2 for day, value in enumerate(logs)) / max(days - 2, 1)
    certain = max(0.0, 1 - 4 * rest / across / slope**2) if slope else 0.0
    return max(-_STEEPEST, min(_STEEPEST, slope * sqrt(certain) * certain))


_STEEPEST = 0.10
"""A tenth a day either way: what is steeper is a step, not a trend, and the level follows it."""

_FLAT = [1.0] * WEEK_HOURS
