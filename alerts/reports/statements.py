"""Statements: one account, one period, balanced to the cent.

    opening balance + credits − charged usage + unexplained = closing balance

Charged usage and credits are told apart by the provider's own running total: usage moves money from the balance to the
total and leaves their sum alone, only a credit raises the sum. What neither explains is shown as unexplained, never
hidden. Where a provider has no running total, every rise of the balance counts as a credit and every fall as usage,
and the statement says so (`basis`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.accounts import AccountInfo
from alerts.model.readings import Known, Metrics
from alerts.model.spans import Span
from alerts.reports.balances import Money, compute_money
from alerts.reports.credits import CardCharge

BOUNDARY_REACH = timedelta(hours=24)
"""A reading at most so old stands for the value at a boundary; an older one is interpolated with the next."""
_CHART_POINTS = 600


@dataclass(frozen=True, slots=True)
class Volume:
    """The storage of a statement in micro-gigabytes; None is "the provider did not say"."""

    used_opening: int | None
    used_closing: int | None
    reserved_closing: int | None
    effective_closing: int | None
    effective_peak: int | None
    limit: int | None
    period_used: int | None
    period_start_at: datetime | None
    period_end_at: datetime | None

    @property
    def added(self) -> int | None:
        """Used within the period; None where either end is unknown or the counter ran backwards."""
        if self.used_opening is None or self.used_closing is None or self.used_closing < self.used_opening:
            return None
        return self.used_closing - self.used_opening


@dataclass(frozen=True, slots=True)
class Statement:
    """One account over one span. `since` and `until` are the readings it really rests on, None without any."""

    account: AccountInfo
    span: Span
    since: datetime | None
    until: datetime | None
    partial: tuple[str, ...]
    """Why its numbers do not cover the whole span, a sentence each; empty where they do."""
    notes: tuple[str, ...]
    readings: int
    money: Money | None
    volume: Volume | None
    charges: tuple[CardCharge, ...] = ()
    """Top-ups whose card was charged within the span, credited or not."""
    in_transit: tuple[CardCharge, ...] = ()
    """Top-ups charged before the span's end whose credit is not in its closing balance."""
    series: tuple[tuple[datetime, int], ...] = ()
    """Balance, or effective storage, over time, thinned for a picture; both sides of every rise are kept."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """The readings of a span: its edges, what lies between, and what is missing."""

    levels: tuple[Known, ...]
    partial: tuple[str, ...]
    count: int


def build(
    account: AccountInfo,
    span: Span,
    readings: Iterable[Known],
    charges: Sequence[CardCharge],
    *,
    now: datetime,
) -> Statement:
    """Return the statement of `account` over `span`.

    `readings` are believed readings in order of time: the last one before the span (where there is one), those in it,
    and the first one after it. `charges` are the account's paid top-ups that may have been credited in it.
    """
    end = min(span.end, now)
    cut = _cut(span.start, end, readings)
    if now < span.end:
        cut = _Cut(cut.levels, (*cut.partial, "the period has not ended yet"), cut.count)
    if not cut.levels:
        return Statement(account, span, None, None, ("no reading",), (), 0, None, None, _charged_in(span, charges))
    first, last = cut.levels[0], cut.levels[-1]
    money, notes = compute_money(cut.levels, charges, span.start)
    matched = {c.charge.topup for c in money.credits if c.charge} if money else set()
    return Statement(
        account=account,
        span=span,
        since=first.at,
        until=last.at,
        partial=cut.partial,
        notes=notes,
        readings=cut.count,
        money=money,
        volume=_volume(cut.levels),
        charges=_charged_in(span, charges),
        in_transit=_in_transit(charges, matched, span.start, end) if money else (),
        series=_series(cut.levels),
    )


def _charged_in(span: Span, charges: Sequence[CardCharge]) -> tuple[CardCharge, ...]:
    return tuple(sorted((c for c in charges if span.start <= c.paid_at < span.end), key=lambda c: (c.paid_at, c.topup)))


def _in_transit(
    charges: Sequence[CardCharge], matched: set[str], start: datetime, end: datetime
) -> tuple[CardCharge, ...]:
    """Paid before the end, in no credit of the span, and not credited before it."""
    return tuple(
        c
        for c in sorted(charges, key=lambda c: (c.paid_at, c.topup))
        if c.paid_at < end and c.topup not in matched and not (c.credited_at is not None and c.credited_at <= start)
    )


# --- the span's readings -------------------------------------------------------------------------------------------


def _cut(start: datetime, end: datetime, readings: Iterable[Known]) -> _Cut:
    before: Known | None = None
    after: Known | None = None
    inside: list[Known] = []
    for reading in readings:
        if reading.at <= start:
            before = reading
        elif reading.at <= end:
            inside.append(reading)
        else:
            after = reading
            break
    partial: list[str] = []
    levels = list(inside)
    if before is None:
        if not inside:
            return _Cut((), ("no reading",), 0)
        partial.append("history begins inside the period")
    else:
        following = inside[0] if inside else after
        levels.insert(0, _edge(before, following, start, partial, "opening"))
    last = inside[-1] if inside else levels[0]
    if end - last.at > BOUNDARY_REACH:
        levels.append(_edge(last, after, end, partial, "closing"))
    return _Cut(tuple(levels), tuple(partial), len(inside))


def _edge(before: Known, after: Known | None, at: datetime, partial: list[str], name: str) -> Known:
    """The level at a boundary: the last reading before it, interpolated where that is too old."""
    if at - before.at <= BOUNDARY_REACH:
        return before
    if after is None:
        partial.append(f"the {name} values are of a reading more than 24 hours older")
        return before
    partial.append(f"the {name} values are interpolated over a gap in the readings")
    return Known(before.account, at, _between(before, after, at))


def _between(before: Known, after: Known, at: datetime) -> Metrics:
    """Accrued grows evenly between two readings; a credit counts when it was seen, so not before `after`."""
    one, two = before.metrics, after.metrics
    part, whole = at - before.at, after.at - before.at

    def mix(a: int | None, b: int | None) -> int | None:
        return a if a is None or b is None else a + (b - a) * (part // _MS) // (whole // _MS)

    total = mix(one.total_charged_microusd, two.total_charged_microusd)
    balance = mix(one.balance_microusd, two.balance_microusd)
    if total is not None and one.funded_microusd is not None:
        balance = one.funded_microusd - total
    return Metrics(
        balance_microusd=balance,
        uncharged_microusd=mix(one.uncharged_microusd, two.uncharged_microusd),
        total_charged_microusd=total,
        used_microgb=mix(one.used_microgb, two.used_microgb),
        reserved_microgb=mix(one.reserved_microgb, two.reserved_microgb),
        limit_microgb=one.limit_microgb,
        period_start_at=one.period_start_at,
        period_end_at=one.period_end_at,
        period_used_microgb=one.period_used_microgb,
    )


_MS = timedelta(milliseconds=1)


# --- storage -------------------------------------------------------------------------------------------------------


def _volume(levels: Sequence[Known]) -> Volume | None:
    told = [level.metrics for level in levels if level.metrics.used_microgb is not None]
    if not told:
        return None
    first, last = told[0], told[-1]
    effective = [m.effective_microgb for m in told if m.effective_microgb is not None]
    return Volume(
        used_opening=first.used_microgb,
        used_closing=last.used_microgb,
        reserved_closing=last.reserved_microgb,
        effective_closing=last.effective_microgb,
        effective_peak=max(effective, default=None),
        limit=last.limit_microgb,
        period_used=last.period_used_microgb,
        period_start_at=last.period_start_at,
        period_end_at=last.period_end_at,
    )


def _series(levels: Sequence[Known]) -> tuple[tuple[datetime, int], ...]:
    points: list[tuple[datetime, int]] = []
    for level in levels:
        value = level.metrics.balance_microusd
        if value is None:
            value = level.metrics.effective_microgb
        if value is not None:
            points.append((level.at, value))
    stride = max(1, -(-len(points) // _CHART_POINTS))
    last = len(points) - 1
    return tuple(
        point
        for n, point in enumerate(points)
        if n % stride == 0 or n == last or point[1] > points[n - 1][1] or points[n + 1][1] > point[1]
    )
