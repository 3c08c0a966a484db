"""Advice on a top-up's two numbers: the smallest threshold and amount that hardly ever let an account run dry.

A month is drawn from the account's own past in stretches of seven days, so that its days and weeks keep their shape and
their bursts; hundreds of such months are lived through with the same chance for every candidate. Running dry means that
the available balance reaches nought between crossing the threshold and the credit being seen.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, pairwise

from alerts.forecast.hourly import HOUR_MS
from alerts.model.money import MICRO

MONTH_HOURS = 30 * 24
BLOCK_HOURS = 7 * 24
MONTHS = 600
LEAST_HOURS = 7 * 24
"""Less than a week of past is too little to draw months from."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for. `risk` is the chance in a month, as a part of one; money in micro-dollars.

    `delay_hours` passes between the reading that is below the threshold and the credit being seen in the balance.
    """

    risk: Decimal
    charges_per_month: int
    delay_hours: int
    poll_hours: float
    min_charge_microusd: int
    step_microusd: int = MICRO


@dataclass(frozen=True, slots=True)
class Advice:
    """The smallest threshold and amount that keep the terms, and what they come to. Money in micro-dollars.

    `risk` is the part of the months in which it would have run dry; `charges_mean` and `charges_most` count a month's
    charges (the most in nineteen months of twenty). `month_most_microusd` is the spend of such a month.
    """

    threshold_microusd: int
    amount_microusd: int
    risk: Decimal
    charges_mean: float
    charges_most: int
    month_mean_microusd: int
    month_most_microusd: int
    months: int
    past_days: int


@dataclass(frozen=True, slots=True)
class _Month:
    """Spend added up hour by hour, and where between threshold and full the balance stands when it begins."""

    sums: Sequence[int]
    start: float


def advise(hours: Sequence[int], terms: Terms, seed: int = 0) -> Advice | None:
    """Return the advice for an account whose whole hours spent `hours`, or None with too little past or no spend.

    The amount is the smallest, in whole steps, that needs no more charges a month than asked for in nineteen months of
    twenty; then the threshold is the smallest that keeps the risk with it.
    """
    if len(hours) < LEAST_HOURS or sum(hours) <= 0:
        return None
    chance = random.Random(seed)
    months = [_month(hours, terms, chance) for _ in range(MONTHS)]
    amount = _smallest_amount(months, terms)
    threshold = _smallest_threshold(months, amount, terms)
    lives = [_live(month, threshold, amount, terms) for month in months]
    spends = sorted(month.sums[MONTH_HOURS] for month in months)
    charges = sorted(count for count, _ in lives)
    return Advice(
        threshold_microusd=threshold,
        amount_microusd=amount,
        risk=Decimal(sum(dry for _, dry in lives)) / MONTHS,
        charges_mean=sum(charges) / MONTHS,
        charges_most=charges[MONTHS * 95 // 100],
        month_mean_microusd=sum(spends) // MONTHS,
        month_most_microusd=spends[MONTHS * 95 // 100],
        months=MONTHS,
        past_days=len(hours) // 24,
    )


def whole_hours(points: Sequence[tuple[int, int]]) -> list[int]:
    """Return what a counter grew by in each whole hour, from its points (milliseconds, value): even between two.

    The part of an hour at either end is left out.
    """
    grown: list[int] = []
    boundary: int | None = None
    for (before_ms, before), (at_ms, value) in pairwise(points):
        hour = before_ms // HOUR_MS
        if boundary is None and before_ms % HOUR_MS == 0:
            boundary = before
        while (hour + 1) * HOUR_MS <= at_ms:
            hour += 1
            reached = before + (value - before) * (hour * HOUR_MS - before_ms) // max(at_ms - before_ms, 1)
            if boundary is not None:
                grown.append(reached - boundary)
            boundary = reached
    return grown


def _month(hours: Sequence[int], terms: Terms, chance: random.Random) -> _Month:
    """Draw a month, with enough hours after it for the last charge to be seen."""
    drawn: list[int] = []
    needed = MONTH_HOURS + terms.delay_hours + 2
    while len(drawn) < needed:
        # Whole days are stepped over, so that an hour of the day stays one.
        first = chance.randrange((len(hours) - BLOCK_HOURS) // 24 + 1) * 24
        drawn += hours[first : first + BLOCK_HOURS]
    return _Month([0, *accumulate(drawn[:needed])], chance.random())


def _live(month: _Month, threshold: int, amount: int, terms: Terms) -> tuple[int, bool]:
    """Return how many charges the month needs, and whether the balance reaches nought in it."""
    funded, charges, dry = threshold + round(amount * month.start), 0, False
    sums = month.sums
    # The first whole hour at which the balance is below the threshold, then the poll that notices.
    hour = bisect_left(sums, funded - threshold + 1)
    while hour < MONTH_HOURS:
        seen = min(hour + terms.delay_hours + max(1, round(terms.poll_hours)), len(sums) - 1)
        dry = dry or sums[seen] >= funded
        # What is charged is whole amounts that land above the threshold.
        short = threshold - (funded - sums[hour])
        funded += (short // amount + 1) * amount
        charges += 1
        hour = max(seen, bisect_left(sums, funded - threshold + 1, seen))
    return charges, dry


def _smallest_amount(months: Sequence[_Month], terms: Terms) -> int:
    """Bisect the whole steps: more a charge never needs more charges."""

    def enough(steps: int) -> bool:
        amount = steps * terms.step_microusd
        needed = sorted(_live(month, amount, amount, terms)[0] for month in months)
        return needed[len(months) * 95 // 100] <= terms.charges_per_month

    least = max(-(-terms.min_charge_microusd // terms.step_microusd), 1)
    most = max(-(-max(month.sums[-1] for month in months) // terms.step_microusd), least)
    return _first(enough, least, most) * terms.step_microusd


def _smallest_threshold(months: Sequence[_Month], amount: int, terms: Terms) -> int:
    def safe(steps: int) -> bool:
        threshold = steps * terms.step_microusd
        return sum(_live(month, threshold, amount, terms)[1] for month in months) <= terms.risk * len(months)

    most = -(-max(month.sums[-1] for month in months) // terms.step_microusd) + 1
    return _first(safe, 1, most) * terms.step_microusd


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the smallest whole number for which it holds, where it holds for all that are larger."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
