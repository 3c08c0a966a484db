"""Credits: what was added to a balance, and which charge of a card the ledger says it is of.

The ledger matched each charge with its credit when a reading showed it; that match is used here, never another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.reports.past import NOISE_MICROUSD

CLOCK_SLACK = timedelta(minutes=10)
"""Two clocks may differ by so much: a rise may seem to precede what caused it."""
RETURNED_WITHIN = timedelta(days=35)
"""A provider takes a refunded credit back within so long of the refund, before or after."""
_SHOWN_PERCENT = 90
"""Without a running total a rise shows so much of a credit: the rest was used meanwhile."""


@dataclass(frozen=True, slots=True)
class CardCharge:
    """One top-up that was paid: what the card's statement shows, at Stripe's instant.

    `credited_at` is when the ledger saw its credit. `late`: the report of its own period was made without it.
    """

    topup: str
    payment_intent: str
    amount_microusd: int
    charged_at: datetime
    credited_at: datetime | None = None
    by_person: bool = False
    """Credited on a person's word: no reading has shown it."""
    card: str = ""
    receipt: str = ""
    late: bool = False


@dataclass(frozen=True, slots=True)
class CardReturn:
    """Money that went back to the card, at Stripe's instant. `kind`: "refund" or "dispute"."""

    kind: str
    topup: str
    payment_intent: str
    amount_microusd: int
    at: datetime
    late: bool = False


@dataclass(frozen=True, slots=True)
class DeclinedCharge:
    """A charge that the bank refused: no money moved."""

    topup: str
    payment_intent: str
    amount_microusd: int
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a gate allowed no charge on a day (ISO, of the configured zone), and its words the last time."""

    day: str
    gate: str
    count: int
    detail: str


@dataclass(frozen=True, slots=True)
class Credit:
    """A rise of everything ever credited, seen at `at`; `charge` is None where no top-up of ours explains it."""

    at: datetime
    amount_microusd: int
    charge: CardCharge | None = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A fall of everything ever credited that a refund or a dispute explains."""

    at: datetime
    amount_microusd: int
    cause: CardReturn


@dataclass(slots=True)
class Rise:
    """A rise that waits to be explained. `left` is what no charge explains yet."""

    at: datetime
    left: int


def pair(rises: Sequence[Rise], charges: Sequence[CardCharge], *, by_total: bool) -> tuple[list[Credit], int]:
    """Give each credited charge its rise, by the instant at which the ledger saw the credit; rises keep what is left.

    Returns the credits, and how much of them was used before a reading showed it (only without a running total).
    """
    credits: list[Credit] = []
    used_meanwhile = 0
    for charge in sorted(charges, key=lambda one: (one.credited_at or one.charged_at, one.topup)):
        if charge.credited_at is None or charge.by_person:
            continue
        rise = _rise_of(charge, charge.credited_at, rises, by_total=by_total)
        if rise is None:
            continue
        shown = charge.amount_microusd if by_total else min(rise.left, charge.amount_microusd)
        used_meanwhile += charge.amount_microusd - shown
        rise.left -= shown
        credits.append(Credit(rise.at, charge.amount_microusd, charge))
    return credits, used_meanwhile


def _rise_of(charge: CardCharge, credited_at: datetime, rises: Sequence[Rise], *, by_total: bool) -> Rise | None:
    needed = charge.amount_microusd - NOISE_MICROUSD if by_total else charge.amount_microusd * _SHOWN_PERCENT // 100
    seen = [
        one
        for one in rises
        if charge.charged_at - CLOCK_SLACK <= one.at <= credited_at + CLOCK_SLACK and one.left >= needed
    ]
    return max(seen, key=lambda one: one.at, default=None)


def withdraw(fall: tuple[datetime, int], returns: list[CardReturn]) -> Withdrawal | None:
    """Return what a fall of `amount` is where a refund or dispute explains it; that one explains no other."""
    at, amount = fall
    for one in returns:
        if abs(one.at - at) <= RETURNED_WITHIN and abs(one.amount_microusd - amount) <= NOISE_MICROUSD:
            returns.remove(one)
            return Withdrawal(at, amount, one)
    return None
