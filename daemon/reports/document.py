"""A report's facts as JSON, for programs: money as numbers in dollars that add up, volume in gigabytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from alerts.model.instants import rfc3339
from alerts.model.money import to_number
from alerts.reports.credits import CardCharge
from alerts.reports.facts import ReportFacts
from alerts.reports.figures import Figures
from alerts.reports.statements import Statement, Volume
from alerts.reports.totals import first_tag


def to_json(facts: ReportFacts) -> dict[str, Any]:
    """Return the document of `brimful report ID --preview --json`."""
    return {
        "report": facts.report,
        "period": facts.span.key,
        "period_start": rfc3339(facts.span.start),
        "period_end": rfc3339(facts.span.end),
        "timezone": facts.zone.key,
        "statements": [_statement(one) for one in facts.statements],
        "alerts": [
            {
                "account": a.account,
                "rule": a.rule,
                "severity": a.severity,
                "since": rfc3339(a.since),
                "until": _instant(a.until),
                "why": a.says,
            }
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
        "label": one.account.label,
        "tag": first_tag(one),
        "provider": one.account.provider,
        "unit": one.unit,
        "since": _instant(one.since),
        "until": _instant(one.until),
        "readings": one.readings,
        "partial": bool(one.partial),
        "partial_because": list(one.partial),
        "notes": list(one.notes),
        "money": None if one.figures is None else _money(one, one.figures),
        "storage": None if one.volume is None else _volume(one.volume),
        "card_charges": [_charge(charge) for charge in one.card.charges],
        "refunds_and_disputes": [
            {"kind": r.kind, "topup": r.topup, "amount_usd": to_number(r.amount_microusd), "at": rfc3339(r.at)}
            for r in one.card.returns
        ],
        "declines": [
            {"topup": d.topup, "amount_usd": to_number(d.amount_microusd), "at": rfc3339(d.at), "why": d.reason}
            for d in one.card.declines
        ],
        "refusals": [{"day": r.day, "gate": r.gate, "count": r.count, "why": r.detail} for r in one.card.refusals],
        "not_credited": [_charge(charge) for charge in one.missing],
        "not_yet_credited": [_charge(charge) for charge in one.on_the_way],
        "issues": [{"amount_usd": to_number(issue.amount), "why": issue.says} for issue in one.issues],
    }


def _money(one: Statement, figures: Figures) -> dict[str, Any]:
    rows = {
        "opening_available_usd": figures.opening,
        "topups_usd": figures.topped_up,
        "other_credits_usd": figures.credited - figures.topped_up,
        "taken_back_usd": figures.taken,
        "spent_usd": figures.spent,
        "unexplained_usd": figures.unexplained,
        "closing_available_usd": figures.closing,
        "closing_balance_usd": figures.balance_closing,
        "pending_closing_usd": figures.pending_closing,
        "spent_before_usd": None if one.before is None else one.before.spent,
        "budget_usd": one.budget,
        "charged_to_card_usd": one.charged - one.returned,
    }
    return {name: None if value is None else to_number(value) for name, value in rows.items()}


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
        "charged_at": rfc3339(charge.charged_at),
        "credited_at": _instant(charge.credited_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
