"""What is usual for an account: which hours count, to the hour, and how a spike's numbers and words say it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.forecast.hourly import HOUR_MS, Hourly
from alerts.model.money import to_micro
from alerts.model.specs import Spike
from alerts.rules.spike import Usual, usual
from tests.helpers_alerts import Watched

HOUR = timedelta(hours=1)
DAY = 24


def past(*hourly: int) -> Hourly:
    """A counter that grew by so much in each whole hour."""
    counter, total = Hourly.begin(0, 0), 0
    for number, grown in enumerate(hourly, 1):
        total += grown
        counter = counter.fold(number * HOUR_MS, total)
    return counter


def of(hourly: list[int], window: timedelta = HOUR, under_way: timedelta = timedelta()) -> Usual | None:
    return usual(past(*hourly), window, under_way)


def test_three_days_before_the_window_are_known_to_the_hour() -> None:
    assert of([1] * (3 * DAY)) is None
    assert of([1] * (3 * DAY + 1)) == Usual(24, 24)
    assert of([1] * (3 * DAY + 2), 3 * HOUR) is None
    assert of([1] * (3 * DAY + 3), 3 * HOUR) == Usual(24, 24)


def test_the_window_and_what_is_under_way_are_no_part_of_the_past() -> None:
    quiet, loud = [1] * (4 * DAY), [50] * 5
    assert of(quiet + loud, 3 * HOUR) != Usual(24, 24)
    assert of(quiet + loud, 5 * HOUR) == Usual(24, 24)
    assert of(quiet + loud, 3 * HOUR, 2 * HOUR) == Usual(24, 24)
    assert of(quiet + loud, 3 * HOUR, HOUR) != Usual(24, 24)


def test_the_usual_day_is_the_higher_middle_one_of_fourteen() -> None:
    """A fifteenth day before them would tip the middle, and a thirteenth alone too."""
    fourteen = [1] * (7 * DAY) + [2] * (7 * DAY)
    found = of([1] * (6 * DAY) + fourteen + [0])
    assert found is not None
    assert found.median_microusd_per_day == 48
    tipped = of([1] * (6 * DAY) + [1] * DAY + fourteen[:-DAY] + [0])
    assert tipped is not None
    assert tipped.median_microusd_per_day == 24


@pytest.mark.parametrize(("hours_ago", "counts"), [(7 * DAY, True), (7 * DAY + 1, False), (1, True)])
def test_the_highest_stretch_is_of_the_last_seven_days_to_the_hour(hours_ago: int, counts: bool) -> None:
    hourly = [1] * (12 * DAY)
    hourly[-hours_ago] = 9
    found = of([*hourly, 0])
    assert found is not None
    assert found.peak_microusd_per_day == (9 if counts else 1) * 24


def test_a_stretch_is_as_long_as_the_window() -> None:
    hourly = [1] * (4 * DAY)
    hourly[-40:-38] = [10, 16]
    assert of([*hourly, 0], HOUR) == Usual(24, 16 * 24)
    assert of([*hourly, 0, 0], 2 * HOUR) == Usual(24, 26 * 12)
    assert of([*hourly, 0, 0], timedelta(minutes=61)) == Usual(24, 26 * 12), "a part of an hour counts as one"


def test_a_window_longer_than_the_past_is_held_against_all_of_it() -> None:
    assert of([1] * (72 + 80), 80 * HOUR) == Usual(24, 72 * 24 // 80)


def test_a_spike_says_what_is_usual_and_what_was_highest() -> None:
    account, total = Watched(Spike(id="spike")), 100.0
    for hour in range(5 * DAY):
        total += 2.0 if hour % DAY < 3 else 1.0
        account.read(60, balance=10_000 - total, total=total)
    told: list[str] = []
    while not told:
        total += 20.0
        told = account.read(60, balance=10_000 - total, total=total)
    assert told == ["usage.spike"]
    data = account.last
    assert (data["usual_usd_per_day"], data["peak_usd_per_day"]) == (27, 48)
    assert data["spent_usd"] == pytest.approx(data["burn_usd_per_day"] / 8, abs=0.01)
    why = account.state.episodes["spike"].why
    assert why.endswith("a day; usual is $27.00 a day")
    assert why.startswith("burns $")
    assert to_micro(data["burn_usd_per_day"]) >= 4 * to_micro(27)
