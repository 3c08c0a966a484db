"""A lower `funded`, and unexplained drops: what is notified, and what ends them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.model.money import to_micro
from alerts.model.specs import LowBalance
from alerts.rules.falls import Falls
from alerts.rules.state import NO_TOPUP
from tests.helpers_alerts import Watched

LOW = LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6))


def falls(account: Watched) -> Falls:
    return account.state.falls


def topped_up() -> Watched:
    account = Watched(LOW)
    account.standing = NO_TOPUP
    return account


@pytest.mark.parametrize(("balance", "after"), [(0, 40), (4.9, 44.9), (99.98, 139.98)])
def test_less_than_was_ever_credited_is_notified_once_until_it_shows_again(balance: float, after: float) -> None:
    account = topped_up()
    account.read(balance=100, total=40)
    assert "reading.suspect" in account.read(balance=balance, total=40)
    told = account.data("reading.suspect")[0]
    assert told["reason"] == "credits_fell"
    assert told["findings"] == [{"field": "funded_usd", "kind": "fall", "before": 140, "after": after}]
    assert account.state.falls.fallen_since == account.now
    for _ in range(300):
        assert "reading.suspect" not in account.read(balance=balance, total=40)
    assert len(account.state.episodes) == (2 if balance == 4.9 else 3 if balance == 0 else 1)
    account.read(balance=100, total=40)
    assert falls(account).fallen_since is None
    assert "account:credits" not in account.state.episodes


def test_a_balance_stuck_at_zero_is_not_put_right_by_the_usage_that_is_deducted_from_it() -> None:
    account = topped_up()
    account.read(balance=17.5, total=962.5)
    account.read(balance=0, total=962.5)
    since = falls(account).fallen_since
    assert since is not None
    account.read(balance=0, total=980.5)  # as if fifty cents had been credited: the provider clamps, or still errs
    assert falls(account).fallen_since == since
    account.read(balance=49.5, total=980.5)
    assert falls(account).fallen_since is None


def test_a_balance_that_is_at_zero_without_a_fall_is_a_balance() -> None:
    account = topped_up()
    account.read(balance=2, total=40)
    account.read(balance=0, total=42)
    assert falls(account).fallen_since is None


def test_rounding_by_a_cent_is_no_fall() -> None:
    account = topped_up()
    account.read(balance=100, total=40)
    assert account.read(balance=99.99, total=40) == []
    assert account.state.falls.fallen_since is None


def test_a_counter_that_ran_backwards_is_notified_once_and_not_as_a_fall_beside_it() -> None:
    account = topped_up()
    account.read(balance=100, total=40)
    assert account.read(balance=100, total=0) == ["reading.suspect"]
    assert account.last["reason"] == "counter_backwards"
    assert account.state.falls.fallen_since == account.now
    assert "notified as a counter that ran backwards" in account.reasons
    assert account.read(balance=140, total=0) == []


def test_an_account_without_topup_gets_nothing() -> None:
    account = Watched()
    account.read(balance=100, total=40)
    assert account.read(balance=99, total=40) == []
    assert account.state.falls.fallen_since == account.now


def test_a_reading_without_a_total_says_nothing_of_a_fall() -> None:
    account = topped_up()
    account.read(balance=100, total=40)
    account.read(balance=99.5, total=40)
    since = account.state.falls.fallen_since
    assert account.read(balance=99.5) == []
    assert account.state.falls.fallen_since == since


def test_one_reading_that_is_too_high_holds_nothing_up() -> None:
    account = topped_up()
    account.read(balance=100, total=40)
    account.read(balance=100, total=60)
    account.read(balance=100, total=40)
    assert account.state.falls.fallen_since is None
    account.read(balance=120, total=40)
    account.read(balance=119, total=41)
    account.read(balance=100, total=41)
    assert account.state.falls.fallen_since == account.now


def test_a_drop_stands_after_fifteen_minutes_and_a_day_later_is_what_the_account_may_burn() -> None:
    account = topped_up()
    account.read(balance=100)
    assert account.read(balance=50) == ["reading.suspect"]
    assert account.last["reason"] == "implausible_drop"
    assert account.read(balance=50) == []
    assert account.read(balance=49, after=9) == []
    assert account.state.falls.dropped_at is not None
    assert account.read(balance=49, after=1) == []
    assert falls(account).dropped_at is None
    account.read(balance=49, after=timedelta(days=1))
    assert account.read(balance=1, after=timedelta(hours=1)) == ["balance.low"]
    assert falls(account).dropped_at is None


def test_a_credit_in_between_takes_nothing_back_of_a_drop_that_stood() -> None:
    account = topped_up()
    account.read(balance=100, total=40, uncharged=0)
    account.read(balance=100, total=40, uncharged=60)
    account.read(balance=100, total=40, uncharged=60, after=15)
    account.read(balance=200, total=40, uncharged=60)
    account.read(balance=140, total=100, uncharged=0, after=timedelta(days=1))
    assert account.read(balance=140, total=100, uncharged=60, after=timedelta(hours=1)) == []


def test_a_drop_that_stood_and_came_back_explains_no_other() -> None:
    account = topped_up()
    account.read(balance=100)
    account.read(balance=50)
    account.read(balance=50, after=15)
    assert falls(account).dropped_at is None
    account.read(balance=99, after=60)
    account.read(balance=98, after=timedelta(days=2))
    assert account.read(balance=49, after=60) == ["reading.suspect"]
    assert falls(account).dropped_at == account.now


def test_a_drop_that_comes_back_was_none_and_the_next_one_has_to_stand_again() -> None:
    account = topped_up()
    account.read(balance=100)
    account.read(balance=10)
    account.read(balance=60)
    assert account.state.falls.dropped_at is None
    account.read(balance=100)
    assert account.read(balance=10) == ["reading.suspect"]
    assert account.state.falls.dropped_at == account.now
    account.read(total=3)
    assert falls(account).dropped_at is not None
