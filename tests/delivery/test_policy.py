"""What follows from an attempt: the table of the policy, and its schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channels.base import Result, SendOutcome
from alerts.channels.webhook import Posted, judge_answer, read_retry_after
from alerts.delivery.policy import DeliveryVerdict, ReceiverNotice, evaluate_delivery, evaluate_receiver, retry_after
from alerts.delivery.schedule import DELAYS, delay_after, probe_after
from alerts.model.outbox import DeliveryState, ReceiverState
from alerts.model.values import replace

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)
WELL = ReceiverState("webhook:app")
FAILED = SendOutcome(Result.FAILED, 5, 503, error="HTTP 503")
OK = SendOutcome(Result.OK, 5, 200)
MIDDLE = 0.5


def failing(failures: int, **more: object) -> ReceiverState:
    return replace(WELL, failures=failures, failing_since=NOW - timedelta(hours=1), **more)


def pending(failures: int) -> DeliveryVerdict:
    return DeliveryVerdict(DeliveryState.PENDING, failures, NOW + timedelta(minutes=5))


def test_the_schedule_is_the_one_that_is_promised() -> None:
    seconds = [delay.total_seconds() for delay in DELAYS]
    assert seconds == [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert delay_after(10, MIDDLE) is None


@given(failures=st.integers(1, 9), roll=st.floats(0, 1, exclude_max=True))
def test_every_delay_is_within_a_fifth(failures: int, roll: float) -> None:
    delay = delay_after(failures, roll)
    assert delay is not None
    assert 0.8 * DELAYS[failures] <= delay <= 1.2 * DELAYS[failures]


@given(beyond=st.integers(0, 10**6), roll=st.floats(0, 1, exclude_max=True))
def test_probes_are_a_quarter_of_an_hour_apart_at_the_most(beyond: int, roll: float) -> None:
    assert timedelta(seconds=48) <= probe_after(beyond, roll) <= timedelta(minutes=18)


@pytest.mark.parametrize(
    ("failures", "receiver", "outcome", "expected"),
    [
        (0, WELL, OK, DeliveryVerdict(DeliveryState.DELIVERED, 0)),
        (0, WELL, FAILED, DeliveryVerdict(DeliveryState.PENDING, 1, NOW + timedelta(seconds=5))),
        (1, WELL, FAILED, DeliveryVerdict(DeliveryState.PENDING, 2, NOW + timedelta(minutes=5))),
        (8, WELL, FAILED, DeliveryVerdict(DeliveryState.PENDING, 9, NOW + timedelta(hours=24))),
        (9, WELL, FAILED, DeliveryVerdict(DeliveryState.DEAD, 10)),
        (9, replace(WELL, paused_since=NOW), FAILED, DeliveryVerdict(DeliveryState.PENDING, 9, NOW)),
        (0, WELL, SendOutcome(Result.GONE, 5, 410), DeliveryVerdict(DeliveryState.DEAD, 1)),
        (
            0,
            WELL,
            SendOutcome(Result.REFUSED, 5),
            DeliveryVerdict(DeliveryState.PENDING, 1, NOW + timedelta(seconds=5)),
        ),
        (
            0,
            WELL,
            replace(FAILED, retry_after=timedelta(minutes=2)),
            DeliveryVerdict(DeliveryState.PENDING, 1, NOW + timedelta(minutes=2)),
        ),
        (
            2,
            WELL,
            replace(FAILED, retry_after=timedelta(seconds=1)),
            DeliveryVerdict(DeliveryState.PENDING, 3, NOW + timedelta(minutes=30)),
        ),
    ],
)
def test_what_follows_for_a_delivery(
    failures: int, receiver: ReceiverState, outcome: SendOutcome, expected: DeliveryVerdict
) -> None:
    assert evaluate_delivery(failures, receiver, outcome, NOW, MIDDLE) == expected


def test_a_first_failure_counts_and_blocks_nobody_else() -> None:
    follows = evaluate_receiver(WELL, FAILED, pending(1), NOW, MIDDLE)
    assert follows.receiver == replace(WELL, failures=1, failing_since=NOW, blocked_until=NOW, last_error="HTTP 503")
    assert follows.notice is None


def test_the_third_failure_in_a_row_opens_the_breaker() -> None:
    follows = evaluate_receiver(failing(2), FAILED, pending(3), NOW, MIDDLE)
    assert follows.receiver.blocked_until == NOW + timedelta(seconds=60)
    assert not follows.receiver.is_open(NOW)


def test_four_failures_of_four_events_are_not_yet_told_but_the_fourth_of_one_is() -> None:
    assert evaluate_receiver(failing(3), FAILED, pending(1), NOW, MIDDLE).notice is None
    told = evaluate_receiver(failing(7), FAILED, pending(4), NOW, MIDDLE)
    assert told.notice is ReceiverNotice.FAILING
    assert evaluate_receiver(told.receiver, FAILED, pending(5), NOW, MIDDLE).notice is None


def test_one_success_makes_it_well_and_what_waited_is_due() -> None:
    follows = evaluate_receiver(
        failing(5, notified_at=NOW), OK, DeliveryVerdict(DeliveryState.DELIVERED, 4), NOW, MIDDLE
    )
    assert (follows.receiver, follows.notice, follows.reschedule_now) == (WELL, ReceiverNotice.RECOVERED, True)
    quiet = evaluate_receiver(failing(1), OK, DeliveryVerdict(DeliveryState.DELIVERED, 1), NOW, MIDDLE)
    assert (quiet.notice, quiet.reschedule_now) == (None, False)


def test_after_five_days_it_is_paused_and_probed_daily() -> None:
    old = replace(failing(40, notified_at=NOW), failing_since=NOW - timedelta(days=5))
    paused = evaluate_receiver(old, FAILED, pending(8), NOW, MIDDLE)
    assert paused.notice is ReceiverNotice.PAUSED
    assert paused.receiver.paused_since == NOW
    assert paused.receiver.blocked_until == NOW + timedelta(days=1)
    again = evaluate_receiver(paused.receiver, FAILED, pending(8), NOW + timedelta(days=1), MIDDLE)
    assert again.notice is None
    assert again.receiver.blocked_until == NOW + timedelta(days=2)
    assert (
        evaluate_receiver(again.receiver, OK, DeliveryVerdict(DeliveryState.DELIVERED, 8), NOW, MIDDLE).notice
        is ReceiverNotice.RECOVERED
    )


def test_gone_stops_it_and_gives_up_what_waits() -> None:
    follows = evaluate_receiver(WELL, SendOutcome(Result.GONE, 5, 410, error="HTTP 410 Gone"), pending(1), NOW, MIDDLE)
    assert follows.notice is ReceiverNotice.STOPPED
    assert follows.receiver.stopped_at == NOW
    assert follows.abandon == "the receiver is gone: HTTP 410 Gone"


def test_a_refused_address_is_told_once_and_leaves_the_server_well() -> None:
    refused = SendOutcome(Result.REFUSED, 5, error="refused: a@b.cd: 550 no", remaining_recipients=("a@b.cd",))
    first = evaluate_receiver(failing(3), refused, pending(1), NOW, MIDDLE)
    assert first.notice is ReceiverNotice.REFUSED
    assert first.receiver.failures == 0
    assert first.receiver.is_open(NOW)
    assert evaluate_receiver(first.receiver, refused, pending(2), NOW, MIDDLE).notice is None


def test_an_overloaded_receiver_waits_no_longer_than_its_event() -> None:
    slow = replace(FAILED, slow=True)
    first = evaluate_receiver(WELL, slow, pending(1), NOW, MIDDLE)
    assert first.receiver.blocked_until == NOW + timedelta(seconds=5)
    later = evaluate_receiver(WELL, slow, pending(3), NOW, MIDDLE)
    assert later.receiver.blocked_until == NOW + timedelta(minutes=5)


@given(seconds=st.integers(-(10**9), 10**9))
def test_a_wish_to_be_left_alone_is_kept_within_bounds(seconds: int) -> None:
    wish = retry_after(replace(FAILED, retry_after=timedelta(seconds=seconds)))
    assert timedelta(0) <= wish <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", timedelta(minutes=2)),
        (" 0 ", timedelta(0)),
        ("Sun, 01 Nov 2026 08:10:00 GMT", timedelta(minutes=10)),
        ("Sun, 01 Nov 2026 07:50:00 GMT", -timedelta(minutes=10)),
        ("9" * 40, timedelta(seconds=10**9)),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, expected: timedelta | None) -> None:
    assert read_retry_after(value, NOW) == expected


@given(status=st.integers(100, 599))
def test_all_but_2xx_is_a_failure(status: int) -> None:
    outcome = judge_answer(Posted(status, {}, b"", 1), NOW)
    assert (outcome.result is Result.OK) == (200 <= status < 300)
    assert (outcome.result is Result.GONE) == (status == 410)
    assert outcome.slow == (status in (429, 502, 504))
    assert (outcome.error == "") == (outcome.result is Result.OK)
