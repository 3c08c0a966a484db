"""Credits: what was added to a balance, and which charge of a card explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

CLOCK_SLACK = timedelta(minutes=10)
"""The payment service's clock and ours may differ by so much: a credit may seem to precede its charge."""


@dataclass(frozen=True, slots=True)
class CardCharge:
    """One top-up that was paid: what the card's statement shows. `credited_at` is when the ledger saw its credit."""

    topup: str
    payment_intent: str
    amount_microusd: int
    paid_at: datetime
    credited_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Credit:
    """A rise of everything ever credited, seen at `at`; `charge` is None where no top-up of ours explains it."""

    at: datetime
    amount_microusd: int
    charge: CardCharge | None = None


def match(rises: Sequence[tuple[datetime, int]], charges: Sequence[CardCharge]) -> tuple[Credit, ...]:
    """Explain rises by charges, each charge at most once, in order of time.

    A rise is one charge of the same amount; else several charges together, oldest first; else the largest charge that
    it holds, and the rest is a credit of its own (a bonus, or somebody's purchase by hand). Amounts always add up to
    the rises, whatever was matched.
    """
    waiting = sorted(charges, key=lambda c: (c.paid_at, c.topup))
    credits: list[Credit] = []
    for at, amount in rises:
        chosen = _explain(amount, [c for c in waiting if c.paid_at <= at + CLOCK_SLACK])
        for charge in chosen:
            waiting.remove(charge)
            credits.append(Credit(at, charge.amount_microusd, charge))
        rest = amount - sum(c.amount_microusd for c in chosen)
        if rest:
            credits.append(Credit(at, rest))
    return tuple(credits)


def _explain(amount: int, candidates: Sequence[CardCharge]) -> list[CardCharge]:
    for charge in candidates:
        if charge.amount_microusd == amount:
            return [charge]
    total, several = 0, []
    for charge in candidates:
        total += charge.amount_microusd
        several.append(charge)
        if total == amount:
            return several
    smaller = [c for c in candidates if c.amount_microusd < amount]
    return [max(smaller, key=lambda c: c.amount_microusd)] if smaller else []
