"""Money and volume are whole millionths: what is read, shown and divided is exact, or rounded as is promised."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.money import (
    MAX_MICRO,
    MICRO,
    format_gb,
    format_usd,
    from_cents,
    percent_of,
    show_gb,
    show_usd,
    to_decimal,
    to_micro,
    to_number,
)

micros = st.integers(-MAX_MICRO, MAX_MICRO)
MINUS = "−"


@pytest.mark.parametrize(
    ("said", "micro"),
    [
        (12, 12_000_000),
        (12.45, 12_450_000),
        (0.1 + 0.2, 300_000),
        ("12.45", 12_450_000),
        (" 12.45\n", 12_450_000),
        ("1e-6", 1),
        (Decimal("-0.75"), -750_000),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("-0.0000025", -2),
        (1_000_000_000, MAX_MICRO),
        (-1_000_000_000, -MAX_MICRO),
    ],
)
def test_a_number_is_read_exactly_to_the_millionth(said: int | float | str | Decimal, micro: int) -> None:
    assert to_micro(said) == micro


@pytest.mark.parametrize(
    "said",
    [
        *(True, False, "", "a dollar", "1,50", "$5", "nan", "inf", "-Infinity", Decimal("sNaN"), 1e400),
        *(1_000_000_001, -1_000_000_001, "1000000000.000001", "1e15", "1e16", 10**30, "1e999999", Decimal("-1e999999")),
    ],
)
def test_what_is_no_number_or_out_of_range_is_refused(said: int | float | str | Decimal) -> None:
    with pytest.raises(ValueError, match=r"number|range"):
        to_micro(said)


@given(micros)
def test_money_comes_back_the_same_from_every_form_it_leaves_in(micro: int) -> None:
    assert to_micro(to_decimal(micro)) == micro
    assert to_micro(str(to_decimal(micro))) == micro
    number = to_number(micro)
    assert to_micro(number) == micro
    assert to_micro(json.loads(json.dumps(number))) == micro
    assert isinstance(number, int) == (micro % MICRO == 0), "whole units have no point"


@given(st.decimals(-(10**9), 10**9, places=9))
def test_what_is_finer_than_a_millionth_is_rounded_half_to_even(number: Decimal) -> None:
    assert to_decimal(to_micro(number)) == number.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


@given(st.integers(-(10**11), 10**11))
def test_cents_are_ten_thousand_micro_dollars_each(cents: int) -> None:
    assert to_decimal(from_cents(cents)) * 100 == cents


@pytest.mark.parametrize(
    ("microusd", "shown"),
    [
        (0, "$0.00"),
        (1_234_500_000, "$1,234.50"),
        (-750_000, "−$0.75"),
        (4_999, "$0.00"),
        (5_000, "$0.01"),
        (-4_999, "$0.00"),
        (-5_000, "−$0.01"),
        (25_000, "$0.03"),
        (35_000, "$0.04"),
        (MAX_MICRO, "$1,000,000,000.00"),
    ],
)
def test_dollars_are_shown_rounded_half_up_with_a_true_minus_and_never_minus_zero(microusd: int, shown: str) -> None:
    assert format_usd(microusd) == shown


@pytest.mark.parametrize(
    ("microgb", "shown"),
    [(1_024_000_000, "1,024.00 GB"), (5_000, "0.01 GB"), (-500_000, "−0.50 GB"), (-4_999, "0.00 GB")],
)
def test_volumes_are_shown_rounded_half_up_with_a_true_minus_and_never_minus_zero(microgb: int, shown: str) -> None:
    assert format_gb(microgb) == shown


def test_an_amount_is_shown_as_fine_as_is_asked() -> None:
    assert format_usd(4_999_999, 6) == "$4.999999"
    assert format_usd(4_999_999, 0) == "$5"
    assert format_gb(1_500, 3) == "0.002 GB"


@given(micros, st.integers(0, 6))
def test_what_is_shown_is_within_half_of_its_last_digit(micro: int, places: int) -> None:
    for shown in (format_usd(micro, places).replace("$", ""), format_gb(micro, places).removesuffix(" GB")):
        assert "-" not in shown
        read = Decimal(shown.replace(",", "").replace(MINUS, "-"))
        assert abs(read - to_decimal(micro)) * 2 <= Decimal(1).scaleb(-places)
        assert shown.startswith(MINUS) == (read < 0)


@pytest.mark.parametrize(
    ("amount", "line", "shown"),
    [
        (4_999_999, 5_000_000, ("$4.99", "$5.00")),
        (5_000_000, 5_000_000, ("$5.00", "$5.00")),
        (5_000_001, 5_000_000, ("$5.000001", "$5.00")),
        (124_000, 125_000, ("$0.124", "$0.125")),
        (-1, 0, ("−$0.01", "$0.00")),
        (1, 0, ("$0.000001", "$0.00")),
    ],
)
def test_an_amount_that_is_measured_reads_on_its_own_side(amount: int, line: int, shown: tuple[str, str]) -> None:
    assert (show_usd(amount, line), show_usd(line, amount)) == shown
    in_gb = tuple(f"{one.replace('$', '')} GB" for one in shown)
    assert (show_gb(amount, line), show_gb(line, amount)) == in_gb


@given(micros, st.integers(-20_000, 20_000) | micros)
def test_of_two_that_are_measured_the_smaller_reads_as_the_smaller(micro: int, apart: int) -> None:
    other = micro + apart
    one, two = (
        Decimal(show_usd(*pair).replace("$", "").replace(",", "").replace(MINUS, "-"))
        for pair in ((micro, other), (other, micro))
    )
    assert (one < two, one == two) == (micro < other, micro == other)
    assert to_decimal(micro) - Decimal("0.01") < one <= to_decimal(micro), "rounded down"


@given(st.integers(0, MAX_MICRO), st.integers(1, MAX_MICRO), st.integers(0, 3))
def test_a_part_never_reads_as_more_percent_than_it_is(part: int, whole: int, places: int) -> None:
    percent = percent_of(part, whole, places)
    step = Decimal(1).scaleb(-places)
    assert percent * whole <= part * 100 < (percent + step) * whole


@given(st.integers(1, MAX_MICRO))
def test_a_hundred_percent_is_read_only_where_the_whole_is_reached(whole: int) -> None:
    assert percent_of(whole, whole) == 100
    assert percent_of(whole - 1, whole) < 100


def test_percent_are_rounded_down() -> None:
    assert str(percent_of(9_996, 10_000)) == "99.9"
    assert str(percent_of(942_080_000, 1_024_000_000)) == "92.0"


def test_a_millionth_below_nought_has_its_sign() -> None:
    assert format_usd(-1, 6) == f"{MINUS}$0.000001"
    assert format_usd(1, 6) == "$0.000001"
    assert format_usd(0, 6) == "$0.000000"
