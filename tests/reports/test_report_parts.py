"""The parts of a report where a provider says less, or a charge comes late: what is unknown is left out, never zero."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.accounts import AccountInfo
from alerts.reports.letter import compose
from alerts.reports.pictures import Picture
from alerts.reports.report import Report
from alerts.reports.sheet import to_csv
from alerts.reports.statements import Statement, build
from alerts.reports.views import account_view, counted, summary_view, usd
from tests.helpers_statements import BERLIN, LATER, OCTOBER, at, at_end, before_october, charge, level, october

MEDIA = AccountInfo("media", "tornado", "Media")


def storage(**said: Any) -> Statement:
    """A storage account of which the provider says so much, all October long."""
    readings = [level(OCTOBER.start, None, **said), level(at(31, 20), None, **said)]
    return build(MEDIA, OCTOBER, readings, [], now=LATER)


def lines(*statements: Statement) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(statements, BERLIN).removeprefix("\ufeff"))))


def volume_rows(statement: Statement) -> dict[str, tuple[str, str]]:
    return {row.label: (row.amount, row.detail) for row in account_view(statement, BERLIN).volume}


def letter(text: str | None) -> EmailMessage:
    drawn = Picture("clips-2026-10.png", b"\x89PNG", "says the numbers")
    report = Report("October", "<p>said</p>", "said", csv=text, stem="finance-2026-10", pictures=(drawn,))
    to = ["finance@example.com"]
    return compose(report, sender="Brimful <brimful@example.com>", to=to, name="finance-2026-10", at=LATER)


def test_what_a_provider_of_storage_does_not_say_is_in_no_row_and_in_no_line() -> None:
    said = storage(used_microgb=900_000_000)
    assert not {"limit", "reserved_closing", "billing_period_used"} & {line["line"] for line in lines(said)}
    rows = volume_rows(said)
    assert not {"Limit", "Reserved by running jobs", "Transferred in the provider's billing period"} & rows.keys()
    assert not any("% of the limit" in detail for _, detail in rows.values())


def test_a_counter_that_ran_backwards_tells_no_growth() -> None:
    readings = [level(OCTOBER.start, None, used_microgb=900), level(at(31, 20), None, used_microgb=100)]
    backwards = build(MEDIA, OCTOBER, readings, [], now=LATER)
    assert "Added in the period" not in volume_rows(backwards)
    assert "used_added" not in {line["line"] for line in lines(backwards)}


def test_a_billing_period_is_dated_only_where_the_provider_dates_it() -> None:
    label = "Transferred in the provider's billing period"
    undated = storage(used_microgb=900_000_000, period_used_microgb=42_000_000)
    assert volume_rows(undated)[label] == ("42.00 GB", "")
    dated = storage(
        used_microgb=900_000_000, period_used_microgb=42_000_000, period_start_at=at(1), period_end_at=at(31)
    )
    assert volume_rows(dated)[label] == ("42.00 GB", "1 Oct 2026 – 31 Oct 2026")


def credited_of(statement: Statement) -> list[str]:
    return [row.credited for row in account_view(statement, BERLIN).charges]


def test_a_charge_says_where_its_credit_was_seen_or_that_it_was_not() -> None:
    seen = october([before_october(), at_end("80", "1000")], [charge(1, "50", at(31, 22))])
    assert credited_of(seen) == ["31 Oct 2026, 23:55 CET"]
    late = october([before_october(), at_end("30", "1000")], [charge(1, "50", at(31, 22))])
    assert credited_of(late) == ["not in the closing balance"]
    unread = october([], [charge(1, "50", at(9)), charge(2, "50", at(10), at(10, 13))])
    assert credited_of(unread) == ["not seen", "10 Oct 2026, 13:00 CEST"]


def test_a_charge_whose_credit_the_ledger_saw_before_the_period_s_readings_is_dated_by_the_ledger() -> None:
    early = charge(1, "50", OCTOBER.start, OCTOBER.start)
    assert credited_of(october([before_october("80"), at_end("80", "1000")], [early])) == ["1 Oct 2026, 00:00 CEST"]


def test_only_prepaid_accounts_are_in_the_table_and_one_alone_has_no_total() -> None:
    prepaid = october([before_october(), at_end("20", "1010")])
    alone = summary_view([prepaid, storage(used_microgb=1)], BERLIN)
    assert ([line.name for line in alone.lines], alone.total) == (["Video tracking"], None)
    none = summary_view([storage(used_microgb=1)], BERLIN)
    assert (none.lines, none.total, none.used, none.card_charges, none.unexplained) == ((), None, "", "", "")
    two = summary_view([prepaid, prepaid], BERLIN)
    assert two.total is not None
    assert (two.total.closing, two.used) == ("$40.00", "$20.00")


@pytest.mark.parametrize("text", [None, "\ufeffperiod,account\r\n2026-10,clips\r\n"])
def test_the_csv_is_attached_where_it_is_asked_for_and_arrives_as_it_was(text: str | None) -> None:
    attached = list(letter(text).iter_attachments())
    assert [part.get_filename() for part in attached] == ([] if text is None else ["finance-2026-10.csv"])
    for part in attached:
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.decode() == text


def test_a_chart_is_inside_the_html_by_its_name_and_no_attachment() -> None:
    html = letter(None).get_payload(1)
    assert isinstance(html, EmailMessage)
    pictures = [part for part in html.walk() if part.get_content_type() == "image/png"]
    assert [(part["Content-ID"], part.get_content_disposition()) for part in pictures] == [
        ("<clips-2026-10.png>", "inline")
    ]


@given(st.integers(-(10**12), 10**12))
def test_cents_in_the_sheet_and_in_the_text_are_the_same_number(cents: int) -> None:
    shown = usd(cents).replace("$", "").replace(",", "").replace("−", "-")
    assert Decimal(shown) * 100 == cents


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=20))
def test_whatever_the_balance_does_the_sheet_adds_up(levels: list[int]) -> None:
    step = timedelta(days=30) / len(levels)
    readings = [level(OCTOBER.start + step * n, f"{micro / 1_000_000:.6f}", "1000") for n, micro in enumerate(levels)]
    amounts = {row["line"]: Decimal(0) for row in lines(october(readings))}
    for row in lines(october(readings)):
        amounts[row["line"]] += Decimal(row["amount"])
    closing = amounts.pop("closing_balance")
    assert sum(amounts.values(), Decimal(0)) == closing


def test_one_is_one_and_many_are_many() -> None:
    assert [counted(number, "charge") for number in (0, 1, 2, 1200)] == [
        "0 charges",
        "1 charge",
        "2 charges",
        "1,200 charges",
    ]
