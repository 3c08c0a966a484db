"""Readings and charges for the tests of statements and reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alerts.model.accounts import AccountInfo
from alerts.model.money import to_micro
from alerts.model.readings import Known, Metrics
from alerts.model.spans import Span, SpanKind, span_at
from alerts.reports.credits import CardCharge
from alerts.reports.statements import Statement, build

BERLIN = ZoneInfo("Europe/Berlin")
CLIPS = AccountInfo("clips", "contentstats", "Video tracking")
OCTOBER = span_at(SpanKind.MONTH, datetime(2026, 10, 15, tzinfo=UTC), BERLIN)
LATER = OCTOBER.end + timedelta(days=5)


def usd(text: str) -> int:
    return to_micro(text)


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    """An instant of October 2026 in Berlin."""
    return datetime(2026, 10, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


def level(
    when: datetime, balance: str | None, total: str | None = None, uncharged: str | None = None, **storage: Any
) -> Known:
    """One reading, in dollars as text; storage fields as `Metrics` names them."""
    metrics = Metrics(
        balance_microusd=None if balance is None else usd(balance),
        total_charged_microusd=None if total is None else usd(total),
        uncharged_microusd=None if uncharged is None else usd(uncharged),
        **storage,
    )
    return Known("clips", when, metrics)


def before_october(balance: str = "30", total: str | None = "1000", uncharged: str | None = None) -> Known:
    return level(OCTOBER.start - timedelta(minutes=5), balance, total, uncharged)


def at_end(balance: str, total: str | None, uncharged: str | None = None) -> Known:
    return level(OCTOBER.end - timedelta(minutes=5), balance, total, uncharged)


def charge(n: int, amount: str, paid_at: datetime, credited_at: datetime | None = None) -> CardCharge:
    return CardCharge(f"clips-{n}", f"pi_test_{n}", usd(amount), paid_at, credited_at)


def october(
    readings: Sequence[Known], charges: Sequence[CardCharge] = (), *, now: datetime = LATER, span: Span = OCTOBER
) -> Statement:
    return build(CLIPS, span, readings, charges, now=now)
