"""Which estimators to believe on this account, and how far off such a forecast was: its weights and its range.

Every six hours each estimator says what the next hours will bring, and is judged when they are over. Its score is the
mean logarithm of its errors, later ones counting more; its weight falls steeply with it. The forecast is the weighted
median of what they say. The range is conformal: the quantile of that forecast's own last errors, lead by lead, beside
as many as accounts usually show, and adaptive: wider while the account leaves its ranges more often than it should. All
of it follows from the remembered hours alone, so a restart changes nothing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, chain
from math import ceil, exp, inf, log

from msgspec import Struct
from msgspec.structs import replace

from alerts.forecast import estimators
from alerts.forecast.estimators import DAY, PAUSE_HOURS, WEEK, Estimator, Hours
from alerts.forecast.hourly import KEPT_HOURS, Hourly, Memo

STEP = 6
LEADS = (6, 12, 24, 48, 96)
"""Leads in hours at which forecasts are judged; the width of the range is interpolated between them."""
PARTS = tuple(STEP / lead for lead in LEADS)
"""What an error at each lead counts: so many more of the longer ones overlap."""
LEARNING_DAYS = 10
"""Forecasts older than this are not judged again."""
OBSERVED: tuple[Estimator, ...] = (
    estimators.everything,
    estimators.last_day,
    estimators.last_hours,
    estimators.same_hours,
    estimators.same_weekdays,
    estimators.yesterday,
)
OF_LAST_DAY = tuple(map(OBSERVED.index, (estimators.last_day, estimators.last_hours, estimators.yesterday)))
"""Those that look at nothing else: where it was idle, as always on some days, they say nothing of what is to come."""
PLANNED: tuple[Estimator, ...] = (estimators.as_scheduled, estimators.led_hours)
HALF_LIFE = 100.0
"""In hours: an error counts half of one made so much later."""
STEEPNESS = 8.0
"""An estimator with half of another's errors weighs 2 ** 8 times as much: nearly the best alone, where one is best."""
PRIOR_WEIGHT = 24.0
"""How many independent errors the expectations below count for."""
EXPECTED = tuple(map(log, (1.0, 0.9, 1.0, 1.0, 1.2, 0.95, 0.8, 0.9)))
"""What part of the others' errors each estimator's are expected to be: the last day is hard to beat, while a week..."""
WILD = log(0.4)
"""...has to be seen more often than once. Where errors are as large as what is forecast, the mean of all hours and the
schedule are hard to beat; in a calm account, where there is little to average out, they are not favoured."""
SCHEDULE_MARGIN = log(1 / 0.9)
"""The provider's own schedule is taken, and led by, unless another estimator's errors are a tenth smaller..."""
UNEXPLAINED = 0.1
"""...and only while it explains what was spent over the last week within a tenth."""
INSIDE = 0.8
WIDTHS = (0.39, 0.35, 0.31, 0.31, 0.33)
"""How far off, as a logarithm, eight of ten forecasts of the usual account are at each lead."""
SCHEDULED_WIDTH = 0.5
"""As much of it where the provider's own schedule is taken."""
USUAL = (0.1, 0.2, 0.3, 0.41, 0.52, 0.66, 0.81, 1.0, 1.28, 2.0)
"""Ten errors as a normal distribution has them, as parts of that width: a young account's range is made of them."""
KEPT_ERRORS = 8
"""Of each lead: the last two days of them are what the range is made of."""
MISSED, FORGIVEN = 0.5, 0.9
"""A range that was left widens the next ones of its lead: by the first, as a logarithm, less the fifth of it by which
each judged range narrows them, so that one miss in five balances. Of all that the second is left six hours later.
Adaptive conformal inference: Gibbs and Candès, 2021."""
LEAST_WIDTH = 0.01
"""No range is narrower: a past without any error promises none."""
_FLOOR = 0.03
"""Of the mean hour, added to both sides of a ratio: an hour of nothing must not drown the others."""
WIDEST = -log(_FLOOR)
"""Beyond the longest lead a range grows no wider: there something would be compared with nothing."""
CLOSE = 0.125
"""Part of all estimators' mean error that is added to each one's: a lucky hit is worth no more."""
_WORST, _LEAST = 5.0, 0.002
"""Relative errors of days remaining are judged between these."""
_ROUNDED = 1e-6
"""Numbers of four bytes are rounded by less than this."""
BELIEFS_KEPT = 256
"""How many beliefs are kept until their hour is over: some twelve kilobytes each."""
_NEGLIGIBLE = 0.02
"""Weights below this part of the best's are left out."""

Believed = Sequence[tuple[Estimator, float]]


class Learnt(Struct, frozen=True, gc=False):
    """What is known of an account's estimators at `hour`, counted from the epoch. Never changed once made.

    `start` and `paused` are those of the history. `said` holds for each lead the open forecasts of it, the oldest
    first, one after the other: what every estimator said, then the forecast made of it, the width of its range, and
    from where to where the range of a fall reached. `errors` are the past errors at each lead, the latest last;
    `stretched` is how much wider the ranges are than those say, and `widths` how wide: all as logarithms. Nothing was
    spent in the last `idle` hours, and before them never for longer than `longest`.

    It is kept for every account, so its numbers are packed: three kilobytes.
    """

    hour: int
    start: int
    paused: tuple[int, int] | None
    estimators: Sequence[Estimator]
    totals: Sequence[float]
    weight: float
    said: Sequence[array[float]]
    errors: Sequence[array[float]]
    stretched: Sequence[float]
    widths: Sequence[float]
    idle: int = 0
    longest: int = 0
    explained: bool = True
    """Whether the schedule adds up to what was spent over the last week, within a tenth."""

    @classmethod
    def begin(cls, past: Hours, hour: int) -> Learnt:
        """Return what is known before any forecast was judged: how long the account was ever idle, and no more."""
        chosen = (*OBSERVED, *PLANNED) if past.scheduled else OBSERVED
        none, idle = (array("f"),) * len(LEADS), (0, 0)
        for end in range(STEP + (hour - past.start) % STEP, hour - past.start + 1, STEP):
            idle = _idle(past, end, *idle)
        zeros = array("d", [0.0] * len(chosen))
        return cls(hour, past.start, past.paused, chosen, zeros, 0.0, none, none, (0.0,) * len(LEADS), YOUNG, *idle)

    @property
    def with_plan(self) -> bool:
        return len(self.totals) > len(OBSERVED)

    def weights(self, *, planned: bool = True) -> list[float]:
        """Return each estimator's weight, the best's being 1; the schedule's alone where it is taken."""
        known, totals = self.weight, self.totals if planned else self.totals[: len(OBSERVED)]
        usual = sum(totals) / len(totals) / known if known else 0.0
        prior = PRIOR_WEIGHT * min(1.0, exp(usual))
        long = WILD * prior / (known + prior)
        always = PRIOR_WEIGHT / (known + PRIOR_WEIGHT) * (1 - _LEAST / exp(usual))
        scores = [(x + prior * usual) / (known + prior) + always * y for x, y in zip(totals, EXPECTED, strict=False)]
        scores[0] += long
        if len(scores) > len(OBSERVED):
            place = len(OBSERVED)
            scores[place] += long if self.explained else inf
            scores[place + 1] -= SCHEDULE_MARGIN
            if scores[place] - SCHEDULE_MARGIN <= min(scores):
                return [1.0 if index == place else 0.0 for index in range(len(scores))]
        if self.idle >= DAY and not _is_pause(self.idle, self.longest):
            for place in OF_LAST_DAY:
                scores[place] = inf
        best = min(scores)
        return [exp(STEEPNESS * (best - score)) for score in scores]

    def followed(self, past: Hours, hour: int) -> Learnt:
        """Return what is known after judging at one more hour."""
        end, spent = hour - past.start, past.spent
        idle, longest = _idle(past, end, self.idle, self.longest)
        paused = _is_pause(idle, longest)
        keep = 0.5 ** (STEP / HALF_LIFE)
        totals, weight = [keep * total for total in self.totals], keep * self.weight
        floor = _FLOOR * past.sums[end] / end + 1e-9
        errors, stretched, row = list(self.errors), list(self.stretched), len(totals) + 4
        for place, lead in enumerate(LEADS):
            back = lead // STEP
            if len(self.said[place]) < back * row:
                break
            least, part = floor * lead, PARTS[place]
            actual = spent[end] - spent[end - lead] + least
            if actual == least and not paused:
                continue  # No balance ends where nothing is spent, so it says nothing; a pause is a level as any.
            *said, middle, width, low, high = self.said[place][:row]
            off = [min(abs(actual / (estimate + least) - 1), _WORST) for estimate in said]
            common = CLOSE * sum(off) / len(off) + _LEAST
            totals = [total + part * log(x + common) for total, x in zip(totals, off, strict=True)]
            weight += part
            own = abs(log(actual / (middle + least)))
            # What the range of a fall held is no miss, and what was missed by a pause is none of a range of spending.
            if actual > least and (own <= width or not low <= actual - least <= high):
                errors[place] = (errors[place] + array("f", (own,)))[-KEPT_ERRORS:]
                stretched[place] = FORGIVEN * stretched[place] + MISSED * ((own > width) - (1 - INSIDE))
        explained = _explains(past, end)
        judged = replace(self, hour=hour, totals=array("d", totals), weight=weight, errors=errors)
        judged = replace(judged, stretched=array("d", stretched), idle=idle, longest=longest, explained=explained)
        weights = judged.weights()
        widths = _widths(errors, stretched, SCHEDULED_WIDTH if weights[len(OBSERVED) :][:1] == [1.0] else 1.0)
        levels = [estimate(past, end, 1.0) if estimate in estimators.LEVEL else None for estimate in self.estimators]
        before, since = estimators.fallen(past.sums, end) or (-inf, inf)
        kept: list[array[float]] = []
        for lead, width, open_ones in zip(LEADS, widths, self.said, strict=True):
            said = [
                estimate(past, end, lead) if level is None else level * lead
                for estimate, level in zip(self.estimators, levels, strict=True)
            ]
            fall = (since * lead * (1 - _ROUNDED), before * lead * (1 + _ROUNDED))
            now = array("f", (*said, weighted_median(said, weights), width, *fall))
            kept.append((open_ones + now)[-(lead // STEP) * row :])
        return replace(judged, said=kept, widths=array("d", widths))


def _is_pause(idle: int, longest: int) -> bool:
    """Whether so many idle hours are more than a weekend, and more than ever before."""
    return idle >= PAUSE_HOURS and idle > longest


def _idle(past: Hours, end: int, idle: int, longest: int) -> tuple[int, int]:
    """Return for how many hours nothing was spent, and for how many at most before, after one more step."""
    if past.spent[end] == past.spent[end - STEP]:
        return idle + STEP, longest
    return 0, max(longest, idle)


def _widths(errors: Sequence[Sequence[float]], stretched: Sequence[float], scale: float) -> list[float]:
    """Return for each lead the logarithm of how far the range reaches above and below the forecast.

    An account that is calmer or wilder than usual at one lead is expected to be so at the others. `scale` is how wide
    it is taken to be, in parts of the usual.
    """
    own = [[off / width for off in past] for width, past in zip(WIDTHS, errors, strict=True)]
    usual = _reached([*chain(*own), *[scale * part for part in USUAL]])
    found: list[float] = []
    for place, (width, past) in enumerate(zip(WIDTHS, own, strict=True)):
        reach = width * _reached([*past, *[usual * part for part in USUAL]]) * exp(stretched[place])
        reach = max(reach, LEAST_WIDTH)
        if found:
            # Half of what an even path grows by from lead to lead: neither edge of the range turns back.
            step = 0.5 * log(LEADS[place] / LEADS[place - 1])
            reach = min(max(reach, found[-1] - step), found[-1] + step)
        found.append(reach)
    return found


def _reached(errors: list[float]) -> float:
    """Return what eight of ten errors, and the next one with that chance, are at most: the conformal quantile."""
    errors.sort()
    return errors[ceil(INSIDE * (len(errors) + 1)) - 1]


YOUNG = tuple(_widths(((),) * len(LEADS), (0.0,) * len(LEADS), 1.0))
"""The widths where nothing is known of the account yet."""


def _explains(past: Hours, end: int) -> bool:
    plan, start = past.scheduled, max(end - WEEK, 0)
    if plan is None:
        return True
    spent, planned = past.sums[end] - past.sums[start], plan[end] - plan[start]
    return abs(spent - planned) <= UNEXPLAINED * spent


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the value that half of the weight lies at or below."""
    largest = max(weights)
    if 2 * largest > sum(weights):
        return values[weights.index(largest)]
    pairs = sorted(zip(values, weights, strict=True))
    sums = list(accumulate(weight for _, weight in pairs))
    return pairs[bisect_left(sums, sums[-1] / 2)][0]


class Belief(Struct, frozen=True, gc=False):
    """What to believe of a counter within one hour: its whole hours, and the estimators by weight.

    `unplanned` is what is believed while the provider says no schedule.
    """

    learnt: Learnt
    past: Hours
    planned: Believed
    unplanned: Believed

    @classmethod
    def of(cls, learnt: Learnt, past: Hours) -> Belief:
        chosen, unplanned = learnt.weights(), learnt.weights(planned=False)
        return cls(learnt, estimators.bounded(past), _believed(learnt, chosen), _believed(learnt, unplanned))


def learn(counter: Hourly, schedule: Hourly | None = None) -> Belief | None:
    """Return what the counter's whole hours teach, or None before a day of them. Kept until the hour is over.

    The last ten days are judged anew when one of the epoch's weeks begins, and followed from there hour by hour.
    """
    memo, found = counter.memo, counter.memo.found
    if isinstance(found, Belief) or len(counter.hours) < DAY:
        return found if isinstance(found, Belief) else None
    memo.found = belief = _learn(counter, schedule)
    _kept.append(memo)
    if len(_kept) > BELIEFS_KEPT:
        _kept.popleft().found = None
    return belief


_kept: deque[Memo] = deque()
"""Whose beliefs are kept, the oldest first. Threads may ask at once: at worst both learn the same."""


def _learn(counter: Hourly, schedule: Hourly | None) -> Belief:
    hours, hour = counter.hours, counter.hour
    count, since = len(hours), hour % WEEK
    planned = None
    if schedule is not None and schedule.hour == hour and len(schedule.hours) >= count:
        planned = schedule.hours[len(schedule.hours) - count :]
    # As many hours as are there all week long, so that it does not matter at which hour it is learnt.
    first = max(0, count - since - (KEPT_HOURS - WEEK))
    past = Hours.of(hour - count + first, hours[first:], planned and planned[first:])
    before, with_plan = counter.memo.learnt, past.scheduled is not None
    if (
        isinstance(before, Learnt)
        and hour - since <= before.hour <= hour
        and before.with_plan is with_plan
        and (before.start, before.paused) == (past.start, past.paused)
    ):
        learnt = before
    else:
        begin = max(past.start + DAY, hour - since - LEARNING_DAYS * DAY)
        learnt = Learnt.begin(past, -(-begin // STEP) * STEP - STEP)
    for judged in range(learnt.hour + STEP, hour + 1, STEP):
        learnt = learnt.followed(past, judged)
    counter.memo.learnt = learnt
    return Belief.of(learnt, past)


def _believed(learnt: Learnt, weights: list[float]) -> Believed:
    """Return the estimators that matter: where one has more than half of the weight it is the median, alone."""
    if sum(weights) < 2:
        return [(learnt.estimators[weights.index(1.0)], 1.0)]
    return [pair for pair in zip(learnt.estimators, weights, strict=False) if pair[1] > _NEGLIGIBLE]
