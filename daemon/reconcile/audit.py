"""The audit: ledger, Stripe and balance history must agree on every charge. It only reads; `compare` is pure.

A charge whose credit may still come is no disagreement: it is listed as `waiting`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.money import format_usd
from alerts.model.readings import Known
from daemon.store import ledger_reads, readings
from daemon.store.topup_rows import CHARGED, State, Topup
from daemon.stripe.answers import Refused
from daemon.stripe.intents import Listing, Ours
from daemon.topups.context import TopupContext
from daemon.topups.listing import COVERED, read_list

GRACE = timedelta(hours=2)
"""How long after the charge, or after a person acknowledged it, a missing credit is no disagreement."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One disagreement: what the ledger, Stripe and the history say."""

    account: str
    topup: str
    payment_intent: str
    ledger: str
    stripe: str
    history: str
    notified: bool = False
    """The credit watch, or the suspension for a refund, notifies of it already."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit. `waiting`: charges whose credit may still come; `refused`: Stripe's refusal, if any."""

    account: str
    charges: int
    charged_microusd: int
    findings: tuple[Disagreement, ...]
    refused: Refused | None = None
    waiting: tuple[Disagreement, ...] = ()
    uncompared: int = 0
    """Charges without a comparison: their readings had no running total."""

    @property
    def agreement(self) -> str:
        """The sentence for an audit without findings."""
        if not self.uncompared:
            return "all three agree"
        some = "" if self.uncompared == self.charges else f" for {self.uncompared} of them"
        return f"ledger and Stripe agree; without a running total the balance history cannot be compared{some}"

    @property
    def failure(self) -> str | None:
        """Why Stripe could not be read, for a person."""
        return None if self.refused is None else self.refused.message


async def audit(context: TopupContext, account: str) -> Audit:
    """Audit an account. A read-only Stripe key and a read-only store are enough."""
    listed = await read_list(context, account)
    if isinstance(listed, Refused):
        return Audit(account, 0, 0, (), listed)
    return await context.apart(_compare, account, listed)


def _compare(context: TopupContext, account: str, listed: Listing) -> Audit:
    conn = context.store.reader
    rows = ledger_reads.of_account(conn, account)

    def total_at(instant: datetime) -> int | None:
        before, _ = readings.around(conn, account, instant)
        return None if before is None else before.metrics.total_charged_microusd

    return compare(account, rows, listed, readings.last(conn, account), total_at, context.clock.now())


TotalAt = Callable[[datetime], int | None]
"""The usage API's total charged at an instant, from the history; None if it is not stored."""


def compare(
    account: str, rows: Sequence[Topup], listing: Listing, last: Known | None, total_at: TotalAt, now: datetime
) -> Audit:
    """Compare the ledger's rows, Stripe's PaymentIntents and the balance history."""
    findings = [
        Disagreement(account, "?", text.partition(":")[0], "unknown", "metadata that cannot be read", "–")
        for text in listing.unreadable
    ]
    listed = {one.intent.id: one for one in listing.ours}
    known = {row.payment_intent: row for row in rows if row.payment_intent}
    for intent, one in listed.items():
        if (finding := _stripe_against_ledger(account, one, known.get(intent))) is not None:
            findings.append(finding)
    for row in rows:
        young = row.planned_at > now - COVERED
        if row.state in CHARGED and young and row.payment_intent not in listed:
            findings.append(
                Disagreement(account, row.id, row.payment_intent or "–", _ledger(row), "not listed", _history(row))
            )
    findings += [
        Disagreement(
            account,
            row.id,
            row.payment_intent or "–",
            _ledger(row),
            "succeeded",
            "credited late: after it was reported missing, and perhaps by a manual purchase",
            notified=True,
        )
        for row in rows
        if row.is_late
    ]
    missing, waiting = _against_history(account, rows, last, total_at, now)
    charged = [row for row in rows if row.state in CHARGED]
    total = sum(row.amount_microusd for row in charged)
    uncompared = sum(not _is_comparable(row, last) for row in charged)
    return Audit(account, len(charged), total, (*findings, *missing), waiting=tuple(waiting), uncompared=uncompared)


def _stripe_against_ledger(account: str, one: Ours, row: Topup | None) -> Disagreement | None:
    intent = one.intent
    stripe = f"{intent.status}, {format_usd(intent.amount_cents * 10_000)}"
    if row is None:
        if intent.status == "canceled":
            return None
        return Disagreement(account, f"{account}-{one.said.seq}", intent.id, "unknown", stripe, "–")
    charged = intent.status == "succeeded"
    if charged != (row.state in CHARGED) or (charged and intent.amount_cents != row.amount_cents):
        if not charged and row.is_open:
            return None
        return Disagreement(account, row.id, intent.id, _ledger(row), stripe, _history(row))
    if charged and intent.charge is not None and (intent.charge.refunded_cents or intent.charge.disputed):
        said = "disputed" if intent.charge.disputed else f"refunded {format_usd(intent.charge.refunded_cents * 10_000)}"
        return Disagreement(account, row.id, intent.id, _ledger(row), f"{stripe}, {said}", _history(row), notified=True)
    return None


def _against_history(
    account: str, rows: Sequence[Topup], last: Known | None, total_at: TotalAt, now: datetime
) -> tuple[list[Disagreement], list[Disagreement]]:
    """Check that each charge shows in `funded` before the next one, or in the last reading.

    It needs a running total. One that was reset after a reading showed the credit is no evidence against it. Return
    the disagreements, and the charges that wait for their credit.
    """
    funded_now = last.metrics.funded_microusd if last else None
    missing: list[Disagreement] = []
    waiting: list[Disagreement] = []
    charged = [row for row in rows if row.state in CHARGED and row.funded_before_microusd is not None]
    charged.sort(key=lambda row: row.paid_at or row.planned_at)
    for index, row in enumerate(charged):
        later = charged[index + 1 :]
        expected = (row.funded_before_microusd or 0) + row.amount_microusd
        if is_acknowledged(row):
            expected += sum(one.amount_microusd for one in later if one.state is State.CREDITED)
            after, may_come = funded_now, _may_still_come(row, last)
        else:
            after = later[0].funded_before_microusd if later else funded_now
            may_come = row.paid_at is not None and now - row.paid_at < GRACE
        if after is None or after >= expected:
            continue
        after_at = later[0].reading_at if later else last.at if last else None
        if _was_seen(row) and not _goes_on(total_at, row.credited_at, after_at):
            continue
        history = f"funded {format_usd(after)}, at least {format_usd(expected)} expected"
        if is_acknowledged(row):
            history = f"a person said that it was credited; {history}"
        found = Disagreement(
            account,
            row.id,
            row.payment_intent or "–",
            _ledger(row),
            "succeeded",
            history,
            notified=row.state is State.PAID,
        )
        (waiting if may_come else missing).append(found)
    return missing, waiting


def is_acknowledged(row: Topup) -> bool:
    """Whether a person acknowledged the credit, and no reading has shown it."""
    return row.state is State.CREDITED and row.credited_microusd is None


def _was_seen(row: Topup) -> bool:
    """Whether a reading has shown the credit of the charge."""
    return row.state is State.CREDITED and row.credited_microusd is not None


def _goes_on(total_at: TotalAt, before: datetime | None, after: datetime | None) -> bool:
    """Whether the running total is known at both instants, and was not reset between them."""
    if before is None or after is None:
        return False
    first, second = total_at(before), total_at(after)
    return first is not None and second is not None and second >= first


def _is_comparable(row: Topup, last: Known | None) -> bool:
    """Whether the history can show the credit: the readings had a running total, and the last one still has it."""
    if row.funded_before_microusd is None:
        return False
    return _was_seen(row) or last is None or last.metrics.funded_microusd is not None


def _may_still_come(row: Topup, last: Known | None) -> bool:
    """Whether the last reading is too early to show the credit that a person acknowledged."""
    return last is None or row.credited_at is None or last.at - row.credited_at < GRACE


def _ledger(row: Topup) -> str:
    return f"{row.state}, {format_usd(row.amount_microusd)}"


def _history(row: Topup) -> str:
    if row.state is State.CREDITED:
        return "acknowledged" if is_acknowledged(row) else "credited"
    return "credit not seen" if row.state is State.PAID else "–"
