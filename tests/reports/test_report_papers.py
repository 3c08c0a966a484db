"""What a report says: every number of the statements, escaped, in its zone, and the same in the mail and its files."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError

from alerts.model.accounts import AccountInfo
from alerts.model.spans import span_named
from alerts.model.values import replace
from alerts.reports.credits import DeclinedCharge, Refusal
from alerts.reports.facts import Blocked, DeadDelivery, OpenAlert, ReportFacts
from alerts.reports.pictures import Picture, drawing, spend_drawing
from alerts.reports.report import Report, build
from alerts.reports.report_mail import compose
from alerts.reports.statements import Before, PeriodBudget, Statement, Units
from alerts.templating import Templates, where_wrong
from tests.helpers_statements import BERLIN, OCTOBER, at, at_end, before_october, charge, level, october, refund, usd
from tests.helpers_statements import LATER as MADE_AT
from tests.mails.lint import problems

CREDITED = october(
    [before_october("30", "1000", "0.25"), level(at(5), "75", "1005"), at_end("62.495", "1017.505", "0.75")],
    [charge(1, "50", at(5, 11), at(5), card="Visa 4242", receipt="https://pay.stripe.com/receipts/1")],
)
SEARCH = AccountInfo("search", "contentstats", '=HYPERLINK("x") & <b>', ("marketing",))
GIGABYTES: dict[str, Any] = {"used_microgb": 942_000_000, "reserved_microgb": 80_000, "limit_microgb": 1_024_000_000}
GIGABYTES |= {"period_used_microgb": 42_000_000, "period_start_at": at(1), "period_end_at": at(31)}
STORAGE = october(
    [
        level(OCTOBER.start, None, used_microgb=900_000_000, limit_microgb=1_024_000_000),
        level(at(31, 20), None, **GIGABYTES),
    ],
    account=AccountInfo("media", "tornado", "Media"),
)


def report_of(*statements: Statement, pictures: dict[str, Picture] | None = None, **facts: Any) -> Report:
    given = ReportFacts("finance", OCTOBER, BERLIN, MADE_AT, statements, title_before="September 2026")
    return build(replace(given, **facts), templates=Templates(), pictures=pictures or {})


def test_html_and_text_tell_the_same_numbers() -> None:
    report = report_of(CREDITED)
    for shown in ("$29.75", "$50.00", "−$18.00", "$61.75", "clips-1", "pi_test_1", "Visa 4242", "to the cent"):
        assert shown in report.html, shown
        assert shown in report.text, shown
    assert report.subject == "Usage statement October 2026: $18.00 spent, $50.00 charged to card"
    assert report.stem == "finance-2026-10"
    assert "https://pay.stripe.com/receipts/1" in report.html


def test_the_first_screen_answers_five_questions() -> None:
    budgeted = replace(CREDITED, budgets=(PeriodBudget("budget", usd("40")),), before=Before(usd("10")))
    head = re.sub(r"<[^>]+>", " ", report_of(budgeted).html.partition("<h2")[0])
    said = re.sub(r"\s+", " ", head)
    for answer in (
        "Spent $18.00 45 % of the $40.00 budget; $8.00 more than September 2026",
        "Charged to card $50.00 1 charge",
        "Left $61.75 106 days at this pace",
        "Adds up to the cent 1 charge and their credits agree",
        "All amounts are in US dollars (USD)",
    ):
        assert answer in said


def test_what_does_not_add_up_is_said_first_and_in_the_subject() -> None:
    missing = october([before_october(), at_end("20", "1010")], [charge(1, "50", at(5))])
    report = report_of(missing)
    assert "— $50.00 does not add up" in report.subject
    assert "Video tracking: $50.00 charged and never credited (clips-1)" in report.html.partition("<h2")[0]
    assert "never credited" in report.text.partition("CARD CHARGES")[2]
    off = report_of(october([before_october("30", "1000"), at_end("20", "1005")]))
    assert "−$5.00 of the balance is unexplained" in off.text
    assert "Unexplained difference" in off.html


def test_a_refund_a_dispute_a_decline_and_refusals_are_rows_and_the_card_s_total_is_net() -> None:
    statement = october(
        [before_october("80", "1000"), level(at(6), "30", "1000"), at_end("30", "1000")],
        [charge(1, "50", at(2), at(2)), charge(2, "30", at(3), at(3), by_person=True, late=True)],
        [refund(1, "50", at(5)), refund(2, "10", at(7), "dispute", late=True)],
        declines=(DeclinedCharge("clips-3", "pi_test_3", usd("25"), at(8), "expired_card: Your card has expired."),),
        refusals=(Refusal("2026-10-09", "cap_month", 918, "500.00 of 500.00 are spent"),),
    )
    text = report_of(statement).text
    for line in (
        r"2 Oct 2026, 12:00 CEST +\$50.00   Video tracking: charged; credited 2 Oct",
        r"\$30.00   .*charged \(became known only after its own period's report\); credited .*, on a person's word",
        r"−\$50.00   Video tracking: refund; taken back 6 Oct",
        r"−\$10.00   Video tracking: dispute \(became known .*\); the credit was not taken back",
        r"declined: expired_card: Your card has expired.; \$25.00 not charged",
        r"9 Oct 2026 .*refused 918×: 500.00 of 500.00 are spent; not charged",
        r"Net to the card +\$20.00",
        r"Video tracking: 918 refused charges \(cap_month\); 1 declined charge",
    ):
        assert re.search(line, text), line
    assert "$20.00 charged to card" in report_of(statement).subject


def test_a_charge_of_before_that_is_still_missing_and_a_young_one_say_so() -> None:
    old, young = charge(1, "50", OCTOBER.start - timedelta(days=3)), charge(2, "50", at(31, 23, 30))
    statement = october([before_october(), at_end("20", "1010")], [old, young], now=OCTOBER.end)
    text = report_of(statement).text
    assert "charged before this period; $50.00 never credited" in text
    assert "credit on its way" in text


def test_budgets_trouble_cost_centres_and_accounts_have_their_lines() -> None:
    over = replace(CREDITED, budgets=(PeriodBudget("budget", usd("10")),), account=SEARCH)
    dry = october([before_october("5", "1000"), at_end("-1", "1006")])
    report = report_of(over, dry, alerts=(OpenAlert("Video tracking", "low", "warning", at(3), "available is low"),))
    text = report.text
    assert "180 %, $8.00 over (budget)" in text
    assert re.search(r'=HYPERLINK\("x"\) & <b>: \$8.00 over budget', text)
    assert "Video tracking: −$1.00 left; low open (warning)" in text
    assert re.search(r"marketing +1 +\$18.00 +75 %", text)
    assert re.search(r"no tag +1 +\$6.00 +25 %", text)
    assert re.search(r"Total +\$24.00 +\$50.00 +\$60.75", text)
    assert "$18.00 of it has a budget: 180 % of the $10.00 budget" in text
    assert report.html.count("background-color:#b3261e") == 1


def test_a_change_of_spend_is_split_into_price_and_volume_and_a_new_price_is_named() -> None:
    one = level(OCTOBER.start, "100", "0", total_snapshots=1000, cost_per_snapshot_microusd=15_000)
    two = level(at(16), "75", "25", total_snapshots=2250, cost_per_snapshot_microusd=20_000)
    priced = replace(october([one, two]), before=Before(usd("15"), Units(1000, 15_000)))
    text = report_of(priced).text
    assert "Against September 2026: $3.75 more by volume, $6.25 more by price." in text
    assert "Video tracking: a unit costs $0.02 instead of $0.015 from 16 Oct 2026." in text
    less = replace(priced, before=Before(usd("100"), Units(10_000, 10_000)))
    assert "$87.50 less by volume, $12.50 more by price" in report_of(less).text
    assert "$75.00 less than September 2026" in report_of(less).text
    assert "as in September 2026" in report_of(replace(priced, before=Before(priced.spent))).text


def test_totals_are_made_within_a_unit() -> None:
    other = replace(CREDITED, account=replace(SEARCH, unit="credits"))
    report = report_of(CREDITED, other)
    assert "Amounts are in US dollars (USD) and credits, never added across." in report.text
    assert "18.00 credits spent, 61.75 credits left, 1 account" in report.html
    assert "$18.00 spent" in report.subject


def test_the_zone_is_named_and_the_clock_change_is_visible() -> None:
    text = report_of(CREDITED).text
    assert "1 Oct 2026, 00:00 CEST – 1 Nov 2026, 00:00 CET, Europe/Berlin." in text


def test_a_label_is_escaped_in_html() -> None:
    report = report_of(replace(CREDITED, account=SEARCH))
    assert "<b>" not in report.html
    assert "&lt;b&gt;" in report.html


def test_the_rounding_of_a_provider_is_named_and_alarms_nobody() -> None:
    report = report_of(october([before_october("30", "1000"), at_end("19.99", "1010")]))
    assert "to the cent" in report.text
    assert "Rounding of the provider" in report.text


def test_an_other_credit_and_what_was_taken_back_are_listed_with_their_time() -> None:
    readings = [before_october(), level(at(5), "55", "1000"), level(at(7), "35", "1000"), at_end("35", "1000")]
    report = report_of(october(readings, [], [refund(1, "20", at(6))]))
    assert "5 Oct 2026, 12:00 CEST, no top-up of ours" in report.text
    assert "refund of clips-1" in report.html


def test_storage_is_told_with_its_share_of_the_limit() -> None:
    report = report_of(STORAGE)
    for shown in ("942.00 GB", "942.08 GB", "92.0 % of the limit", "1,024.00 GB", "1 Oct 2026 – 31 Oct 2026"):
        assert shown in report.text
        assert shown in report.html
    assert "942 of 1,024 GB" in report.html
    assert report.subject == "Usage statement October 2026: 1 account"
    free = october([level(OCTOBER.start, None, used_microgb=5_000_000), level(at(9), None, used_microgb=6_000_000)])
    assert re.search(r"Video tracking +6 GB", report_of(free).text)


def test_a_billing_period_without_dates_and_an_early_charge_that_was_credited_have_no_line_of_their_own() -> None:
    undated = october(
        [level(OCTOBER.start, None, used_microgb=1), level(at(31), None, used_microgb=2, period_used_microgb=1_000_000)]
    )
    assert re.search(r"billing period +1.00 GB\n", report_of(undated).text)
    early = charge(1, "50", OCTOBER.start - timedelta(days=1), at(1, 3))
    text = report_of(october([before_october(), level(at(1, 3), "80", "1000"), at_end("80", "1000")], [early])).text
    assert "charged before this period" not in text


def test_what_needs_a_person_is_listed_with_the_command_to_type() -> None:
    report = report_of(
        CREDITED,
        alerts=(
            OpenAlert("Media", "quota", "warning", at(29), "92 % of the storage is used"),
            OpenAlert("Media", "stale", "warning", at(3), "no reading", at(4)),
        ),
        blocked=(
            Blocked("Search", at(30), "top-ups are suspended: the card has expired", "brimful topups resume search"),
        ),
        dead=(DeadDelivery("webhook:app", "balance.low", "evt_1", at(28)),),
    )
    for shown in ("92 % of the storage is used", "brimful topups resume search", "brimful deliveries replay evt_1"):
        assert shown in report.html
        assert shown in report.text
    assert "no reading (rule stale)" in report.text.partition("Alerts that ended in the period")[2]


def test_a_report_without_readings_or_accounts_says_so() -> None:
    assert "no reading in the period" in report_of(october([])).text
    assert "No account belongs to this report" in report_of().html
    assert "No account belongs to this report" in report_of().text


def test_a_preview_says_that_it_is_one() -> None:
    report = report_of(CREDITED, preview=True)
    assert report.subject.startswith("Preview: ")
    assert "A preview." in report.text


def test_a_period_in_which_nothing_was_spent_and_one_that_is_partial_say_so() -> None:
    idle = october([level(at(10), "30", "1000"), at_end("30", "1000")])
    text = report_of(idle).text
    assert "nothing was spent" in text
    assert "no card was charged; 1 account partial" in text
    assert "PARTIAL: history begins inside the period." in text


def test_of_many_accounts_each_has_a_line_and_no_detail_and_the_mail_stays_small() -> None:
    many = [replace(CREDITED, account=replace(SEARCH, id=f"a-{n}", label=f"Account number {n}")) for n in range(60)]
    report = report_of(*many)
    assert len(report.html.encode()) < 100_000
    assert (report.html.count("Account number 59"), "Available at the start" in report.html) == (1, False)
    assert "20 more in the attached charges" in report.html


def test_a_chart_says_its_numbers_in_words() -> None:
    drawn = drawing(replace(CREDITED, threshold=usd("10")), BERLIN)
    assert drawn is not None
    assert drawn.alt == (
        "Available of Video tracking, October 2026: from $29.75 to $61.75, lowest $29.75 on 1 Oct, "
        "highest $75.00 on 5 Oct. 1 credit, $50.00 together."
    )
    assert [mark[2] for mark in drawn.marks] == ["+$50.00"]
    assert drawn.lines == ((usd("10"), "alert below"),)
    two = october([level(at(n), None, used_microgb=n * 10**6, limit_microgb=1_024_000_000) for n in (1, 2, 3)])
    stored = drawing(two, BERLIN)
    assert stored is not None
    assert stored.alt.endswith("Limit 1,024.00 GB.")
    assert stored.lines == ((1_024_000_000, "limit"),)
    assert drawing(october([]), BERLIN) is None
    unlimited = drawing(october([level(at(n), None, used_microgb=n) for n in (1, 2, 3)]), BERLIN)
    assert unlimited is not None
    assert (unlimited.lines, "Limit" in unlimited.alt) == ((), False)


def test_spend_is_drawn_day_by_day_against_the_budget() -> None:
    drawn = spend_drawing([CREDITED, CREDITED], OCTOBER, usd("40"), BERLIN)
    assert drawn is not None
    assert (len(drawn.points), drawn.points[0][1], drawn.points[-1][1]) == (32, 0, 2 * CREDITED.spent)
    assert drawn.lines == ((usd("40"), "budget"),)
    assert drawn.alt.endswith("Budget $40.00.")
    free = spend_drawing([CREDITED], OCTOBER, None, BERLIN)
    assert free is not None
    assert (free.lines, "Budget" in free.alt) == ((), False)
    day = span_named("2026-10-05", BERLIN)
    assert spend_drawing([october([before_october(), at_end("20", "1010")], span=day)], day, None, BERLIN) is None


@pytest.mark.parametrize("key", ["", "clips"])
def test_a_picture_stands_in_the_html_by_its_name(key: str) -> None:
    picture = Picture("drawn-2026-10.png", b"png", "says the numbers")
    report = report_of(CREDITED, pictures={key: picture})
    assert 'src="cid:drawn-2026-10.png"' in report.html
    assert 'alt="says the numbers"' in report.html
    assert report.pictures == (picture,)


def test_a_span_of_a_week_names_its_files_by_it() -> None:
    week = span_named("2026-W44", BERLIN)
    assert report_of(october([], span=week), span=week).stem == "finance-2026-W44"


def test_what_a_gate_said_has_its_instants_in_the_reports_zone_and_the_mail_is_valid() -> None:
    refused = Refusal("2026-10-06", "suspension", 80, "declined, since 2026-10-06T01:00:00Z")
    report = report_of(october([level(at(2), "20"), level(at(20), "10")], refusals=(refused,)), CREDITED)
    mail = compose(report, sender="b@example.com", to=["f@example.com"], name="brimful", at=MADE_AT)
    body = mail.get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert "declined, since 6 Oct 2026, 03:00 CEST" in html
    assert "6 Oct 2026 · Video tracking" in html
    assert "T01:00:00Z" not in html
    assert list(problems(html)) == []


def test_a_template_that_is_no_template_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "report.txt.j2").write_text("a line\n{% if %}\n")
    with pytest.raises(TemplateSyntaxError) as caught:
        Templates(tmp_path).text("report.txt.j2", {})
    assert where_wrong(caught.value) == "report.txt.j2, line 2"
