"""A statement balances to the cent, or shows what does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.readings import Known
from alerts.model.spans import span_named
from alerts.reports.figures import Figures, to_cents
from alerts.reports.past import past_of
from alerts.reports.statements import Before, Statement, Units, price_and_volume
from tests.helpers_statements import (
    BERLIN,
    LATER,
    OCTOBER,
    at,
    at_end,
    before_october,
    charge,
    cuts_of,
    level,
    october,
    refund,
    usd,
)


def figures_of(statement: Statement) -> Figures:
    assert statement.figures is not None
    return statement.figures


def test_opening_plus_credits_less_spend_is_closing() -> None:
    figures = figures_of(october([before_october("30", "1000"), level(at(5), "75", "1005"), at_end("62.5", "1017.5")]))
    said = (figures.opening, figures.credited, figures.spent, figures.unexplained, figures.closing)
    assert said == (usd("30"), usd("50"), usd("17.5"), 0, usd("62.5"))


def test_spend_counts_what_accrued_and_is_not_yet_deducted_and_so_does_what_is_available() -> None:
    figures = figures_of(october([before_october("30", "1000", "0.25"), at_end("20", "1010", "0.75")]))
    assert (figures.opening, figures.spent, figures.closing) == (usd("29.75"), usd("10.5"), usd("19.25"))
    assert (figures.balance_closing, figures.pending_closing) == (usd("20"), usd("0.75"))


def test_a_credit_is_matched_as_the_ledger_matched_it() -> None:
    paid = charge(1, "50", at(5, 11), at(5, 12))
    statement = october([before_october(), level(at(5, 12), "75", "1005"), at_end("70", "1010")], [paid])
    (credit,) = figures_of(statement).credits
    assert (credit.at, credit.amount_microusd, credit.charge) == (at(5, 12), usd("50"), paid)
    assert (statement.missing, statement.on_the_way, statement.issues) == ((), (), ())


def test_of_two_equal_rises_that_one_is_the_charge_s_which_the_ledger_names() -> None:
    paid = charge(1, "50", at(5, 10), at(9))
    by_hand = level(at(7), "78", "1002")
    seen = level(at(9), "126", "1004")
    first, second = figures_of(october([before_october(), by_hand, seen, at_end("126", "1004")], [paid])).credits
    assert (first.at, first.charge) == (at(7), None), "a purchase by hand of the same amount"
    assert (second.at, second.charge) == (at(9), paid)


def test_a_credit_without_a_charge_of_ours_is_shown_as_other() -> None:
    (credit,) = figures_of(october([before_october(), at_end("55", "1000")])).credits
    assert (credit.charge, credit.amount_microusd) == (None, usd("25"))


def test_two_charges_credited_at_once_share_one_rise() -> None:
    charges = [charge(1, "50", at(5, 10), at(6)), charge(2, "30", at(5, 11), at(6))]
    figures = figures_of(october([before_october(), level(at(6), "110", "1000"), at_end("110", "1000")], charges))
    assert [c.charge.topup for c in figures.credits if c.charge] == ["clips-1", "clips-2"]
    assert figures.topped_up == usd("80")


def test_a_bonus_on_top_of_a_charge_is_a_credit_of_its_own() -> None:
    paid = charge(1, "50", at(5), at(6))
    figures = figures_of(october([before_october(), level(at(6), "85", "1000"), at_end("85", "1000")], [paid]))
    assert [(c.amount_microusd, c.charge is not None) for c in figures.credits] == [
        (usd("50"), True),
        (usd("5"), False),
    ]


def test_a_charge_that_is_not_credited_explains_no_rise() -> None:
    statement = october([before_october(), level(at(7), "80", "1000"), at_end("80", "1000")], [charge(1, "50", at(5))])
    assert [c.charge for c in figures_of(statement).credits] == [None]
    assert [one.topup for one in statement.missing] == ["clips-1"]


def test_a_charge_that_was_never_credited_does_not_add_up() -> None:
    statement = october([before_october(), at_end("20", "1010")], [charge(1, "50", at(5))])
    assert [(issue.amount, issue.says) for issue in statement.issues] == [
        (usd("50"), "$50.00 charged and never credited (clips-1)")
    ]
    assert figures_of(statement).off == 0, "the balance itself adds up"


def test_one_of_an_earlier_period_that_is_still_not_credited_does_not_either() -> None:
    earlier = charge(1, "50", OCTOBER.start - timedelta(days=2))
    statement = october([before_october(), at_end("20", "1010")], [earlier])
    assert (statement.missing, statement.charged) == ((earlier,), 0)


def test_a_young_charge_may_still_be_credited_and_one_may_be_credited_after_the_end() -> None:
    young = charge(1, "50", OCTOBER.end - timedelta(minutes=5))
    statement = october([before_october(), at_end("20", "1010")], [young], now=OCTOBER.end + timedelta(minutes=55))
    assert (statement.on_the_way, statement.issues, statement.charged) == ((young,), (), usd("50"))
    late = charge(2, "50", at(31, 23, 59), OCTOBER.end + timedelta(minutes=20))
    statement = october([before_october(), at_end("20", "1010"), level(LATER, "70", "1010")], [late])
    assert (statement.on_the_way, statement.issues, figures_of(statement).credits) == ((late,), (), ())


def test_a_credit_of_a_charge_of_the_month_before_is_a_top_up_of_this_one_and_no_charge_of_it() -> None:
    earlier = charge(1, "50", OCTOBER.start - timedelta(seconds=1), OCTOBER.start + timedelta(minutes=20))
    seen = level(OCTOBER.start + timedelta(minutes=20), "80", "1000")
    statement = october([before_october(), seen, at_end("80", "1000")], [earlier])
    assert (figures_of(statement).topped_up, statement.charged, statement.issues) == (usd("50"), 0, ())


def test_what_a_person_said_is_credited_and_no_reading_shows_explains_no_rise() -> None:
    said = charge(1, "50", at(5), at(6), by_person=True)
    statement = october([before_october(), at_end("20", "1010")], [said])
    assert (statement.missing, figures_of(statement).credits) == ((), ())


def test_a_refund_and_the_recharge_that_it_causes_are_both_there() -> None:
    paid = [charge(1, "50", at(3), at(3, 13)), charge(2, "50", at(5, 14), at(5, 15))]
    readings = [
        before_october("30", "1000"),
        level(at(3, 13), "80", "1000"),
        level(at(5, 13), "28", "1002"),
        level(at(5, 15), "78", "1002"),
        at_end("70", "1010"),
    ]
    statement = october(readings, paid, [refund(1, "50", at(5))])
    figures = figures_of(statement)
    assert (figures.topped_up, figures.taken, figures.spent, figures.unexplained) == (
        usd("100"),
        usd("50"),
        usd("10"),
        0,
    )
    assert (statement.charged, statement.returned, statement.issues) == (usd("100"), usd("50"), ())
    assert [(taken.at, taken.cause.topup) for taken in figures.withdrawn] == [(at(5, 13), "clips-1")]


def test_a_fall_that_no_refund_explains_is_unexplained_and_a_refund_explains_one_fall() -> None:
    readings = [before_october("130", "1000"), level(at(5), "80", "1000"), level(at(9), "30", "1000")]
    figures = figures_of(october([*readings, at_end("30", "1000")], [], [refund(1, "50", at(4))]))
    assert (figures.taken, figures.unexplained, figures.off) == (usd("50"), usd("-50"), usd("-50"))


def test_a_refund_of_another_amount_explains_no_fall() -> None:
    figures = figures_of(october([before_october("130", "1000"), at_end("80", "1000")], [], [refund(1, "20", at(4))]))
    assert (figures.withdrawn, figures.off) == ((), usd("-50"))


def test_a_refund_of_the_month_before_explains_a_fall_of_this_one() -> None:
    gone = refund(1, "50", OCTOBER.start - timedelta(days=3), "dispute")
    statement = october([before_october("130", "1000"), level(at(2), "80", "1000"), at_end("80", "1000")], [], [gone])
    assert (figures_of(statement).taken, statement.returned) == (usd("50"), 0)


def test_a_reading_that_was_wrong_for_a_while_is_no_credit_and_leaves_nothing_unexplained() -> None:
    readings = [before_october("30", "1000"), level(at(5, 12), "0", "1000"), level(at(5, 13), "30", "1000")]
    statement = october([*readings, at_end("28", "1002")])
    figures = figures_of(statement)
    assert (figures.credits, figures.unexplained, figures.spent) == ((), 0, usd("2"))
    assert "wrong for a while" in statement.notes[0]


def test_a_rise_long_after_a_fall_undoes_nothing() -> None:
    readings = [before_october("30", "1000"), level(at(5), "0", "1000"), level(at(9), "30", "1000")]
    figures = figures_of(october([*readings, at_end("30", "1000")]))
    assert (figures.credited, figures.unexplained) == (usd("30"), usd("-30"))


def test_rounding_of_the_provider_is_neither_credit_nor_alarm() -> None:
    steps = [
        level(at(day), f"{30 - day * 0.01:.2f}", f"{1000 + day * 0.01 + (day % 2) * 0.01:.2f}") for day in range(2, 30)
    ]
    figures = figures_of(october([before_october("30", "1000"), *steps]))
    assert (figures.credits, figures.off) == ((), 0)


def test_a_total_that_begins_anew_counts_usage_by_the_balance_and_never_negative() -> None:
    statement = october([before_october("30", "1000"), level(at(5), "29", "0"), at_end("27", "2")])
    figures = figures_of(statement)
    assert (figures.spent, figures.unexplained) == (usd("3"), 0)
    assert "ran backwards" in statement.notes[0]
    raised = figures_of(october([before_october("30", "1000"), level(at(5), "40", "0"), at_end("40", "0")]))
    assert (raised.spent, raised.credited) == (0, usd("10"))


def test_without_a_running_total_falls_are_usage_and_rises_are_credits() -> None:
    readings = [before_october("30", None), level(at(5), "20", None), level(at(6), "70", None), at_end("65", None)]
    statement = october(readings)
    figures = figures_of(statement)
    assert (figures.spent, figures.credited) == (usd("15"), usd("50"))
    assert "no running total" in statement.notes[0]


def test_without_a_running_total_a_charge_is_credited_whole_and_the_rest_was_used_meanwhile() -> None:
    readings = [before_october("30", None), level(at(6), "79", None), at_end("65", None)]
    statement = october(readings, [charge(1, "50", at(6, 11), at(6))])
    figures = figures_of(statement)
    assert (figures.topped_up, figures.spent, figures.unexplained) == (usd("50"), usd("15"), 0)
    assert sum(row.spent for row in statement.days) == figures.spent


def test_history_that_begins_inside_the_period_is_partial() -> None:
    statement = october([level(at(10), "30", "1000"), at_end("20", "1010")])
    assert (statement.partial, statement.since) == (("history begins inside the period",), at(10))
    assert (statement.begins_inside, figures_of(statement).spent) == (True, usd("10"))


def test_a_boundary_inside_a_long_gap_is_interpolated_and_partial() -> None:
    early = level(OCTOBER.start - timedelta(days=2), "30", "1000")
    statement = october([early, level(OCTOBER.start + timedelta(days=2), "26", "1004"), at_end("25", "1005")])
    assert (figures_of(statement).opening, figures_of(statement).spent) == (usd("28"), usd("3"))
    assert "opening values are interpolated" in statement.partial[0]


@pytest.mark.parametrize(
    ("early", "late", "opening"),
    [
        (("30", None), ("26", None), "28"),  # by the balance alone
        (("30", None), ("80", None), "30"),  # a credit counts when it was seen
        (("30", "1000"), ("29", "0"), "30"),  # a total that began anew
        (("30", "1000"), ("76", "1004"), "28"),
    ],
)
def test_a_boundary_is_interpolated_as_far_as_it_can_be(
    early: tuple[str, str | None], late: tuple[str, str | None], opening: str
) -> None:
    readings = [level(OCTOBER.start - timedelta(days=2), *early), level(OCTOBER.start + timedelta(days=2), *late)]
    figures = figures_of(october(readings))
    assert figures.opening == usd(opening)
    assert figures.off == 0


def test_both_sides_of_an_interpolated_boundary_agree() -> None:
    before = level(OCTOBER.end - timedelta(days=3), "30", "1000", "0.5")
    after = level(OCTOBER.end + timedelta(days=3), "76", "1004", "0.1")
    november = span_named("2026-11", BERLIN)
    one = figures_of(october([before_october(), before, after]))
    two = figures_of(october([before, after], span=november, now=november.end + timedelta(days=1)))
    assert one.closing == two.opening
    assert one.credits == ()
    assert [c.amount_microusd for c in two.credits] == [usd("50")]


def test_a_closing_gap_without_a_later_reading_says_how_old_its_value_is() -> None:
    statement = october([before_october(), level(at(10), "25", "1005")])
    assert "more than 24 hours older" in statement.partial[0]
    assert figures_of(statement).closing == usd("25")


def test_a_period_that_runs_on_is_partial_up_to_now() -> None:
    statement = october([before_october(), level(at(10), "25", "1005")], now=at(10, 13))
    assert statement.partial == ("the period has not ended yet",)


def test_no_reading_is_no_statement_of_zero() -> None:
    statement = october([], [charge(1, "50", at(5))])
    assert (statement.figures, statement.volume, statement.since, statement.days) == (None, None, None, ())
    assert (statement.partial, statement.charged) == (("no reading",), usd("50"))
    assert [one.topup for one in statement.missing] == ["clips-1"]


def test_readings_only_after_the_period_tell_nothing_of_it() -> None:
    assert october([level(LATER, "25", "1005")]).partial == ("no reading",)


def test_one_old_reading_before_and_none_after_opens_and_closes_with_it() -> None:
    statement = october([level(OCTOBER.start - timedelta(days=3), "25", "1005")])
    assert (figures_of(statement).closing, statement.readings, len(statement.partial)) == (usd("25"), 0, 2)


def test_the_days_are_those_of_the_zone_and_add_up() -> None:
    start = OCTOBER.start - timedelta(hours=1)
    readings = [level(start + timedelta(hours=n), f"{500 - n / 7:.6f}", f"{1000 + n / 7:.6f}") for n in range(760)]
    statement = october(readings)
    assert len(statement.days) == 31
    assert sum(row.spent for row in statement.days) == statement.spent
    hours = [round(row.spent / usd("1") * 7) for row in statement.days]
    assert (hours[0], hours[24]) == (24, 25), "the clock went back on the 25th"
    assert statement.days[-1].available == figures_of(statement).closing


def test_units_split_a_change_of_spend_into_price_and_volume() -> None:
    one = level(OCTOBER.start, "100", "0", total_snapshots=1000, cost_per_snapshot_microusd=15_000)
    two = level(at(16), "85", "15", total_snapshots=2000, cost_per_snapshot_microusd=20_000)
    three = level(OCTOBER.end, "75", "25", total_snapshots=2500, cost_per_snapshot_microusd=20_000)
    statement = october([one, two, three])
    assert statement.units == Units(1500, usd("25") // 1500)
    assert [(p.at, p.old_microusd, p.new_microusd) for p in statement.prices] == [(at(16), 15_000, 20_000)]
    parts = price_and_volume(statement.spent, statement.units, Before(usd("15"), Units(1000, 15_000)))
    assert parts == (usd("2.5"), usd("7.5"))
    assert price_and_volume(statement.spent, statement.units, Before(usd("15"))) is None
    assert october([three.__class__("clips", OCTOBER.start, three.metrics), one]).units is None


def test_storage_tells_used_effective_limit_and_the_providers_period() -> None:
    first = level(OCTOBER.start, None, used_microgb=900_000_000, reserved_microgb=0, limit_microgb=1_024_000_000)
    peak = level(at(15), None, used_microgb=930_000_000, reserved_microgb=50_000_000, limit_microgb=1_024_000_000)
    said: dict[str, Any] = {"used_microgb": 942_000_000, "reserved_microgb": 80_000, "limit_microgb": 1_024_000_000}
    volume = october([first, peak, level(at(31), None, **said, period_used_microgb=7)]).volume
    assert volume is not None
    assert volume.added == 42_000_000
    assert (volume.effective_closing, volume.effective_peak) == (942_080_000, 980_000_000)
    assert (volume.limit, volume.period_used) == (1_024_000_000, 7)


def test_storage_that_ran_backwards_adds_nothing() -> None:
    volume = october([level(at(2), None, used_microgb=900), level(at(3), None, used_microgb=100)]).volume
    assert volume is not None
    assert volume.added is None


def test_a_long_series_is_thinned() -> None:
    readings = [level(OCTOBER.start + timedelta(minutes=15 * n), str(5000 - n), str(n)) for n in range(2900)]
    series = october(readings).series
    assert 200 < len(series) <= 242
    assert series[-1][1] == usd(str(5000 - 2899))


def test_money_that_does_not_balance_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="does not balance"):
        Figures(100, (), (), 10, 0, 95, 95, None)


@given(
    opening=st.integers(-(10**9), 10**10),
    steps=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**8)), min_size=1, max_size=40),
)
def test_cents_always_add_up_and_no_row_is_a_cent_off(opening: int, steps: list[tuple[int, int]]) -> None:
    balance, total, readings = opening, 10**9, []
    for n, (used, credited) in enumerate([(0, 0), *steps]):
        balance, total = balance - used + credited, total + used
        when = OCTOBER.start + timedelta(hours=17 * n)
        readings.append(Known("clips", when, level(when, f"{balance / 1e6:.6f}", f"{total / 1e6:.6f}").metrics))
    statement = october(readings)
    figures = figures_of(statement)
    assert figures.opening + figures.credited - figures.spent + figures.unexplained == figures.closing
    assert all(value % 10_000 == 0 for value in (figures.opening, figures.credited, figures.spent, figures.closing))
    assert abs(figures.spent - sum(used for used, _ in steps)) <= 10_000
    assert sum(row.spent for row in statement.days) == figures.spent


def test_half_a_cent_is_rounded_up_on_either_side_of_zero() -> None:
    assert [to_cents(m) // 10_000 for m in (4_999, 5_000, -5_000, -5_001, 14_999)] == [0, 1, 0, -1, 1]


def test_readings_that_tell_neither_money_nor_storage_make_an_empty_statement() -> None:
    statement = october([level(at(2), None), level(at(3), None)])
    assert (statement.figures, statement.volume, statement.series) == (None, None, ())
    assert statement.readings == 2


def test_a_past_has_a_level_at_each_cut() -> None:
    past = past_of([level(at(5), "30", "1000")], cuts_of(OCTOBER, LATER))
    assert [edge.known is None for edge in past.edges].count(True) == 5
    assert len(past.edges) == 32
