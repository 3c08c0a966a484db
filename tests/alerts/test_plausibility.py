"""Plausibility: what is read again, what is accepted then, and what is notified of the rest."""

from datetime import timedelta
from typing import Any

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Known, Reason, Unavailable
from alerts.model.reasons import AnomalyKind
from alerts.model.specs import LowBalance
from alerts.model.values import replace
from alerts.rules.plausibility import confirms, find_anomaly, largest_explained
from alerts.rules.state import AccountState
from tests.helpers_alerts import START, Watched, metrics

LOW = LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6))


def test_a_total_that_runs_backwards_is_notified_once_and_confirmed_it_is_a_reset() -> None:
    account = Watched(LOW)
    account.read(balance=50, total=1000)
    assert account.read(balance=50, total=900) == ["reading.suspect"]
    data = account.last
    assert data["confirmed"] is True
    assert data["reason"] == "counter_backwards"
    assert data["findings"] == [{"field": "total_charged_usd", "kind": "backwards", "before": 1000, "after": 900}]
    assert data["detail"] == "total_charged_usd ran backwards from 1000 to 900, confirmed by a second read"
    assert account.evaluation is not None
    assert account.evaluation.accepted is not None
    assert account.read(balance=49, total=901) == []
    assert account.state.spend is not None
    assert account.state.spend.money.value == to_micro(1)


def test_5000_that_reads_0_once_is_suspect_and_no_rule_fires() -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    assert account.read(balance=0, second=metrics(balance=5000)) == ["reading.suspect"]
    assert account.last["confirmed"] is False
    assert account.last["reason"] == "implausible_drop"
    assert account.evaluation is not None
    assert account.evaluation.accepted is not None
    assert account.evaluation.accepted.metrics.balance_microusd == to_micro(5000)
    assert account.evaluation.recorded is account.evaluation.accepted
    assert account.read(balance=5000) == []


def test_20_then_4_9_confirmed_by_the_second_read_is_accepted_and_nothing_else_is_notified() -> None:
    account = Watched(LOW)
    account.read(balance=20)
    assert account.read(balance=4.9) == ["balance.low"]
    assert account.reasons == ["implausible, but the second read agrees: accepted"]


def test_a_second_read_that_differs_and_is_implausible_itself_leaves_nothing_to_accept() -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    assert account.read(balance=0, second=metrics(balance=700)) == ["reading.suspect"]
    evaluation = account.evaluation
    assert evaluation is not None
    assert evaluation.accepted is None
    assert evaluation.recorded == Unavailable(
        "clips", account.now, Reason.SUSPECT, "available_microusd drop: 5000000000 then 0"
    )
    assert account.state.last is not None
    assert account.state.last.metrics.balance_microusd == to_micro(5000)


def test_a_lie_after_an_honest_reading_that_was_doubted_is_not_taken_for_its_confirmation() -> None:
    account = Watched(LOW)
    account.read(balance=183)
    assert account.read(balance=16.3, second=metrics(balance=0)) == ["reading.suspect"]
    assert account.evaluation is not None
    assert account.evaluation.accepted is None


@pytest.mark.parametrize("second", [None, Reason.TIMEOUT])
def test_without_a_second_read_nothing_fires_and_it_is_notified_if_that_goes_on(second: Reason | None) -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    assert account.read(balance=0, second=second) == []
    assert account.evaluation is not None
    assert account.evaluation.accepted is None
    assert account.reasons == ["implausible, and the second read failed: checked again at the next poll"]
    assert account.read(balance=0, second=second) == []
    assert account.read(balance=0, second=second) == ["reading.suspect"]
    assert account.state.episodes.keys() == {"account:suspect"}
    assert account.read(balance=0, second=second) == []
    assert account.reasons == ["the source is still suspect: already notified"]
    assert account.read(balance=0) == ["balance.depleted", "balance.low"]


def test_a_second_read_that_fails_now_and_then_is_never_notified() -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    for balance in (4000, 3000, 2000):
        assert account.read(balance=balance, second=Reason.RATE_LIMITED) == []
        assert account.read(balance=balance) == []


def test_second_reads_that_fail_are_counted_anew_after_a_plain_reading() -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    told = [account.read(balance=0, second=None), account.read(balance=5000)]
    told += [account.read(balance=0, second=None) for _ in range(3)]
    assert told == [[], [], [], [], ["reading.suspect"]]


def test_a_suspect_source_is_notified_again_only_after_an_hour_of_plausible_readings() -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    lie: dict[str, Any] = {"balance": 0, "second": metrics(balance=5000)}
    assert account.read(**lie) == ["reading.suspect"]
    for _ in range(5):
        assert account.read(balance=5000) == []
        assert account.read(**lie) == []
    assert account.read(60, balance=5000) == []
    assert "account:suspect" not in account.state.episodes
    assert account.read(**lie) == ["reading.suspect"]


def test_a_reset_that_is_confirmed_ends_the_suspect_episode_before_it() -> None:
    account = Watched()
    account.read(total=100, balance=50)
    assert account.read(total=90, balance=50, second=metrics(total=101, balance=50)) == ["reading.suspect"]
    assert account.read(total=80, balance=50) == ["reading.suspect"]
    assert [data["confirmed"] for data in account.data("reading.suspect")] == [False, True]
    assert account.state.episodes == {}


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("total_snapshots", 500, 20),
        ("usage_count", 12, 11),
        ("used", 100, 60),
        ("total", 9, 8.5),
        ("period_used", 80, 79),
    ],
)
def test_every_counter_that_runs_backwards_is_notified(field: str, before: float, after: float) -> None:
    account = Watched(provider="tornado")
    first: dict[str, Any] = {field: before}
    then: dict[str, Any] = {field: after}
    account.read(**first)
    assert account.read(**then) == ["reading.suspect"]
    assert account.last["findings"][0]["before"] == before
    assert account.last["findings"][0]["after"] == after


def test_the_periods_usage_may_fall_when_its_period_begins() -> None:
    account = Watched(provider="tornado")
    account.read(period_used=80, period_start_at=START, period_end_at=START + timedelta(days=30))
    later: dict[str, Any] = {"period_start_at": START + timedelta(days=30), "period_end_at": START + timedelta(days=60)}
    assert account.read(timedelta(days=30), period_used=1, **later) == []


def test_reserved_space_may_fall() -> None:
    account = Watched(provider="tornado")
    account.read(used=10, reserved=5, effective=15)
    assert account.read(used=10, reserved=0, effective=10) == []


def _doubt(minutes: float, before: dict[str, Any], after: dict[str, Any], largest: int = 0) -> set[AnomalyKind]:
    state = AccountState.new("clips")
    account = Watched(start=START)
    account.read(0, **before)
    state = account.state
    found = find_anomaly(state, Known("clips", account.now + timedelta(minutes=minutes), metrics(**after)))
    return set() if found is None else {finding.kind for finding in found.findings}


def test_a_dollar_is_always_accepted_and_more_is_implausible() -> None:
    assert _doubt(5, {"balance": 20}, {"balance": 19}) == set()
    assert _doubt(5, {"balance": 20}, {"balance": "18.999999"}) == {AnomalyKind.DROP}


def test_ten_times_the_scheduled_burn_is_accepted() -> None:
    scheduled = {"active_videos": 14, "cost": 0.015}
    assert _doubt(24 * 60, {"balance": 100, **scheduled}, {"balance": 49.6, **scheduled}) == set()
    assert _doubt(24 * 60, {"balance": 100, **scheduled}, {"balance": 49.5, **scheduled}) == {AnomalyKind.DROP}


@pytest.mark.parametrize(("before", "after"), [(14, 28), (28, 14), (None, 28), (28, None)])
def test_the_larger_schedule_of_the_two_readings_explains_a_fall(before: int | None, after: int | None) -> None:
    one, two = (metrics(balance=1, active_videos=videos, cost=0.015) for videos in (before, after))
    assert largest_explained(0, one, two, timedelta(days=1)) == to_micro(10 * 28 * 24 * 0.015)


def test_readings_less_than_a_minute_apart_count_as_a_minute() -> None:
    """Ten times a dollar a second: what may be gone never falls to nothing because two reads follow at once."""
    a_second = 86_400 * to_micro(1)
    explained = [
        largest_explained(a_second, metrics(), metrics(), timedelta(seconds=seconds)) for seconds in (0, 1, 60, 61)
    ]
    assert explained == [to_micro(600)] * 3 + [to_micro(610)]


def test_a_fall_through_nought_is_a_drop_by_what_is_gone() -> None:
    assert _doubt(5, {"balance": "1.5"}, {"balance": -1}) == {AnomalyKind.DROP}


@pytest.mark.parametrize(("moved_s", "forgets"), [(30, False), (31, True)])
def test_usage_of_a_window_that_moves_with_the_clock_may_fall(moved_s: int, forgets: bool) -> None:
    """A start that moved by half of the time that passed or less is a period's; by more, a window's that forgets."""
    month = timedelta(days=30)
    first: dict[str, Any] = {"period_used": 80, "period_start_at": START - month, "period_end_at": START}
    then = {name: value + timedelta(seconds=moved_s) for name, value in first.items() if name != "period_used"}
    found = _doubt(1, first, {"period_used": 70, **then})
    assert found == (set() if forgets else {AnomalyKind.BACKWARDS})


def test_ten_times_the_largest_burn_ever_seen_is_accepted() -> None:
    account = Watched()
    account.read(balance=1000, total=0)
    account.read(60, balance=995, total=5)
    account.read(15, balance=995, total=5)
    account.read(timedelta(days=1), balance=994, total=6)
    assert account.read(60, balance=944, total=56) == []
    assert account.reasons == []
    account.read(60, balance=443, total=557)
    assert account.reasons == ["implausible, but the second read agrees: accepted"]


def test_a_jump_by_two_orders_of_magnitude_is_read_again() -> None:
    assert _doubt(5, {"balance": 12}, {"balance": 1199}) == set()
    assert _doubt(5, {"balance": 12}, {"balance": 1200}) == {AnomalyKind.JUMP}
    assert _doubt(5, {"balance": 0.1}, {"balance": 60}) == set()
    assert _doubt(5, {"used": 3}, {"used": 3000}) == {AnomalyKind.JUMP}


def test_equal_readings_and_the_first_one_are_never_doubted() -> None:
    assert find_anomaly(AccountState.new("clips"), Known("clips", START, metrics(balance=0))) is None
    assert _doubt(5, {"balance": -5}, {"balance": -5}) == set()


def test_a_second_read_without_the_doubted_field_does_not_agree() -> None:
    account = Watched()
    account.read(balance=5000, total=1)
    assert account.read(balance=0, total=1, second=metrics(total=1)) == ["reading.suspect"]
    assert account.last["confirmed"] is False


def test_a_second_read_a_snapshot_later_still_agrees() -> None:
    account = Watched(LOW)
    account.read(balance=20)
    assert account.read(balance=4.9, second=metrics(balance=4.885)) == ["balance.low"]
    assert account.last["available_usd"] == 4.885


@pytest.mark.parametrize(("second", "agrees"), [("110", True), ("110.000001", False), ("99", True)])
def test_a_second_read_agrees_within_a_tenth_of_what_is_doubted(second: str, agrees: bool) -> None:
    account = Watched(LOW)
    account.read(balance=200)
    told = account.read(balance=100, second=metrics(balance=second))
    assert told == ([] if agrees else ["reading.suspect"])
    assert account.evaluation is not None
    assert (account.evaluation.accepted is not None) is agrees


@pytest.mark.parametrize(("second", "agrees"), [(10, True), (10.000001, False), (-10, True), (-10.000001, False)])
def test_a_second_read_may_be_off_by_a_tenth_either_way(second: float, agrees: bool) -> None:
    state = AccountState.new("clips")
    state = replace(state, last=Known("clips", START, metrics(balance=100)))
    anomaly = find_anomaly(state, Known("clips", START + timedelta(minutes=5), metrics(balance=0)))
    assert anomaly is not None
    assert confirms(anomaly, Known("clips", START + timedelta(minutes=5), metrics(balance=second))) is agrees


def test_suspect_readings_end_no_outage_and_charge_nothing() -> None:
    account = Watched(LOW)
    account.read(balance=5000)
    account.fail(Reason.UNAUTHORIZED)
    assert account.read(balance=0, second=metrics(balance=700)) == ["reading.suspect"]
    assert "account:reading" in account.state.episodes
    assert account.read(balance=4999.9) == ["reading.restored"]
