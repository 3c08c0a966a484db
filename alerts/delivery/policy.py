"""What an attempt changes: the delivery, its receiver, and the notice to the other receivers. Pure: a table of cases.

| outcome  | the delivery                       | its receiver                                                      |
|----------|------------------------------------|-------------------------------------------------------------------|
| ok       | delivered                          | recovered: all pending is due now; notice, if one said it failed  |
| failed   | retried by the schedule, then dead | one more failure; probed from the third; paused after five days   |
| refused  | retried by the schedule, then dead | healthy; one notice a run of failures                             |
| gone     | dead                               | stopped: all pending is dead; notice at once                      |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from alerts.channels.base import Result, SendOutcome
from alerts.delivery.schedule import delay_after, probe_after, spread
from alerts.model.limits import (
    DELIVERY_BREAKER_AFTER,
    DELIVERY_NOTIFY_AFTER,
    DELIVERY_PAUSE_AFTER_DAYS,
    DELIVERY_PAUSED_PROBE_S,
    DELIVERY_RETRY_AFTER_MAX_S,
    DELIVERY_SLOW_MAX_S,
)
from alerts.model.outbox import DeliveryState, ReceiverState
from alerts.model.values import replace


class ReceiverNotice(StrEnum):
    """What a notice to the other receivers says about one."""

    FAILING = "failing"
    PAUSED = "paused"
    STOPPED = "stopped"
    REFUSED = "refused"
    DEAD = "dead"
    """One delivery is given up: sent for each such delivery."""
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class DeliveryVerdict:
    """The new state of the delivery; `next_attempt_at` is set while it stays pending."""

    state: DeliveryState
    failures: int
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Consequence:
    """The new state of the receiver, and the notice about it to the others."""

    receiver: ReceiverState
    notice: ReceiverNotice | None = None
    reschedule_now: bool = False
    """Whether all its pending deliveries are due now."""
    abandon: str = ""
    """If set, all its pending deliveries are dead, for this reason."""


def evaluate_delivery(
    failures: int, receiver: ReceiverState, outcome: SendOutcome, now: datetime, roll: float
) -> DeliveryVerdict:
    """Return the new state of a delivery with `failures` failed attempts before. `roll`: a random number in [0, 1)."""
    if outcome.result is Result.OK:
        return DeliveryVerdict(DeliveryState.DELIVERED, failures)
    if outcome.result is Result.GONE:
        return DeliveryVerdict(DeliveryState.DEAD, failures + 1)
    if receiver.paused_since is not None:  # a daily probe does not count as an attempt
        return DeliveryVerdict(DeliveryState.PENDING, failures, now)
    delay = delay_after(failures + 1, roll)
    if delay is None:
        return DeliveryVerdict(DeliveryState.DEAD, failures + 1)
    return DeliveryVerdict(DeliveryState.PENDING, failures + 1, now + max(delay, retry_after(outcome)))


def evaluate_receiver(
    state: ReceiverState, outcome: SendOutcome, verdict: DeliveryVerdict, now: datetime, roll: float
) -> Consequence:
    """Return what follows for the receiver; `verdict` is that of the batch's oldest delivery."""
    if outcome.result is Result.OK:
        return _well_again(state)
    if outcome.result is Result.GONE:
        return _gone(state, outcome, now)
    if outcome.result is Result.REFUSED:
        # The server answered, so the breaker closes. The refused addresses need a person: one notice a run of failures.
        refused = replace(state.healthy(), notified_at=state.notified_at or now, last_error=outcome.error)
        return Consequence(refused, ReceiverNotice.REFUSED if state.notified_at is None else None)
    return _failed(state, outcome, verdict, now, roll)


def is_told(notice: ReceiverNotice, before: ReceiverState, *, customers: bool) -> bool:
    """Whether others hear of it: of a customer's receiver, only that its events stop, and that they go on again."""
    if not customers or notice in (ReceiverNotice.PAUSED, ReceiverNotice.STOPPED):
        return True
    return notice is ReceiverNotice.RECOVERED and before.paused_since is not None


def retry_after(outcome: SendOutcome) -> timedelta:
    """Return the receiver's Retry-After, clamped to 0 … `DELIVERY_RETRY_AFTER_MAX_S`; zero where it sent none."""
    if outcome.retry_after is None:
        return timedelta(0)
    return min(max(outcome.retry_after, timedelta(0)), timedelta(seconds=DELIVERY_RETRY_AFTER_MAX_S))


def _well_again(state: ReceiverState) -> Consequence:
    was_blocked = state.failures >= DELIVERY_BREAKER_AFTER or state.paused_since is not None
    return Consequence(
        state.healthy(),
        ReceiverNotice.RECOVERED if state.notified_at is not None else None,
        reschedule_now=was_blocked,
    )


def _gone(state: ReceiverState, outcome: SendOutcome, now: datetime) -> Consequence:
    stopped = replace(
        state,
        failures=state.failures + 1,
        failing_since=state.failing_since or now,
        stopped_at=now,
        notified_at=now,
        last_error=outcome.error,
    )
    return Consequence(stopped, ReceiverNotice.STOPPED, abandon=f"the receiver is gone: {outcome.error}")


def _failed(
    state: ReceiverState, outcome: SendOutcome, verdict: DeliveryVerdict, now: datetime, roll: float
) -> Consequence:
    failing_since = state.failing_since or now
    failing = replace(
        state,
        failures=state.failures + 1,
        failing_since=failing_since,
        blocked_until=now + _left_alone(state, outcome, verdict, roll),
        last_error=outcome.error,
    )
    if state.paused_since is None and now - failing_since >= timedelta(days=DELIVERY_PAUSE_AFTER_DAYS):
        paused = replace(failing, paused_since=now, notified_at=now, blocked_until=now + _paused_probe())
        return Consequence(paused, ReceiverNotice.PAUSED)
    if state.paused_since is not None:
        return Consequence(replace(failing, blocked_until=now + _paused_probe()))
    if (
        state.notified_at is None
        and verdict.failures >= DELIVERY_NOTIFY_AFTER
        and failing.failures >= DELIVERY_NOTIFY_AFTER
    ):
        return Consequence(replace(failing, notified_at=now), ReceiverNotice.FAILING)
    if verdict.state is DeliveryState.DEAD:
        return Consequence(failing, ReceiverNotice.DEAD)
    return Consequence(failing)


def _left_alone(state: ReceiverState, outcome: SendOutcome, verdict: DeliveryVerdict, roll: float) -> timedelta:
    waits = [retry_after(outcome)]
    if outcome.slow and outcome.retry_after is None:
        own = delay_after(verdict.failures, roll) or timedelta.max
        waits.append(min(own, spread(timedelta(seconds=DELIVERY_SLOW_MAX_S), roll)))
    beyond = state.failures + 1 - DELIVERY_BREAKER_AFTER
    if beyond >= 0:
        waits.append(probe_after(beyond, roll))
    return max(waits)


def _paused_probe() -> timedelta:
    return timedelta(seconds=DELIVERY_PAUSED_PROBE_S)
