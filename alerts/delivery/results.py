"""The result of an attempt as it is stored."""

from __future__ import annotations

import asyncio
from datetime import datetime

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.delivery.policy import DeliveryVerdict
from alerts.model.limits import DELIVERY_ANSWER_KEPT
from alerts.model.outbox import Attempt, AttemptResult, Delivery, DeliveryState


def outcome_of(task: asyncio.Task[SendOutcome]) -> SendOutcome:
    """Return the outcome of a channel's task; an exception, which no channel should raise, is a failure."""
    error = task.exception()
    if error is None:
        return task.result()
    return SendOutcome(Result.FAILED, 0, error=f"internal error: {type(error).__name__}", maybe_arrived=True)


def failures_before(batch: Batch, outcome: SendOutcome) -> list[int]:
    """Return what each delivery counts from: what is sent again as the same message keeps one count and one time."""
    failures = [delivery.failures for delivery in batch.deliveries]
    return [min(failures)] * len(failures) if _must_stay_together(outcome) else failures


def _must_stay_together(outcome: SendOutcome) -> bool:
    return outcome.maybe_arrived or outcome.remaining_recipients is not None


def attempt_result(
    delivery: Delivery, batch: Batch, outcome: SendOutcome, verdict: DeliveryVerdict, at: datetime
) -> AttemptResult:
    """Return the result to store for a delivery after an attempt that began at `at`."""
    named = delivery.event.id != batch.name
    keep = verdict.state is DeliveryState.DELIVERED or _must_stay_together(outcome)
    return AttemptResult(
        number=delivery.number,
        attempt=Attempt(at, outcome.elapsed_ms, outcome.status, outcome.error, outcome.answer[:DELIVERY_ANSWER_KEPT]),
        state=verdict.state,
        failures=verdict.failures,
        next_attempt_at=verdict.next_attempt_at,
        remaining_recipients=outcome.remaining_recipients if verdict.state is not DeliveryState.DELIVERED else None,
        batch=batch.name if keep and named else None,
    )


def cut_result(delivery: Delivery, batch: Batch, now: datetime) -> AttemptResult:
    """Return the result of an attempt that was cancelled: the delivery stays due, and no failure is counted."""
    return AttemptResult(
        number=delivery.number,
        attempt=Attempt(now, 0, error="cut: the service stopped"),
        state=DeliveryState.PENDING,
        failures=delivery.failures,
        next_attempt_at=now,
        remaining_recipients=delivery.remaining_recipients,
        batch=batch.name if delivery.event.id != batch.name else None,
    )
