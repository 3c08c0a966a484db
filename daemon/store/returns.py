"""What reports need of charging beside the ledger's rows: what was given back, and how often a gate refused, by day.

Amounts in cents, instants aware; a day is one of the configured zone.
"""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from enum import StrEnum

from alerts.model.instants import to_ms
from daemon.store import ledger, ledger_notes
from daemon.store.connection import Transaction
from daemon.store.topup_rows import Bookmark, Topup

_UNNAMED = "unnamed"
"""A dispute that was seen at its charge, before the event that names it."""


class ReturnKind(StrEnum):
    """Why money went back to the card."""

    REFUND = "refund"
    DISPUTE = "dispute"


def refund(tx: Transaction, topup: Topup, total_cents: int, at: datetime | None, now: datetime) -> int:
    """Take in what has been refunded of a charge so far; returns what is new of it in cents, 0 for nothing.

    `at` is Stripe's time. A refund that was seen without it, at its charge, gets it from the event that comes later.
    """
    name, reference = Bookmark.REFUNDED.of(topup.payment_intent or ""), str(total_cents)
    told = ledger_notes.bookmark(tx, name)
    cents = total_cents - (int(told[1]) if told else 0)
    if cents <= 0:
        _date(tx, topup.id, ReturnKind.REFUND, reference, None, at, now)
        return 0
    ledger.advance_bookmark(tx, name, now, reference)
    record(tx, topup.id, ReturnKind.REFUND, reference, cents, at or now, now)
    return cents


def dispute(
    tx: Transaction, topup: Topup, dispute: str | None, cents: int | None, at: datetime | None, now: datetime
) -> int:
    """Take in a dispute of a charge; returns its number, from 1 on, where it is new, else 0.

    A charge says only that it is disputed: the first dispute that is named afterwards is that one.
    """
    name = Bookmark.DISPUTED.of(topup.payment_intent or "")
    mark = ledger_notes.bookmark(tx, name)
    told = mark[1].split() if mark else []
    if dispute in told or (dispute is None and told):
        return 0
    if _UNNAMED in told and dispute is not None:
        number = told.index(_UNNAMED)
        told[number] = dispute
        ledger.advance_bookmark(tx, name, now, " ".join(told))
        _date(tx, topup.id, ReturnKind.DISPUTE, str(number + 1), cents, at, now)
        return 0
    ledger.advance_bookmark(tx, name, now, " ".join([*told, dispute or _UNNAMED]))
    number = len(told) + 1
    record(tx, topup.id, ReturnKind.DISPUTE, str(number), cents or topup.amount_cents, at or now, now)
    return number


def record(
    tx: Transaction, topup: str, kind: ReturnKind, reference: str, cents: int, at: datetime, seen_at: datetime
) -> None:
    """Record a refund or a dispute once. `reference` tells it from others of the charge; `at` is Stripe's time."""
    tx.execute(
        "INSERT INTO topup_returns VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (topup, kind.value, reference, cents, to_ms(at), to_ms(seen_at)),
    )


def _date(
    tx: Transaction,
    topup: str,
    kind: ReturnKind,
    reference: str,
    cents: int | None,
    at: datetime | None,
    seen_at: datetime,
) -> None:
    """Give what was recorded by the time it was seen Stripe's own time, and the amount where it was not known."""
    if at is None:
        return
    tx.execute(
        "UPDATE topup_returns SET at = min(at, ?1), seen_at = CASE WHEN at > ?1 THEN ?2 ELSE seen_at END,"
        " amount_cents = coalesce(?3, amount_cents) WHERE topup = ?4 AND kind = ?5 AND reference = ?6",
        (to_ms(at), to_ms(seen_at), cents, topup, kind.value, reference),
    )


def count_refusal(tx: Transaction, account: str, gate: str, day: dt.date, detail: str) -> None:
    """Count that a gate refused a charge on a day. One row an account, day and gate: it does not grow with polls."""
    tx.execute(
        "INSERT INTO topup_refusals VALUES (?1, ?2, ?3, 1, ?4) ON CONFLICT (account, day, gate)"
        " DO UPDATE SET count = topup_refusals.count + 1, detail = ?4",
        (account, day.isoformat(), gate, detail),
    )
