"""`runway` and `quota`: days left, and effective usage against the limit in steps; both with their forecasts."""

from datetime import timedelta
from decimal import Decimal

from alerts.model.readings import Reason
from alerts.model.specs import Quota, Runway
from alerts.rules.state import TopupStatus
from tests.helpers_alerts import Watched

RUNWAY = Runway(id="runway", below_days=Decimal(3), clear_above_days=Decimal("3.6"))
QUOTA = Quota(id="quota", at_percent=(Decimal(80), Decimal(90), Decimal(100)), clear_below_percent=Decimal(78))


def test_fourteen_videos_and_ten_dollars_last_1_98_days() -> None:
    account = Watched(RUNWAY)
    assert account.read(balance=10, active_videos=14, cost=0.015) == ["runway.short"]
    data = account.last
    assert data["days_remaining"] == 1.98
    assert data["burn_usd_per_day"] == 5.04
    assert data["basis"] == "scheduled"
    assert data["threshold_days"] == 3
    assert data["runs_out_at"]["earliest"] <= data["runs_out_at"]["likely"] <= data["runs_out_at"]["latest"]
    assert account.evaluation is not None
    assert account.evaluation.episodes[0].why == "1.98 days remain, the threshold is 3"


def test_the_runway_recovers_beyond_its_clear_line_only() -> None:
    account = Watched(RUNWAY)
    account.read(balance=10, active_videos=14, cost=0.015)
    assert account.read(balance=17, active_videos=14, cost=0.015) == []
    assert account.read(balance=18.1440, active_videos=14, cost=0.015) == []
    assert account.read(balance=18.2, active_videos=14, cost=0.015) == ["runway.recovered"]


def test_exactly_the_threshold_of_days_does_not_fire() -> None:
    account = Watched(RUNWAY)
    assert account.read(balance=15.12, active_videos=14, cost=0.015) == []
    assert account.read(balance=15, active_videos=14, cost=0.015) == ["runway.short"]


def test_a_runway_just_below_its_threshold_fires_and_reads_as_below() -> None:
    account = Watched(RUNWAY)
    assert account.read(balance=15.10, active_videos=14, cost=0.015) == ["runway.short"]
    assert account.last["days_remaining"] == 2.99


def test_a_price_that_rises_shortens_the_runway() -> None:
    account = Watched(RUNWAY)
    assert account.read(balance=20, active_videos=14, cost=0.015) == []
    assert "runway.short" in account.read(balance=20, active_videos=14, cost=0.030)


def test_the_runway_of_an_account_that_burns_nothing_is_clear() -> None:
    account = Watched(RUNWAY)
    account.read(balance=10, active_videos=14, cost=0.015)
    assert account.read(balance=10, active_videos=0, cost=0.015) == ["runway.recovered"]
    assert account.last["days_remaining"] is None
    assert account.last["runs_out_at"] is None
    assert account.evaluation is not None
    assert account.evaluation.episodes[0].closed_why == "nothing burns"


def test_the_end_of_a_short_runway_says_why() -> None:
    account = Watched(RUNWAY)
    account.read(balance=10, active_videos=14, cost=0.015)
    account.read(balance=50, active_videos=14, cost=0.015)
    assert account.evaluation is not None
    assert account.evaluation.episodes[0].closed_why == "9.92 days remain, more than 3.6"


def test_without_burn_or_balance_nothing_is_known_of_the_runway() -> None:
    account = Watched(RUNWAY)
    assert account.read(balance=1) == []
    assert account.read(used=1) == []
    account.read(balance=1, active_videos=14, cost=0.015)
    assert account.read(used=1, cost=0.015) == []
    assert account.reasons == ["nothing is known: the last state is kept"]


def test_a_top_up_under_way_holds_back_the_runways_reminder() -> None:
    account = Watched(RUNWAY)
    account.read(balance=10, active_videos=14, cost=0.015)
    account.standing = TopupStatus("processing", True)
    assert account.beat(timedelta(hours=25)) == []
    account.standing = None
    assert account.beat(5) == ["runway.short"]


def test_the_runway_is_evaluated_by_what_was_observed_where_nothing_is_scheduled() -> None:
    account = Watched(RUNWAY)
    spent = 0.0
    for _ in range(30):
        account.read(60, balance=40 - spent, uncharged=0, total=100 + spent)
        spent += 0.5
    (data,) = account.data("runway.short")
    assert data["basis"] == "observed"
    assert 2.5 < data["days_remaining"] < 3


def test_a_trial_key_at_942_of_1024_is_notified_once_at_92_percent() -> None:
    account = Watched(QUOTA, provider="tornado")
    assert account.read(used=942.08, reserved=0, limit=1024) == ["quota.high"]
    data = account.last
    assert data["percent"] == 92
    assert isinstance(data["percent"], int)
    assert data["step_percent"] == 90
    assert data["full_at"] is None
    assert (data["used_gb"], data["reserved_gb"], data["effective_gb"], data["limit_gb"]) == (942.08, 0, 942.08, 1024)
    assert account.read(used=942.08, reserved=0, limit=1024) == []


def test_reserved_space_counts_and_is_released() -> None:
    account = Watched(QUOTA, provider="tornado")
    assert account.read(used=45.67, reserved=0.52, limit=50) == ["quota.high"]
    assert account.last["effective_gb"] == 46.19
    assert account.read(used=45.67, effective=38, limit=50) == ["quota.recovered"]


def test_the_providers_own_effective_number_outranks_the_sum() -> None:
    account = Watched(QUOTA, provider="tornado")
    assert account.read(used=1, reserved=1, effective=45, limit=50) == ["quota.high"]


def test_a_step_fires_at_its_very_percent() -> None:
    account = Watched(QUOTA, provider="tornado")
    assert account.read(used="79.999999", limit=100) == []
    assert account.read(used=80, limit=100) == ["quota.high"]
    assert account.last["step_percent"] == 80


def test_deeper_steps_are_further_events_of_one_episode_and_each_is_notified_once() -> None:
    account = Watched(QUOTA, provider="tornado")
    seen = [account.read(used=80, reserved=reserved, limit=100) for reserved in (1, 11, 5, 12, 21, 15, 30)]
    assert [types for types in seen if types] == [["quota.high"], ["quota.high"], ["quota.exceeded"]]
    assert {event["data"]["episode"] for event in account.events} == {"ep_1"}
    assert [event["data"]["step_percent"] for event in account.events] == [80, 90, 100]
    assert account.read(used=80, reserved=-3, limit=100) == ["quota.recovered"]
    assert account.last["step_percent"] is None
    assert account.last["percent"] == 77


def test_a_jump_over_several_steps_tells_the_deepest_only() -> None:
    account = Watched(QUOTA, provider="tornado")
    account.read(used=10, limit=100)
    assert account.read(used=104, limit=100) == ["quota.exceeded"]
    assert account.last["step_percent"] == 100


def test_the_quota_recovers_two_points_under_its_lowest_step() -> None:
    account = Watched(QUOTA, provider="tornado")
    account.read(used=50, reserved=31, limit=100)
    assert account.read(used=50, reserved=28, limit=100) == []
    assert account.read(used=50, reserved=27.9, limit=100) == ["quota.recovered"]


def test_a_limit_that_vanishes_is_notified_and_ends_the_episode() -> None:
    account = Watched(QUOTA, provider="tornado")
    account.read(used=95, limit=100)
    assert account.read(used=95) == ["limits.changed", "quota.recovered"]
    assert account.data("limits.changed")[0]["changes"] == [{"limit": "limit_gb", "old": 100, "new": None}]
    assert account.last["limit_gb"] is None
    assert account.last["percent"] is None


def test_a_limit_of_nought_or_less_is_not_known_to_be_a_limit() -> None:
    account = Watched(QUOTA, provider="tornado")
    assert account.read(used=95, limit=0) == []
    assert account.read(limit=100, balance=1) == ["limits.changed"]


def test_a_quota_reminder_repeats_what_was_notified_last() -> None:
    account = Watched(QUOTA, provider="tornado")
    account.read(used=105, limit=100)
    assert account.beat(timedelta(hours=24)) == ["quota.exceeded"]
    assert account.last["reminder"] is True
    assert account.last["step_percent"] == 100


def test_a_reminder_after_the_source_said_less_still_says_what_it_can() -> None:
    account = Watched(QUOTA, provider="tornado")
    account.read(used=105, limit=100)
    account.fail(Reason.TIMEOUT)
    account.read(balance=1, used=None, limit=100)
    account.fail(Reason.TIMEOUT)
    assert account.beat(timedelta(hours=24)) == ["quota.exceeded"]
    assert account.last["effective_gb"] is None


def test_a_quota_that_will_be_full_within_the_week_is_notified_after_a_day_of_history() -> None:
    rule = Quota(
        id="quota",
        at_percent=(Decimal(90),),
        clear_below_percent=Decimal(88),
        forecast_days=Decimal(7),
    )
    account = Watched(rule, provider="tornado")
    used, told = 10.0, []
    for _ in range(40):
        told += account.read(60, used=used, limit=100)
        used += 0.5
    assert told == ["quota.high"]
    data = account.data("quota.high")[0]
    assert data["step_percent"] is None
    assert data["observed_at"] >= "2026-11-04T12:00:00Z"
    assert data["full_at"]["likely"] is not None
    assert account.state.episodes["quota"].why.endswith("it will be full within 7 days")
    assert account.read(60, used=used, limit=300) == ["limits.changed", "quota.recovered"]


def test_a_step_deeper_than_a_forecast_is_notified() -> None:
    rule = Quota(id="quota", at_percent=(Decimal(90),), clear_below_percent=Decimal(88), forecast_days=Decimal(7))
    account = Watched(rule, provider="tornado")
    for hour in range(30):
        account.read(60, used=10 + hour * 0.5, limit=100)
    assert account.read(60, used=91, limit=100) == ["quota.high"]
    assert account.last["step_percent"] == 90
    assert len(account.data("quota.high")) == 2
    assert account.last["episode"] == account.data("quota.high")[0]["episode"]


def test_a_still_quota_is_never_forecast_to_be_full() -> None:
    rule = Quota(id="quota", at_percent=(Decimal(90),), clear_below_percent=Decimal(88), forecast_days=Decimal(7))
    account = Watched(rule, provider="tornado")
    assert [account.read(60, used=50, limit=100) for _ in range(40)] == [[]] * 40
