"""What is written of an attempt, and how a message is named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.delivery.policy import DeliveryVerdict
from alerts.model.limits import DELIVERY_ANSWER_KEPT
from alerts.model.outbox import Attempt, Delivery, DeliveryState, Mark


def outcome_of(task: asyncio.Task[SendOutcome]) -> SendOutcome:
    """Return what a channel's task came to; one that raised, which none should, is a failure like others."""
    error = task.exception()
    if error is None:
        return task.result()
    return SendOutcome(Result.FAILED, 0, error=f"internal error: {type(error).__name__}", maybe_arrived=True)


def failures_before(parcel: Batch, outcome: SendOutcome) -> list[int]:
    """Return what each delivery counts from: what is sent again as the same message keeps one count and one time."""
    failures = [delivery.failures for delivery in parcel.deliveries]
    return [min(failures)] * len(failures) if _must_stay_together(outcome) else failures


def _must_stay_together(outcome: SendOutcome) -> bool:
    return outcome.maybe_arrived or outcome.rest is not None


def mark(delivery: Delivery, parcel: Batch, outcome: SendOutcome, verdict: DeliveryVerdict, at: datetime) -> Mark:
    """Return what is written of a delivery after an attempt that began at `at`."""
    named = delivery.event.id != parcel.name
    keep = verdict.state is DeliveryState.DELIVERED or _must_stay_together(outcome)
    return Mark(
        number=delivery.number,
        attempt=Attempt(at, outcome.elapsed_ms, outcome.status, outcome.error, outcome.answer[:DELIVERY_ANSWER_KEPT]),
        state=verdict.state,
        failures=verdict.failures,
        next_attempt_at=verdict.next_attempt_at,
        rest=outcome.rest if verdict.state is not DeliveryState.DELIVERED else None,
        parcel=parcel.name if keep and named else None,
    )


def cut_mark(delivery: Delivery, parcel: Batch, now: datetime) -> Mark:
    """Return what is written of a delivery whose attempt was cut: it stays due, and nothing is counted."""
    return Mark(
        number=delivery.number,
        attempt=Attempt(now, 0, error="cut: the service stopped"),
        state=DeliveryState.PENDING,
        failures=delivery.failures,
        next_attempt_at=now,
        rest=delivery.rest,
        parcel=parcel.name if delivery.event.id != parcel.name else None,
    )


def parcel_name(together: Sequence[Delivery]) -> str:
    """Return the name of the message that these go out in: the same deliveries, the same name."""
    first = together[0]
    return (
        f"{first.event.id}.{first.number}" if len(together) == 1 else f"{first.event.id}.{first.number}.{len(together)}"
    )
