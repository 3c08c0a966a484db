"""Spend counts on over resets and restarts; periods begin at local midnight, whatever the clock does."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.money import to_micro
from alerts.model.periods import CALENDAR, PeriodBounds, billing, calendar
from alerts.model.readings import Metrics
from alerts.model.specs import Period
from alerts.model.spend import SpendMemory
from tests.helpers_alerts import metrics

UTC_ZONE = ZoneInfo("UTC")
T0 = datetime(2026, 11, 1, tzinfo=UTC)


def fold(memory: SpendMemory, after: timedelta, zone: ZoneInfo = UTC_ZONE, **said: object) -> SpendMemory:
    return memory.fold(memory.at + after, metrics(**said), zone)


@pytest.mark.parametrize(
    ("zone", "inside", "start", "end"),
    [
        ("Pacific/Auckland", "2026-10-31T11:00", "2026-10-31T11:00", "2026-11-30T11:00"),
        ("Pacific/Auckland", "2026-09-30T00:00", "2026-08-31T12:00", "2026-09-30T11:00"),
        ("America/New_York", "2026-11-01T04:00", "2026-11-01T04:00", "2026-12-01T05:00"),
        ("America/New_York", "2026-03-31T12:00", "2026-03-01T05:00", "2026-04-01T04:00"),
        ("UTC", "2026-11-30T23:59:59", "2026-11-01T00:00", "2026-12-01T00:00"),
    ],
)
def test_months_begin_at_local_midnight_over_clock_changes(zone: str, inside: str, start: str, end: str) -> None:
    instants = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (inside, start, end)]
    assert calendar(Period.MONTH, instants[0], ZoneInfo(zone)) == PeriodBounds(instants[1], instants[2])


def test_quarters_are_those_of_the_calendar() -> None:
    found = calendar(Period.QUARTER, datetime(2026, 5, 17, tzinfo=UTC), ZoneInfo("America/New_York"))
    assert found == PeriodBounds(datetime(2026, 4, 1, 4, tzinfo=UTC), datetime(2026, 7, 1, 4, tzinfo=UTC))
    assert calendar(Period.QUARTER, T0, UTC_ZONE).end == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_day_on_which_the_clock_changes_has_23_or_25_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    lengths = []
    for day in (datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)):
        span = calendar(Period.DAY, day, berlin)
        lengths.append(span.end - span.start)
    assert lengths == [timedelta(hours=23), timedelta(hours=25)]


@given(
    seconds=st.integers(0, 15 * 365 * 86_400),
    zone=st.sampled_from(
        ["UTC", "Pacific/Auckland", "America/New_York", "Africa/Cairo", "America/Santiago", "Asia/Kolkata"]
    ),
    period=st.sampled_from(CALENDAR),
)
def test_every_instant_lies_in_its_period_and_periods_join_without_a_gap(
    seconds: int, zone: str, period: Period
) -> None:
    instant = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    found = calendar(period, instant, ZoneInfo(zone))
    assert found.start <= instant < found.end
    assert calendar(period, found.end, ZoneInfo(zone)).start == found.end


def test_a_billing_period_must_be_one() -> None:
    assert billing(Metrics()) is None
    assert billing(Metrics(period_start_at=T0, period_end_at=T0)) is None
    assert billing(Metrics(period_start_at=T0, period_end_at=T0 + timedelta(days=900))) is None
    assert billing(Metrics(period_start_at=T0, period_end_at=T0 + timedelta(days=30))) is not None


def test_spend_is_the_difference_of_accrued_and_no_top_up_touches_it() -> None:
    memory = SpendMemory.begin(T0, metrics(balance=10, total=1000, uncharged=1), UTC_ZONE)
    memory = fold(memory, timedelta(hours=1), balance=60, total=1000, uncharged=3)
    memory = fold(memory, timedelta(hours=1), balance=57, total=1003, uncharged=0.5)
    assert memory.money.value == to_micro(2.5)


def test_rounding_between_charged_and_uncharged_never_adds_up() -> None:
    memory = SpendMemory.begin(T0, metrics(total=10, uncharged="0.754"), UTC_ZONE)
    for _ in range(50):
        memory = fold(memory, timedelta(hours=1), total=10.75, uncharged=0)
        memory = fold(memory, timedelta(hours=1), total=10.75, uncharged="0.004")
    assert memory.money.value == 0


def test_a_reset_counts_on_from_the_new_base() -> None:
    memory = SpendMemory.begin(T0, metrics(total=1000, used=50), UTC_ZONE)
    memory = fold(memory, timedelta(hours=1), total=1010, used=51)
    at = memory.at + timedelta(hours=1)
    resets = frozenset({"total_charged_microusd", "used_microgb"})
    memory = memory.fold(at, metrics(total=3, used=1), UTC_ZONE, resets)
    assert (memory.money.value, memory.volume.value) == (to_micro(10), to_micro(1))
    memory = fold(memory, timedelta(hours=1), total=5, used=4)
    assert (memory.money.value, memory.volume.value) == (to_micro(12), to_micro(4))


def test_a_total_that_is_missing_once_costs_nothing() -> None:
    memory = SpendMemory.begin(T0, metrics(total=10, balance=90), UTC_ZONE)
    memory = fold(memory, timedelta(hours=1), balance=80)
    memory = fold(memory, timedelta(hours=1), total=25, balance=75)
    assert memory.money.value == to_micro(15)


def test_a_total_that_appears_is_a_base_and_no_spend() -> None:
    memory = SpendMemory.begin(T0, metrics(balance=90), UTC_ZONE)
    memory = fold(memory, timedelta(hours=1), balance=80)
    memory = fold(memory, timedelta(hours=1), total=25, balance=75)
    assert memory.money.value == to_micro(10)


def test_the_volume_goes_on_when_the_provider_begins_to_count_its_period() -> None:
    memory = SpendMemory.begin(T0, metrics(used=100), UTC_ZONE)
    memory = fold(memory, timedelta(hours=1), used=101)
    memory = fold(memory, timedelta(hours=1), used=102, period_used=7)
    memory = fold(memory, timedelta(hours=1), used=103, period_used=9)
    memory = fold(memory, timedelta(hours=1), used=103, period_used=1)
    assert memory.volume.value == to_micro(1 + 2 + 1)


def test_a_gap_of_over_a_day_is_interpolated_and_partial() -> None:
    memory = SpendMemory.begin(datetime(2026, 10, 30, tzinfo=UTC), metrics(total=100), UTC_ZONE)
    memory = fold(memory, timedelta(days=4), total=140)
    spent = memory.over(Period.MONTH)
    assert spent is not None
    assert (spent.microusd, spent.partial) == (to_micro(20), True)
    assert spent.start == T0
    day = memory.over(Period.DAY)
    assert day is not None
    assert (day.microusd, day.partial) == (0, False)


def test_a_reading_of_at_most_a_day_before_the_boundary_is_its_value() -> None:
    memory = SpendMemory.begin(datetime(2026, 10, 31, tzinfo=UTC), metrics(total=100), UTC_ZONE)
    memory = fold(memory, timedelta(days=2), total=120)
    spent = memory.over(Period.MONTH)
    assert spent is not None
    assert (spent.microusd, spent.partial) == (to_micro(20), False)


def test_another_zone_makes_the_running_periods_partial_and_loses_nothing() -> None:
    memory = SpendMemory.begin(T0, metrics(total=100), UTC_ZONE)
    memory = fold(memory, timedelta(days=3), total=130)
    memory = fold(memory, timedelta(hours=1), ZoneInfo("America/New_York"), total=131)
    spent = memory.over(Period.MONTH)
    assert spent is not None
    assert (spent.microusd, spent.partial, spent.start) == (to_micro(31), True, T0 + timedelta(hours=4))
    memory = fold(memory, timedelta(days=27), ZoneInfo("America/New_York"), total=140)
    assert memory.over(Period.MONTH) != spent


def test_a_billing_period_that_began_before_the_last_reading_counts_from_there() -> None:
    old: dict[str, Any] = {"period_start_at": T0, "period_end_at": T0 + timedelta(days=30)}
    new: dict[str, Any] = {"period_start_at": T0 + timedelta(days=30), "period_end_at": T0 + timedelta(days=60)}
    memory = SpendMemory.begin(T0 + timedelta(days=29), metrics(total=100, **old), UTC_ZONE)
    memory = fold(memory, timedelta(days=2), total=110, **old)
    memory = fold(memory, timedelta(hours=1), total=111, **new)
    spent = memory.over(Period.BILLING)
    assert spent is not None
    assert (spent.microusd, spent.partial) == (to_micro(1), True)


def test_the_providers_dates_are_remembered_while_it_does_not_say_them() -> None:
    own: dict[str, Any] = {"period_start_at": T0, "period_end_at": T0 + timedelta(days=30)}
    memory = SpendMemory.begin(T0, metrics(total=100, **own), UTC_ZONE)
    memory = fold(memory, timedelta(hours=1), total=105)
    memory = fold(memory, timedelta(hours=1), total=107, **own)
    spent = memory.over(Period.BILLING)
    assert spent is not None
    assert (spent.microusd, spent.partial) == (to_micro(7), False)
    wrong: dict[str, Any] = {"period_start_at": T0 + timedelta(days=1), "period_end_at": T0}
    assert fold(memory, timedelta(hours=1), total=108, **wrong).over(Period.BILLING) is None


def test_a_clock_that_stepped_back_moves_nothing_backwards() -> None:
    memory = SpendMemory.begin(T0, metrics(total=100), UTC_ZONE)
    memory = fold(memory, timedelta(days=40), total=110)
    memory = fold(memory, timedelta(days=-39), total=111)
    assert memory.at == T0 + timedelta(days=40)
    assert memory.money.value == to_micro(11)


def test_the_memory_survives_being_written() -> None:
    own: dict[str, Any] = {"period_start_at": T0, "period_end_at": T0 + timedelta(days=30)}
    memory = SpendMemory.begin(T0, metrics(total=100, used=3, balance=4, **own), ZoneInfo("Asia/Kolkata"))
    memory = fold(memory, timedelta(days=1), ZoneInfo("Asia/Kolkata"), total=110, used=5, balance=3, **own)
    assert SpendMemory.decode(memory.encode()) == memory


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[9,1,1,1,1,1,1,1,1,1,1]", '[1,"x",2,3,4,5,6,7,8,9,10]'])
def test_a_text_that_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a spend memory"):
        SpendMemory.decode(text)


@given(st.lists(st.tuples(st.integers(1, 10**8), st.integers(0, 10**9), st.booleans()), max_size=40))
def test_spend_never_falls_and_never_turns_negative(steps: list[tuple[int, int, bool]]) -> None:
    memory = SpendMemory.begin(T0, metrics(), UTC_ZONE)
    seen = [memory]
    for seconds, total, reset in steps:
        at = memory.at + timedelta(milliseconds=seconds)
        resets = frozenset({"total_charged_microusd"}) if reset else frozenset()
        memory = memory.fold(at, Metrics(total_charged_microusd=total), UTC_ZONE, resets)
        seen.append(memory)
    for before, after in pairwise(seen):
        assert after.money.value >= before.money.value
        for period in CALENDAR:
            spent = after.over(period)
            assert spent is not None
            assert spent.microusd >= 0
