"""How far off a way of forecasting was on the account's own past, lead by lead, and the spread that follows from it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log, sqrt

Spreads = Sequence[float]
LEADS = (3, 6, 12, 24, 48, 96, 192, 384)
"""Leads in hours at which the error is measured; between them it is interpolated, beyond them it grows by the root."""
SCORED_LEADS = (12, 24, 48, 96)
PRIOR_SPREADS = (0.55, 0.45, 0.37, 0.32, 0.33, 0.36, 0.42, 0.50)
"""The standard deviation of the logarithm that is expected of an account of which nothing is known yet."""
PRIOR_SCHEDULED = (0.15, 0.15, 0.15, 0.18, 0.22, 0.26, 0.32, 0.40)
"""The same where the provider schedules what will be spent."""
PRIOR_WEIGHT = 4.0
"""How many independent past errors the prior counts for."""
_ORIGIN_STEP = 6
_ORIGINS_BACK = 14 * 24
_WORST_SQUARE = 4.0
"""An error by a factor of seven counts as the worst: an hour of nothing must not drown the others."""


@dataclass(frozen=True, slots=True)
class Track:
    """Running sums of the growth and of the shape, hour by hour, so that any stretch of either is one difference."""

    growth: Sequence[float]
    shape: Sequence[float]

    @classmethod
    def of(cls, hours: Sequence[int], seasonal: Sequence[float]) -> Track:
        return cls([0.0, *map(float, accumulate(hours))], [0.0, *accumulate(seasonal)])


def measure(
    track: Track, levels: Sequence[float], leads: Sequence[int] = LEADS, step: int = _ORIGIN_STEP
) -> list[tuple[float, int]]:
    """Return for each lead the mean square of the error's logarithm of past forecasts, and how many were judged."""
    growth, shape, count = track.growth, track.shape, len(levels)
    floor = 0.02 * growth[count] / count + 1e-9
    errors = []
    for lead in leads:
        last = count - lead
        stop = max(11, last - _ORIGINS_BACK)
        if last <= stop:
            errors.append((0.0, 0))
            continue
        # Back from the last origin: the sums at its end, the sums where it stands, and the level of the hour before.
        ends, origins = slice(count, stop + lead, -step), slice(last, stop, -step)
        before = slice(last - 1, stop - 1, -step)
        total, judged, least = 0.0, 0, floor * lead
        for grown, was, shaped, had, level in zip(
            growth[ends], growth[origins], shape[ends], shape[origins], levels[before], strict=True
        ):
            square = log((grown - was + least) / (level * (shaped - had) + least)) ** 2
            total += square if square < _WORST_SQUARE else _WORST_SQUARE
            judged += 1
        errors.append((total / judged, judged))
    return errors


def _independent(lead: int, judged: int, step: int) -> float:
    """Return how many of the judged forecasts do not overlap."""
    return judged * step / max(lead, step)


def score(track: Track, levels: Sequence[float]) -> float:
    """Return how far off a way was at leads of half a day to four days; each lead counts by what is known of it."""
    total = weight = 1e-9
    for lead, (square, judged) in zip(SCORED_LEADS, measure(track, levels, SCORED_LEADS, SCORED_LEADS[0]), strict=True):
        independent = _independent(lead, judged, SCORED_LEADS[0])
        total += square * independent
        weight += independent
    return sqrt(total / weight)


def pooled(errors: Sequence[tuple[float, int]], *, scheduled: bool) -> Spreads:
    """Return the spread at each lead: the prior and the past errors, weighed by how many of them are independent.

    An account that is calmer or wilder than the prior at short leads is expected to be so at the longer ones.
    """
    priors = PRIOR_SCHEDULED if scheduled else PRIOR_SPREADS
    spreads = array("d")
    scale = 1.0
    for lead, prior, (square, judged) in zip(LEADS, priors, errors, strict=True):
        independent = _independent(lead, judged, _ORIGIN_STEP)
        expected = (scale * prior) ** 2
        spread = sqrt((PRIOR_WEIGHT * expected + independent * square) / (PRIOR_WEIGHT + independent))
        scale = 0.5 * scale + 0.5 * spread / prior
        spreads.append(spread)
    return spreads


def spread_over(spreads: Spreads, lead: float) -> float:
    """Return the spread at a lead: linear in its logarithm, level before the first, by the root after the last."""
    if lead <= LEADS[0]:
        return spreads[0]
    for index in range(1, len(LEADS)):
        if lead <= LEADS[index]:
            before, after = LEADS[index - 1], LEADS[index]
            part = log(lead / before) / log(after / before)
            return spreads[index - 1] + (spreads[index] - spreads[index - 1]) * part
    return spreads[-1] * sqrt(lead / LEADS[-1])
