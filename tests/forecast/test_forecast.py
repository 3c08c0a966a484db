"""When an amount is used up: where the path reaches it, never in the past, and sooner for less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.forecast.forecast import EARLY, HORIZON_HOURS, LATE, LIKELY, Forecast, spend_forecast
from alerts.forecast.learning import LEADS, WIDEST
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import instants
from tests.helpers_topups import DOLLAR

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
NIGHTS = [0] * 12 + [DOLLAR] * 11 + [40 * DOLLAR]
"""Nothing at night, a dollar an hour by day, and one hour that takes more than all the others."""


def flat(a_day_microusd: int) -> Forecast:
    forecast = spend_forecast(BurnMemory(), a_day_microusd, NOW)
    assert forecast is not None
    return forecast


def lived(hourly: list[int], days: int = 28) -> Forecast:
    memory, spent = BurnMemory(), 0
    for hour in range(days * 24 + 1):
        memory = memory.fold(NOW - timedelta(hours=days * 24 - hour), spent)
        spent += hourly[hour % len(hourly)]
    forecast = spend_forecast(memory, None, NOW)
    assert forecast is not None
    return forecast


FORECASTS = {
    "flat": flat(24 * DOLLAR),
    "nights": lived(NIGHTS),
    "young": lived([DOLLAR, 5 * DOLLAR], 3),
    "fallen": lived([DOLLAR] * 650 + [DOLLAR // 10] * 23),
    "stopped": lived([DOLLAR] * 600 + [0] * 73),
    "a trickle": lived([DOLLAR, 5 * DOLLAR] * 40 + [10] * 41, 5),
}
amounts = st.integers(1, 20_000 * DOLLAR)


@pytest.mark.parametrize("name", FORECASTS)
@given(amount=amounts, edge=st.sampled_from([EARLY, LIKELY, LATE]))
def test_the_path_reaches_the_amount_at_the_hour_that_is_said_and_not_before(name: str, amount: int, edge: int) -> None:
    forecast = FORECASTS[name]
    hours = forecast.hours_until(amount, edge)
    if hours is None:
        assert forecast.growth_over(HORIZON_HOURS, edge) < amount
        return
    assert 0 < hours <= HORIZON_HOURS
    assert forecast.growth_over(hours, edge) >= amount * (1 - 1.1e-6)
    assert min(forecast.growth_over(max(hours - 0.02, 0), edge), forecast.growth_over(hours, edge) * 0.995) < amount


@pytest.mark.parametrize("edge", [EARLY, LIKELY, LATE])
def test_an_amount_that_ends_with_the_day_is_used_up_before_the_next(edge: int) -> None:
    """The path is flat over the night and the weekend: however near it comes to the amount, it is found there."""
    forecast = lived(([0] * 8 + [DOLLAR] * 9 + [DOLLAR // 50] + [0] * 6) * 26 + [0] * 49)
    for hour in range(4, 300):
        reached = forecast.growth_over(hour, edge)
        for amount in (int(reached * part) for part in (0.99999, 1 - 1e-7, 1.0, 1 + 1e-7, 1.00001)):
            hours = forecast.hours_until(amount, edge)
            assert hours is not None
            if amount:
                assert forecast.growth_over(hours, edge) == pytest.approx(amount, rel=0.01)


@given(
    st.lists(st.sampled_from([0, 0, 1, DOLLAR // 60, DOLLAR, 3 * DOLLAR]), min_size=24, max_size=24),
    st.integers(1, 25),
    st.integers(1, 500 * DOLLAR),
)
@settings(deadline=None, max_examples=100)
def test_the_three_instants_are_in_order(day: list[int], days: int, amount: int) -> None:
    forecast = lived(day, days)
    early, likely, late = (at or datetime.max.replace(tzinfo=UTC) for at in instants(forecast, amount, NOW))
    assert NOW <= early <= likely <= late


@pytest.mark.parametrize("name", FORECASTS)
@given(two=st.tuples(amounts, amounts))
def test_less_is_never_used_up_later(name: str, two: tuple[int, int]) -> None:
    sooner, later = (FORECASTS[name].hours_until(amount) for amount in sorted(two))
    if later is not None:
        assert sooner is not None
        assert sooner <= later + 0.02 + later * 0.005


@given(amount=st.integers(1, 1000 * DOLLAR))
def test_a_steady_burn_uses_up_an_amount_in_its_quotient(amount: int) -> None:
    hours = flat(24 * DOLLAR).hours_until(amount)
    assert hours is not None
    assert hours == pytest.approx(amount / DOLLAR, rel=0.001, abs=0.06)


def test_nothing_left_is_used_up_now_and_no_burn_never_uses_anything_up() -> None:
    assert flat(DOLLAR).hours_until(0) == 0
    assert flat(DOLLAR).hours_until(-1) == 0
    assert flat(0).hours_until(1) is None


@pytest.mark.parametrize("hours", [8, 30, 90, 150])
def test_after_a_fall_the_range_holds_what_goes_on_and_what_was_before(hours: int) -> None:
    """Before it a dollar an hour, since then nothing or a cent."""
    for level in (0, DOLLAR // 100):
        forecast = lived([DOLLAR] * (28 * 24 - hours) + [level] * (hours + 1))
        early, late = forecast.hours_until(48 * DOLLAR, EARLY), forecast.hours_until(48 * DOLLAR, LATE)
        assert early is not None
        assert early <= 48 * 1.12
        assert late is None or (level and late > 4_790)


@pytest.mark.parametrize(
    "hourly",
    [
        [DOLLAR] * 12 + [0] * 12,  # nights
        ([DOLLAR] * 120 + [0] * 48) * 3 + [DOLLAR] * 120 + [0] * 49,  # a weekend as any
        [DOLLAR] * 593 + [0] * 70 + [DOLLAR] * 10,  # over
        [DOLLAR] * 300 + [DOLLAR // 4] * 373,  # long known
        [DOLLAR] * 660 + [6 * DOLLAR // 10] * 13,  # not by half
    ],
)
def test_what_is_no_fall_has_the_range_of_its_own_errors(hourly: list[int]) -> None:
    forecast = lived(hourly)
    for lead in (10, 50, 100):
        ratio = forecast.growth_over(lead, EARLY) / forecast.growth_over(lead)
        assert ratio == pytest.approx(exp(forecast.width_over(lead)))


def test_beyond_four_days_no_range_grows_wider_than_something_beside_nothing() -> None:
    assert FORECASTS["nights"].width_over(HORIZON_HOURS) < WIDEST
    wild = FORECASTS["a trickle"]
    assert wild.width_over(HORIZON_HOURS) == max(WIDEST, wild.width_over(LEADS[-1]))


def test_what_lies_beyond_two_years_is_not_foretold() -> None:
    forecast = flat(24 * DOLLAR)
    assert forecast.hours_until((HORIZON_HOURS + 24) * DOLLAR) is None
    assert forecast.hours_until((HORIZON_HOURS - 24) * DOLLAR) is not None
