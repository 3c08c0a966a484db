"""The card's side of a statement: an account's charges, refunds, disputes, declines and refusals of a period."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from alerts.model.instants import from_ms, to_ms
from alerts.model.money import from_cents, to_micro
from alerts.reports.credits import RETURNED_WITHIN, CardCharge, CardReturn, DeclinedCharge, Refusal
from alerts.reports.statements import CardSide
from daemon.store.connection import Connection

_AT = "coalesce(t.charged_at, t.paid_at)"
_LEARNED = "(SELECT min(s.at) FROM topup_steps_taken s WHERE s.topup = t.id AND s.after = 'paid')"
_CHARGES = (
    f"SELECT t.id, t.payment_intent, t.amount_cents, {_AT} AS at, t.credited_at, t.credited_microusd IS NULL, t.card,"
    f" t.receipt, {_LEARNED} FROM topups t WHERE t.account = :account AND t.state IN ('paid', 'credited')"
    f" AND {_AT} < :end AND ({_AT} >= :start OR t.credited_at IS NULL OR t.credited_at > :start"
    f" OR {_LEARNED} > :made) ORDER BY at, t.id"
)
_RETURNS = (
    "SELECT r.kind, r.topup, t.payment_intent, r.amount_cents, r.at, r.seen_at FROM topups t"
    " JOIN topup_returns r ON r.topup = t.id WHERE t.account = :account AND r.at < :end"
    " AND (r.at >= :from OR r.seen_at > :made) ORDER BY r.at, r.topup, r.reference"
)
_DECLINES = (
    "SELECT account, at_ms, body FROM event WHERE type IN ('topup.declined', 'topup.action_required')"
    " AND committed_ms >= ? AND at_ms >= ? AND at_ms < ? ORDER BY number"
)
_FAR = 2**62


@dataclass(frozen=True, slots=True)
class CardPeriod:
    """From `start` (included) to `end` (excluded), and its days; `made_before` is when the report before was made."""

    start: datetime
    end: datetime
    first_day: date
    last_day: date
    made_before: datetime | None = None


def card_side(
    conn: Connection, account: str, period: CardPeriod, declines: tuple[DeclinedCharge, ...] = ()
) -> CardSide:
    """Return what the ledger says of the account's card. A charge is of the period in which Stripe made it.

    One that became known only after the report before this one was made is of this period, and marked late.
    """
    start, end, made = to_ms(period.start), to_ms(period.end), period.made_before
    values = {"account": account, "start": start, "end": end, "made": _FAR if made is None else to_ms(made)}
    charges: list[CardCharge] = []
    earlier: list[CardCharge] = []
    for row in conn.execute(_CHARGES, values):
        is_late = row[3] < start and row[8] is not None and row[8] > values["made"]
        (charges if row[3] >= start or is_late else earlier).append(_charge(row, is_late))
    values["from"] = to_ms(period.start - RETURNED_WITHIN)
    returns: list[CardReturn] = []
    earlier_returns: list[CardReturn] = []
    for kind, topup, intent, cents, at, seen in conn.execute(_RETURNS, values):
        is_late = at < start and seen > values["made"]
        one = CardReturn(kind, topup, intent or "", from_cents(cents), from_ms(at), is_late)
        (returns if at >= start or is_late else earlier_returns).append(one)
    return CardSide(
        charges=tuple(charges),
        earlier=tuple(earlier),
        returns=tuple(returns),
        earlier_returns=tuple(earlier_returns),
        declines=declines,
        refusals=tuple(_refusals(conn, account, period)),
    )


def _charge(row: tuple[Any, ...], is_late: bool) -> CardCharge:
    topup, intent, cents, at, credited, by_person, card, receipt, _ = row
    return CardCharge(
        topup=topup,
        payment_intent=intent or "",
        amount_microusd=from_cents(cents),
        charged_at=from_ms(at),
        credited_at=None if credited is None else from_ms(credited),
        by_person=credited is not None and bool(by_person),
        card=card,
        receipt=receipt,
        late=is_late,
    )


def _refusals(conn: Connection, account: str, period: CardPeriod) -> Iterator[Refusal]:
    rows = conn.execute(
        "SELECT day, gate, count, detail FROM topup_refusals WHERE account = ? AND day BETWEEN ? AND ?"
        " ORDER BY day, gate",
        (account, period.first_day.isoformat(), period.last_day.isoformat()),
    )
    return (Refusal(*row) for row in rows)


def declines(conn: Connection, start: datetime, end: datetime) -> dict[str, tuple[DeclinedCharge, ...]]:
    """Return what banks refused between the two instants, by account."""
    found: dict[str, tuple[DeclinedCharge, ...]] = {}
    for account, at_ms, body in conn.execute(_DECLINES, (to_ms(start), to_ms(start), to_ms(end))):
        data = json.loads(body)["data"]
        reason = ": ".join(str(data[name]) for name in ("decline_code", "message") if data.get(name))
        amount = to_micro(data.get("amount_usd") or 0)
        one = DeclinedCharge(data.get("topup") or "", data.get("payment_intent") or "", amount, from_ms(at_ms), reason)
        found[account] = (*found.get(account, ()), one)
    return found
