"""The tables of a report, and the same as CSV: statements, charges against credits, days. Their sums are the mail's.

Text that a spreadsheet would run as a formula is made harmless in CSV; amounts are our own numbers and stay numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from alerts.model.money import format_usd, to_decimal
from alerts.reports.credits import CardCharge
from alerts.reports.statements import Statement
from alerts.reports.totals import first_tag

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_LATE = "became known only after its own period's report"

Cell = str | int | Decimal | date | datetime | None
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class SheetTable:
    """One table: `name` is its sheet and its file."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(statements: Sequence[Statement], zone: ZoneInfo) -> tuple[SheetTable, ...]:
    """Return the three tables of a report. Instants are in the zone, amounts `Decimal`."""
    every = [(one, f"{one.span.key}") for one in statements]
    named = ("period", "account", "label", "tag")
    return (
        SheetTable(
            "statement",
            (*named, "line", "amount", "unit", "at", "note"),
            tuple((key, one.account.id, one.account.label, first_tag(one), *row) for one, key in every
                  for row in _lines(one, zone)),
        ),
        SheetTable(
            "charges",
            ("account", "kind", "at", "amount", "unit", "card", "payment_intent", "topup", "credited_at", "count",
             "note", "receipt"),
            tuple((one.account.id, *row) for one, _ in every for row in charge_rows(one, zone)),
        ),
        SheetTable(
            "daily",
            ("day", "account", "spent", "available", "unit"),
            tuple(
                (row.start.astimezone(zone).date(), one.account.id, money(row.spent), money(row.available), one.unit)
                for one, _ in every
                for row in one.days
            ),
        ),
    )  # fmt: skip


def to_csv(table: SheetTable) -> str:
    """Return the CSV text (RFC 4180, with a byte-order mark, so that spreadsheets read it as UTF-8)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(table.columns)
    writer.writerows([_text(cell) for cell in row] for row in table.rows)
    return "\ufeff" + out.getvalue()


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    return cell.isoformat() if isinstance(cell, date) else f"{cell:f}" if isinstance(cell, Decimal) else str(cell)


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: with an apostrophe before it where it looks like one."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def money(micro: int) -> Decimal:
    """Return whole cents as a `Decimal` of two places, and millionths as they are where there are any."""
    exact = to_decimal(micro)
    return exact.quantize(Decimal("0.01")) if micro % 10_000 == 0 else exact


_Line = tuple[str, Decimal | None, str, datetime | None, str]


def _lines(one: Statement, zone: ZoneInfo) -> Iterator[_Line]:
    """Opening, credits, withdrawals, usage and what is unexplained add up to closing; the rest stands outside."""
    why = "; ".join(one.partial)
    since, until = _local(one.since, zone), _local(one.until, zone)
    if one.since is None:
        yield "no_reading", None, one.unit, None, why
    if (figures := one.figures) is not None:
        unit = one.unit
        yield "opening_available", money(figures.opening), unit, since, why
        for credit in figures.credits:
            at = _local(credit.at, zone)
            if credit.charge is None:
                yield "other_credit", money(credit.amount_microusd), unit, at, "no top-up of ours"
            else:
                yield "top_up", money(credit.amount_microusd), unit, at, credit.charge.topup
        for taken in figures.withdrawn:
            note = f"{taken.cause.kind} of {taken.cause.topup}"
            yield "withdrawn", money(-taken.amount_microusd), unit, _local(taken.at, zone), note
        yield "spent", money(-figures.spent), unit, None, "; ".join(one.notes)
        if figures.unexplained:
            note = "neither usage nor credit explains it" if figures.off else "rounding of the provider"
            yield "unexplained", money(figures.unexplained), unit, None, note
        yield "closing_available", money(figures.closing), unit, until, ""
        if figures.pending_closing is not None:
            note = "closing available less what is pending"
            yield "of_which_pending", money(-figures.pending_closing), unit, until, note
        if one.before is not None:
            yield "spent_in_the_period_before", money(-one.before.spent), unit, None, ""
        for budget in one.budgets:
            yield "budget", money(budget.limit), unit, None, budget.rule
    yield from _volume_lines(one, since, until)


def _volume_lines(one: Statement, since: datetime | None, until: datetime | None) -> Iterator[_Line]:
    if (volume := one.volume) is None:
        return
    for line, at, microgb in (
        ("used_opening", since, volume.used_opening),
        ("used_added", None, volume.added),
        ("used_closing", until, volume.used_closing),
        ("reserved_closing", until, volume.reserved_closing),
        ("effective_closing", until, volume.effective_closing),
        ("effective_peak", None, volume.effective_peak),
        ("limit", until, volume.limit),
        ("billing_period_used", until, volume.period_used),
    ):
        if microgb is not None:
            yield line, to_decimal(microgb), one.account.quota_unit, at, ""


def charge_rows(one: Statement, zone: ZoneInfo) -> Iterator[Row]:
    """Charges, what went back, declines and refusals. The amounts add up to the net; what moved no money has none."""
    unit = one.unit
    for charge in one.card.charges:
        note = "; ".join(part for part in (_status(one, charge), _LATE if charge.late else "") if part)
        yield (
            "charge", _local(charge.charged_at, zone), money(charge.amount_microusd), unit, charge.card,
            charge.payment_intent, charge.topup, _local(charge.credited_at, zone), None, note, charge.receipt,
        )  # fmt: skip
    for gone in one.card.returns:
        note = _LATE if gone.late else ""
        yield (
            gone.kind, _local(gone.at, zone), money(-gone.amount_microusd), unit, "", gone.payment_intent, gone.topup,
            None, None, note, "",
        )  # fmt: skip
    for charge in one.card.earlier:
        if charge.credited_at is None:
            note = f"{format_usd(charge.amount_microusd)} charged before the period, never credited"
            yield (
                "not_credited", _local(charge.charged_at, zone), None, unit, charge.card, charge.payment_intent,
                charge.topup, None, None, note, charge.receipt,
            )  # fmt: skip
    for no in one.card.declines:
        note = f"{format_usd(no.amount_microusd)} declined: {no.reason}"
        yield ("decline", _local(no.at, zone), None, unit, "", no.payment_intent, no.topup, None, 1, note, "")
    for refusal in one.card.refusals:
        day = date.fromisoformat(refusal.day)
        yield ("refusal", day, None, unit, "", "", "", None, refusal.count, f"{refusal.gate}: {refusal.detail}", "")


def _status(one: Statement, charge: CardCharge) -> str:
    if charge in one.missing:
        return "never credited"
    if charge in one.on_the_way:
        return "credited after the period"
    return "credited on a person's word" if charge.by_person else ""


def _local(at: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if at is None else at.astimezone(zone)
