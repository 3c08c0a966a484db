"""The memory: what it keeps, that it stays small, and that it comes back as it went."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.forecast.hourly import DAY_MS, HOUR_MS, KEPT_HOURS, Hourly
from alerts.forecast.memory import BurnMemory, spent_over
from alerts.model.instants import from_ms, to_ms

START = datetime(2026, 11, 2, tzinfo=UTC)
START_MS = 1_777_000_000_000 // HOUR_MS * HOUR_MS

steps = st.lists(
    st.tuples(st.integers(1, 5 * HOUR_MS), st.integers(0, 5_000_000), st.integers(0, 9_000_000)),
    min_size=1,
    max_size=60,
)


def _folded(moves: list[tuple[int, int, int]]) -> BurnMemory:
    memory, at_ms, spent = BurnMemory(), START_MS, 0
    for wait_ms, grown, rate in moves:
        at_ms += wait_ms
        spent += grown
        memory = memory.fold(from_ms(at_ms), spent, rate, used_microgb=spent * 2, reserved_microgb=rate)
    return memory


@given(steps)
@settings(max_examples=60, deadline=None)
def test_memory_comes_back_as_it_went(moves: list[tuple[int, int, int]]) -> None:
    memory = _folded(moves)
    assert BurnMemory.decode(memory.encode()) == memory
    now, hours = memory.encode_parts()
    assert BurnMemory.decode(f"[{now},{hours}]") == memory


@given(steps)
@settings(max_examples=60, deadline=None)
def test_whole_hours_and_the_hour_under_way_add_up_to_all_that_was_spent(moves: list[tuple[int, int, int]]) -> None:
    spend = _folded(moves).spend
    assert spend is not None
    assert all(hour >= 0 for hour in spend.hours)
    assert spend.first + sum(spend.hours) <= spend.hour_start <= spend.last
    if spend.first_ms % HOUR_MS == 0:
        assert spend.first + sum(spend.hours) == spend.hour_start


@given(steps, st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_the_value_at_a_later_instant_is_never_lower(moves: list[tuple[int, int, int]], tenth_hours: int) -> None:
    spend = _folded(moves).spend
    assert spend is not None
    at_ms = START_MS + tenth_hours * HOUR_MS // 10
    assert spend.first <= spend.value_at(at_ms) <= spend.value_at(at_ms + HOUR_MS // 7) <= spend.last


def test_a_poll_that_finds_nothing_moved_returns_the_same_memory() -> None:
    memory = BurnMemory().fold(START, 5, 24, used_microgb=7, reserved_microgb=3)
    assert memory.fold(START + timedelta(minutes=5), 5, 24, used_microgb=7, reserved_microgb=2) is memory


def test_an_hour_that_passes_closes_even_where_nothing_moved() -> None:
    memory = BurnMemory().fold(START, 5, 24).fold(START + timedelta(hours=1), 5, 24)
    assert memory.spend is not None
    assert list(memory.spend.hours) == [0]


def test_a_reading_that_is_a_little_older_changes_nothing() -> None:
    memory = BurnMemory().fold(START, 5, 24, reserved_microgb=1)
    assert memory.fold(START - timedelta(minutes=30), 9, 48, reserved_microgb=2) is memory


def test_a_clock_that_was_ahead_for_a_while_is_forgotten() -> None:
    memory = BurnMemory()
    for hour in range(49):
        memory = memory.fold(START + timedelta(hours=hour), hour * 100, 2400, reserved_microgb=5)
    ahead = memory.fold(START + timedelta(days=9), 4850, 2400, reserved_microgb=9)
    assert ahead.spend is not None
    assert len(ahead.spend.hours) == 9 * 24
    back = ahead.fold(START + timedelta(hours=48, minutes=30), 4850, 2400, reserved_microgb=4)
    assert back.spend is not None
    assert back.schedule is not None
    assert back.reserve is not None
    assert list(back.spend.hours) == [100] * 48
    assert len(back.schedule.counter.hours) == 48
    assert back.reserve.peak == 4
    following = back.fold(START + timedelta(hours=49), 4900, 2400)
    assert following.spend is not None
    assert following.spend.hour == back.spend.hour + 1
    assert BurnMemory.decode(following.encode()) == following


def test_a_clock_that_was_ahead_from_the_first_reading_begins_anew() -> None:
    memory = BurnMemory().fold(START + timedelta(days=400), 5).fold(START, 7)
    assert memory.spend is not None
    assert (memory.spend.first_ms, memory.spend.last_ms, memory.spend.last) == (memory.spend.last_ms, to_ms(START), 7)
    assert list(memory.spend.hours) == []


def test_the_value_before_the_kept_hours_is_even_and_within_the_hour_interpolated() -> None:
    counter = Hourly.begin(START_MS, 0).fold(START_MS + 30 * 60_000, 60)
    assert counter.value_at(START_MS + 15 * 60_000) == 30


def test_growth_over_a_gap_is_spread_evenly() -> None:
    memory = BurnMemory().fold(START, 0).fold(START + timedelta(hours=4), 400)
    assert memory.spend is not None
    assert list(memory.spend.hours) == [100, 100, 100, 100]


def test_an_hour_that_was_not_seen_from_its_start_is_no_whole_hour() -> None:
    memory = BurnMemory().fold(START + timedelta(minutes=30), 0).fold(START + timedelta(hours=2), 300)
    assert memory.spend is not None
    assert list(memory.spend.hours) == [200]


def test_memory_stays_small_however_long_the_history() -> None:
    counter = Hourly.begin(START_MS, 0)
    for hour in range(1, 3 * KEPT_HOURS):
        counter = counter.fold(START_MS + hour * HOUR_MS, hour * 1_000_000)
    assert len(counter.hours) == KEPT_HOURS
    assert len(counter.packed) < 60, "what is the same each hour is told once"
    memory = BurnMemory(spend=counter)
    assert len(memory.encode()) < 10_000


def test_a_gap_longer_than_the_memory_keeps_its_pace() -> None:
    counter = Hourly.begin(START_MS, 0).fold(START_MS + 2 * KEPT_HOURS * HOUR_MS, 2 * KEPT_HOURS * 50)
    assert list(counter.hours) == [50] * KEPT_HOURS
    assert counter.value_at(START_MS + KEPT_HOURS * HOUR_MS // 2) == KEPT_HOURS // 2 * 50


def test_a_volume_that_starts_again_goes_on_from_where_it_was() -> None:
    memory = BurnMemory().fold(START, None, used_microgb=1000)
    memory = memory.fold(START + timedelta(hours=1), None, used_microgb=10)
    memory = memory.fold(START + timedelta(hours=2), None, used_microgb=40)
    assert memory.used is not None
    assert memory.used.last == 1030
    assert memory.days == 0


def test_the_schedule_adds_up_by_the_time_that_each_rate_held() -> None:
    memory = BurnMemory().fold(START, 0, 24_000_000).fold(START + timedelta(hours=12), 0, 48_000_000)
    memory = memory.fold(START + timedelta(hours=18), 0, 48_000_000)
    assert memory.schedule is not None
    assert memory.schedule.counter.last == 12_000_000 + 12_000_000


def test_the_highest_reservation_of_the_last_day_is_kept() -> None:
    memory = BurnMemory().fold(START, None, reserved_microgb=5).fold(START, None, reserved_microgb=9)
    later = memory.fold(START + timedelta(hours=3), None, reserved_microgb=1)
    assert later.reserve is not None
    assert later.reserve.peak == 9
    day = later.fold(START + timedelta(hours=30), None, reserved_microgb=2)
    assert day.reserve is not None
    assert day.reserve.peak == 2
    assert day.fold(START + timedelta(hours=29), None, reserved_microgb=99) is day


def test_days_of_history_are_whole_days() -> None:
    assert BurnMemory().days == 0
    memory = BurnMemory().fold(START, 0).fold(START + timedelta(days=2, hours=23), 1)
    assert memory.days == 2


def test_a_window_says_how_much_of_it_is_known() -> None:
    counter = Hourly.begin(START_MS, 0).fold(START_MS + 2 * HOUR_MS, 200)
    now = from_ms(START_MS + 2 * HOUR_MS)
    assert spent_over(counter, timedelta(hours=1), now) == (100, HOUR_MS)
    assert spent_over(counter, timedelta(days=1), now) == (200, 2 * HOUR_MS)


def test_silence_is_not_counted_as_nothing_spent_for_longer_than_the_hour() -> None:
    counter = Hourly.begin(START_MS, 0).fold(START_MS + 24 * HOUR_MS, 2400)
    spent, known_ms = spent_over(counter, timedelta(hours=3), from_ms(START_MS + 24 * HOUR_MS + 2 * DAY_MS))
    assert (spent, known_ms) == (200, 3 * HOUR_MS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "7",
        "[1,2]",
        "[[2,null,null,null,null,0,null],[null,null,null]]",
        "[[1,null,null,null,null,0.5,null],[null,null,null]]",
        "[[1,[1,2],null,null,null,0,null],[[],null,null]]",
        '[[1,[1,2,3,4,"5"],null,null,null,0,null],[[],null,null]]',
        "[[1,[1,2,3,4,5],null,null,null,0,null],[[true],null,null]]",
        "[[1,[1,2,3,4,5],null,null,null,0,null],[[99999999999999999999],null,null]]",
        "[[1,null,[1,2,3,4,5],null,[1,2],0,null],[null,[],null]]",
        "[[1,null,null,null,null,0,[1]],[null,null,null]]",
    ],
)
def test_text_that_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a burn memory"):
        BurnMemory.decode(text)


def test_hours_too_large_for_four_bytes_are_kept_exactly_and_so_are_those_after_them() -> None:
    counter, value = Hourly.begin(0, 0), 0
    grown = [5, 2**31 + 7, 3, 2**40, *range(KEPT_HOURS)]
    for hour, amount in enumerate(grown, start=1):
        value += amount
        counter = counter.fold(hour * HOUR_MS, value)
        assert list(counter.hours) == grown[max(hour - KEPT_HOURS, 0) : hour]
    assert counter.packed[:1] == b"i", "four bytes each again"
    assert counter == Hourly.decode(json.loads(counter.encode()), json.loads(counter.encode_hours()))
