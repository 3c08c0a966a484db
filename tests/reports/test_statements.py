"""A statement balances to the cent, or shows what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.spans import span_named
from alerts.reports.balances import Money, round_to_cents
from alerts.reports.credits import Credit
from alerts.reports.statements import Statement
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
    usd,
)


def money_of(statement: Statement) -> Money:
    assert statement.money is not None
    return statement.money


def test_opening_plus_credits_less_usage_is_closing() -> None:
    money = money_of(october([before_october("30", "1000"), level(at(5), "75", "1005"), at_end("62.5", "1017.5")]))
    assert (money.opening, money.credited, money.charged, money.unexplained, money.closing) == (
        usd("30"),
        usd("50"),
        usd("17.5"),
        0,
        usd("62.5"),
    )


def test_usage_of_the_period_counts_what_accrued_and_is_not_yet_charged() -> None:
    statement = october([before_october("30", "1000", "0.25"), at_end("20", "1010", "0.75")])
    cents = money_of(statement).cents
    assert (cents.charged, cents.pending_opening, cents.pending_closing, cents.used) == (1000, 25, 75, 1050)
    assert cents.available == 1925


def test_a_credit_is_matched_to_the_card_charge_that_paid_for_it() -> None:
    paid = charge(1, "50", at(5, 11), at(5, 12))
    statement = october([before_october(), level(at(5, 12), "75", "1005"), at_end("70", "1010")], [paid])
    (credit,) = money_of(statement).credits
    assert credit == Credit(at(5, 12), usd("50"), paid)
    assert statement.charges == (paid,)
    assert statement.in_transit == ()


def test_a_credit_without_a_charge_of_ours_is_shown_as_other() -> None:
    (credit,) = money_of(october([before_october(), at_end("55", "1000")])).credits
    assert credit.charge is None
    assert credit.amount_microusd == usd("25")


def test_two_charges_seen_at_once_explain_one_rise() -> None:
    charges = [charge(1, "50", at(5, 10)), charge(2, "30", at(5, 11))]
    money = money_of(october([before_october(), at_end("110", "1000")], charges))
    assert [c.charge.topup for c in money.credits if c.charge] == ["clips-1", "clips-2"]


def test_a_bonus_on_top_of_a_charge_is_a_credit_of_its_own() -> None:
    money = money_of(october([before_october(), at_end("85", "1000")], [charge(1, "50", at(5))]))
    assert [(c.amount_microusd, c.charge is not None) for c in money.credits] == [(usd("50"), True), (usd("5"), False)]


def test_a_charge_never_explains_a_credit_that_came_before_it() -> None:
    money = money_of(october([before_october(), level(at(5), "80", "1000")], [charge(1, "50", at(9))]))
    assert [c.charge for c in money.credits] == [None]


def test_a_charge_whose_credit_was_seen_before_the_period_explains_nothing_in_it() -> None:
    earlier = charge(1, "50", OCTOBER.start - timedelta(days=2), OCTOBER.start - timedelta(days=1))
    statement = october([before_october(), level(at(5), "80", "1000"), at_end("80", "1000")], [earlier])
    assert [c.charge for c in money_of(statement).credits] == [None]
    assert statement.in_transit == ()


def test_a_charge_that_is_not_yet_in_the_balance_is_on_its_way_and_outside_the_sum() -> None:
    late = charge(1, "50", at(31, 23, 50))
    statement = october([before_october(), at_end("20", "1010"), level(LATER, "70", "1010")], [late])
    assert statement.in_transit == (late,)
    assert money_of(statement).credits == ()


def test_what_neither_usage_nor_credit_explains_is_shown() -> None:
    money = money_of(october([before_october("30", "1000"), at_end("20", "1005")]))
    assert money.unexplained == usd("-5")
    assert money.cents.off == -500


def test_a_reading_that_was_wrong_for_a_while_is_no_credit_and_leaves_nothing_unexplained() -> None:
    readings = [before_october("30", "1000"), level(at(5, 12), "0", "1000"), level(at(5, 13), "30", "1000")]
    money = money_of(october([*readings, at_end("28", "1002")]))
    assert (money.credits, money.unexplained, money.charged) == ((), 0, usd("2"))


def test_rounding_of_the_provider_is_neither_credit_nor_alarm() -> None:
    steps = [
        level(at(day), f"{30 - day * 0.01:.2f}", f"{1000 + day * 0.01 + (day % 2) * 0.01:.2f}") for day in range(2, 30)
    ]
    money = money_of(october([before_october("30", "1000"), *steps]))
    assert money.credits == ()
    assert money.cents.off == 0


def test_a_total_that_runs_backwards_never_makes_usage_negative() -> None:
    statement = october([before_october("30", "1000"), level(at(5), "29", "0"), at_end("27", "2")])
    money = money_of(statement)
    assert (money.charged, money.unexplained) == (usd("2"), usd("-1"))
    assert "ran backwards" in statement.notes[0]


def test_without_a_running_total_falls_are_usage_and_rises_are_credits() -> None:
    readings = [before_october("30", None), level(at(5), "20", None), level(at(6), "70", None), at_end("65", None)]
    statement = october(readings)
    money = money_of(statement)
    assert (money.charged, money.credited, money.by_total) == (usd("15"), usd("50"), False)
    assert "no running total" in statement.notes[0]


def test_history_that_begins_inside_the_period_is_partial() -> None:
    statement = october([level(at(10), "30", "1000"), at_end("20", "1010")])
    assert statement.partial == ("history begins inside the period",)
    assert statement.since == at(10)
    assert money_of(statement).charged == usd("10")


def test_a_boundary_inside_a_long_gap_is_interpolated_and_partial() -> None:
    early = level(OCTOBER.start - timedelta(days=2), "30", "1000")
    statement = october([early, level(OCTOBER.start + timedelta(days=2), "26", "1004"), at_end("25", "1005")])
    money = money_of(statement)
    assert (money.opening, money.charged) == (usd("28"), usd("3"))
    assert "opening values are interpolated" in statement.partial[0]


def test_both_sides_of_an_interpolated_boundary_agree() -> None:
    before = level(OCTOBER.end - timedelta(days=3), "30", "1000", "0.5")
    after = level(OCTOBER.end + timedelta(days=3), "76", "1004", "0.1")
    november = span_named("2026-11", BERLIN)
    one = money_of(october([before_october(), before, after]))
    two = money_of(october([before, after], span=november, now=november.end + timedelta(days=1)))
    assert (one.closing, one.uncharged_closing) == (two.opening, two.uncharged_opening)
    assert one.credits == ()
    assert [c.amount_microusd for c in two.credits] == [usd("50")]


def test_a_closing_gap_without_a_later_reading_says_how_old_its_value_is() -> None:
    statement = october([before_october(), level(at(10), "25", "1005")])
    assert "more than 24 hours older" in statement.partial[0]
    assert money_of(statement).closing == usd("25")


def test_a_period_that_runs_on_is_partial_up_to_now() -> None:
    statement = october([before_october(), level(at(10), "25", "1005")], now=at(10, 13))
    assert statement.partial == ("the period has not ended yet",)


def test_no_reading_is_no_statement_of_zero() -> None:
    statement = october([], [charge(1, "50", at(5))])
    assert (statement.money, statement.volume, statement.since) == (None, None, None)
    assert statement.partial == ("no reading",)
    assert len(statement.charges) == 1


def test_readings_only_after_the_period_tell_nothing_of_it() -> None:
    assert october([level(LATER, "25", "1005")]).partial == ("no reading",)


def test_one_old_reading_before_and_none_after_opens_and_closes_with_it() -> None:
    statement = october([level(OCTOBER.start - timedelta(days=3), "25", "1005")])
    assert money_of(statement).closing == usd("25")
    assert statement.readings == 0
    assert len(statement.partial) == 2


def test_storage_tells_used_effective_limit_and_the_providers_period() -> None:
    first = level(OCTOBER.start, None, used_microgb=900_000_000, reserved_microgb=0, limit_microgb=1_024_000_000)
    peak = level(at(15), None, used_microgb=930_000_000, reserved_microgb=50_000_000, limit_microgb=1_024_000_000)
    last = level(
        at(31),
        None,
        used_microgb=942_000_000,
        reserved_microgb=80_000,
        limit_microgb=1_024_000_000,
        period_used_microgb=7,
    )
    volume = october([first, peak, last]).volume
    assert volume is not None
    assert volume.added == 42_000_000
    assert (volume.effective_closing, volume.effective_peak) == (942_080_000, 980_000_000)
    assert (volume.limit, volume.period_used) == (1_024_000_000, 7)


def test_storage_that_ran_backwards_adds_nothing() -> None:
    volume = october([level(at(2), None, used_microgb=900), level(at(3), None, used_microgb=100)]).volume
    assert volume is not None
    assert volume.added is None


def test_a_long_series_is_thinned_but_keeps_both_sides_of_every_rise() -> None:
    readings = [before_october("5000", "0")]
    for n in range(2900):
        total, credit = n + 1, 100 if n >= 1777 else 0
        readings.append(level(OCTOBER.start + timedelta(minutes=15 * n), str(5000 - total + credit), str(total)))
    series = october(readings).series
    assert len(series) < 700
    values = [value for _, value in series]
    assert usd(str(5000 - 1777)) in values
    assert usd(str(5000 - 1778 + 100)) in values


def test_money_that_does_not_balance_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="does not balance"):
        Money(100, (), 10, 0, 95, None, None, True)


@given(
    opening=st.integers(-(10**9), 10**10),
    topups=st.lists(st.integers(1, 10**5).map(lambda cents: cents * 10_000), max_size=6),
    others=st.lists(st.integers(1, 10**8), max_size=4),
    charged=st.integers(0, 10**10),
    unexplained=st.integers(-(10**7), 10**7),
)
def test_cents_always_add_up_and_no_row_is_a_cent_off(
    opening: int, topups: list[int], others: list[int], charged: int, unexplained: int
) -> None:
    credits = [Credit(at(5), amount, charge(n, "1", at(4))) for n, amount in enumerate(topups)]
    credits += [Credit(at(6), amount) for amount in others]
    closing = opening + sum(topups) + sum(others) - charged + unexplained
    money = Money(opening, tuple(credits), charged, unexplained, closing, None, None, True)
    cents = money.cents
    assert cents.opening + cents.topups + cents.other_credits - cents.charged + cents.unexplained == cents.closing
    assert cents.topups * 10_000 == sum(topups), "whole cents stay what they are"
    for shown, exact in (
        (cents.other_credits, sum(others)),
        (cents.charged, charged),
        (cents.unexplained, unexplained),
    ):
        assert abs(shown * 10_000 - exact) <= 10_000
    rows = money.credits_in_cents()
    assert sum(c for credit, c in rows if credit.charge) == cents.topups
    assert sum(c for credit, c in rows if not credit.charge) == cents.other_credits


def test_half_a_cent_is_rounded_up_on_either_side_of_zero() -> None:
    assert [round_to_cents(m) for m in (4_999, 5_000, -5_000, -5_001, 14_999)] == [0, 1, 0, -1, 1]


def test_a_provider_without_total_is_interpolated_by_its_balance() -> None:
    early = level(OCTOBER.start - timedelta(days=2), "30", None)
    money = money_of(october([early, level(OCTOBER.start + timedelta(days=2), "26", None)]))
    assert (money.opening, money.charged) == (usd("28"), usd("2"))


def test_readings_that_tell_neither_money_nor_storage_make_an_empty_statement() -> None:
    statement = october([level(at(2), None), level(at(3), None)])
    assert (statement.money, statement.volume, statement.series) == (None, None, ())
    assert statement.readings == 2
