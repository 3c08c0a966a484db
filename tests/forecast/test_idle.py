"""Idle hours: before the first spend, between jobs, over a weekend, in a pause that ended and in a stop that lasts."""

from datetime import datetime, timedelta
from itertools import accumulate

import pytest

from alerts.forecast.estimators import Hours
from alerts.forecast.learning import learn
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import runway
from alerts.model.readings import Metrics
from tests.helpers_hours import MONDAY, Hourwise, forecast_of, lived, office_hours


def test_a_stretch_without_spend_is_no_miss_of_the_range() -> None:
    memory, _ = lived(3.5, office_hours)
    assert memory.spend is not None
    found = learn(memory.spend)
    assert found is not None
    assert [len(errors) for errors in found.learnt.errors] == [5, 7, 7, 3, 0]


def test_what_was_before_the_first_spend_is_no_history() -> None:
    """An account that is read for days before anything runs: its first day is a first day, and no mean is diluted."""
    begun = MONDAY + timedelta(days=4, hours=6)

    def spend_in_hour(at: datetime) -> int:
        return 1_000_000 if at >= begun and at.hour % 5 else 0

    memory, now = lived(6.25, spend_in_hour)
    late, _ = lived(2, lambda at: spend_in_hour(at + timedelta(days=4, hours=6)))
    found, same = forecast_of(memory, now), forecast_of(late, MONDAY + timedelta(days=2))
    assert found.history_days == 2
    assert (found.per_day, found.widths) == (same.per_day, same.widths)
    assert forecast_of(*lived(5, spend_in_hour)).history_days == 5


def test_history_that_happens_to_begin_on_an_idle_weekend_begins_there() -> None:
    """Whether that was before the first spend is known a week later, by the next weekend."""
    saturday = timedelta(days=5)
    for days, known in ((6.5, 4.5), (9.5, 9.5)):
        memory, now = lived(days, lambda at: 1_000_000 if (at + saturday).weekday() < 5 else 0)
        assert forecast_of(memory, now).history_days == known


def test_one_huge_hour_makes_nothing_of_the_weeks_before_it() -> None:
    huge = MONDAY + timedelta(days=20)
    memory, now = lived(21, lambda at: 300_000_000 if at == huge else 10_000)
    found = forecast_of(memory, now)
    assert found.history_days == 21
    assert found.per_day == pytest.approx(240_000)


def test_a_stop_is_believed_for_longer_than_the_account_took_to_begin() -> None:
    begun, stops = MONDAY + timedelta(days=5), MONDAY + timedelta(days=14)
    for days in (18, 19, 20, 22):
        memory, now = lived(days, lambda at: 1_000_000 if begun <= at < stops else 0)
        assert forecast_of(memory, now).per_day == 0


def test_a_night_before_the_first_spend_is_a_night() -> None:
    memory, now = lived(2 + 8 / 24, office_hours)
    assert forecast_of(memory, now).history_days == pytest.approx(2 + 8 / 24)


def test_the_schedule_of_the_days_before_the_first_spend_is_left_out_too() -> None:
    memory, now = lived(7, lambda at: 1_000_000 if at.day >= 5 else 0, lambda at: 24_000_000)
    assert memory.spend is not None
    assert memory.schedule is not None
    belief = learn(memory.spend, memory.schedule.counter)
    assert belief is not None
    assert belief.past.scheduled is not None
    assert len(belief.past.scheduled) == len(belief.past.sums) == 4 * 24 + 1
    assert forecast_of(memory, now, 24_000_000).basis == "scheduled"


def _hours_apart(*gaps: int) -> Hourwise:
    """Nothing but one hour of work after each of so many idle ones, again and again."""
    busy = set(accumulate(gap + 1 for gap in gaps * 40))
    return lambda at: 10_000_000 if (at - MONDAY) // timedelta(hours=1) in busy else 0


def test_an_account_that_works_now_and_then_does_not_last_for_ever_between() -> None:
    """In most of its hours nothing is spent, and who says "nothing" is right there: of days left that says nothing."""
    spend_in_hour = _hours_apart(30, 45, 20, 50)
    begun = 14 * 24
    found = [forecast_of(*lived((begun + hour) / 24, spend_in_hour)).per_day for hour in range(0, 160, 7)]
    mean = 24 * 10_000_000 / (149 / 4)
    assert all(mean / 2 < per_day < 2 * mean for per_day in found)


def test_on_an_idle_sunday_an_office_does_not_last_for_ever() -> None:
    """The first weekend, and the second: neither is known by heart yet, and both are shorter than a pause."""

    def office(at: datetime) -> int:
        return office_hours(at) if at.weekday() < 5 else 0

    for days in (6.5, 13.5):
        memory, now = lived(days, office)
        found = forecast_of(memory, now)
        assert 5_000_000 < found.per_day < 11_000_000
        until = found.hours_until(30_000_000)
        assert until is not None
        assert 48 < until < 7 * 24


@pytest.mark.parametrize("spend_in_hour", [office_hours, lambda at: 1_000_000 + 37_000 * (at.hour * at.day % 29)])
def test_an_account_that_stops_is_believed_to_within_four_days_and_for_as_long_as_it_lasts(
    spend_in_hour: Hourwise,
) -> None:
    stops = MONDAY + timedelta(days=14)
    found = [
        forecast_of(*lived(14 + days, lambda at: spend_in_hour(at) if at < stops else 0)).per_day
        for days in (0, 4, 6, 9, 13, 20)
    ]
    assert found[0] > 1_000_000
    assert max(found[1:]) == 0


def test_a_fall_to_a_hundredth_is_a_level_and_no_idleness() -> None:
    falls = MONDAY + timedelta(days=10)
    for hours in (24, 48, 66):
        memory, now = lived(10 + hours / 24, lambda at: 3_000_000 if at < falls else 30_000)
        assert forecast_of(memory, now).per_day == pytest.approx(720_000)


def _pausing(*pauses: tuple[int, int]) -> Hourwise:
    """Office hours over a few cents, and nothing at all between each two days."""
    return lambda at: (
        0 if any(begin <= (at - MONDAY).days < end for begin, end in pauses) else office_hours(at) + 50_000
    )


def test_a_pause_that_has_ended_is_no_level_and_one_that_lasts_is() -> None:
    usual, lasting, ended = (
        11_200_000,
        *(forecast_of(*lived(days, _pausing((8, 12)))).per_day for days in (12, 12 + 4 / 24)),
    )
    assert lasting < 0.7 * usual
    assert ended == pytest.approx(usual, rel=0.02)


def test_a_range_forgets_no_pause() -> None:
    widths = []
    for pauses in ((), ((8, 12),)):
        memory, _ = lived(13, _pausing(*pauses))
        assert memory.spend is not None
        belief = learn(memory.spend)
        assert belief is not None
        widths.append(belief.learnt.widths[-1])
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize(
    ("pauses", "days"),
    [
        (((5, 7),), 8),  # two days, as a weekend
        (((4, 8), (10, 13)), 14),  # idle stretches are usual
        (((0, 1),), 1 + 10 / 24),  # begun for less than a day
        (((4, 8), (9, 13)), 14),  # two of the same length
        (((0, 9),), 9),  # nothing at all
    ],
)
def test_what_is_no_pause_is_left_as_it_is(pauses: tuple[tuple[int, int], ...], days: int) -> None:
    memory, _ = lived(days, _pausing(*pauses))
    assert memory.spend is not None
    hours = memory.spend.hours
    assert Hours.of(0, hours).paused is None
    assert list(Hours.of(0, hours).hours) == list(hours)


def test_a_pause_is_filled_with_the_days_before_it_and_what_was_spent_stays_known() -> None:
    memory, _ = lived(14, _pausing((4, 8)))
    assert memory.spend is not None
    hours = list(memory.spend.hours)
    past = Hours.of(1000, hours)
    assert past.paused == (1000 + 4 * 24, 4 * 24)
    assert list(past.hours) == hours[: 4 * 24] + hours[3 * 24 : 4 * 24] * 4 + hours[8 * 24 :]
    assert past.sums[-1] == sum(past.hours)
    assert past.spent[-1] == sum(hours)


def test_a_restart_after_a_pause_changes_no_forecast() -> None:
    memory = BurnMemory()
    spent, metrics, spend = 0, Metrics(balance_microusd=50_000_000), _pausing((9, 13))
    for hour in range(16 * 24):
        at = MONDAY + timedelta(hours=hour)
        memory = memory.fold(at, spent)
        spent += spend(at)
        if hour > 12 * 24:
            assert runway(BurnMemory.decode(memory.encode()), metrics, at) == runway(memory, metrics, at)
