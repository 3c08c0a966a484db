"""`spike`: on by default, so it must not cry wolf; and it must see a leak."""

from datetime import timedelta
from decimal import Decimal

import pytest

from alerts.model.money import to_micro
from alerts.model.specs import Spike
from benchmarks.spikes import measure
from tests.helpers_alerts import Watched

SPIKE = Spike(id="spike")


def days(account: Watched, hourly: list[float], number: int, total: float = 100.0) -> tuple[float, list[str]]:
    """Read every hour for so many days, a day's hours after the other; returns the total and what was told."""
    told: list[str] = []
    for hour in range(number * 24):
        total += hourly[hour % len(hourly)]
        told += account.read(60, balance=10_000 - total, total=total)
    return total, told


def test_ten_times_the_usual_burn_is_a_spike_and_its_end_is_notified() -> None:
    account = Watched(SPIKE)
    total, told = days(account, [1.0], 5)
    assert told == []
    total, told = days(account, [10.0], 1, total)
    assert told == ["usage.spike"]
    data = account.last
    assert data["usual_usd_per_day"] == 24
    assert data["burn_usd_per_day"] >= 96
    assert (data["factor"], data["window_hours"]) == (4, 3)
    days(account, [1.0], 1, total)
    assert account.events[-1]["type"] == "usage.spike_ended"
    assert account.data("usage.spike")[0]["episode"] == account.last["episode"]


def test_a_spike_that_goes_on_stays_one_episode_until_it_is_the_new_usual() -> None:
    account = Watched(SPIKE)
    total, _ = days(account, [1.0], 5)
    total, _ = days(account, [10.0], 3, total)
    assert [event["type"] for event in account.events if "reminder" not in event["data"]] == ["usage.spike"]
    total, _ = days(account, [10.0], 4, total)
    assert account.events[-1]["type"] == "usage.spike_ended"


def test_nothing_is_a_spike_before_three_days_are_known() -> None:
    account = Watched(SPIKE)
    total, _ = days(account, [1.0], 2)
    assert days(account, [20.0], 1, total)[1] == []


def test_small_money_is_never_a_spike() -> None:
    account = Watched(SPIKE)
    total, _ = days(account, [0.001], 5)
    assert days(account, [0.15], 1, total)[1] == []


def test_a_burst_that_comes_every_night_is_no_news() -> None:
    night = [12.0] * 3 + [0.5] * 21
    account = Watched(SPIKE)
    assert days(account, night, 12)[1] == []


def test_idle_weekends_are_no_news() -> None:
    account = Watched(SPIKE)
    week = [2.0] * 24 * 5 + [0.0] * 24 * 2
    assert days(account, week, 28)[1] == []


def test_an_account_that_idled_and_then_burns_is_notified() -> None:
    account = Watched(SPIKE)
    total, _ = days(account, [0.0], 5)
    assert days(account, [5.0], 1, total)[1] == ["usage.spike"]


def test_a_top_up_is_no_spike() -> None:
    account = Watched(SPIKE)
    total, _ = days(account, [1.0], 5)
    assert account.read(60, balance=60_000, total=total + 1) == []


@pytest.mark.parametrize("family", ["nightly", "weekly"])
def test_generated_accounts_cry_no_wolf_and_every_leak_is_notified_within_hours(family: str) -> None:
    found = measure(family, [0])
    assert found.false_alarms == 0
    (hours,) = found.hours
    assert hours is not None
    assert hours <= 6


def test_a_spike_between_its_lines_stays_open() -> None:
    rule = Spike(id="spike", factor=Decimal(2), window=timedelta(hours=1), min_microusd_per_day=to_micro(1))
    account = Watched(rule)
    total, _ = days(account, [1.0], 5)
    assert account.read(60, balance=9000, total=total + 2.5) == ["usage.spike"]
    assert account.read(60, balance=8998, total=total + 4.2) == []
    assert account.reasons == ["not in breach, and not beyond the clear line either"]
    assert account.read(60, balance=8996, total=total + 5.5) == ["usage.spike_ended"]


def test_an_account_without_money_knows_no_spike() -> None:
    account = Watched(SPIKE, provider="tornado")
    assert account.read(used=1) == []
    assert account.read(60, used=1) == []
    assert "spike" not in account.state.episodes
