"""What is written of an attempt: nothing is lost, nothing counts twice, and an uncertain message keeps its name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.delivery.due import batch_name
from alerts.delivery.policy import DeliveryVerdict, ReceiverNotice, evaluate_delivery, evaluate_receiver
from alerts.delivery.results import attempt_result, cut_result, failures_before, outcome_of
from alerts.model.events import EventType
from alerts.model.limits import DELIVERY_ANSWER_KEPT
from alerts.model.outbox import Delivery, DeliveryState, ReceiverState
from alerts.model.values import replace
from tests.helpers_events import example_event

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
EVENT = example_event(EventType.BALANCE_LOW)
ONE = Delivery(7, "email:ops", EVENT, failures=2)
TWO = Delivery(9, "email:ops", EVENT, failures=5)
ALONE = Batch(EVENT.id, (ONE,))
TOGETHER = Batch("evt_digest", (ONE, TWO))
OK = SendOutcome(Result.OK, 12, 250)
FAILED = SendOutcome(Result.FAILED, 12, 503, error="HTTP 503", answer="x" * 10_000)
LOST = replace(FAILED, maybe_arrived=True)
REFUSED = SendOutcome(Result.REFUSED, 12, remaining_recipients=("a@b.cd",))
DELIVERED = DeliveryVerdict(DeliveryState.DELIVERED, 2)
AGAIN = DeliveryVerdict(DeliveryState.PENDING, 3, LATER)


async def test_a_channel_s_own_error_is_a_failure_that_may_have_arrived_and_tells_no_secret() -> None:
    async def breaks() -> SendOutcome:
        raise RuntimeError("token sk_test_123")

    async def answers() -> SendOutcome:
        return OK

    tasks = [asyncio.create_task(breaks()), asyncio.create_task(answers())]
    await asyncio.wait(tasks)
    assert outcome_of(tasks[0]) == SendOutcome(
        Result.FAILED, 0, error="internal error: RuntimeError", maybe_arrived=True
    )
    assert outcome_of(tasks[1]) is OK


@pytest.mark.parametrize(
    ("outcome", "counted_from"), [(OK, [2, 5]), (FAILED, [2, 5]), (LOST, [2, 2]), (REFUSED, [2, 2])]
)
def test_what_must_go_out_as_the_same_message_counts_as_one(outcome: SendOutcome, counted_from: list[int]) -> None:
    assert failures_before(TOGETHER, outcome) == counted_from


@pytest.mark.parametrize(
    ("batch", "outcome", "verdict", "kept"),
    [
        (TOGETHER, LOST, AGAIN, "evt_digest"),
        (TOGETHER, REFUSED, AGAIN, "evt_digest"),
        (TOGETHER, OK, DELIVERED, "evt_digest"),
        (TOGETHER, FAILED, AGAIN, None),
        (ALONE, LOST, AGAIN, None),
        (ALONE, OK, DELIVERED, None),
    ],
)
def test_a_message_keeps_its_name_where_it_arrived_or_may_have(
    batch: Batch, outcome: SendOutcome, verdict: DeliveryVerdict, kept: str | None
) -> None:
    assert attempt_result(ONE, batch, outcome, verdict, NOW).batch == kept


def test_a_mark_holds_the_attempt_and_what_follows() -> None:
    written = attempt_result(ONE, ALONE, FAILED, AGAIN, NOW)
    assert (written.number, written.state, written.failures, written.next_attempt_at) == (
        7,
        DeliveryState.PENDING,
        3,
        LATER,
    )
    assert (written.attempt.at, written.attempt.elapsed_ms, written.attempt.status, written.attempt.error) == (
        NOW,
        12,
        503,
        "HTTP 503",
    )
    assert len(written.attempt.answer) == DELIVERY_ANSWER_KEPT


def test_those_who_were_refused_are_still_to_be_told_and_nobody_else() -> None:
    assert attempt_result(ONE, TOGETHER, REFUSED, AGAIN, NOW).remaining_recipients == ("a@b.cd",)
    assert attempt_result(ONE, TOGETHER, REFUSED, DELIVERED, NOW).remaining_recipients is None


def test_an_attempt_that_was_cut_counts_nothing_and_is_due_at_once() -> None:
    waiting = replace(TWO, remaining_recipients=("a@b.cd",))
    cut = cut_result(waiting, TOGETHER, NOW)
    assert (cut.state, cut.failures, cut.next_attempt_at, cut.remaining_recipients) == (
        DeliveryState.PENDING,
        5,
        NOW,
        ("a@b.cd",),
    )
    assert cut.attempt.error == "cut: the service stopped"
    assert cut.batch == "evt_digest", "it may have arrived: the next try is the same message"
    assert cut_result(ONE, ALONE, NOW).batch is None


def test_the_same_deliveries_have_the_same_name_and_others_another() -> None:
    names = [batch_name(together) for together in ([ONE], [TWO], [ONE, TWO])]
    assert names == [batch_name(together) for together in ([ONE], [TWO], [ONE, TWO])]
    assert len(set(names)) == 3


def test_a_delivery_that_is_given_up_is_told_though_its_receiver_was_told_of_before() -> None:
    receiver = ReceiverState("webhook:app", failures=20, failing_since=NOW - timedelta(days=2), notified_at=NOW)
    verdict = evaluate_delivery(9, receiver, FAILED, NOW, 0.5)
    assert verdict.state is DeliveryState.DEAD
    assert evaluate_receiver(receiver, FAILED, verdict, NOW, 0.5).notice is ReceiverNotice.DEAD


def test_a_receiver_that_is_overloaded_at_the_last_attempt_is_left_alone_for_a_while_at_most() -> None:
    verdict = DeliveryVerdict(DeliveryState.DEAD, 10)
    follows = evaluate_receiver(ReceiverState("webhook:app"), replace(FAILED, slow=True), verdict, NOW, 0.5)
    assert follows.receiver.blocked_until is not None
    assert NOW < follows.receiver.blocked_until <= NOW + timedelta(hours=1)
