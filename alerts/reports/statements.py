"""Statements: one account, one period, balanced to the cent, with the card's charges against the balance's credits.

A charge, a refund and a dispute belong to the period of their own instant at Stripe. What became known only after a
period's report was made is a row of the next one, marked late, so that it is in exactly one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.accounts import AccountInfo
from alerts.model.instants import to_ms
from alerts.model.readings import Known, Metrics
from alerts.model.spans import Span
from alerts.reports.amounts import amount
from alerts.reports.credits import CardCharge, CardReturn, DeclinedCharge, Refusal
from alerts.reports.figures import Computed, DayRow, Figures, compute
from alerts.reports.past import AccountPast, Edge, PriceChange, shown

CREDITED_WITHIN = timedelta(hours=2)
"""A charge whose credit no reading shows after so long is missing in the balance."""
_BEGINS_INSIDE = "history begins inside the period"


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
class CardSide:
    """What the ledger says of an account's card.

    `charges` and `returns` belong to the period. `earlier` charges were made before it, and credited in it or not yet;
    `earlier_returns` went back before it, and the balance may show them in it.
    """

    charges: tuple[CardCharge, ...] = ()
    earlier: tuple[CardCharge, ...] = ()
    returns: tuple[CardReturn, ...] = ()
    earlier_returns: tuple[CardReturn, ...] = ()
    declines: tuple[DeclinedCharge, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class PeriodBudget:
    """A budget of the period's own length: its rule and its limit, in micro-dollars."""

    rule: str
    limit: int


@dataclass(frozen=True, slots=True)
class Units:
    """What was bought (snapshots), and what one cost on average, in micro-dollars; None where that is not known."""

    count: int
    price: int | None


@dataclass(frozen=True, slots=True)
class Before:
    """The period before: what was spent in it, and of what."""

    spent: int
    units: Units | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """What does not add up: an amount of micro-dollars, and why in words."""

    amount: int
    says: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One account over one span. `since` and `until` are the readings it really rests on, None without any."""

    account: AccountInfo
    span: Span
    made_at: datetime
    since: datetime | None = None
    until: datetime | None = None
    partial: tuple[str, ...] = ()
    """Why its numbers do not cover the whole span, a sentence each; empty where they do."""
    notes: tuple[str, ...] = ()
    readings: int = 0
    figures: Figures | None = None
    days: tuple[DayRow, ...] = ()
    volume: Volume | None = None
    card: CardSide = CardSide()
    budgets: tuple[PeriodBudget, ...] = ()
    before: Before | None = None
    units: Units | None = None
    prices: tuple[PriceChange, ...] = ()
    series: tuple[tuple[int, int], ...] = ()
    """Milliseconds and what is available (or effective storage), for a picture."""
    threshold: int | None = None
    """Below this an alert is told, in micro-dollars."""

    @property
    def unit(self) -> str:
        """What its money is in; sums are made within a unit only."""
        return self.account.unit

    @property
    def begins_inside(self) -> bool:
        """Whether the account was first read inside the period."""
        return _BEGINS_INSIDE in self.partial

    @property
    def spent(self) -> int:
        return 0 if self.figures is None else self.figures.spent

    @property
    def charged(self) -> int:
        return sum(one.amount_microusd for one in self.card.charges)

    @property
    def returned(self) -> int:
        return sum(one.amount_microusd for one in self.card.returns)

    @property
    def budget(self) -> int | None:
        """The lowest limit of the period's own budgets."""
        return min((one.limit for one in self.budgets), default=None)

    @property
    def missing(self) -> tuple[CardCharge, ...]:
        """Charges that no credit stands against, though it should have come."""
        return tuple(one for one in self._uncredited if self.made_at - one.charged_at >= CREDITED_WITHIN)

    @property
    def on_the_way(self) -> tuple[CardCharge, ...]:
        """Charges whose credit came after the period's end, or may still come."""
        end = min(self.span.end, self.made_at)
        every = (*self.card.charges, *self.card.earlier)
        late = [one for one in every if one.credited_at is not None and one.credited_at > end]
        young = [one for one in self._uncredited if self.made_at - one.charged_at < CREDITED_WITHIN]
        return (*late, *young)

    @property
    def _uncredited(self) -> list[CardCharge]:
        return [one for one in (*self.card.charges, *self.card.earlier) if one.credited_at is None]

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What does not add up: between two balances, and between the card and the balance."""
        found = [
            Issue(
                one.amount_microusd,
                f"{amount(one.amount_microusd, self.unit)} charged and never credited ({one.topup})",
            )
            for one in self.missing
        ]
        if self.figures is not None and self.figures.off:
            off = self.figures.off
            found.append(Issue(off, f"{amount(off, self.unit)} of the balance is unexplained"))
        return tuple(found)


def build(
    account: AccountInfo, span: Span, past: AccountPast, card: CardSide, *, now: datetime, own_days: bool = True
) -> Statement:
    """Return the statement of `account` over `span`, as what is known at `now` tells it."""
    partial = _partial(past)
    if now < span.end:
        partial = (*partial, "the period has not ended yet")
    edges = _levels(past)
    if not edges:
        return Statement(account, span, now, partial=("no reading",), card=card)
    computed = compute(past, (*card.charges, *card.earlier), (*card.earlier_returns, *card.returns), edges)
    first, last = edges[0].known, edges[-1].known
    assert first is not None
    assert last is not None
    return Statement(
        account=account,
        span=span,
        made_at=now,
        since=first.at,
        until=last.at,
        partial=partial,
        notes=() if computed is None else computed.notes,
        readings=past.readings,
        figures=None if computed is None else computed.figures,
        days=computed.days if computed is not None and own_days else (),
        volume=_volume(first.metrics, last.metrics, past.peak_microgb),
        card=card,
        units=_units(first.metrics, last.metrics, computed),
        prices=past.prices,
        series=_series(past, span, first),
    )


def _series(past: AccountPast, span: Span, first: Known) -> tuple[tuple[int, int], ...]:
    """What a chart shows, from the period's start on, or from where history begins."""
    value = shown(first.metrics)
    if not past.series or value is None:
        return ()
    return ((to_ms(max(first.at, span.start)), value), *past.series)


def _partial(past: AccountPast) -> tuple[str, ...]:
    """Why the numbers do not cover the whole period."""
    opening, closing = past.edges[0], past.edges[-1]
    if opening.known is None:
        return (_BEGINS_INSIDE,)
    named = (("opening", opening), ("closing", closing))
    return tuple(f"the {name} values are {edge.partial}" for name, edge in named if edge.partial)


def _levels(past: AccountPast) -> tuple[Edge, ...]:
    """The known edges, from the first reading on where history begins inside the period."""
    known = tuple(edge for edge in past.edges if edge.known is not None)
    if past.edges[0].known is not None or past.first is None:
        return known if past.edges[0].known is not None else ()
    return (Edge(past.first.at, past.first), *known)


def _units(first: Metrics, last: Metrics, computed: Computed | None) -> Units | None:
    """Units that a provider counts and prices; a counter that began anew tells nothing."""
    if computed is None or first.total_snapshots is None or last.total_snapshots is None:
        return None
    count = last.total_snapshots - first.total_snapshots
    if count <= 0:
        return None
    return Units(count, computed.figures.spent // count)


def price_and_volume(spent: int, units: Units | None, before: Before | None) -> tuple[int, int] | None:
    """Return how much of the change in spend is price and how much volume; None where units are not counted."""
    if before is None or units is None or before.units is None or before.units.price is None:
        return None
    volume = (units.count - before.units.count) * before.units.price
    return spent - before.spent - volume, volume


def _volume(first: Metrics, last: Metrics, peak: int | None) -> Volume | None:
    if last.used_microgb is None:
        return None
    ends = [value for value in (first.effective_microgb, peak, last.effective_microgb) if value is not None]
    return Volume(
        used_opening=first.used_microgb,
        used_closing=last.used_microgb,
        reserved_closing=last.reserved_microgb,
        effective_closing=last.effective_microgb,
        effective_peak=max(ends, default=None),
        limit=last.limit_microgb,
        period_used=last.period_used_microgb,
        period_start_at=last.period_start_at,
        period_end_at=last.period_end_at,
    )
