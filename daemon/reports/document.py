"""A report's facts as JSON, for programs: money as numbers in dollars that add up, volume in gigabytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from alerts.model.instants import rfc3339
from alerts.model.money import from_cents, to_number
from alerts.reports.balances import Money
from alerts.reports.credits import CardCharge
from alerts.reports.report import ReportFacts
from alerts.reports.statements import Statement, Volume


def to_json(facts: ReportFacts) -> dict[str, Any]:
    """Return the document of `brimful report ID --preview --json`."""
    return {
        "report": facts.report,
        "period": facts.span.key,
        "period_start": rfc3339(facts.span.start),
        "period_end": rfc3339(facts.span.end),
        "timezone": facts.zone.key,
        "statements": [_statement(one) for one in facts.statements],
        "open_alerts": [
            {"account": a.account, "rule": a.rule, "severity": a.severity, "since": rfc3339(a.since), "why": a.says}
            for a in facts.alerts
        ],
        "topups_that_need_a_person": [
            {"account": b.account, "at": rfc3339(b.at), "why": b.says, "do": b.do} for b in facts.blocked
        ],
        "dead_deliveries": [
            {"receiver": d.receiver, "type": d.event_type, "event": d.event, "at": rfc3339(d.at)} for d in facts.dead
        ],
    }


def _statement(one: Statement) -> dict[str, Any]:
    return {
        "account": one.account.id,
        "provider": one.account.provider,
        "since": _instant(one.since),
        "until": _instant(one.until),
        "readings": one.readings,
        "partial": bool(one.partial),
        "partial_because": list(one.partial),
        "notes": list(one.notes),
        "money": None if one.money is None else _money(one.money),
        "storage": None if one.volume is None else _volume(one.volume),
        "card_charges": [_charge(charge) for charge in one.charges],
        "not_yet_credited": [_charge(charge) for charge in one.in_transit],
    }


def _money(money: Money) -> dict[str, Any]:
    cents = money.cents
    rows = {
        "opening_usd": cents.opening,
        "topups_usd": cents.topups,
        "other_credits_usd": cents.other_credits,
        "charged_usd": cents.charged,
        "unexplained_usd": cents.unexplained,
        "closing_usd": cents.closing,
        "pending_opening_usd": cents.pending_opening,
        "pending_closing_usd": cents.pending_closing,
        "used_usd": cents.used,
        "available_usd": cents.available,
    }
    return {name: None if value is None else to_number(from_cents(value)) for name, value in rows.items()}


def _volume(volume: Volume) -> dict[str, Any]:
    rows = {
        "used_opening_gb": volume.used_opening,
        "used_added_gb": volume.added,
        "used_closing_gb": volume.used_closing,
        "reserved_gb": volume.reserved_closing,
        "effective_gb": volume.effective_closing,
        "effective_peak_gb": volume.effective_peak,
        "limit_gb": volume.limit,
        "billing_period_used_gb": volume.period_used,
    }
    return {name: None if value is None else to_number(value) for name, value in rows.items()}


def _charge(charge: CardCharge) -> dict[str, Any]:
    return {
        "topup": charge.topup,
        "payment_intent": charge.payment_intent,
        "amount_usd": to_number(charge.amount_microusd),
        "charged_at": rfc3339(charge.paid_at),
        "credited_at": _instant(charge.credited_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
