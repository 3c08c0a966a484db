"""When an account without a cron is polled next: never later than a level needs, and no more often than it must."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.model.accounts import AccountInfo
from alerts.model.money import MICRO
from alerts.model.polling import AutoPoll
from alerts.model.readings import Reason
from alerts.model.specs import Budget, LowBalance, Measure, Period, Quota, RuleSpec, Runway, Spike, Stale
from alerts.model.values import replace
from alerts.rules.next_poll import PARTS, NextPoll, PollTerms, last_polled_at, next_poll
from alerts.rules.state import AccountState
from tests.helpers_alerts import START, Watched

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AUTO = AutoPoll()
LOW = LowBalance(id="low", below_microusd=5 * MICRO, clear_above_microusd=6 * MICRO)


def due(account: Watched, *, topup: int | None = None, auto: AutoPoll = AUTO, id: str = "clips") -> NextPoll:
    terms = PollTerms(replace(account.info, id=id), account.rules, topup)
    return next_poll(auto, terms, account.state, account.now)


def burning(*rules: RuleSpec, days: int = 2, balance: float = 400, per_hour: float = 0.1, **said: Any) -> Watched:
    """An account that has burnt so much in each hour of so many days, and has so much left."""
    account = Watched(*rules)
    hours = 24 * days
    for hour in range(hours + 1):
        left = balance + per_hour * (hours - hour)
        account.read(60 if hour else 0, balance=left, total=per_hour * hour, **said)
    return account


# ── levels ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Reader = Callable[[int, int], dict[str, Any]]
"""What is read of an account that has used so much of so many micro-units: by the names of `Watched.read`."""


def money(used: int, room: int) -> dict[str, Any]:
    return {"balance": Decimal(5 * MICRO + room - used) / MICRO, "total": Decimal(used) / MICRO}


def volume(used: int, room: int) -> dict[str, Any]:
    return {"used": Decimal(used) / MICRO, "limit": Decimal(room) / MICRO}


LEVELS: dict[str, tuple[Reader, tuple[RuleSpec, ...], int | None]] = {
    "low": (money, (LOW, Spike(id="spike"), Stale(id="stale")), None),
    "top-up": (money, (), 5 * MICRO),
    "quota": (volume, (Quota(id="q", at_percent=(Decimal(100),), clear_below_percent=Decimal(90)),), None),
}
rates = st.one_of(st.integers(0, 3), st.integers(0, 24), st.integers(24, PARTS - 1))


@settings(max_examples=40, deadline=None)
@given(
    level=st.sampled_from(sorted(LEVELS)),
    days=st.integers(0, 4),
    per_hour=st.integers(1, 10 * MICRO),
    lasts_hours=st.integers(1, 24 * 80),
    factors=st.lists(rates, min_size=1, max_size=8),
    bounds=st.sampled_from([AUTO, AutoPoll(timedelta(seconds=10), timedelta(hours=6)), AutoPoll(MINUTE, DAY)]),
)
def test_no_level_is_passed_between_two_polls_but_within_the_shortest_interval(
    level: str, days: int, per_hour: int, lasts_hours: int, factors: list[int], bounds: AutoPoll
) -> None:
    """However the burn changes between two polls: up to 240 times the pace that was known at the first of them."""
    reader, rules, topup = LEVELS[level]
    account, used = Watched(*rules), 0
    room = per_hour * (24 * days + lasts_hours)
    account.read(0, **reader(0, room))
    for _ in range(24 * days):
        used += per_hour
        account.read(60, **reader(used, room))
    for number in range(300):
        found = due(account, topup=topup, auto=bounds)
        wait = found.at - account.now
        assert bounds.fastest <= wait <= bounds.slowest
        mean = used / max((account.now - START) / HOUR, 1e-9) if account.now > START else 0  # of less than a week
        burnt = int(mean * factors[min(number, len(factors) - 1)] * (wait / HOUR))
        if used + burnt >= room:
            assert wait == bounds.fastest, f"{level} is passed within {wait}: {found.why}"
            return
        if account.now + wait - START > 7 * DAY:
            return
        used += burnt
        account.read(wait, **reader(used, room))


def test_what_lasts_for_weeks_is_polled_hourly_and_what_lasts_six_hours_each_minute_and_a_half() -> None:
    def lasting(days: float) -> NextPoll:
        return due(burning(LOW, balance=5 + 2.4 * days), id="unspread")

    assert lasting(40).interval == lasting(10).interval == HOUR
    assert lasting(5).interval == 30 * MINUTE
    assert lasting(0.25).interval == timedelta(seconds=90)
    assert lasting(0.1).interval == MINUTE
    assert lasting(20).why == "20 days to low"
    assert lasting(500).why == "over a year to low"
    assert lasting(1).why == "24 h to low"
    assert lasting(0.05).why == "72 min to low"


@pytest.mark.parametrize(
    ("rules", "topup", "why"),
    [
        ((LOW,), 10 * MICRO, "the top-up"),
        ((replace(LOW, id="own", unit=None, below_microusd=20 * MICRO), LOW), None, "own"),
        ((replace(LOW, unit="EUR"),), None, "an empty balance"),
        ((), None, "an empty balance"),
        ((Runway(id="runway", below_days=Decimal(14), clear_above_days=Decimal(20)),), None, "runway"),
        ((Budget(id="b", period=Period.MONTH, limit_microusd=30 * MICRO, projected=False),), None, "b (50 %)"),
    ],
)
def test_the_nearest_level_is_the_one_that_counts(rules: tuple[RuleSpec, ...], topup: int | None, why: str) -> None:
    account = burning(*rules, balance=60)
    assert due(account, topup=topup).why.partition(" to ")[2] == why


def test_below_the_top_up_threshold_and_at_a_level_it_is_polled_as_often_as_is_allowed() -> None:
    assert due(burning(balance=60), topup=61 * MICRO).interval == MINUTE
    assert due(burning(LOW, balance=5, per_hour=0)).interval == MINUTE


def test_what_is_pending_may_be_taken_off_the_balance_at_any_moment() -> None:
    rule = replace(LOW, measure=Measure.BALANCE)
    account = burning(rule, balance=53, uncharged=24)
    assert due(account).why == "10 days to low"
    account.read(5, total=4.8)
    assert due(account).why == "nothing is near"


def test_a_level_that_is_passed_does_not_hold_and_one_below_it_does() -> None:
    account = burning(LOW, replace(LOW, id="last", below_microusd=MICRO), days=50, balance=3.5, per_hour=0.001)
    assert account.state.rules["low"].episode is not None
    assert due(account).why == "104 days to last"


def test_the_schedule_counts_where_it_is_faster_than_what_was_spent() -> None:
    account = burning(LOW, balance=101, active_videos=100, cost=0.02)  # 48 dollars a day
    assert due(account).why == "2 days to low"


def test_nothing_burns_and_nothing_is_near() -> None:
    account = burning(LOW, Spike(id="spike"), per_hour=0)
    assert (due(account).interval, due(account).why) == (HOUR, "nothing is near")


# ── quotas and budgets ──────────────────────────────────────────────────────────────────────────────────────────────

QUOTA = Quota(
    id="quota", at_percent=(Decimal(80), Decimal(90)), clear_below_percent=Decimal(78), forecast_days=Decimal(7)
)


def storing(rule: RuleSpec, used: float, per_hour: float, **said: Any) -> Watched:
    account = Watched(rule)
    for hour in range(73):
        account.read(60 if hour else 0, used=used - per_hour * (72 - hour), limit=1000, **said)
    return account


def test_a_quota_is_a_level_and_its_forecast_comes_some_days_before_it_is_full() -> None:
    assert due(storing(replace(QUOTA, forecast_days=None), 560, 0.5)).why == "20 days to quota (80 %)"
    assert due(storing(QUOTA, 790, 0.5)).why == "20 h to quota (80 %)"
    assert due(storing(QUOTA, 700, 1)).why == "4 days to quota (80 %)"
    assert due(storing(replace(QUOTA, at_percent=(Decimal(99),)), 500, 2)).why == "3 days to quota"


def test_a_reservation_of_the_last_day_may_come_again() -> None:
    account = storing(replace(QUOTA, forecast_days=None), 600, 0.5)
    account.read(5, used=600, limit=1000, reserved=198)
    account.read(5, used=600, limit=1000, reserved=0)
    assert due(account).why == "4 h to quota (80 %)"


def test_a_quota_without_a_limit_or_a_volume_is_none() -> None:
    account = Watched(QUOTA)
    account.read(0, used=5)
    account.read(2 * DAY, balance=5)
    assert due(account).why == "nothing is near"


def test_above_the_last_step_only_the_end_of_the_alert_is_waited_for() -> None:
    account = storing(QUOTA, 950, 0.5)
    account.read(DAY, used=950, limit=1000)
    assert due(account).why == "quota open for 4 days"
    assert due(account).interval == timedelta(days=4) / PARTS


def test_a_budget_is_seen_at_its_steps_and_around_its_end() -> None:
    rule = Budget(id="budget", period=Period.MONTH, limit_microusd=200 * MICRO, projected=False)
    account = burning(rule, days=10, balance=9000)
    assert due(account).why == "31 days to budget (50 %)"
    end = START.replace(month=12, day=1, hour=0)
    account.read(end - 40 * MINUTE - account.now, balance=9000, total=24)
    found = due(account)
    assert (found.interval, found.why) == (39 * MINUTE, "budget begins anew in 40 min")
    account.read(39.5, balance=9000, total=24)
    assert (account.now + MINUTE > end, due(account).interval) == (True, MINUTE)
    account.read(1, balance=9000, total=24)
    assert due(account).interval > 30 * MINUTE


def test_a_budget_that_is_passed_or_said_in_another_unit_is_no_level() -> None:
    passed = Budget(id="budget", period=Period.MONTH, limit_microusd=MICRO, projected=False)
    for rule in (passed, replace(passed, limit_microusd=None, limit_microgb=100 * MICRO, period=Period.BILLING)):
        assert due(burning(rule, balance=9000)).interval == HOUR
    account = burning(passed, balance=9000)
    account.info = AccountInfo("clips", "contentstats", unit="EUR")
    assert due(account).interval == HOUR


def test_a_budget_of_volume_is_paced_by_the_volume_and_by_its_own_period() -> None:
    rule = Budget(id="budget", period=Period.BILLING, limit_microgb=1000 * MICRO, projected=False)
    begin, end = START - 10 * DAY, START + 20 * DAY
    account = Watched(rule)
    account.read(0, period_used=400, period_start_at=begin, period_end_at=end)
    account.read(2 * DAY, period_used=480, period_start_at=begin, period_end_at=end)
    found = due(account)
    assert found.why.endswith("to budget (50 %)")
    assert found.interval < MINUTE * 10


def test_a_budget_that_tells_a_projection_has_its_limit_for_a_level() -> None:
    rule = Budget(id="budget", period=Period.MONTH, limit_microusd=100 * MICRO, at_percent=(Decimal(150),))
    assert due(burning(rule, balance=9000)).why == "39 days to budget (100 %)"
    assert due(burning(replace(rule, projected=False), balance=9000)).why == "60 days to budget (150 %)"


def test_where_nothing_is_left_only_the_end_of_the_alert_is_waited_for() -> None:
    account = burning(days=5, balance=0)
    account.read(DAY, balance=-1, total=13)
    assert due(account).why == "account:balance open for 24 h"


# ── doubt, alerts, failures ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_never_read_and_what_is_new_is_polled_often() -> None:
    account = Watched(LOW)
    assert (due(account).interval, due(account).why) == (MINUTE, "never read")
    assert last_polled_at(account.state).year == 1970
    account.read(0, balance=900, total=0)
    assert (due(account).interval, due(account).why) == (MINUTE, "known for 0 min")
    account.read(6 * HOUR, balance=900, total=0)
    assert (due(account).interval, due(account).why) == (15 * MINUTE, "known for 6 h")
    assert last_polled_at(account.state) == account.now


def test_an_unusable_figure_an_unconfirmed_breach_and_a_fall_are_looked_at_again_at_once() -> None:
    account = burning(replace(LOW, for_readings=3), days=4)
    account.read(60, balance=4, total=19.2)
    assert due(account).interval == MINUTE
    account = burning(days=4)
    account.read(60, balance=380, total=19.2, unusable=(("uncharged_microusd", "uncharged: not a number"),))
    assert (due(account).interval, due(account).why) == (MINUTE, "what is left is not known")
    account = burning(days=4)
    account.read(60, balance=300, total=109.6)
    assert due(account).why == "a change is to be confirmed"
    account = burning(days=4)
    account.read(60, balance=450, total=9.6)
    assert due(account).why == "a change is to be confirmed"
    account.read(60, balance=450, total=9.6)
    assert due(account).interval > MINUTE
    account.read(60, balance=449, total=9.6)
    assert due(account).why == "a fall open for 0 min"
    account.read(2 * DAY, balance=449, total=9.6)
    assert due(account).why == "a fall open for 2 days"


def test_an_open_alert_is_looked_at_the_less_often_the_longer_it_has_been_open() -> None:
    account = burning(LOW, days=4, balance=4, per_hour=0.00001)
    opened = account.state.rules["low"].episode
    assert opened is not None
    open_for = account.now - opened.opened_at
    assert due(account).interval == timedelta(milliseconds=open_for // timedelta(milliseconds=1) // PARTS)
    account.read(50 * DAY, balance=4, total=0.00096)
    assert due(account).interval == HOUR


def test_a_rule_that_looks_at_a_stretch_of_time_is_asked_within_a_third_of_it() -> None:
    assert due(burning(Spike(id="spike", window=HOUR))).interval == 20 * MINUTE
    assert due(burning(Stale(id="stale", after=90 * MINUTE))).interval == 30 * MINUTE
    assert due(burning(Stale(id="stale"))).interval == HOUR


def test_a_poll_that_failed_is_repeated_soon_and_a_provider_that_is_down_is_left_alone() -> None:
    account = burning(LOW, days=4)
    assert due(account).interval == HOUR
    account.fail(Reason.TIMEOUT, HOUR)
    assert (due(account).interval, due(account).why) == (5 * MINUTE, "unreadable for 0 min")
    assert last_polled_at(account.state) == account.now
    account.fail(Reason.TIMEOUT, DAY)
    assert due(account).interval == 15 * MINUTE
    account.fail(Reason.TIMEOUT, 30 * DAY)
    assert (due(account).interval, due(account).why) == (HOUR, "unreadable for 31 days")
    near = burning(LOW, days=4, balance=5.1)
    near.fail(Reason.TIMEOUT, MINUTE)
    assert due(near).interval == MINUTE


def test_a_failure_of_what_was_never_read_is_repeated_as_often_as_is_allowed_then_ever_less() -> None:
    account = Watched(LOW)
    account.fail(Reason.UNAUTHORIZED, 0)
    assert due(account).interval == MINUTE
    account.fail(Reason.UNAUTHORIZED, DAY)
    assert due(account).interval == 15 * MINUTE


# ── bounds and spread ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_polls_of_accounts_that_are_alike_part_and_none_is_later_for_it() -> None:
    account = burning(LOW, days=4)
    waits = [due(account, id=f"account-{number}").at - account.now for number in range(400)]
    assert min(waits) >= HOUR * 7 / 8
    assert max(waits) <= HOUR
    assert len(set(waits)) > 390
    near = burning(LOW, days=4, balance=5.01)
    assert {due(near, id=f"account-{number}").at - near.now for number in range(400)} == {MINUTE}


def test_an_account_without_any_figure_is_polled_rarely() -> None:
    account = Watched()
    account.read(0, usage_count=5)
    account.read(2 * DAY, usage_count=7)
    assert (due(account).interval, due(account).why) == (HOUR, "nothing is near")


def test_a_state_without_spend_is_one_that_was_never_read() -> None:
    account = burning(LOW)
    state: AccountState = replace(account.state, spend=None)
    assert next_poll(AUTO, PollTerms(account.info, account.rules), state, account.now).interval == MINUTE
