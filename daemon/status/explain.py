"""Why a charge was or was not made, as one JSON document: the reading, the gates, every attempt, what Stripe said."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from alerts.model.instants import rfc3339
from alerts.model.money import to_number
from daemon.config.model import Config, TopupConfig
from daemon.resources.ceiling import bounded
from daemon.status.topups import topup_status
from daemon.store import ledger_notes, ledger_reads, readings
from daemon.store.connection import Connection
from daemon.store.ledger_notes import GateCount
from daemon.store.ledger_reads import Shadow
from daemon.store.topup_rows import Send, Stop, Topup

Document = dict[str, Any]


def explain_topup(conn: Connection, topup: Topup) -> Document:
    """Return everything that is known of a top-up: reading, rule, gates, attempts, read-backs, steps, credit."""
    return {
        **summary(topup),
        "reading": {
            "read_at": _at(topup.reading_at),
            "available_usd": _usd(topup.available_microusd),
            "funded_before_usd": _usd(topup.funded_before_microusd),
            "balance_before_usd": _usd(topup.balance_before_microusd),
        },
        "rule": {"when_below_usd": _usd(topup.threshold_microusd)},
        "gates": json.loads(topup.gates),
        "payment_intents_seen_at_plan": json.loads(topup.seen),
        "create_key": topup.create_key,
        "create_params": json.loads(topup.create_params),
        "attempts": [_send(send) for send in ledger_reads.sends(conn, topup.id)],
        "read_backs": [
            {
                "status": one.status,
                "detail": one.detail,
                "first_at": rfc3339(one.first_at),
                "last_at": rfc3339(one.last_at),
                "count": one.count,
                "request_id": one.request_id,
            }
            for one in ledger_reads.readbacks(conn, topup.id)
        ],
        "steps": [
            {"at": rfc3339(step.at), "from": step.before, "to": step.after, "reason": step.reason}
            for step in ledger_reads.steps(conn, topup.id)
        ],
        "credit": {
            "expected_funded_usd": _usd(
                None if topup.funded_before_microusd is None else topup.funded_before_microusd + topup.amount_microusd
            ),
            "paid_at": _at(topup.paid_at),
            "charged_at": _at(topup.charged_at),
            "credited_at": _at(topup.credited_at),
            "seen_funded_usd": _usd(topup.credited_microusd),
            "missing_told_at": _at(topup.told_at) if topup.state.value in ("paid", "credited") else None,
        },
    }


def explain_account(config: Config, conn: Connection, account: str, now: datetime) -> Document:
    """Return why an account was not charged: what stops it, the counts of each gate, and what is open."""
    last = readings.last(conn, account)
    stand = topup_status(config, conn, account, now)
    topup = bounded(config.accounts[account], config.api)
    return {
        "account": account,
        "standing": None
        if stand is None
        else {"state": stand.state, "under_way": stand.under_way, "reason": stand.reason, "topup": stand.id},
        "reading": None
        if last is None
        else {"read_at": rfc3339(last.at), "available_usd": _usd(last.metrics.available_microusd)},
        "rule": _rule(topup),
        "stops": [stop_document(stop) for stop in ledger_notes.stops(conn, account)],
        "decisions": [decision_document(one) for one in ledger_notes.decisions(conn, account)],
        "open": [summary(one) for one in ledger_reads.open_topups(conn, account)],
        "would_have_charged": [shadow_document(one) for one in ledger_reads.shadows(conn, account)],
    }


def summary(topup: Topup) -> Document:
    """Return a top-up's line in the ledger."""
    return {
        "id": topup.id,
        "account": topup.account,
        "state": topup.state.value,
        "reason": topup.reason,
        "canceling": topup.cancel_as is not None,
        "amount_usd": to_number(topup.amount_microusd),
        "customer": topup.customer,
        "payment_method": topup.payment_method,
        "payment_intent": topup.payment_intent,
        "own": topup.own,
        "planned_at": rfc3339(topup.planned_at),
        "state_at": rfc3339(topup.state_at),
        "next_at": _at(topup.next_at),
        "declines": topup.declines,
    }


def stop_document(stop: Stop) -> Document:
    return {
        "scope": stop.scope,
        "kind": stop.kind.value,
        "reason": stop.reason,
        "message": stop.message,
        "since": rfc3339(stop.since_at),
        "topup": stop.topup,
    }


def decision_document(decision: GateCount) -> Document:
    return {
        "account": decision.account,
        "gate": decision.gate,
        "count": decision.count,
        "first_at": rfc3339(decision.first_at),
        "last_at": rfc3339(decision.last_at),
        "detail": decision.detail,
        "gates": json.loads(decision.gates),
    }


def shadow_document(shadow: Shadow) -> Document:
    return {
        "account": shadow.account,
        "amount_usd": to_number(shadow.amount_cents * 10_000),
        "first_at": rfc3339(shadow.first_at),
        "last_at": rfc3339(shadow.last_at),
        "ended_at": _at(shadow.ended_at),
        "times": shadow.count,
    }


def _send(send: Send) -> Document:
    return {
        "kind": send.kind,
        "attempt": send.n,
        "send": send.send,
        "key": send.key,
        "params": json.loads(send.params),
        "sent_at": rfc3339(send.sent_at),
        "answered_at": _at(send.answered_at),
        "answer": send.answer or "unknown",
        "http_status": send.http_status,
        "request_id": send.request_id,
        "message": send.message,
        "gates": json.loads(send.gates),
    }


def _rule(topup: TopupConfig | None) -> Document | None:
    if topup is None:
        return None
    return {
        "when_below_usd": _usd(topup.when_below_microusd),
        "mode": topup.mode.value,
        "max_charge_usd": _usd(topup.max_charge_microusd),
        "max_per_day_usd": _usd(topup.max_per_day_microusd),
        "max_per_month_usd": _usd(topup.max_per_month_microusd),
        "cooldown_s": int(topup.cooldown.total_seconds()),
    }


def _at(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _usd(microusd: int | None) -> int | float | None:
    return None if microusd is None else to_number(microusd)
