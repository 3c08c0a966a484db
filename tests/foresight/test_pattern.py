"""The pattern: shapes that are there are learnt, shapes that are not are not, and a restart changes nothing."""

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from alerts.foresight.hourly import HOUR_MS, Hourly
from alerts.foresight.memory import BurnMemory
from alerts.foresight.outlook import spend_outlook, used_outlook
from alerts.foresight.pattern import Pattern, learn
from alerts.foresight.runway import runway
from alerts.foresight.shape import WEEK_HOURS, week_shape
from alerts.model.readings import Metrics

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def _office(at: datetime) -> int:
    return 1_000_000 if 8 <= at.hour < 18 else 0


Hourwise = Callable[[datetime], int]


def _live(days: int, spend_in_hour: Hourwise, scheduled: Hourwise | None = None) -> tuple[BurnMemory, datetime]:
    """Fold hour by hour: both callables take the hour's start."""
    memory, at, spent = BurnMemory(), MONDAY, 0
    for hour in range(days * 24 + 1):
        at = MONDAY + timedelta(hours=hour)
        memory = memory.fold(at, spent, None if scheduled is None else scheduled(at))
        spent += spend_in_hour(at)
    return memory, at


def _learnt(memory: BurnMemory) -> Pattern:
    assert memory.spend is not None
    pattern = learn(memory.spend, memory.schedule.counter if memory.schedule else None)
    assert pattern is not None
    return pattern


def test_nothing_is_learnt_before_a_day() -> None:
    memory, _ = _live(0, _office)
    assert memory.spend is not None
    assert learn(memory.spend) is None


def test_idle_nights_are_learnt_within_days() -> None:
    pattern = _learnt(_live(4, _office)[0])
    noon, night = pattern.shape_at(4 * 24 + 12), pattern.shape_at(4 * 24 + 2)
    assert noon > 2
    assert night < 0.1


def test_idle_weekends_are_learnt_within_two_weeks() -> None:
    def spend(at: datetime) -> int:
        return 1_000_000 if at.weekday() < 5 else 50_000

    memory, now = _live(14, spend)
    outlook = spend_outlook(memory, None, now)
    assert outlook is not None
    assert outlook.growth_over(5 * 24) == pytest.approx(120_000_000, rel=0.1)
    weekend = outlook.growth_over(7 * 24) - outlook.growth_over(5 * 24)
    assert weekend < 15_000_000


def test_noise_is_not_taken_for_a_shape() -> None:
    chance = random.Random(4)
    hours = [chance.choice((0, 0, 0, 4_000_000)) for _ in range(10 * 24)]
    shape = week_shape(hours, 0)
    assert len(shape) == WEEK_HOURS
    assert sum(shape) == pytest.approx(WEEK_HOURS)
    assert max(shape) < 1.8


def test_nothing_spent_has_a_flat_shape_and_never_runs_out() -> None:
    memory, now = _live(9, lambda at: 0)
    assert week_shape([0] * 240, 0) == [1.0] * WEEK_HOURS
    left = runway(memory, Metrics(balance_microusd=1_000_000), now)
    assert left is not None
    assert left.days is None
    assert left.latest_at is None
    assert left.burn_microusd_per_day == 0


def test_growth_is_followed_and_fades() -> None:
    memory, _ = _live(14, lambda at: round(1_000_000 * math.exp(0.04 * ((at - MONDAY) / timedelta(days=1)))))
    pattern = _learnt(memory)
    assert 0.02 < pattern.trend_per_day <= 0.05
    assert pattern.trended(24) < pattern.trended(240) < math.exp(0.05 * 10)
    flat = _learnt(_live(14, lambda at: 1_000_000)[0])
    assert flat.trended(240) == 1.0


def test_a_day_with_nothing_spent_has_no_trend() -> None:
    memory, _ = _live(8, lambda at: 0 if at.day == 5 else 1_000_000)
    assert _learnt(memory).trend_per_day == 0


def test_the_schedule_is_the_basis_where_it_explains_what_is_spent() -> None:
    memory, now = _live(5, lambda at: 1_000_000, lambda at: 24_000_000)
    assert _learnt(memory).by_schedule
    outlook = spend_outlook(memory, 48_000_000, now)
    assert outlook is not None
    assert (outlook.basis, round(outlook.per_day)) == ("scheduled", 48_000_000)


def test_a_schedule_with_a_shape_leads_the_level() -> None:
    """The rate of one moment is no day's burn where it follows the clock; but when it doubles, so does the level."""
    memory, now = _live(6, _office, lambda at: 24 * _office(at))
    pattern = _learnt(memory)
    assert not pattern.by_schedule
    at = now.replace(hour=10)
    usual = spend_outlook(memory, 24_000_000, at)
    doubled = spend_outlook(memory, 48_000_000, at)
    assert usual is not None
    assert doubled is not None
    assert usual.basis == "observed"
    assert usual.per_day == pytest.approx(10_000_000, rel=0.1)
    assert doubled.per_day > 1.2 * usual.per_day


def test_a_schedule_that_is_not_said_any_more_is_forgotten() -> None:
    memory, now = _live(5, lambda at: 1_000_000, lambda at: 24_000_000)
    for hour in range(1, 6):
        memory = memory.fold(now + timedelta(hours=hour), 120_000_000 + hour * 1_000_000)
    outlook = spend_outlook(memory, None, now + timedelta(hours=5))
    assert outlook is not None
    assert outlook.basis == "observed"
    assert outlook.per_day == pytest.approx(24_000_000, rel=0.05)


def test_a_schedule_with_a_shape_that_is_not_said_any_more_is_forgotten_too() -> None:
    memory, now = _live(6, _office, lambda at: 24 * _office(at))
    _learnt(memory)
    assert memory.spend is not None
    for hour in range(1, 4):
        memory = memory.fold(now + timedelta(hours=hour), memory.spend.last)
        assert memory.spend is not None
    outlook = spend_outlook(memory, None, now + timedelta(hours=3))
    assert outlook is not None
    assert outlook.per_day == pytest.approx(10_000_000, rel=0.1)


def test_a_restart_changes_no_forecast() -> None:
    chance = random.Random(2)
    amounts = [chance.randrange(2_000_000) for _ in range(40 * 24)]
    memory, spent = BurnMemory(), 0
    for hour, amount in enumerate(amounts):
        memory = memory.fold(MONDAY + timedelta(hours=hour), spent, 24_000_000)
        if memory.spend is not None and hour % 5 == 0:
            learn(memory.spend, memory.schedule.counter if memory.schedule else None)
        spent += amount
    now = MONDAY + timedelta(hours=len(amounts) - 1)
    metrics = Metrics(balance_microusd=200_000_000)
    assert runway(BurnMemory.decode(memory.encode()), metrics, now) == runway(memory, metrics, now)


def test_volume_has_an_outlook_from_its_first_hours() -> None:
    memory = BurnMemory()
    assert used_outlook(memory, MONDAY) is None
    for hour in range(4):
        memory = memory.fold(MONDAY + timedelta(hours=hour), None, used_microgb=hour * 1_000_000)
    early = used_outlook(memory, MONDAY + timedelta(hours=3))
    assert early is not None
    assert early.partial
    assert round(early.per_day) == 24_000_000
    for hour in range(4, 60):
        memory = memory.fold(MONDAY + timedelta(hours=hour), None, used_microgb=hour * 1_000_000)
    later = used_outlook(memory, MONDAY + timedelta(hours=59))
    assert later is not None
    assert not later.partial


def test_minutes_of_history_say_nothing_of_a_rate() -> None:
    memory = BurnMemory().fold(MONDAY, 0).fold(MONDAY + timedelta(minutes=5), 1_000_000)
    assert spend_outlook(memory, None, MONDAY + timedelta(minutes=5)) is None
    none_active = spend_outlook(memory, 0, MONDAY + timedelta(minutes=5))
    assert none_active is not None
    assert none_active.per_day == 0


def test_patterns_are_kept_within_the_hour_and_handed_on() -> None:
    counter = Hourly.begin(0, 0)
    for hour in range(1, 60):
        counter = counter.fold(hour * HOUR_MS, hour * 10)
    pattern = learn(counter)
    assert learn(counter.fold(59 * HOUR_MS + 60_000, 600)) is pattern
    following = counter.fold(60 * HOUR_MS, 600)
    assert following.memo.learnt is counter.memo.learnt
    later = learn(following)
    assert later is not None
    assert later.hours == 60
