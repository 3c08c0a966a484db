"""An account's past over a period, as far as a statement needs it: levels at its edges and days, and what jumped.

Usage moves money from the balance to the provider's running total and leaves their sum alone; a reading where the sum
moved, or the total ran backwards, is a jump. Between jumps one difference says everything, however many readings lie
there. Money in micro-dollars, volume in micro-gigabytes, instants aware.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from alerts.model.instants import to_ms
from alerts.model.readings import Known, Metrics

NOISE_MICROUSD = 20_000
"""Providers round balance and total apart from each other: up to two cents is noise, not a credit."""
BOUNDARY_REACH = timedelta(hours=24)
"""A reading at most so old stands for the value at an instant; an older one is interpolated with the next."""
SERIES_POINTS = 240
"""Points that a chart of a period is drawn from, besides the jumps."""
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Edge:
    """What stood at an instant; None before the first reading. `partial` says why that is not certain, else empty."""

    at: datetime
    known: Known | None
    partial: str = ""


@dataclass(frozen=True, slots=True)
class Jump:
    """Two readings in a row between which more happened than usage."""

    before: Known
    after: Known


@dataclass(frozen=True, slots=True)
class PriceChange:
    """The price of a unit (a snapshot) as the provider says it, old and new."""

    at: datetime
    old_microusd: int
    new_microusd: int


@dataclass(frozen=True, slots=True)
class AccountPast:
    """`edges`: the period's start, each midnight inside, its end. `first`: the first reading inside, if there is one.

    `by_total`: whether every reading had the provider's running total. `series`: milliseconds, available or effective.
    """

    edges: tuple[Edge, ...]
    jumps: tuple[Jump, ...] = ()
    prices: tuple[PriceChange, ...] = ()
    first: Known | None = None
    readings: int = 0
    by_total: bool = True
    peak_microgb: int | None = None
    series: tuple[tuple[int, int], ...] = ()


def past_of(readings: Sequence[Known], cuts: Sequence[datetime]) -> AccountPast:
    """Return the past that readings in order of time tell, those just outside of the outer cuts included."""
    start, end = cuts[0], cuts[-1]
    inside = [one for one in readings if start < one.at <= end]
    pairs = [(one, two) for one, two in pairwise(readings) if start < two.at <= end]
    effective = [one.metrics.effective_microgb for one in inside]
    return AccountPast(
        edges=tuple(edge_between(*_around(readings, cut), cut) for cut in cuts),
        jumps=tuple(Jump(one, two) for one, two in pairs if is_jump(one.metrics, two.metrics)),
        prices=tuple(change for one, two in pairs if (change := price_change(one, two)) is not None),
        first=inside[0] if inside else None,
        readings=len(inside),
        by_total=all(one.metrics.total_charged_microusd is not None for one in inside),
        peak_microgb=max((value for value in effective if value is not None), default=None),
        series=_series(inside, start, end),
    )


def is_jump(before: Metrics, after: Metrics) -> bool:
    """Whether more than usage happened between two readings; without a running total, whether the balance rose."""
    if before.balance_microusd is None or after.balance_microusd is None:
        return False
    moved = after.balance_microusd - before.balance_microusd
    if before.total_charged_microusd is None or after.total_charged_microusd is None:
        return moved > 0
    charged = after.total_charged_microusd - before.total_charged_microusd
    return charged < -NOISE_MICROUSD or abs(moved + charged) > NOISE_MICROUSD


def price_change(before: Known, after: Known) -> PriceChange | None:
    """Return the change of the unit price between two readings, None where both say the same or one says none."""
    old, new = before.metrics.cost_per_snapshot_microusd, after.metrics.cost_per_snapshot_microusd
    return None if old is None or new is None or old == new else PriceChange(after.at, old, new)


def _around(readings: Iterable[Known], at: datetime) -> tuple[Known | None, Known | None]:
    before: Known | None = None
    for reading in readings:
        if reading.at > at:
            return before, reading
        before = reading
    return before, None


def edge_between(before: Known | None, after: Known | None, at: datetime) -> Edge:
    """Return the level at an instant: the last reading before it, interpolated where that is too old."""
    if before is None:
        return Edge(at, None)
    if at - before.at <= BOUNDARY_REACH:
        return Edge(at, before)
    if after is None:
        return Edge(at, before, "of a reading more than 24 hours older")
    return Edge(at, Known(before.account, at, _between(before, after, at)), "interpolated over a gap in the readings")


def _between(before: Known, after: Known, at: datetime) -> Metrics:
    """What accrued grows evenly between two readings; a credit counts when it was seen, so not before `after`."""
    one, two = before.metrics, after.metrics
    part, whole = (at - before.at) // _MS, (after.at - before.at) // _MS

    def mix(a: int | None, b: int | None) -> int | None:
        return a if a is None or b is None else a + (b - a) * part // whole

    total, balance = one.total_charged_microusd, one.balance_microusd
    uncharged = mix(one.uncharged_microusd, two.uncharged_microusd)
    two_total, two_balance = two.total_charged_microusd, two.balance_microusd
    if total is not None and two_total is not None and two_total < total:
        uncharged = one.uncharged_microusd  # a total that began anew says nothing of what lies between
    elif one.funded_microusd is not None and two_total is not None:
        total = mix(total, two_total)
        balance = one.funded_microusd - (total or 0)
    elif balance is not None and two_balance is not None and two_balance < balance:
        balance = mix(balance, two_balance)
    return Metrics(
        balance_microusd=balance,
        uncharged_microusd=uncharged,
        total_charged_microusd=total,
        total_snapshots=mix(one.total_snapshots, two.total_snapshots),
        cost_per_snapshot_microusd=one.cost_per_snapshot_microusd,
        used_microgb=mix(one.used_microgb, two.used_microgb),
        reserved_microgb=mix(one.reserved_microgb, two.reserved_microgb),
        limit_microgb=one.limit_microgb,
        period_start_at=one.period_start_at,
        period_end_at=one.period_end_at,
        period_used_microgb=one.period_used_microgb,
    )


def shown(metrics: Metrics) -> int | None:
    """Return what a chart shows of a reading: what is available, else the effective storage."""
    return metrics.effective_microgb if metrics.balance_microusd is None else metrics.available_microusd


def bucket_ms(start: datetime, end: datetime) -> int:
    """Return how many milliseconds one point of a chart stands for."""
    return max(1, -(-(to_ms(end) - to_ms(start)) // SERIES_POINTS))


def _series(inside: Sequence[Known], start: datetime, end: datetime) -> tuple[tuple[int, int], ...]:
    """The last value of each bucket of time."""
    width, start_ms, last = bucket_ms(start, end), to_ms(start), {}
    for one in inside:
        if (value := shown(one.metrics)) is not None:
            last[(to_ms(one.at) - start_ms) // width] = (to_ms(one.at), value)
    return tuple(last.values())
