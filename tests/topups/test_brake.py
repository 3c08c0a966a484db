"""The burn brake: what is compared with what, and from when on. Six hours against the account's own past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.forecast.memory import BurnMemory
from alerts.forecast.pace import BurnPace, pace
from daemon.topups.policy.gates import far_beyond
from tests.helpers_topups import DOLLAR

START = datetime(2026, 11, 1, tzinfo=UTC)
ENOUGH = 8 * 24
"""Hours of history from which on there is a brake: seven days before the last one."""


def lived(hourly: list[int]) -> tuple[BurnMemory, datetime]:
    """An account that spent so much within each hour, read at every full hour, and the instant of the last reading."""
    memory, spent, now = BurnMemory().fold(START, 0), 0, START
    for burnt in hourly:
        spent, now = spent + burnt, now + timedelta(hours=1)
        memory = memory.fold(now, spent)
    return memory, now


def test_an_account_that_never_said_what_it_spent_has_no_brake() -> None:
    assert pace(BurnMemory(), START) is None
    assert pace(BurnMemory().fold(START, None, used_microgb=5), START) is None


def test_there_is_no_brake_before_seven_days_and_the_last() -> None:
    memory, now = lived([DOLLAR] * (ENOUGH - 2))
    assert pace(memory, now) is None
    memory, now = lived([DOLLAR] * ENOUGH)
    assert pace(memory, now) == BurnPace(6 * DOLLAR, 6 * DOLLAR, 6 * DOLLAR)


def test_a_clock_that_stands_before_all_that_was_read_compares_nothing() -> None:
    memory, _ = lived([DOLLAR] * ENOUGH)
    assert pace(memory, START) is None
    assert pace(memory, START - timedelta(days=400)) is None


def test_the_last_day_is_no_part_of_the_past_that_it_is_held_against() -> None:
    memory, now = lived([DOLLAR] * ENOUGH + [DOLLAR] * 12 + [100 * DOLLAR] * 6)
    assert pace(memory, now) == BurnPace(600 * DOLLAR, 6 * DOLLAR, 6 * DOLLAR)


def test_an_hour_is_of_the_past_once_it_began_more_than_a_day_ago() -> None:
    for hours_ago, largest in ((24, 6), (25, 55)):
        hours = [DOLLAR] * (ENOUGH + 24)
        hours[-hours_ago] = 50 * DOLLAR
        said = pace(*lived(hours))
        assert said is not None
        assert said.largest_microusd == largest * DOLLAR


def test_the_past_s_most_is_found_wherever_it_was() -> None:
    for begin in (0, 1, 71, ENOUGH - 24 - 6):
        hours = [DOLLAR] * (ENOUGH + 1)
        hours[begin : begin + 6] = [9 * DOLLAR] * 6
        memory, now = lived(hours)
        said = pace(memory, now)
        assert said is not None
        assert said.largest_microusd == 54 * DOLLAR, begin


@given(st.lists(st.integers(0, 50 * DOLLAR), min_size=ENOUGH, max_size=ENOUGH + 60))
def test_the_most_is_never_below_the_mean_nor_above_all_that_was_spent(hourly: list[int]) -> None:
    memory, now = lived(hourly)
    said = pace(memory, now)
    assert said is not None
    assert said.recent_microusd == sum(hourly[-6:])
    assert said.mean_microusd <= said.largest_microusd <= sum(hourly)


def test_far_beyond_is_five_times_the_most_and_ten_times_the_mean_and_half_the_charge() -> None:
    base = {"largest_microusd": 20 * DOLLAR, "mean_microusd": 10 * DOLLAR}
    assert far_beyond(BurnPace(100 * DOLLAR + 1, **base), 200 * DOLLAR)
    assert not far_beyond(BurnPace(100 * DOLLAR, **base), 200 * DOLLAR), "not more than five times the most"
    steady = BurnPace(100 * DOLLAR + 1, largest_microusd=11 * DOLLAR, mean_microusd=10 * DOLLAR + 1)
    assert not far_beyond(steady, 200 * DOLLAR), "not more than ten times the mean"
    little = BurnPace(100 * DOLLAR + 1, **base)
    assert not far_beyond(little, 200 * DOLLAR + 3), "too little to matter beside the charge"


def test_the_first_burn_of_an_account_that_never_spent_is_held() -> None:
    memory, now = lived([0] * ENOUGH + [30 * DOLLAR])
    said = pace(memory, now)
    assert said is not None
    assert far_beyond(said, 50 * DOLLAR)
