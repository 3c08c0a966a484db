"""The pattern of a counter: its level, its shape, its trend, and how far off such a forecast was before.

Learnt from the hours that the memory keeps, at most once an hour and only when somebody asks. The numbers here are
dimensionless shapes and estimates, so they are Python's floats; money goes in and comes out as whole micro-units.

Method: several ways to tell the level (the provider's schedule as it stands; the schedule led by the shape; what was
spent, by exponential weights of three half-lives) each forecast the account's own past, and the one that did best
forecasts its future. The errors it made, lead by lead, pooled with a prior that counts less as history grows, are the
spread of the range.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log, sqrt

from alerts.foresight.hourly import Hourly
from alerts.foresight.past import Spreads, Track, measure, pooled, score
from alerts.foresight.shape import WEEK_HOURS, week_shape

LEARNING_HOURS = 24
"""A day of whole hours: before it there is no pattern."""
HALF_LIVES = ((8.0, 1.10), (24.0, 1.0), (72.0, 1.05))
"""Half-lives of the observed level in hours, each with how much better than a day's it must do to be taken."""
LED_HALF_LIFE = 3.0
LED_PENALTY = 0.95
SCHEDULE_PENALTY = 0.90
"""The provider's own schedule is taken unless another way did better than it by so much."""
RATIO_HALF_LIFE = 72.0
TREND_MEMORY_DAYS = 7.0


@dataclass(frozen=True, slots=True)
class Lead:
    """A level that follows the schedule: weighted schedule over weighted shape, times what a scheduled dollar costs."""

    total: float
    weight: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is expected of a counter from `end_hour` on. `level` is micro-units an hour where the shape is 1."""

    end_hour: int
    hours: int
    level: float
    sums: Sequence[float]
    """Sums of the shape over two weeks from the start of the epoch's week, so that any stretch is one difference."""
    trend_per_day: float
    spreads: Spreads
    by_schedule: bool = False
    """The schedule as it stands forecast best: its rate now is the level, and it has no shape."""
    lead: Lead | None = None

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

    def level_now(self, hour: int, scheduled_per_day: int | None) -> float:
        """Return the level, where a schedule leads it by its rate now."""
        if scheduled_per_day is None or not (self.by_schedule or self.lead):
            return self.level
        if self.lead is None:
            return scheduled_per_day / 24
        keep = 0.5 ** (1 / LED_HALF_LIFE)
        total = keep * self.lead.total + scheduled_per_day / 24
        weight = keep * self.lead.weight + self.shape_at(hour)
        return self.lead.ratio * total / weight if weight > 1e-6 else self.level

    def trended(self, lead: float) -> float:
        """Return the factor of a trend that fades: its mean effect over `lead` hours."""
        if not self.trend_per_day:
            return 1.0
        faded = TREND_MEMORY_DAYS * (1 - exp(-lead / 24 / TREND_MEMORY_DAYS))
        return exp(self.trend_per_day * faded / 2)


def learn(counter: Hourly, schedule: Hourly | None = None) -> Pattern | None:
    """Return the pattern of the counter's whole hours, or None before a day of them. Kept until the hour is over."""
    if not counter.memo:
        counter.memo.append(_learn(counter, schedule))
    pattern = counter.memo[0]
    return pattern if isinstance(pattern, Pattern) else None


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to tell the level: its score on the past (lower is better), its levels, its errors."""

    score: float
    levels: Sequence[float]
    errors: Sequence[tuple[float, int]]
    by_schedule: bool = False
    lead: Lead | None = None


def _learn(counter: Hourly, schedule: Hourly | None) -> Pattern | None:
    hours = counter.hours
    count = len(hours)
    if count < LEARNING_HOURS:
        return None
    start = counter.hour - count
    shape = week_shape(hours, start)
    seasonal = [shape[(start + index) % WEEK_HOURS] for index in range(count)]
    track = Track.of(hours, seasonal)
    ways = []
    for half_life, penalty in HALF_LIVES:
        levels, _, _ = weighted_levels(hours, seasonal, half_life)
        errors = measure(track, levels)
        ways.append(_Way(penalty * score(errors), levels, errors))
    if schedule is not None and schedule.hour == counter.hour and len(schedule.hours) >= count:
        ways += _schedule_ways(hours, schedule.hours[len(schedule.hours) - count :], seasonal, track)
    best = min(ways, key=lambda way: way.score)
    trend = 0.0
    if best.by_schedule:
        shape = [1.0] * WEEK_HOURS
    else:
        trend = _trend(hours, seasonal)
    sums = array("d", [0.0, *accumulate(shape + shape)])
    spreads = pooled(best.errors, scheduled=best.by_schedule or best.lead is not None)
    return Pattern(counter.hour, count, best.levels[-1], sums, trend, spreads, best.by_schedule, best.lead)


def _schedule_ways(
    hours: Sequence[int], scheduled: Sequence[int], seasonal: Sequence[float], track: Track
) -> list[_Way]:
    if not any(scheduled):
        return []
    flat = Track.of(hours, [1.0] * len(hours))
    errors = measure(flat, scheduled)
    ways = [_Way(SCHEDULE_PENALTY * score(errors), scheduled, errors, by_schedule=True)]
    ratios, _, _ = weighted_levels(hours, scheduled, RATIO_HALF_LIFE)
    follows, total, weight = weighted_levels(scheduled, seasonal, LED_HALF_LIFE)
    levels = [ratio * level for ratio, level in zip(ratios, follows, strict=True)]
    errors = measure(track, levels)
    ways.append(_Way(LED_PENALTY * score(errors), levels, errors, lead=Lead(total, weight, ratios[-1])))
    return ways


def weighted_levels(
    hours: Sequence[int], seasonal: Sequence[float], half_life: float
) -> tuple[list[float], float, float]:
    """Return the level as it was known after each hour, and the last two sums: weighted growth over weighted shape."""
    keep = 0.5 ** (1 / half_life)
    total = weight = 0.0
    fallback = sum(hours) / max(sum(seasonal), 1e-9)
    levels = []
    for growth, shape in zip(hours, seasonal, strict=True):
        total = keep * total + growth
        weight = keep * weight + shape
        levels.append(total / weight if weight > 1e-6 else fallback)
    return levels, total, weight


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
