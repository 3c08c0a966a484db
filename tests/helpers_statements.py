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
from alerts.reports.credits import CardCharge, CardReturn
from alerts.reports.past import past_of
from alerts.reports.statements import CardSide, Statement, build

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
    when: datetime, balance: str | None, total: str | None = None, uncharged: str | None = None, **more: Any
) -> Known:
    """One reading, in dollars as text; other fields as `Metrics` names them."""
    metrics = Metrics(
        balance_microusd=None if balance is None else usd(balance),
        total_charged_microusd=None if total is None else usd(total),
        uncharged_microusd=None if uncharged is None else usd(uncharged),
        **more,
    )
    return Known("clips", when, metrics)


def before_october(balance: str = "30", total: str | None = "1000", uncharged: str | None = None) -> Known:
    return level(OCTOBER.start - timedelta(minutes=5), balance, total, uncharged)


def at_end(balance: str, total: str | None, uncharged: str | None = None) -> Known:
    return level(OCTOBER.end - timedelta(minutes=5), balance, total, uncharged)


def charge(n: int, amount: str, charged_at: datetime, credited_at: datetime | None = None, **more: Any) -> CardCharge:
    return CardCharge(f"clips-{n}", f"pi_test_{n}", usd(amount), charged_at, credited_at, **more)


def refund(n: int, amount: str, when: datetime, kind: str = "refund", **more: Any) -> CardReturn:
    return CardReturn(kind, f"clips-{n}", f"pi_test_{n}", usd(amount), when, **more)


def cuts_of(span: Span, now: datetime, zone: ZoneInfo = BERLIN) -> list[datetime]:
    """The span's start, its midnights, and its end."""
    end, cuts = min(span.end, now), [span.start]
    while (following := span_at(SpanKind.DAY, cuts[-1], zone).end) < end:
        cuts.append(following)
    return [*cuts, end]


def october(
    readings: Sequence[Known],
    charges: Sequence[CardCharge] = (),
    returns: Sequence[CardReturn] = (),
    *,
    now: datetime = LATER,
    span: Span = OCTOBER,
    account: AccountInfo = CLIPS,
    **card: Any,
) -> Statement:
    """The statement that these readings and movements of the card make, each in its own period or before it."""
    side = CardSide(
        charges=tuple(one for one in charges if span.start <= one.charged_at < span.end or one.late),
        earlier=tuple(one for one in charges if one.charged_at < span.start and not one.late),
        returns=tuple(one for one in returns if span.start <= one.at < span.end or one.late),
        earlier_returns=tuple(one for one in returns if one.at < span.start and not one.late),
        **card,
    )
    return build(account, span, past_of(readings, cuts_of(span, now)), side, now=now)
