"""Episodes over time: mutes that delay and lose nothing, edited rules, removed rules."""

from datetime import timedelta
from decimal import Decimal

from alerts.model.events import Severity
from alerts.model.money import to_micro
from alerts.model.readings import Known, Reason
from alerts.model.specs import Budget, LowBalance, Period, Quota, Runway, Stale
from alerts.model.values import replace
from alerts.rules.episodes import MAX_HELD_EVENTS
from tests.helpers_alerts import Watched, metrics

LOW = LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6))
QUOTA = Quota(id="quota", at_percent=(Decimal(80), Decimal(90), Decimal(100)), clear_below_percent=Decimal(78))


def muted(rule: str, hours: float, *rules: object) -> Watched:
    account = Watched(*rules)  # type: ignore[arg-type]
    account.mutes[rule] = account.now + timedelta(hours=hours)
    return account


def test_a_mute_holds_an_alert_back_until_it_ends() -> None:
    account = muted("low", 4, LOW)
    assert account.read(balance=4) == []
    assert account.reasons == ["muted: balance.low is held back until the mute ends"]
    assert "low" in account.state.episodes
    assert account.beats(timedelta(hours=3, minutes=54)) == []
    assert account.beat(1) == ["balance.low"]
    assert account.events[-1]["timestamp"] == "2026-11-03T12:05:00Z"
    assert account.beats(timedelta(hours=23)) == []
    assert account.beats(timedelta(hours=2)) == ["balance.low"]
    assert account.last["reminder"] is True


def test_what_began_and_ended_within_a_mute_is_notified_afterwards_in_order() -> None:
    account = muted("low", 4, LOW)
    for balance in (4, 7, 4.5):
        account.read(balance=balance)
    account.mutes.clear()
    assert account.read(balance=4.4) == ["balance.low", "balance.recovered", "balance.low"]
    assert account.state.held == ()


def test_a_mute_that_is_ended_early_tells_with_the_next_pass() -> None:
    account = muted("low", 4, LOW)
    account.read(balance=4)
    account.mutes.clear()
    assert account.fail(Reason.TIMEOUT) == ["balance.low"]


def test_a_recovery_is_held_back_too() -> None:
    account = Watched(LOW)
    account.read(balance=4)
    account.mutes["low"] = account.now + timedelta(hours=1)
    assert account.read(balance=7) == []
    assert account.beat(timedelta(hours=1)) == ["balance.recovered"]


def test_a_mute_holds_back_its_own_rule_only() -> None:
    account = muted("low", 4, LOW, Runway(id="runway", below_days=Decimal(9), clear_above_days=Decimal(10)))
    assert account.read(balance=4, active_videos=14, cost=0.015) == ["runway.short"]


def test_a_reminder_that_falls_into_a_mute_is_dropped_and_recorded() -> None:
    account = Watched(LOW)
    account.read(balance=4)
    account.mutes["low"] = account.now + timedelta(hours=30)
    assert account.beat(timedelta(hours=25)) == []
    assert account.reasons == ["muted: no reminder"]
    assert account.beat(timedelta(hours=6)) == ["balance.low"]


def test_a_reminder_that_was_held_back_comes_soon_after_however_often_the_account_is_read() -> None:
    account = Watched(LOW, poll=timedelta(minutes=1))
    account.read(balance=4)
    account.mutes["low"] = account.now + timedelta(hours=24, minutes=2)
    account.beat(timedelta(hours=24))
    assert account.reasons == ["muted: no reminder"]
    # What every reading says in between ("already notified") does not put the next look off.
    told = [account.read(after=1, balance=4) for _ in range(6)]
    assert told == [[], [], [], [], ["balance.low"], []]
    assert account.last["reminder"] is True


def test_a_reminder_that_falls_due_at_once_by_an_edit_does_not_wait_for_the_old_one() -> None:
    often = replace(LOW, remind_every=timedelta(hours=1))
    account = Watched(LOW)
    account.read(balance=4)
    account.beat(timedelta(hours=3))
    account.rules = (often,)
    account.beat()
    assert account.beat(timedelta(minutes=5)) == ["balance.low"]


def test_the_accounts_own_events_can_be_muted() -> None:
    account = muted("account:reading", 4)
    assert account.fail(Reason.UNAUTHORIZED) == []
    assert account.beat(timedelta(hours=4)) == ["reading.unavailable"]
    account.mutes["account:reading"] = account.now + timedelta(hours=40)
    assert account.beat(timedelta(hours=25)) == []
    assert account.reasons == ["muted: no reminder"]


def test_a_further_event_of_a_muted_episode_is_held_back_in_order() -> None:
    account = muted("account:billing", 4)
    account.read(used=1, billing_error="one")
    account.read(used=1, billing_error="two")
    account.read(used=1)
    assert account.beat(timedelta(hours=4)) == ["billing.error", "billing.error", "billing.restored"]


def test_a_deeper_step_of_a_muted_quota_is_held_back() -> None:
    account = Watched(QUOTA)
    account.read(used=80, reserved=1, limit=100)
    account.mutes["quota"] = account.now + timedelta(hours=1)
    assert account.read(used=80, reserved=12, limit=100) == []
    assert account.beat(timedelta(hours=2)) == ["quota.high"]


def test_what_a_mute_holds_back_is_bounded_and_alternates_all_the_same() -> None:
    account = muted("low", 1000, LOW)
    for _ in range(MAX_HELD_EVENTS):
        account.read(balance=4)
        account.read(balance=7)
    assert len(account.state.held) == MAX_HELD_EVENTS
    account.mutes.clear()
    told = account.beat()
    assert told == ["balance.low", "balance.recovered"] * (MAX_HELD_EVENTS // 2)


def test_where_no_whole_episode_is_held_the_oldest_event_goes() -> None:
    account = muted("account:billing", 1000)
    for number in range(MAX_HELD_EVENTS + 3):
        account.read(used=1, billing_error=f"error {number}")
    account.mutes.clear()
    account.beat()
    assert len(account.events) == MAX_HELD_EVENTS
    assert account.last["billing_error"] == f"error {MAX_HELD_EVENTS + 2}"


def test_editing_words_keeps_the_episode_and_tells_nothing() -> None:
    account = Watched(LOW)
    account.read(balance=4)
    account.rules = (replace(LOW, severity=Severity.CRITICAL, remind_every=timedelta(hours=48)),)
    assert account.beat(1) == []
    assert account.state.episodes["low"].id == "ep_1"
    assert account.state.episodes["low"].severity is Severity.CRITICAL
    assert account.read(balance=7) == ["balance.recovered"]
    assert account.last["severity"] == "critical"


def test_a_new_threshold_is_evaluated_at_once_against_the_last_reading() -> None:
    account = Watched(LOW)
    account.read(balance=7)
    account.rules = (replace(LOW, below_microusd=to_micro(8), clear_above_microusd=to_micro(9.6)),)
    assert account.beat(1) == ["balance.low"]
    assert account.last["threshold_usd"] == 8
    account.rules = (LOW,)
    assert account.beat(1) == ["balance.recovered"]


def test_an_edit_is_evaluated_with_the_next_reading_too() -> None:
    account = Watched(LOW)
    account.read(balance=7)
    account.rules = (replace(LOW, below_microusd=to_micro(8), clear_above_microusd=to_micro(9.6)),)
    assert account.read(balance=7) == ["balance.low"]
    account.rules = (replace(account.rules[0], severity=Severity.INFO),)
    assert account.read(balance=7) == []
    assert account.state.episodes["low"].severity is Severity.INFO


def test_an_edit_while_nothing_is_known_changes_nothing() -> None:
    account = Watched(LOW)
    account.rules = (replace(LOW, below_microusd=to_micro(8)),)
    assert account.beat() == []
    assert account.fail(Reason.TIMEOUT) == []


def test_a_new_rule_is_evaluated_at_once_and_its_for_readings_counts_from_there() -> None:
    account = Watched()
    account.read(balance=4)
    account.rules = (LOW, replace(LOW, id="slow", for_readings=2))
    assert account.beat() == ["balance.low"]
    assert account.beat(1) == []
    assert account.read(balance=4) == ["balance.low"]
    assert account.last["rule"] == "slow"


def test_no_reminder_comes_of_a_rule_that_time_alone_has_cleared() -> None:
    account = Watched(LOW)
    account.read(balance=4)
    account.state = replace(account.state, last=Known("clips", account.now, metrics(balance=8)))
    assert account.beat(timedelta(hours=24)) == []
    assert account.reasons == ["no reminder: clear by now, the next reading ends it"]
    assert account.read(balance=8) == ["balance.recovered"]


def test_the_same_rules_made_anew_are_not_evaluated_again() -> None:
    account = Watched(replace(LOW, for_readings=2))
    account.read(balance=4)
    account.rules = (replace(LOW, for_readings=2),)
    assert account.beat() == []
    assert account.beat() == []
    assert account.read(balance=4) == ["balance.low"]


def test_a_quota_step_that_is_not_reached_any_more_after_an_edit_is_notified_when_it_is() -> None:
    account = Watched(QUOTA)
    account.read(used=92, limit=100)
    account.rules = (replace(QUOTA, at_percent=(Decimal(85), Decimal(95)), clear_below_percent=Decimal(83)),)
    assert account.beat() == []
    assert account.read(used=96, limit=100) == ["quota.high"]
    assert account.last["step_percent"] == 95


def test_a_raised_budget_tells_its_steps_anew() -> None:
    rule = Budget(id="b", period=Period.MONTH, limit_microusd=to_micro(100))
    account = Watched(rule)
    account.read(balance=5000, total=0)
    account.read(timedelta(days=3), balance=4915, total=85)
    assert [event["type"] for event in account.events] == ["budget.reached", "budget.projected"]
    account.rules = (replace(rule, limit_microusd=to_micro(20_000)),)
    assert account.beat() == []
    account.rules = (replace(rule, limit_microusd=to_micro(90)),)
    assert account.beat() == ["budget.reached", "budget.projected"]


def test_a_rule_of_another_kind_under_the_same_id_begins_anew() -> None:
    account = Watched(LOW)
    account.read(balance=4, active_videos=1, cost=0.015)
    account.rules = (Runway(id="low", below_days=Decimal(90), clear_above_days=Decimal(100)),)
    assert account.beat() == ["runway.short"]
    assert account.state.episodes["low"].kind == "runway"
    closed = {episode.closed_why for episode in account.evaluations[-1].episodes}
    assert "the rule is of another kind now" in closed


def test_an_episode_of_a_rule_that_is_taken_out_waits_for_its_return() -> None:
    account = Watched(LOW)
    account.read(balance=4)
    account.rules = ()
    assert account.beat(timedelta(hours=30)) == []
    assert account.evaluation is not None
    assert account.evaluation.episodes[0].closed_why == "the rule was removed"
    assert account.state.episodes == {}
    assert account.read(balance=5.5) == []
    account.rules = (LOW,)
    assert account.beat() == []
    assert account.state.episodes["low"].id == "ep_1"
    assert account.evaluation.episodes[0].closed_at is None
    assert account.beat(5) == ["balance.low"]
    assert account.last["reminder"] is True
    account.rules = ()
    account.read(balance=8)
    account.rules = (LOW,)
    assert account.beat() == ["balance.recovered"]


def test_equal_rules_in_another_tuple_are_the_same_rules() -> None:
    account = Watched(LOW, Stale(id="stale"))
    account.read(balance=4)
    account.rules = (replace(LOW), Stale(id="stale"))
    assert account.read(balance=4) == []
    account.rules = (replace(LOW, below_microusd=to_micro(5.5)), Stale(id="stale"))
    assert account.beat() == []
    assert account.state.episodes["low"].id == "ep_1"


def test_a_rule_that_waits_for_readings_waits_over_a_restart_that_came_after_an_outage() -> None:
    account = Watched(replace(LOW, for_readings=3))
    account.fail(Reason.UNAUTHORIZED)
    account.read(balance=4)
    account.read(balance=4)
    account.state = replace(account.state, evaluated_by=None)
    account.watch = None
    assert account.beat() == []
    assert account.read(balance=4) == ["balance.low"]


def test_a_budget_is_not_reminded_of_beside_a_rule_that_is() -> None:
    account = Watched(LOW, Budget(id="b", period=Period.MONTH, limit_microusd=to_micro(1), projected=False))
    account.read(balance=4, total=0)
    account.read(balance=3, total=1)
    assert account.beat(timedelta(hours=24)) == ["balance.low"]


def test_time_alone_changes_nothing_where_nothing_is_due() -> None:
    account = Watched(LOW)
    account.read(balance=7)
    account.beat(1)
    account.beat(1)
    assert account.evaluation is not None
    assert account.evaluation.changes is False
