"""Balances: what was charged, credited and left unexplained between two readings, exact and in cents that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from alerts.model.money import MICROUSD_PER_CENT
from alerts.model.readings import Known
from alerts.reports.credits import CardCharge, Credit, match

ROUNDING_NOISE_MICROUSD = 20_000
"""Providers round balance and total apart from each other: up to two cents is noise, not a credit."""
_ROUNDING_NOISE_CENTS = ROUNDING_NOISE_MICROUSD // MICROUSD_PER_CENT
RETURN_WITHIN = timedelta(hours=24)
"""A rise that undoes a fall of the same size so soon was a wrong reading, not a credit."""


def round_to_cents(microusd: int) -> int:
    """Return cents, rounded half up: a whole-cent step moves a rounded value by itself, on either side of zero."""
    return (microusd + MICROUSD_PER_CENT // 2) // MICROUSD_PER_CENT


@dataclass(frozen=True, slots=True)
class Money:
    """The money of a statement in micro-dollars, exact. Raises ValueError where it does not balance."""

    opening: int
    credits: tuple[Credit, ...]
    charged: int
    unexplained: int
    closing: int
    uncharged_opening: int | None
    uncharged_closing: int | None
    by_total: bool
    """Whether usage comes from the provider's running total (else from the balance alone)."""

    def __post_init__(self) -> None:
        if self.opening + self.credited - self.charged + self.unexplained != self.closing:
            raise ValueError("a statement that does not balance")

    @property
    def credited(self) -> int:
        return sum(credit.amount_microusd for credit in self.credits)

    @property
    def cents(self) -> Cents:
        """The same in cents, so rounded that the rows add up to the totals that are shown."""
        topups = sum(c.amount_microusd for c in self.credits if c.charge is not None)
        others = self.credited - topups
        rows = _steps_in_cents(self.opening, (topups, others, -self.charged, self.unexplained))
        pending = [None if u is None else round_to_cents(u) for u in (self.uncharged_opening, self.uncharged_closing)]
        return Cents(
            opening=round_to_cents(self.opening),
            topups=rows[0],
            other_credits=rows[1],
            charged=-rows[2],
            unexplained=rows[3],
            closing=round_to_cents(self.closing),
            pending_opening=pending[0],
            pending_closing=pending[1],
        )

    def credits_in_cents(self) -> tuple[tuple[Credit, int], ...]:
        """Return each credit with its cents, top-ups first: they add up to the two rows of `cents`."""
        ordered = sorted(self.credits, key=lambda c: c.charge is None)
        cents = _steps_in_cents(self.opening, [c.amount_microusd for c in ordered])
        return tuple(zip(ordered, cents, strict=True))


def _steps_in_cents(start: int, steps: Sequence[int]) -> list[int]:
    """Each step as the difference of the rounded levels around it: none is a cent off, the sum not at all."""
    cents, level = [], start
    for step in steps:
        cents.append(round_to_cents(level + step) - round_to_cents(level))
        level += step
    return cents


@dataclass(frozen=True, slots=True)
class Cents:
    """The rows as shown, in whole cents: opening + topups + other_credits − charged + unexplained = closing."""

    opening: int
    topups: int
    other_credits: int
    charged: int
    unexplained: int
    closing: int
    pending_opening: int | None
    pending_closing: int | None

    @property
    def used(self) -> int:
        """Usage of the period: charged, and what accrued and is not yet deducted."""
        return self.charged + (self.pending_closing or 0) - (self.pending_opening or 0)

    @property
    def off(self) -> int:
        """What is unexplained beyond the provider's own rounding: anything but zero deserves a question."""
        return self.unexplained if abs(self.unexplained) > _ROUNDING_NOISE_CENTS else 0

    @property
    def available(self) -> int:
        return self.closing - (self.pending_closing or 0)


class _Walk:
    """Goes over neighbouring levels once and keeps apart what was charged, credited and unexplained."""

    def __init__(self) -> None:
        self.charged = 0
        self.noise = 0
        self.resets = 0
        self.unexplained = 0
        self.by_total = True
        self.rises: list[tuple[datetime, int]] = []
        self._fall: tuple[datetime, int] | None = None

    def step(self, before: Known, after: Known) -> None:
        one, two = before.metrics, after.metrics
        assert one.balance_microusd is not None
        assert two.balance_microusd is not None
        moved = two.balance_microusd - one.balance_microusd
        if one.total_charged_microusd is None or two.total_charged_microusd is None:
            self.by_total = False
            if moved > 0:
                self.rises.append((after.at, moved))
            else:
                self.charged -= moved
            return
        charged = two.total_charged_microusd - one.total_charged_microusd
        if charged < 0:
            self.resets += 1
            self.unexplained += moved
            return
        self.charged += charged
        funded = moved + charged
        if abs(funded) <= ROUNDING_NOISE_MICROUSD:
            self.noise += funded
        elif funded > 0 and not self._comes_back(after.at, funded):
            self.rises.append((after.at, funded))
        else:
            self.unexplained += funded
            self._fall = (after.at, -funded) if funded < 0 else None

    def _comes_back(self, at: datetime, rise: int) -> bool:
        """Whether a rise undoes the last fall (a reading that was wrong for a while): then it is no credit."""
        if self._fall is None:
            return False
        fell_at, amount = self._fall
        return at - fell_at <= RETURN_WITHIN and abs(rise - amount) <= ROUNDING_NOISE_MICROUSD


def compute_money(
    levels: Sequence[Known], charges: Sequence[CardCharge], start: datetime
) -> tuple[Money | None, tuple[str, ...]]:
    """Return the money of neighbouring readings, and what a reader must know of how it was reckoned.

    None without a balance. Charges whose credit was seen at or before `start` explain nothing here.
    """
    told = [level for level in levels if level.metrics.balance_microusd is not None]
    if not told:
        return None, ()
    walk = _Walk()
    for before, after in pairwise(told):
        walk.step(before, after)
    open_charges = [c for c in charges if c.credited_at is None or c.credited_at > start]
    opening, closing = told[0].metrics, told[-1].metrics
    assert opening.balance_microusd is not None
    assert closing.balance_microusd is not None
    notes: list[str] = []
    if walk.resets:
        notes.append("the provider's running total ran backwards; usage is counted on from its new base")
    if not walk.by_total:
        notes.append("the provider tells no running total: rises of the balance count as credits, falls as usage")
    money = Money(
        opening=opening.balance_microusd,
        credits=match(walk.rises, open_charges),
        charged=walk.charged,
        unexplained=walk.unexplained + walk.noise,
        closing=closing.balance_microusd,
        uncharged_opening=opening.uncharged_microusd,
        uncharged_closing=closing.uncharged_microusd,
        by_total=walk.by_total,
    )
    return money, tuple(notes)
