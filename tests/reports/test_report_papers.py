"""What a report says: every number of the statements, escaped, harmless in a spreadsheet, in its zone."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

from alerts.model.accounts import AccountInfo
from alerts.model.spans import span_named
from alerts.model.values import replace
from alerts.reports.pictures import Picture, drawing
from alerts.reports.report import Blocked, DeadDelivery, OpenAlert, Report, ReportFacts, build
from alerts.reports.sheet import harmless
from alerts.reports.statements import Statement
from alerts.reports.statements import build as build_statement
from alerts.templating import Templates
from tests.helpers_statements import (
    BERLIN,
    CLIPS,
    LATER,
    OCTOBER,
    at,
    at_end,
    before_october,
    charge,
    level,
    october,
)

CREDITED = october(
    [before_october("30", "1000", "0.25"), level(at(5), "75", "1005"), at_end("62.495", "1017.505", "0.75")],
    [charge(1, "50", at(5, 11), at(5))],
)
SEARCH = AccountInfo("search", "contentstats", '=HYPERLINK("x") & <b>')
STORAGE = build_statement(
    AccountInfo("media", "tornado", "Media"),
    OCTOBER,
    [
        level(OCTOBER.start, None, used_microgb=900_000_000, limit_microgb=1_024_000_000),
        level(
            at(31, 20),
            None,
            used_microgb=942_000_000,
            reserved_microgb=80_000,
            limit_microgb=1_024_000_000,
            period_used_microgb=42_000_000,
            period_start_at=at(1),
            period_end_at=at(31),
        ),
    ],
    [],
    now=LATER,
)


def report_of(*statements: Statement, pictures: dict[str, Picture] | None = None, **facts: object) -> Report:
    given = ReportFacts("finance", OCTOBER, BERLIN, LATER, statements)
    return build(
        replace(given, **facts),
        templates=Templates(),
        pictures=pictures or {},
        with_csv=True,
    )


def rows_of(report: Report) -> list[dict[str, str]]:
    assert report.csv is not None
    assert report.csv.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(report.csv.removeprefix("\ufeff"))))


def test_the_csv_adds_up_to_the_closing_balance() -> None:
    other = build_statement(SEARCH, OCTOBER, [before_october("12.345", "7"), at_end("22.339", "12.006")], [], now=LATER)
    for statement in (CREDITED, other):
        rows = rows_of(report_of(statement))
        amounts = {row["line"]: Decimal(0) for row in rows}
        for row in rows:
            amounts[row["line"]] += Decimal(row["amount"])
        parts = ("opening_balance", "topup", "other_credit", "usage_charged", "unexplained")
        assert sum((amounts.get(part, Decimal(0)) for part in parts), Decimal(0)) == amounts["closing_balance"]


def test_html_text_and_csv_tell_the_same_numbers() -> None:
    report = report_of(CREDITED)
    for shown in ("$30.00", "$50.00", "−$17.50", "$62.50", "$18.00", "clips-1", "pi_test_1"):
        assert shown in report.html
        assert shown in report.text
    assert report.subject == "Usage statement October 2026: $18.00 used, 1 card charge of $50.00 in all"
    assert report.stem == "finance-2026-10"


def test_two_accounts_get_a_total_of_the_very_cents_above_it() -> None:
    other = replace(CREDITED, account=SEARCH)
    text = report_of(CREDITED, other).text
    assert "Total" in text
    assert "$125.00" in text, "62.50 twice"


def test_the_zone_is_named_and_the_clock_change_is_visible() -> None:
    report = report_of(CREDITED)
    assert "All times in Europe/Berlin" in report.html
    assert "1 Oct 2026, 00:00 CEST – 1 Nov 2026, 00:00 CET" in report.text


def test_a_label_is_escaped_in_html_and_harmless_in_a_spreadsheet() -> None:
    report = report_of(replace(CREDITED, account=SEARCH))
    assert "<b>" not in report.html
    assert "&lt;b&gt;" in report.html
    assert rows_of(report)[0]["label"] == '\'=HYPERLINK("x") & <b>'


def test_whatever_begins_like_a_formula_is_text() -> None:
    for start in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1"):
        assert harmless(start) == f"'{start}"
    for plain in ("", "Video tracking", "a=b", "2026-10", "pi_123"):
        assert harmless(plain) == plain


def test_what_is_unexplained_is_said_first_and_in_the_subject() -> None:
    off = october([before_october("30", "1000"), at_end("20", "1005")])
    report = report_of(off)
    assert "does not balance by itself" in report.subject
    assert "−$5.00 is unexplained" in report.html
    assert "Unexplained difference" in report.text
    assert [row["amount"] for row in rows_of(report) if row["line"] == "unexplained"] == ["-5.00"]


def test_the_rounding_of_a_provider_is_named_and_alarms_nobody() -> None:
    report = report_of(october([before_october("30", "1000"), at_end("19.99", "1010")]))
    assert "Balanced to the cent" in report.text
    assert "Rounding of the provider" in report.text


def test_a_charge_that_is_on_its_way_says_so() -> None:
    late = october([before_october(), at_end("20", "1010")], [charge(1, "50", at(31, 23))])
    report = report_of(late)
    assert "not in the closing balance" in report.text
    assert [row["line"] for row in rows_of(report) if row["reference"] == "pi_test_1"] == ["not_yet_credited"]


def test_an_other_credit_is_listed_with_its_time() -> None:
    report = report_of(october([before_october(), level(at(5), "55", "1000"), at_end("55", "1000")]))
    assert "Credit seen 5 Oct 2026, 12:00 CEST" in report.text
    assert "no top-up of ours" in report.html


def test_storage_is_told_with_its_share_of_the_limit() -> None:
    report = report_of(STORAGE)
    for shown in ("942.00 GB", "942.08 GB", "92.0 % of the limit", "1,024.00 GB", "1 Oct 2026 – 31 Oct 2026"):
        assert shown in report.text
        assert shown in report.html
    assert report.subject == "Usage statement October 2026: 1 account"


def test_what_needs_a_person_is_listed_with_the_command_to_type() -> None:
    report = report_of(
        CREDITED,
        alerts=(OpenAlert("Media", "quota", "warning", at(29), "92 % of the storage is used"),),
        blocked=(
            Blocked("Search", at(30), "top-ups are suspended: the card has expired", "brimful topups resume search"),
        ),
        dead=(DeadDelivery("webhook:app", "balance.low", "evt_1", at(28)),),
    )
    for shown in ("92 % of the storage is used", "brimful topups resume search", "brimful deliveries replay evt_1"):
        assert shown in report.html
        assert shown in report.text


def test_a_report_without_readings_or_accounts_says_so() -> None:
    assert "no reading" in report_of(october([])).text
    assert [row["line"] for row in rows_of(report_of(october([])))] == ["no_reading"]
    assert "No account belongs to this report" in report_of().html


def test_a_preview_says_that_it_is_one() -> None:
    report = report_of(CREDITED, preview=True)
    assert report.subject.startswith("Preview: ")
    assert "as a preview" in report.text


def test_a_chart_says_its_numbers_in_words() -> None:
    drawn = drawing(CREDITED, BERLIN)
    assert drawn is not None
    assert drawn.alt == (
        "Balance of Video tracking, October 2026: from $30.00 to $62.50, lowest $30.00 on 30 Sep, "
        "highest $75.00 on 5 Oct. 1 credit, $50.00 together."
    )
    assert [mark[2] for mark in drawn.marks] == ["+$50.00"]
    stored = drawing(STORAGE, BERLIN)
    assert stored is not None
    assert stored.alt.endswith("Limit 1,024.00 GB.")
    assert stored.limit == 1_024_000_000
    assert drawing(october([]), BERLIN) is None


def test_a_picture_stands_in_the_html_by_its_name() -> None:
    picture = Picture("clips-2026-10.png", b"png", "says the numbers")
    report = report_of(CREDITED, pictures={"clips": picture})
    assert 'src="cid:clips-2026-10.png"' in report.html
    assert 'alt="says the numbers"' in report.html
    assert report.pictures == (picture,)


def test_a_span_of_a_week_names_its_files_by_it() -> None:
    week = span_named("2026-W44", BERLIN)
    statement = build_statement(CLIPS, week, [], [], now=week.end + timedelta(days=1))
    assert report_of(statement, span=week).stem == "finance-2026-W44"
