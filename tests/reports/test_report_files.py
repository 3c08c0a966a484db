"""A report's files: tables whose sums are the mail's, a workbook with real numbers, a journal that balances."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import zipfile
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.accounts import AccountInfo
from alerts.model.money import to_decimal
from alerts.model.values import replace
from alerts.reports.credits import DeclinedCharge, Refusal
from alerts.reports.facts import ReportFacts
from alerts.reports.journal import to_journal
from alerts.reports.pictures import Picture
from alerts.reports.report import Extras, Report, build
from alerts.reports.report_mail import compose, compose_failure
from alerts.reports.sheet import SheetTable, harmless, tables, to_csv
from alerts.reports.statements import Before, PeriodBudget, Statement
from alerts.reports.workbook import to_xlsx
from alerts.templating import Templates
from tests.helpers_statements import (
    BERLIN,
    LATER,
    OCTOBER,
    at,
    at_end,
    before_october,
    charge,
    level,
    october,
    refund,
    usd,
)

FULL = october(
    [
        before_october("80.004", "1000", "0.5"),
        level(at(3), "118.5", "1011.5", "0.1"),
        level(at(6), "66", "1014", "0.2"),
        level(at(8), "86", "1014", "0.2"),
        at_end("42.339", "1057.661", "0.75"),
    ],
    [
        charge(1, "50", at(2), at(3), card="Visa 4242", receipt="https://pay.stripe.com/receipts/1"),
        charge(2, "30", at(31, 22)),
        charge(3, "25", OCTOBER.start - timedelta(days=4)),
        charge(4, "5", at(31, 23, 59), OCTOBER.end + timedelta(hours=1)),
        charge(5, "7", at(9), at(9), by_person=True, late=True),
    ],
    [refund(1, "50", at(5)), refund(2, "3", at(7), "dispute", late=True)],
    declines=(DeclinedCharge("clips-9", "pi_9", usd("25"), at(8), "=expired"),),
    refusals=(Refusal("2026-10-09", "cap_month", 918, "the cap"),),
    account=AccountInfo("clips", "contentstats", "=1+1", ("ops: a;b", "other")),
)
FULL = replace(FULL, budgets=(PeriodBudget("budget", usd("40")),), before=Before(usd("10")))
GIGABYTES: dict[str, Any] = {"used_microgb": 942_000_000, "reserved_microgb": 80_000, "limit_microgb": 1_024_000_000}
STORAGE = october(
    [level(OCTOBER.start, None, used_microgb=900_000_000), level(at(31), None, **GIGABYTES)],
    account=AccountInfo("media", "tornado", "Media"),
)


def rows(name: str, *statements: Statement) -> list[dict[str, str]]:
    table = next(one for one in tables(statements, BERLIN) if one.name == name)
    return list(csv.DictReader(io.StringIO(to_csv(table).removeprefix("\ufeff"))))


def total(found: list[dict[str, str]], column: str = "amount") -> Decimal:
    return sum((Decimal(row[column]) for row in found if row[column]), Decimal(0))


def test_the_statement_adds_up_to_what_is_available_at_the_end() -> None:
    found = rows("statement", FULL)
    lines = [row["line"] for row in found]
    inside = found[: lines.index("closing_available")]
    assert total(inside) == Decimal(found[lines.index("closing_available")]["amount"])
    assert {"opening_available", "top_up", "other_credit", "withdrawn", "spent", "budget"} <= set(lines)
    assert {row["unit"] for row in found} == {"USD"}
    assert {(row["tag"], row["label"]) for row in found} == {("ops: a;b", "'=1+1")}
    assert "spent_in_the_period_before" in lines


def test_the_charges_add_up_to_the_net_and_the_days_to_what_was_spent() -> None:
    charges = rows("charges", FULL)
    assert total(charges) == to_decimal(FULL.charged - FULL.returned)
    assert {row["kind"]: row["note"] for row in charges if row["kind"] != "charge"} == {
        "refund": "",
        "dispute": "became known only after its own period's report",
        "not_credited": "$25.00 charged before the period, never credited",
        "decline": "$25.00 declined: =expired",
        "refusal": "cap_month: the cap",
    }
    notes = {row["topup"]: row["note"] for row in charges if row["kind"] == "charge"}
    assert notes == {
        "clips-1": "",
        "clips-2": "never credited",
        "clips-4": "credited after the period",
        "clips-5": "credited on a person's word; became known only after its own period's report",
    }
    assert [row["count"] for row in charges if row["kind"] == "refusal"] == ["918"]
    daily = rows("daily", FULL)
    assert total(daily, "spent") == to_decimal(FULL.spent)
    assert (len(daily), daily[0]["day"], daily[30]["day"]) == (31, "2026-10-01", "2026-10-31")


def test_storage_has_its_lines_and_what_is_not_said_has_none() -> None:
    lines = {row["line"]: (row["amount"], row["unit"]) for row in rows("statement", STORAGE)}
    assert lines["effective_closing"] == ("942.080000", "GB")
    assert "billing_period_used" not in lines
    assert [row["line"] for row in rows("statement", october([]))] == ["no_reading"]


def test_whatever_begins_like_a_formula_is_text() -> None:
    for start in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1"):
        assert harmless(start) == f"'{start}"
    for plain in ("", "Video tracking", "a=b", "2026-10", "pi_123"):
        assert harmless(plain) == plain


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=20))
def test_whatever_the_balance_does_the_sheet_adds_up(levels: list[int]) -> None:
    step = timedelta(days=30) / len(levels)
    readings = [level(OCTOBER.start + step * n, f"{micro / 1_000_000:.6f}", "1000") for n, micro in enumerate(levels)]
    found = rows("statement", october(readings))
    closing = next(row for row in found if row["line"] == "closing_available")
    assert total(found[: found.index(closing)]) == Decimal(closing["amount"])


# ── the workbook ────────────────────────────────────────────────────────────────────────────────────────────────────

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheet_cells(book: bytes, number: int) -> dict[str, tuple[str, str]]:
    """The cells of a sheet: reference to (type, value), shared strings looked up."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        shared = [
            "".join(part.text or "" for part in item.iter(f"{MAIN}t"))
            for item in ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        ]
        sheet = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
        assert not list(sheet.iter(f"{MAIN}f")), "no formula anywhere"
    found = {}
    for cell in sheet.iter(f"{MAIN}c"):
        kind, value = cell.get("t", "n"), cell.findtext(f"{MAIN}v", "")
        found[str(cell.get("r"))] = (kind, shared[int(value)] if kind == "s" else value)
    return found


def test_the_workbook_has_real_dates_and_numbers_and_text_that_begins_with_an_equals_sign_as_text() -> None:
    book = to_xlsx(tables([FULL], BERLIN), "finance", LATER)
    statement, daily = sheet_cells(book, 1), sheet_cells(book, 3)
    assert statement["C2"] == ("s", "=1+1")
    assert statement["F2"] == ("n", "79.50")
    assert daily["A2"] == ("n", "46296"), "1 October 2026 as a spreadsheet counts days"
    spent = total([{"amount": value} for cell, (kind, value) in daily.items() if cell[0] == "C" and kind == "n"])
    assert spent.quantize(Decimal("0.01")) == to_decimal(FULL.spent)
    charges = sheet_cells(book, 2)
    assert charges["C2"][0] == "n", "an instant of a charge"
    assert [value for kind, value in charges.values() if value == "918"] == ["918"]


def test_the_same_facts_make_the_same_workbook_and_an_empty_one_opens() -> None:
    assert to_xlsx(tables([FULL], BERLIN), "t", LATER) == to_xlsx(tables([FULL], BERLIN), "t", LATER)
    assert sheet_cells(to_xlsx([SheetTable("daily", ("day", "spent"), ())], "t", LATER), 1)["B1"] == ("s", "spent")


# ── the journal ─────────────────────────────────────────────────────────────────────────────────────────────────────

POSTING = re.compile(r"    (\S(?:.*?\S)?)  (-?\d+\.\d\d) (\w+|\"[^\"]+\")( = 0\.00 \S+)?")


def balances_of(journal: str) -> dict[str, Decimal]:
    """Read a journal strictly: every entry is dated and balances, every assertion holds. Returns what is left."""
    left: dict[str, Decimal] = defaultdict(Decimal)
    entries: list[list[re.Match[str]]] = []
    for line in journal.splitlines():
        if re.fullmatch(r"\d{4}-\d\d-\d\d \S.*", line):
            entries.append([])
        elif line.startswith("    "):
            found = POSTING.fullmatch(line)
            assert found, line
            entries[-1].append(found)
            left[found[1]] += Decimal(found[2])
            assert not found[4] or left[found[1]] == 0, line
        else:
            assert not line or line.startswith(("; ", "commodity ")), line
    assert all(sum(Decimal(posting[2]) for posting in entry) == 0 for entry in entries)
    return {account: amount for account, amount in left.items() if amount}


def test_the_journal_balances_and_says_what_the_mail_says() -> None:
    journal = to_journal([FULL, STORAGE, october([before_october("5", "1"), at_end("1", "5")])], "finance", BERLIN)
    left = balances_of(journal)
    assert left["expenses:usage:ops a b:clips"] == to_decimal(FULL.spent)
    assert left["liabilities:card"] == to_decimal(FULL.returned - FULL.charged)
    assert left["expenses:usage:no tag:clips"] == 4
    assert "assets:prepaid:clips" not in left, "opened and closed"
    assert "assets:prepaid:media" not in journal


def test_an_account_that_used_nothing_has_no_usage_and_an_early_charge_that_was_credited_is_no_line() -> None:
    early = charge(1, "50", OCTOBER.start - timedelta(days=1), at(1, 3))
    idle = october([before_october(), level(at(1, 3), "80", "1000"), at_end("80", "1000")], [early])
    assert "expenses:" not in to_journal([idle], "finance", BERLIN)
    assert rows("charges", idle) == []


def test_a_unit_that_is_no_word_is_quoted_and_what_is_unexplained_has_its_entry() -> None:
    off = october(
        [before_october("30", "1000"), at_end("20", "1005")], account=AccountInfo("clips", "x", unit="GB-hours")
    )
    journal = to_journal([off], "finance", BERLIN)
    assert 'commodity 1,000.00 "GB-hours"' in journal
    assert balances_of(journal)["equity:unexplained"] == 5


@pytest.mark.skipif(shutil.which("hledger") is None, reason="hledger is not installed: the strict reading above is")
def test_hledger_reads_it_and_agrees(tmp_path: Path) -> None:
    path = tmp_path / "finance.journal"
    path.write_text(to_journal([FULL], "finance", BERLIN))
    subprocess.run(["hledger", "-f", str(path), "check"], check=True)
    command = ["hledger", "-f", str(path), "balance", "expenses", "-N", "--format", "%(total)"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert Decimal(said.split()[0]) == to_decimal(FULL.spent)


# ── the mail ────────────────────────────────────────────────────────────────────────────────────────────────────────


def report_of(*statements: Statement, **extras: Any) -> Report:
    facts = ReportFacts("finance", OCTOBER, BERLIN, LATER, statements, title_before="September 2026")
    drawn = Picture("clips-2026-10.png", b"\x89PNG", "says the numbers")
    return build(facts, templates=Templates(), pictures={"clips": drawn}, extras=Extras(**extras))


def mail(report: Report) -> EmailMessage:
    to = ["finance@example.com"]
    return compose(report, sender="Brimful <brimful@example.com>", to=to, name="finance-2026-10", at=LATER)


def test_the_files_that_are_asked_for_are_attached_and_arrive_as_they_were() -> None:
    report = report_of(FULL, xlsx=True, journal=True)
    attached = {str(part.get_filename()): part for part in mail(report).iter_attachments()}
    assert list(attached) == [
        "finance-2026-10-statement.csv",
        "finance-2026-10-charges.csv",
        "finance-2026-10-daily.csv",
        "finance-2026-10.xlsx",
        "finance-2026-10.journal",
    ]
    for one in report.attachments:
        content = attached[one.name].get_payload(decode=True)
        assert isinstance(content, bytes)
        if one.kind.startswith("text/"):
            assert content.decode().splitlines() == one.content.decode().splitlines()
        else:
            assert content == one.content
    assert not list(mail(report_of(FULL, csv=False)).iter_attachments())


def test_the_mail_and_its_tables_tell_the_same_figures() -> None:
    report = report_of(FULL)
    text = report.text
    net, spent = FULL.charged - FULL.returned, FULL.spent
    assert re.search(rf"Net to the card +\${to_decimal(net):.2f}", text)
    assert re.search(rf"Spent +\${to_decimal(spent):.2f}", text)
    lines = {row["line"]: row["amount"] for row in rows("statement", FULL)}
    assert lines["spent"] == f"-{to_decimal(spent):.2f}"


def test_a_chart_is_inside_the_html_by_its_name_and_no_attachment() -> None:
    html = mail(report_of(FULL, csv=False)).get_payload(1)
    assert isinstance(html, EmailMessage)
    pictures = [part for part in html.walk() if part.get_content_type() == "image/png"]
    assert [(part["Content-ID"], part.get_content_disposition()) for part in pictures] == [
        ("<clips-2026-10.png>", "inline")
    ]


def test_the_mail_in_place_of_a_report_is_plain_and_escaped() -> None:
    said = compose_failure(
        "The report cannot be made", ["<b> is wrong"], sender="a@example.com", to=["b@example.com"], name="x", at=LATER
    )
    bodies = {part.get_content_type(): part.get_content() for part in said.walk() if not part.is_multipart()}
    assert "<b> is wrong" in bodies["text/plain"]
    assert "&lt;b&gt; is wrong" in bodies["text/html"]


def test_at_200_accounts_the_whole_mail_stays_below_a_megabyte() -> None:
    drawn = {"": Picture("spent.png", b"\x89" * 30_000, "alt")}
    drawn |= {f"account-{n}": Picture(f"account-{n}.png", b"\x89" * 30_000, "alt") for n in range(6)}
    side = replace(FULL.card, charges=FULL.card.charges[:3], earlier=(), returns=(), refusals=(), declines=())
    many = [
        replace(FULL, card=side, account=AccountInfo(f"account-{n}", "contentstats", f"Account number {n}"))
        for n in range(200)
    ]
    facts = ReportFacts("finance", OCTOBER, BERLIN, LATER, tuple(many))
    report = build(facts, templates=Templates(), pictures=drawn)
    assert len(mail(report).as_bytes()) < 1_000_000
    assert len(report.html.encode()) < 150_000
