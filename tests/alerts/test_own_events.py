"""Built-in rules: no reading and its end, billing, limits and prices, and nothing left."""

from datetime import timedelta
from typing import Any

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Reason
from alerts.model.specs import LowBalance, Stale
from tests.helpers_alerts import Watched

LOW = LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6))
STALE = Stale(id="stale")


def test_five_passes_of_401_after_a_low_tell_one_unavailable_and_one_restored() -> None:
    account = Watched(LOW, STALE)
    assert account.read(balance=4) == ["balance.low"]
    told = [account.fail(Reason.UNAUTHORIZED) for _ in range(5)]
    assert told == [["reading.unavailable"], [], [], [], []]
    assert account.last["reason"] == "unauthorized"
    assert account.last["severity"] == "critical"
    assert account.last["last_good_at"] == "2026-11-03T12:05:00Z"
    assert account.reasons == ["still unavailable (unauthorized): already notified"]
    assert account.read(balance=4) == ["reading.restored"]
    assert (account.last["polls"], account.last["unavailable_s"]) == (5, 25 * 60)
    assert account.last["episode"] == account.data("reading.unavailable")[0]["episode"]
    assert account.read(timedelta(hours=24), balance=4) == ["balance.low"]
    assert account.last["reminder"] is True
    assert account.last["episode"] == account.data("balance.low")[0]["episode"]


@pytest.mark.parametrize("reason", [r for r in Reason if not r.passes_by_itself])
def test_what_needs_a_person_is_notified_at_once(reason: Reason) -> None:
    account = Watched()
    assert account.fail(reason) == ["reading.unavailable"]
    assert account.last["reason"] == reason.value
    assert account.last["last_good_at"] is None


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.TIMEOUT, Reason.UNREACHABLE])
def test_what_passes_by_itself_is_notified_after_three_polls(reason: Reason) -> None:
    account = Watched()
    assert [account.fail(reason) for _ in range(4)] == [[], [], ["reading.unavailable"], []]
    assert account.last["severity"] == "warning"
    assert account.last["polls"] == 3


def test_two_failed_polls_are_never_notified_but_recorded() -> None:
    account = Watched()
    account.read(balance=9)
    assert account.fail(Reason.TIMEOUT) == []
    assert account.reasons == ["timeout passes by itself: alerts after 3 polls in a row"]
    assert account.fail(Reason.TIMEOUT) == []
    assert account.read(balance=9) == []
    assert account.reasons == ["timeout passed by itself before an alert"]
    assert account.fail(Reason.TIMEOUT) == []
    assert account.events == []


def test_an_outage_that_turns_out_to_need_a_person_is_notified_again_in_its_episode() -> None:
    account = Watched()
    for _ in range(3):
        account.fail(Reason.TIMEOUT)
    assert account.fail(Reason.UNAUTHORIZED) == ["reading.unavailable"]
    assert account.fail(Reason.FORBIDDEN) == []
    assert account.fail(Reason.TIMEOUT) == []
    first, second = account.data("reading.unavailable")
    assert first["episode"] == second["episode"]
    assert second["reason"] == "unauthorized"
    assert account.read(balance=9) == ["reading.restored"]


def test_an_outage_is_reminded_of_every_day() -> None:
    account = Watched()
    account.fail(Reason.UNAUTHORIZED)
    assert account.beats(timedelta(hours=49), timedelta(hours=1)) == ["reading.unavailable"] * 2
    assert account.last["reminder"] is True


def test_a_low_balance_is_reminded_of_while_it_cannot_be_read() -> None:
    account = Watched(LOW)
    account.read(balance=4)
    account.fail(Reason.TIMEOUT)
    assert account.fail(Reason.TIMEOUT, timedelta(hours=24)) == ["balance.low"]
    assert account.last["observed_at"] == "2026-11-03T12:05:00Z"


def test_silence_is_notified_as_stale_and_ends_with_the_next_good_reading() -> None:
    account = Watched(STALE)
    account.read(balance=9)
    assert account.beats(timedelta(minutes=59)) == []
    assert account.beats(timedelta(minutes=120)) == ["reading.unavailable"]
    assert account.last["reason"] == "stale"
    assert account.last["detail"] == "no good reading since 2026-11-03T12:05:00Z"
    assert account.last["rule"] == "stale"
    assert account.read(balance=9) == ["reading.restored"]
    assert account.last["rule"] == "stale"
    assert account.read(balance=9) == []


def test_an_account_that_was_never_read_becomes_stale_too() -> None:
    account = Watched(STALE)
    assert account.beats(timedelta(hours=2)) == ["reading.unavailable"]
    assert account.state.episodes["stale"].why == "no good reading ever"


def test_a_process_that_slept_begins_to_watch_anew() -> None:
    account = Watched(STALE)
    account.read(balance=9)
    account.beat(1)
    assert account.beat(timedelta(hours=9)) == []
    assert account.beats(timedelta(minutes=59)) == []
    assert account.beats(timedelta(minutes=2)) == ["reading.unavailable"]


def test_stale_waits_for_three_polls_of_a_rare_schedule() -> None:
    account = Watched(STALE, poll=timedelta(hours=6))
    account.read(balance=9)
    assert account.beats(timedelta(hours=17, minutes=59)) == []
    assert account.beats(timedelta(minutes=2)) == ["reading.unavailable"]
    configured = Watched(Stale(id="stale", after=timedelta(minutes=10)), poll=None)
    assert configured.beats(timedelta(minutes=11)) == ["reading.unavailable"]
    assert Watched(STALE, poll=None).beats(timedelta(minutes=59)) == []


def test_an_outage_that_was_notified_is_not_notified_as_stale_as_well() -> None:
    account = Watched(STALE)
    account.read(balance=9)
    for _ in range(30):
        account.fail(Reason.UNAUTHORIZED)
    assert [event["type"] for event in account.events] == ["reading.unavailable"]
    assert account.evaluation is not None
    assert ("stale", "already notified as unavailable") in [(d.rule, d.reason) for d in account.evaluation.decisions]


def test_an_outage_that_was_notified_as_stale_is_notified_again_only_if_it_needs_a_person() -> None:
    account = Watched(STALE)
    account.beats(timedelta(hours=2))
    assert [account.fail(Reason.TIMEOUT) for _ in range(4)] == [[]] * 4
    assert account.reasons == ["already notified as stale by the rule stale"]
    assert account.fail(Reason.UNAUTHORIZED) == ["reading.unavailable"]
    assert account.read(balance=1) == ["reading.restored", "reading.restored"]


def test_a_stale_account_is_reminded_of() -> None:
    account = Watched(STALE)
    account.beats(timedelta(hours=2))
    assert account.beats(timedelta(hours=24), timedelta(minutes=5)) == ["reading.unavailable"]
    assert account.last["reason"] == "stale"
    assert account.last["reminder"] is True


def test_a_billing_error_is_notified_once_again_when_its_words_change_and_when_it_ends() -> None:
    account = Watched(provider="tornado")
    account.read(used=1)
    assert account.read(used=1, billing_error="card expired") == ["billing.error"]
    assert account.last["billing_error"] == "card expired"
    assert account.read(used=1, billing_error="card expired") == []
    assert account.reasons == ["the same billing error: already notified"]
    assert account.read(used=1, billing_error="invoice overdue") == ["billing.error"]
    assert account.read(used=1, billing_error="") == ["billing.restored"]
    assert account.last["billing_error"] == "invoice overdue"
    assert len({event["data"]["episode"] for event in account.events}) == 1


def test_a_billing_error_is_reminded_of_and_an_outage_does_not_end_it() -> None:
    account = Watched(provider="tornado")
    account.read(used=1, billing_error="card expired")
    account.fail(Reason.TIMEOUT)
    assert account.beat(timedelta(hours=25)) == ["billing.error"]
    assert account.last["reminder"] is True


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"limit": 1024}, {"limit": 512}, {"limit": "limit_gb", "old": 1024, "new": 512}),
        ({"limit": 1024}, {}, {"limit": "limit_gb", "old": 1024, "new": None}),
        ({}, {"limit": 1024}, {"limit": "limit_gb", "old": None, "new": 1024}),
        (
            {"max_resolution": "1080p"},
            {"max_resolution": "720p"},
            {"limit": "max_resolution_limit", "old": "1080p", "new": "720p"},
        ),
        (
            {"max_duration_s": 3600},
            {"max_duration_s": 60},
            {"limit": "max_duration_limit_seconds", "old": 3600, "new": 60},
        ),
        (
            {"max_filesize_bytes": 10**9, "filesize_mb": 1000},
            {"max_filesize_bytes": 10**8, "filesize_mb": 100},
            {"limit": "max_filesize_limit_bytes", "old": 10**9, "new": 10**8},
        ),
        ({"filesize_mb": 1000.5}, {"filesize_mb": 100}, {"limit": "max_filesize_limit_mb", "old": 1000.5, "new": 100}),
        ({"cost": 0.015}, {"cost": 0.02}, {"limit": "cost_per_snapshot", "old": 0.015, "new": 0.02}),
    ],
)
def test_every_limit_that_changes_is_notified_with_old_and_new(
    before: dict[str, Any], after: dict[str, Any], change: dict[str, object]
) -> None:
    account = Watched(provider="tornado")
    assert account.read(used=1, **before) == []
    assert account.read(used=1, **after) == ["limits.changed"]
    assert account.last["changes"] == [change]
    assert account.read(used=1, **after) == []
    assert account.state.episodes == {}


def test_megabytes_beside_bytes_are_only_their_rounding() -> None:
    account = Watched(provider="tornado")
    assert account.read(used=1, max_filesize_bytes=10**9, filesize_mb=1000) == []
    assert account.read(used=1, max_filesize_bytes=10**9, filesize_mb=953.67) == []


def test_limits_are_compared_with_the_last_good_reading_over_an_outage() -> None:
    account = Watched(provider="tornado")
    account.read(used=1, limit=10)
    account.fail(Reason.BAD_PAYLOAD)
    assert account.read(used=1, limit=20) == ["reading.restored", "limits.changed"]


def test_a_depleted_balance_is_notified_once_until_it_is_positive_again() -> None:
    account = Watched()
    account.read(balance=1, total=10, active_videos=3, cost=0.015)
    assert account.read(balance=0.5, uncharged=0.5, total=10.5, active_videos=3, cost=0.015) == ["balance.depleted"]
    assert account.last["available_usd"] == 0
    assert account.last["days_remaining"] == 0
    assert account.last["severity"] == "critical"
    assert account.read(balance=-1, total=12, active_videos=3, cost=0.015) == []
    assert account.reasons[-1] == "still nothing left: already notified"
    assert account.read(total=12, active_videos=3, cost=0.015) == []
    assert account.beat(timedelta(hours=30)) == []
    assert account.read(balance=0.01, total=12, active_videos=3, cost=0.015) == []
    assert account.read(balance=0, total=12, active_videos=3, cost=0.015) == ["balance.depleted"]
    assert len({data["episode"] for data in account.data("balance.depleted")}) == 2


def test_an_outage_that_was_notified_writes_nothing_at_every_beat() -> None:
    account = Watched(STALE)
    account.read(balance=9)
    account.fail(Reason.UNAUTHORIZED)
    assert account.beats(timedelta(hours=3)) == []
    assert account.evaluation is not None
    assert account.evaluation.changes is False


def test_an_outage_that_is_reminded_of_is_not_notified_as_stale_beside_it() -> None:
    account = Watched(STALE)
    account.read(balance=9)
    account.fail(Reason.UNAUTHORIZED)
    assert account.beats(timedelta(hours=25)) == ["reading.unavailable"]
