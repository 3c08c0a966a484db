"""The CSV of a report: one line a row of a statement, so that a sheet can add it up again.

Text that a spreadsheet would run as a formula is made harmless; amounts are our own numbers and stay numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.model.money import MICROUSD_PER_CENT, to_decimal
from alerts.reports.balances import Money
from alerts.reports.statements import Statement

COLUMNS = ("period", "account", "label", "provider", "line", "at", "reference", "amount", "unit", "partial", "note")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def to_csv(statements: Sequence[Statement], zone: ZoneInfo) -> str:
    """Return the CSV text (RFC 4180, with a byte-order mark, so that spreadsheets read it as UTF-8)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for statement in statements:
        for line, at, reference, amount, unit, note in _lines(statement, zone):
            writer.writerow(
                (
                    statement.span.key,
                    harmless(statement.account.id),
                    harmless(statement.account.label),
                    harmless(statement.account.provider),
                    line,
                    at,
                    harmless(reference),
                    amount,
                    unit,
                    "yes" if statement.partial else "no",
                    harmless(note),
                )
            )
    return "\ufeff" + out.getvalue()


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: with an apostrophe before it where it looks like one."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


_Line = tuple[str, str, str, str, str, str]


def _lines(statement: Statement, zone: ZoneInfo) -> Iterator[_Line]:
    def local(at: datetime | None) -> str:
        return "" if at is None else at.astimezone(zone).isoformat(timespec="seconds")

    why = "; ".join(statement.partial)
    if statement.since is None:
        yield "no_reading", "", "", "", "", why
    if statement.money is not None:
        yield from _money_lines(statement, statement.money, local(statement.since), local(statement.until), zone)
    for charge in statement.in_transit:
        amount = _usd(charge.amount_microusd // MICROUSD_PER_CENT)
        yield "not_yet_credited", local(charge.paid_at), charge.payment_intent, amount, "USD", charge.topup
    if (volume := statement.volume) is not None:
        for line, at, microgb in (
            ("used_opening", statement.since, volume.used_opening),
            ("used_added", None, volume.added),
            ("used_closing", statement.until, volume.used_closing),
            ("reserved_closing", statement.until, volume.reserved_closing),
            ("effective_closing", statement.until, volume.effective_closing),
            ("effective_peak", None, volume.effective_peak),
            ("limit", statement.until, volume.limit),
            ("billing_period_used", statement.until, volume.period_used),
        ):
            if microgb is not None:
                yield line, local(at), "", f"{to_decimal(microgb):f}", "GB", ""


def _money_lines(statement: Statement, money: Money, since: str, until: str, zone: ZoneInfo) -> Iterator[_Line]:
    """Opening, every credit, usage and what is unexplained add up to closing; pending lines stand outside the sum."""
    cents = money.cents
    yield "opening_balance", since, "", _usd(cents.opening), "USD", "; ".join(statement.partial)
    for credit, amount in money.credits_in_cents():
        at = credit.at.astimezone(zone).isoformat(timespec="seconds")
        if credit.charge is not None:
            yield "topup", at, credit.charge.payment_intent, _usd(amount), "USD", credit.charge.topup
        else:
            yield "other_credit", at, "", _usd(amount), "USD", "no top-up of ours"
    yield "usage_charged", "", "", _usd(-cents.charged), "USD", "; ".join(statement.notes)
    if cents.unexplained:
        yield "unexplained", "", "", _usd(cents.unexplained), "USD", "neither usage nor credit explains it"
    yield "closing_balance", until, "", _usd(cents.closing), "USD", ""
    if cents.pending_closing is not None:
        yield "pending_opening", since, "", _usd(cents.pending_opening or 0), "USD", "accrued, not yet charged"
        yield "pending_closing", until, "", _usd(cents.pending_closing), "USD", "accrued, not yet charged"
        yield "usage_of_period", "", "", _usd(cents.used), "USD", "charged, and what accrued"


def _usd(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"
