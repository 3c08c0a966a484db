"""The audit: ledger, Stripe and balance history must agree, charge for charge. Reads only; `compare` is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.money import format_usd
from alerts.readings import Metrics
from daemon.store import ledger_reads, readings
from daemon.store.ledger import Topup
from daemon.topups.bench import Bench
from daemon.topups.gateway import Refused
from daemon.topups.look import COVERED, Look, Ours, look
from daemon.topups.states import CHARGED, State

GRACE = timedelta(hours=2)
"""A charge's credit may be so late before the history is said to disagree."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: what each of the three says."""

    account: str
    topup: str
    payment_intent: str
    ledger: str
    stripe: str
    history: str
    told: bool = False
    """The credit watch, or the refund's suspension, tells it already."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was compared. `failure` is why Stripe could not be asked."""

    account: str
    charges: int
    charged_microusd: int
    findings: tuple[Finding, ...]
    failure: str | None = None


async def audit(bench: Bench, account: str, *, remember: bool = True) -> Audit:
    """Compare the three for an account. A key that may only read is enough, and so is a store opened for reading."""
    seen = await look(bench, account, remember=remember)
    if isinstance(seen, Refused):
        return Audit(account, 0, 0, (), seen.message)
    conn = bench.store.reader
    last = readings.last(conn, account)
    return compare(
        account, ledger_reads.of_account(conn, account), seen, last.metrics if last else None, bench.clock.now()
    )


def compare(account: str, rows: Sequence[Topup], seen: Look, metrics: Metrics | None, now: datetime) -> Audit:
    """Hold the ledger's rows, Stripe's PaymentIntents and what the balance shows against each other."""
    findings = [
        Finding(account, "?", text.partition(":")[0], "unknown", "metadata that cannot be read", "–")
        for text in seen.unreadable
    ]
    listed = {one.intent.id: one for one in seen.ours}
    known = {row.payment_intent: row for row in rows if row.payment_intent}
    for intent, one in listed.items():
        if (finding := _stripe_against_ledger(account, one, known.get(intent))) is not None:
            findings.append(finding)
    for row in rows:
        young = row.planned_at > now - COVERED
        if row.state in CHARGED and young and row.payment_intent not in listed:
            findings.append(
                Finding(account, row.id, row.payment_intent or "–", _ledger(row), "not listed", _history(row))
            )
    findings += _against_history(account, rows, metrics, now)
    charged = [row for row in rows if row.state in CHARGED]
    return Audit(account, len(charged), sum(row.amount_microusd for row in charged), tuple(findings))


def _stripe_against_ledger(account: str, one: Ours, row: Topup | None) -> Finding | None:
    intent = one.intent
    stripe = f"{intent.status}, {format_usd(intent.amount_cents * 10_000)}"
    if row is None:
        if intent.status == "canceled":
            return None
        return Finding(account, f"{account}-{one.said.seq}", intent.id, "unknown", stripe, "–")
    charged = intent.status == "succeeded"
    if charged != (row.state in CHARGED) or (charged and intent.amount_cents != row.amount_cents):
        if not charged and row.is_open:
            return None
        return Finding(account, row.id, intent.id, _ledger(row), stripe, _history(row))
    if charged and intent.charge is not None and (intent.charge.refunded_cents or intent.charge.disputed):
        said = "disputed" if intent.charge.disputed else f"refunded {format_usd(intent.charge.refunded_cents * 10_000)}"
        return Finding(account, row.id, intent.id, _ledger(row), f"{stripe}, {said}", _history(row), told=True)
    return None


def _against_history(account: str, rows: Sequence[Topup], metrics: Metrics | None, now: datetime) -> list[Finding]:
    """Each charge must show in `funded`: before the next one, and in the last reading. By a running total only."""
    funded_now = metrics.funded_microusd if metrics else None
    findings = []
    charged = [row for row in rows if row.state in CHARGED and row.funded_before_microusd is not None]
    charged.sort(key=lambda row: row.paid_at or row.planned_at)
    for index, row in enumerate(charged):
        expected = (row.funded_before_microusd or 0) + row.amount_microusd
        after = charged[index + 1].funded_before_microusd if index + 1 < len(charged) else funded_now
        late = row.paid_at is not None and now - row.paid_at >= GRACE
        if after is not None and after < expected and late:
            history = f"funded {format_usd(after)}, at least {format_usd(expected)} expected"
            watched = row.state is State.PAID
            intent = row.payment_intent or "–"
            findings.append(Finding(account, row.id, intent, _ledger(row), "succeeded", history, told=watched))
        elif row.state is State.CREDITED and row.credited_microusd is None:
            history = "a person said that it was credited"
            if funded_now is not None and funded_now < expected:
                findings.append(Finding(account, row.id, row.payment_intent or "–", _ledger(row), "succeeded", history))
    return findings


def _ledger(row: Topup) -> str:
    return f"{row.state}, {format_usd(row.amount_microusd)}"


def _history(row: Topup) -> str:
    if row.state is State.CREDITED:
        return "credited" if row.credited_microusd is not None else "acknowledged"
    return "credit not seen" if row.state is State.PAID else "–"
