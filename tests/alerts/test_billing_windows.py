"""The provider's own period, of any length: a new one begins where the provider says so, and at zero."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.model.money import to_micro
from alerts.model.periods import PeriodBounds, goes_on
from alerts.model.readings import Known
from alerts.model.specs import Budget, Period
from alerts.rules.plausibility import find_anomaly
from alerts.rules.state import AccountState
from tests.helpers_alerts import START, Watched, metrics

STEPS = (Decimal(50), Decimal(90), Decimal(100))
GB = Budget(id="gb", period=Period.BILLING, limit_microgb=to_micro(100), at_percent=STEPS, projected=False)
USD = Budget(id="usd", period=Period.BILLING, limit_microusd=to_micro(100), projected=False)
DAY = Budget(id="day", period=Period.DAY, limit_microusd=to_micro(100), projected=False)


def window(start: datetime, length: timedelta) -> dict[str, Any]:
    return {"period_start_at": start, "period_end_at": start + length}


def read_at(account: Watched, at: datetime, **said: Any) -> list[str]:
    return account.read(at - account.now, used=5000, **said)


@pytest.mark.parametrize("hours", [0.05, 1, 5, 23, 24, 25, 7 * 24, 30 * 24])
def test_a_new_window_of_any_length_is_notified_again(hours: float) -> None:
    length = timedelta(hours=hours)
    account = Watched(GB, start=START)
    assert read_at(account, START + length / 2, period_used=90, **window(START, length)) == ["budget.reached"]
    assert read_at(account, START + length * 0.9, period_used=92, **window(START, length)) == []
    second = START + length
    assert read_at(account, second + length / 4, period_used=95, **window(second, length)) == ["budget.reached"]
    first, last = account.data("budget.reached")
    assert (first["spent_gb"], last["spent_gb"]) == (90, 95)
    assert first["episode"] != last["episode"]
    assert account.last["period_start"] == second.isoformat().replace("+00:00", "Z")
    assert read_at(account, second + length / 2, period_used=96, **window(second, length)) == []
    assert read_at(account, second + length * 1.1, period_used=3, **window(second + length, length)) == []
    assert account.state.episodes == {}


@pytest.mark.parametrize("hours", [1, 5, 23, 24, 25, 30 * 24])
def test_money_of_a_window_is_never_that_of_two(hours: float) -> None:
    length = timedelta(hours=hours)
    account = Watched(USD, start=START)
    assert read_at(account, START, balance=9000, total=0, **window(START, length)) == []
    assert read_at(account, START + length * 0.9, balance=8905, total=95, **window(START, length)) == ["budget.reached"]
    second = START + length
    assert read_at(account, second, balance=8905, total=95, **window(second, length)) == []
    assert read_at(account, second + length / 2, balance=8810, total=190, **window(second, length)) == [
        "budget.reached"
    ]
    assert (account.last["spent_usd"], account.last["percent"], account.last["partial"]) == (95, 95, False)


def test_a_late_poll_that_skips_a_window_counts_what_may_lie_in_this_one() -> None:
    length = timedelta(hours=5)
    account = Watched(USD, GB, start=START)
    first = window(START, length)
    assert read_at(account, START, balance=9000, total=0, period_used=1, **first) == []
    third = START + 2 * length
    said = {"balance": 8850, "total": 150, "period_used": 2, **window(third, length)}
    assert read_at(account, third + timedelta(hours=2), **said) == []
    spent = account.state.spend.over(Period.BILLING) if account.state.spend else None
    assert spent is not None
    assert (spent.microusd, spent.start, spent.partial) == (to_micro(25), third, True)
    assert account.state.spend is not None
    assert account.state.spend.volume.value == to_micro(2)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("day", ["2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01"])
def test_a_local_day_is_one_period_over_clock_changes(zone: str, day: str) -> None:
    """Both the calendar's day and a provider whose day is the local one: of 23, 24 or 25 hours."""
    local = ZoneInfo(zone)
    midnight = datetime.fromisoformat(day).replace(tzinfo=local)
    account = Watched(DAY, USD, zone=zone, start=midnight.astimezone(UTC) - timedelta(hours=1))
    total = 0
    account.read(0, balance=9000, total=total)
    for days in range(3):
        start = (midnight + timedelta(days=days)).astimezone(UTC)
        end = (midnight + timedelta(days=days + 1)).astimezone(UTC)
        own: dict[str, Any] = {"period_start_at": start, "period_end_at": end}
        assert read_at(account, start, balance=9000 - total, total=total, **own) == []
        total += 95
        half = start + (end - start) / 2
        assert read_at(account, half, balance=9000 - total, total=total, **own) == ["budget.reached"] * 2
        for told in account.data("budget.reached")[-2:]:
            assert (told["spent_usd"], told["partial"]) == (95, False)
            assert datetime.fromisoformat(told["period_end"]) - datetime.fromisoformat(told["period_start"]) == (
                end - start
            )


@pytest.mark.parametrize("length", [timedelta(hours=5), timedelta(days=30)])
@pytest.mark.parametrize("drift", [timedelta(milliseconds=7), timedelta(seconds=-2)])
def test_a_start_that_jitters_is_the_same_window(length: timedelta, drift: timedelta) -> None:
    account = Watched(GB, USD, start=START)
    told = []
    for number in range(20):
        start = START + (number % 7) * drift
        at = START + timedelta(minutes=5 * (number + 1))
        told += read_at(account, at, balance=9000, total=0, period_used=90 + number / 10, **window(start, length))
    assert told == ["budget.reached"]
    assert read_at(account, account.now + timedelta(minutes=5), total=0, balance=9000, period_used=92) == []


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=5), timedelta(days=30)])
@pytest.mark.parametrize("every", [timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=3)])
def test_a_window_that_moves_with_the_clock_is_notified_once_in_its_length(ahead: timedelta, every: timedelta) -> None:
    """The last 30 days as they are at each answer, or the 5 hours or 30 days that follow it."""
    length = ahead or timedelta(days=30)
    account = Watched(GB, start=START)
    told = []
    for number in range(12):
        at = START + number * every
        late = timedelta(milliseconds=137 * number % 900)
        own = window(at + ahead - length - late, length)
        told += read_at(account, at, period_used=92 - number / 10, **own)
    assert told == (["budget.reached"] if every * 11 < length else ["budget.reached"] * 6)
    at = START + length + timedelta(days=1)
    assert read_at(account, at, period_used=95, **window(at + ahead - length, length)) == ["budget.reached"]


def test_a_month_to_date_is_one_period_and_the_next_month_another() -> None:
    account = Watched(GB, start=START)
    month, then = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    for hour, expected in ((1, ["budget.reached"]), (2, []), (300, []), (660, [])):
        at = START + timedelta(hours=hour)
        assert read_at(account, at, period_used=60, period_start_at=month, period_end_at=at) == expected
    at = then + timedelta(minutes=3)
    assert read_at(account, at, period_used=55, period_start_at=then, period_end_at=at) == ["budget.reached"]


def test_a_period_that_is_dated_anew_is_another_one() -> None:
    month = timedelta(days=30)
    account = Watched(GB, start=START)
    assert read_at(account, START + timedelta(days=9), period_used=90, **window(START, month)) == ["budget.reached"]
    anew = START + timedelta(days=10)
    assert read_at(account, anew + timedelta(hours=2), period_used=1, **window(anew, month)) == []
    assert account.state.episodes == {}
    assert read_at(account, anew + timedelta(days=3), period_used=91, **window(anew, month)) == ["budget.reached"]


def test_an_end_that_is_put_off_is_taken_over() -> None:
    account = Watched(GB, start=START)
    assert read_at(account, START + timedelta(hours=1), period_used=10, **window(START, timedelta(hours=5))) == []
    assert read_at(account, START + timedelta(hours=6), period_used=50, **window(START, timedelta(hours=8))) == [
        "budget.reached"
    ]
    assert account.last["period_end"] == (START + timedelta(hours=8)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("said", "anomaly"),
    [
        (window(START, timedelta(hours=5)), True),
        (window(START + timedelta(milliseconds=3), timedelta(hours=5)), True),
        (window(START + timedelta(hours=5), timedelta(hours=5)), False),
        (window(START + timedelta(hours=1), timedelta(hours=5)), False),
        ({}, False),
        ({"period_start_at": START}, True),
    ],
)
def test_a_usage_that_falls_is_doubted_within_its_window_only(said: dict[str, Any], anomaly: bool) -> None:
    at = START + timedelta(hours=3)
    before = Known("clips", at, metrics(used=9, period_used=90, **window(START, timedelta(hours=5))))
    after = Known("clips", at + timedelta(minutes=5), metrics(used=9, period_used=3, **said))
    found = find_anomaly(AccountState("clips", before), after)
    assert (found is not None) is anomaly


def test_the_usage_of_a_window_that_moves_with_the_clock_may_fall() -> None:
    length = timedelta(days=30)
    before = Known("clips", START, metrics(used=9, period_used=90, **window(START - length, length)))
    at = START + timedelta(seconds=20)
    after = Known("clips", at, metrics(used=9, period_used=88, **window(at - length, length)))
    assert find_anomaly(AccountState("clips", before), after) is None


@pytest.mark.parametrize("step", [timedelta(minutes=10), timedelta(hours=1), timedelta(days=1)])
def test_a_window_that_moves_on_in_steps_is_the_same_for_its_length(step: timedelta) -> None:
    """The last 30 days as they were at the last full hour or at midnight, by a clock that is off too."""
    length = timedelta(days=30)
    account = Watched(GB, start=START)
    told = []
    for number in range(500):
        at = START + number * timedelta(hours=1)
        end = datetime.fromtimestamp(at.timestamp() // step.total_seconds() * step.total_seconds(), UTC) + length / 3
        told += read_at(account, at, period_used=91, period_start_at=end - length, period_end_at=end)
    assert told == ["budget.reached"]


def test_a_start_that_is_corrected_before_the_same_end_is_the_same_window() -> None:
    account = Watched(GB, start=START)
    assert read_at(account, START + timedelta(days=9), period_used=90, **window(START, timedelta(days=30))) == [
        "budget.reached"
    ]
    late = window(START + timedelta(days=2), timedelta(days=28))
    assert read_at(account, START + timedelta(days=10), period_used=91, **late) == []


def test_dates_that_are_not_said_for_a_day_leave_the_window_as_it_was() -> None:
    account = Watched(GB, start=START)
    month = window(START, timedelta(days=30))
    assert read_at(account, START + timedelta(days=9), period_used=90, **month) == ["budget.reached"]
    for day in (10, 11):
        assert read_at(account, START + timedelta(days=day), period_used=91) == []
    assert read_at(account, START + timedelta(days=12), period_used=92, **month) == []
    assert account.state.spend is not None
    assert account.state.spend.volume.value == to_micro(2)


def test_windows_that_follow_each_other_never_go_on() -> None:
    for hours in (0.01, 1, 5, 23, 25, 24 * 31):
        length = timedelta(hours=hours)
        old, new = PeriodBounds(START, START + length), PeriodBounds(START + length, START + 2 * length)
        for late in (timedelta(), length / 50, length / 2, length * 0.999):
            assert not goes_on(old, new, length / 2 + late)
            assert goes_on(new, new, late)
