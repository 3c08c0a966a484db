"""`low_balance`: strict thresholds, hysteresis, one event an episode, and what `balance.low` says."""

from datetime import timedelta

import pytest

from alerts.model.events import Severity
from alerts.model.money import to_micro
from alerts.model.readings import Reason
from alerts.model.specs import LowBalance, Measure
from alerts.rules.state import TopupStatus
from tests.helpers_alerts import Watched


def low(**changes: object) -> LowBalance:
    given: dict[str, object] = {"id": "low", "below_microusd": to_micro(5), "clear_above_microusd": to_micro(6)}
    return LowBalance(**(given | changes))  # type: ignore[arg-type]


def test_a_balance_flapping_around_its_threshold_is_low_recovered_low() -> None:
    account = Watched(low())
    for balance in (20, 4.9, 5.1, 4.8, 5.4, 4.9, 5.9, 6.5, 4.5):
        account.read(balance=balance)
    assert [event["type"] for event in account.events] == ["balance.low", "balance.recovered", "balance.low"]
    first, ended, second = (event["data"] for event in account.events)
    assert first["episode"] == ended["episode"] != second["episode"]
    assert [data["sequence"] for data in (first, ended, second)] == [1, 2, 3]


def test_equality_does_not_fire() -> None:
    account = Watched(low())
    assert account.read(balance=5) == []
    assert account.read(balance="4.999999") == ["balance.low"]


def test_the_reason_that_is_kept_reads_on_the_side_that_is_true() -> None:
    account = Watched(low())
    account.read(balance="4.999999")
    assert account.state.episodes["low"].why == "available $4.99 is below $5.00"
    account.read(balance="6.000001")
    assert account.evaluation is not None
    assert account.evaluation.episodes[0].closed_why == "available $6.000001 is above $6.00"


def test_the_clear_line_itself_does_not_end_it() -> None:
    account = Watched(low())
    account.read(balance=4)
    assert account.read(balance=6) == []
    assert account.read(balance="6.000001") == ["balance.recovered"]


def test_a_first_reading_in_breach_fires() -> None:
    assert Watched(low()).read(balance=1) == ["balance.low"]


def test_balance_low_says_what_the_pages_example_gives() -> None:
    account = Watched(low(below_microusd=to_micro(20), clear_above_microusd=to_micro(24)))
    account.read(balance=12.45, uncharged=0.75, total=87.55, active_videos=3, cost=0.015)
    assert account.events == [
        {
            "type": "balance.low",
            "timestamp": "2026-11-03T12:05:00Z",
            "data": {
                "account": "clips",
                "provider": "contentstats",
                "observed_at": "2026-11-03T12:05:00Z",
                "rule": "low",
                "episode": "ep_1",
                "severity": "warning",
                "balance_usd": 12.45,
                "uncharged_usage_usd": 0.75,
                "available_usd": 11.7,
                "threshold_usd": 20,
                "clear_above_usd": 24,
                "unit": "USD",
                "balance": 12.45,
                "uncharged": 0.75,
                "available": 11.7,
                "threshold": 20,
                "clear_above": 24,
                "measure": "available",
                "burn_per_day": 1.08,
                "burn_usd_per_day": 1.08,
                "days_remaining": 10.83,
                "basis": "scheduled",
                "partial": False,
                "topup": {"state": "none", "reason": "no top-up is configured", "id": None},
                "sequence": 1,
                "store": "store_1",
            },
        }
    ]


def test_what_is_available_counts_not_the_whole_balance() -> None:
    account = Watched(low())
    assert account.read(balance=4.96, uncharged=0.75) == ["balance.low"]
    assert account.last["available_usd"] == 4.21
    whole = Watched(low(measure=Measure.BALANCE))
    assert whole.read(balance=5.5, uncharged=0.75) == []
    assert whole.read(balance=4.96, uncharged=0) == ["balance.low"]
    assert whole.last["measure"] == "balance"


def test_a_reading_without_a_balance_changes_nothing() -> None:
    account = Watched(low())
    account.read(balance=1)
    assert account.read(used=3) == []
    assert account.reasons == ["nothing is known: the last state is kept"]
    assert account.read(balance=7) == ["balance.recovered"]


def test_for_readings_waits_for_so_many_in_a_row() -> None:
    account = Watched(low(for_readings=3))
    assert account.read(balance=4) == []
    assert account.reasons == ["in breach for 1 of 3 readings"]
    assert account.read(balance=4) == []
    assert account.read(balance=5.5) == []
    assert account.read(balance=4) == []
    assert account.read(balance=4) == []
    assert account.read(balance=4) == ["balance.low"]


def test_unavailable_polls_do_not_count_for_for_readings() -> None:
    account = Watched(low(for_readings=2))
    account.read(balance=4)
    account.fail(Reason.TIMEOUT)
    assert account.read(balance=4) == ["balance.low"]


@pytest.mark.parametrize("under_way", [True, False])
def test_entering_always_tells_beside_a_top_up_and_only_reminders_are_held_back(under_way: bool) -> None:
    account = Watched(low())
    account.standing = TopupStatus("confirming", under_way, "charging $50.00", "clips-7")
    assert account.read(balance=4) == ["balance.low"]
    assert account.last["topup"] == {"state": "confirming", "reason": "charging $50.00", "id": "clips-7"}
    told = account.read(timedelta(hours=24), balance=4)
    assert told == ([] if under_way else ["balance.low"])
    if under_way:
        assert "no reminder: a top-up is under way (confirming)" in account.reasons
        account.standing = None
        assert account.beat(1) == []
        assert account.beat(4) == ["balance.low"]
    assert account.last["reminder"] is True
    assert account.last["episode"] == "ep_1"


def test_a_reminder_comes_every_so_often_and_never_without_remind_every() -> None:
    account = Watched(low(remind_every=timedelta(hours=6)))
    account.read(balance=4)
    assert account.beats(timedelta(hours=13)) == ["balance.low", "balance.low"]
    silent = Watched(low(remind_every=None))
    silent.read(balance=4)
    assert silent.beats(timedelta(hours=30), timedelta(hours=1)) == []


def test_the_rules_severity_is_notified() -> None:
    account = Watched(low(severity=Severity.CRITICAL))
    account.read(balance=4)
    assert account.last["severity"] == "critical"


def test_a_receivers_own_threshold_is_its_own_rule_and_takes_no_number() -> None:
    own = low(
        id="webhook:ops", below_microusd=to_micro(9), clear_above_microusd=to_micro(10.8), only_receiver="webhook:ops"
    )
    account = Watched(low(), own)
    assert account.read(balance=8) == ["balance.low"]
    assert account.evaluation is not None
    (draft,) = account.evaluation.drafts
    assert (draft.rule, draft.only_receiver, draft.numbered) == ("webhook:ops", "webhook:ops", False)
    assert "sequence" not in account.last
    assert account.last["threshold_usd"] == 9


def test_what_the_provider_says_nothing_of_is_notified_as_unknown_not_as_zero() -> None:
    account = Watched(low())
    account.read(balance=4)
    [event] = account.events
    assert (event["data"]["uncharged_usage_usd"], event["data"]["available_usd"]) == (None, 4)
