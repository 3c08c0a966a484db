"""Bounds that a contract names as numbers, held to the second: forecasts, windows, reminders, silence."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.model.money import to_micro
from alerts.model.periods import PeriodBounds, ends_now, goes_on
from alerts.model.readings import Reason
from alerts.model.specs import LowBalance, Quota, Stale
from alerts.rules.evaluation import next_evaluation_at
from alerts.rules.stale import Watch
from tests.helpers_alerts import START, Watched

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LOW = LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6))


@pytest.mark.parametrize(
    ("length", "off", "now"),
    [
        (timedelta(days=1), 5 * MINUTE, True),
        (timedelta(days=1), 5 * MINUTE + SECOND, False),
        (timedelta(days=1), -5 * MINUTE, True),
        (timedelta(days=1), -5 * MINUTE - SECOND, False),
        (HOUR, 3 * MINUTE, True),
        (HOUR, 3 * MINUTE + SECOND, False),
    ],
)
def test_a_window_ends_now_within_five_minutes_and_a_twentieth_of_it(
    length: timedelta, off: timedelta, now: bool
) -> None:
    assert ends_now(PeriodBounds(START - length, START), START + off) is now


@pytest.mark.parametrize(("moved", "same"), [(72 * MINUTE + 10 * MINUTE, True), (83 * MINUTE, False)])
def test_a_window_that_steps_by_a_twentieth_of_its_length_is_the_same(moved: timedelta, same: bool) -> None:
    """A day's twentieth is 72 minutes, and ten minutes (or a hundredth of a day, which is more) are jitter."""
    day = PeriodBounds(START - timedelta(days=1), START)
    assert goes_on(day, PeriodBounds(day.start + moved, day.end + moved), MINUTE) is same


def test_a_quota_is_clear_of_its_forecast_beyond_the_wider_line_only() -> None:
    """Two gigabytes a day: seven days to the limit tell, nine leave it open, and far more end it."""
    rule = Quota(id="quota", at_percent=(Decimal(90),), clear_below_percent=Decimal(88), forecast_days=Decimal(7))
    account = Watched(rule, provider="tornado")
    told, used = [], 10.0
    for _ in range(40):
        told += account.read(60, used=used, limit=2000)
        used += 0.5
    assert told == []
    assert account.read(60, used=used, limit=used + 12 * 7.2) == ["limits.changed"], "not within seven days"
    assert account.read(60, used=used, limit=used + 12 * 6) == ["limits.changed", "quota.high"]
    assert account.read(60, used=used, limit=used + 12 * 7.5) == ["limits.changed"], "not well beyond seven days"
    assert account.read(60, used=used, limit=used + 12 * 20) == ["limits.changed", "quota.recovered"]


def test_an_outage_says_since_when_and_after_how_many_polls() -> None:
    account = Watched(LOW)
    account.read(balance=50)
    assert account.fail(Reason.UNAUTHORIZED) == ["reading.unavailable"]
    data = account.last
    assert (data["since"], data["polls"]) == ("2026-11-03T12:10:00Z", 1)
    assert data["last_good_at"] == "2026-11-03T12:05:00Z"


def test_an_outage_is_reminded_of_after_a_day() -> None:
    account = Watched(LOW)
    account.read(balance=50)
    account.fail(Reason.UNAUTHORIZED)
    assert account.beat(24 * HOUR - SECOND) == []
    assert account.beat(SECOND) == ["reading.unavailable"]
    assert account.last["reminder"] is True


def test_a_confirmed_reset_is_one_episode_that_ends_by_itself() -> None:
    account = Watched()
    account.read(balance=50, total=1000)
    assert account.read(balance=50, total=900) == ["reading.suspect"]
    assert account.evaluation is not None
    (episode,) = account.evaluation.episodes
    assert (episode.closed_at, episode.closed_why) == (account.now, "confirmed: counted on from the new base")


def test_the_next_evaluation_is_when_the_first_mute_ends_that_holds_something_back() -> None:
    account = Watched(LOW)
    account.read(balance=50)
    account.mutes = {"low": account.now + 4 * HOUR, "other": account.now + HOUR}
    account.read(balance=4)
    assert next_evaluation_at(account.state, account.context()) == account.mutes["low"]
    account.mutes = {}
    assert next_evaluation_at(account.state, account.context()) == account.now


def test_silence_is_waited_for_until_an_outage_was_notified() -> None:
    account = Watched(Stale(id="stale", after=2 * HOUR))
    account.read(balance=50)
    silent_at = next_evaluation_at(account.state, account.context())
    assert silent_at is not None
    assert account.now < silent_at <= account.now + 3 * HOUR
    account.fail(Reason.UNAUTHORIZED)
    later = next_evaluation_at(account.state, account.context())
    assert later is None or later > silent_at


def test_a_beat_changes_something_only_where_something_is_notified_or_remembered() -> None:
    """What changes nothing need not be stored: an evaluation of time alone says which it was."""
    account = Watched(LOW)
    account.read(balance=50)
    account.beat(HOUR)
    assert account.evaluation is not None
    assert not account.evaluation.changes
    account.mutes = {"low": account.now + HOUR}
    account.read(balance=4)
    account.beat(MINUTE)
    assert not account.evaluation.changes
    assert account.beat(HOUR) == ["balance.low"]
    assert account.evaluation.changes


@pytest.mark.parametrize(
    ("said", "counts"), [({"total": 5}, True), ({"balance": 5}, True), ({"used": 5}, False), ({"uncharged": 5}, False)]
)
def test_burn_is_counted_where_money_is_said(said: dict[str, Any], counts: bool) -> None:
    account = Watched()
    account.read(0, **said)
    assert (account.state.burn.spend is not None) is counts


def test_a_balance_that_is_not_said_once_hides_no_spend() -> None:
    account = Watched()
    account.read(balance=10)
    account.read(uncharged=None)
    account.read(balance=7)
    assert account.state.spend is not None
    assert account.state.spend.money.value == to_micro(3)


@pytest.mark.parametrize(
    ("poll", "away", "goes_on"),
    [
        (None, 5 * MINUTE, True),
        (None, 5 * MINUTE + SECOND, False),
        (HOUR, 2 * HOUR, True),
        (HOUR, 2 * HOUR + SECOND, False),
        (MINUTE, 5 * MINUTE, True),
        (None, timedelta(), True),
        (None, -SECOND, False),
    ],
)
def test_a_watch_goes_on_over_five_minutes_or_two_polls(poll: timedelta | None, away: timedelta, goes_on: bool) -> None:
    """Away for longer, or where the clock went back, it begins anew: the silence was the process's own."""
    watch = Watch(START - HOUR, START).beat(START + away, poll)
    assert watch == Watch(START - HOUR if goes_on else START + away, START + away)
