"""When an amount is used up: where the path reaches it, never in the past, and sooner for less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.foresight.memory import BurnMemory
from alerts.foresight.outlook import HORIZON_HOURS, Z_10_90, Outlook, spend_outlook
from tests.helpers_topups import DOLLAR

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
NIGHTS = [0] * 12 + [DOLLAR] * 11 + [40 * DOLLAR]
"""Nothing at night, a dollar an hour by day, and one hour that takes more than all the others."""


def flat(a_day_microusd: int) -> Outlook:
    outlook = spend_outlook(BurnMemory(), a_day_microusd, NOW)
    assert outlook is not None
    return outlook


def lived(hourly: list[int], days: int = 28) -> Outlook:
    memory, spent = BurnMemory(), 0
    for hour in range(days * 24 + 1):
        memory = memory.fold(NOW - timedelta(hours=days * 24 - hour), spent)
        spent += hourly[hour % len(hourly)]
    outlook = spend_outlook(memory, None, NOW)
    assert outlook is not None
    return outlook


OUTLOOKS = {"flat": flat(24 * DOLLAR), "nights": lived(NIGHTS), "young": lived([DOLLAR, 5 * DOLLAR], 3)}
amounts = st.integers(1, 20_000 * DOLLAR)


@pytest.mark.parametrize("name", OUTLOOKS)
@given(amount=amounts, z=st.sampled_from([0.0, Z_10_90, -Z_10_90]))
def test_the_path_reaches_the_amount_at_the_hour_that_is_said_and_not_before(name: str, amount: int, z: float) -> None:
    outlook = OUTLOOKS[name]
    hours = outlook.hours_until(amount, z)
    if hours is None:
        assert outlook.growth_over(HORIZON_HOURS, z) < amount
        return
    assert 0 < hours <= HORIZON_HOURS
    assert outlook.growth_over(hours, z) >= amount * (1 - 1e-9)
    assert min(outlook.growth_over(max(hours - 0.02, 0), z), outlook.growth_over(hours, z) * 0.995) < amount


@pytest.mark.parametrize("name", OUTLOOKS)
@given(two=st.tuples(amounts, amounts))
def test_less_is_never_used_up_later(name: str, two: tuple[int, int]) -> None:
    sooner, later = (OUTLOOKS[name].hours_until(amount) for amount in sorted(two))
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


def test_what_lies_beyond_two_years_is_not_foretold() -> None:
    outlook = flat(24 * DOLLAR)
    assert outlook.hours_until((HORIZON_HOURS + 24) * DOLLAR) is None
    assert outlook.hours_until((HORIZON_HOURS - 24) * DOLLAR) is not None
