"""How a customer's subscription fares, as the API tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alerts.model.outbox import ReceiverState
from alerts.model.receivers import WebhookReceiver
from daemon.store.connection import Connection
from daemon.store.deliveries import find_receiver


class SubscriptionPhase(StrEnum):
    PENDING = "pending"
    """Its URL has not answered a `test.ping` yet: its events wait."""
    ACTIVE = "active"
    FAILING = "failing"
    """It is tried again by itself."""
    PAUSED = "paused"
    """It has failed for days: its events wait, and it is probed once a day."""
    STOPPED = "stopped"
    """It answered 410: it hears nothing until something is replayed to it or its URL is changed."""


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """`since`: when the phase began; None where it was not looked at yet. `last_error`: what failed last, one line."""

    phase: SubscriptionPhase
    since: datetime | None = None
    last_error: str = ""


def subscription_state(conn: Connection, receiver: WebhookReceiver) -> SubscriptionState:
    """Return the state of a subscription; what was told of an earlier URL of it does not count."""
    state = find_receiver(conn, receiver.key)
    if state is None or state.target != receiver.target:
        return SubscriptionState(SubscriptionPhase.PENDING)
    phase, since = _phase(state)
    return SubscriptionState(phase, since, state.last_error)


def _phase(state: ReceiverState) -> tuple[SubscriptionPhase, datetime | None]:
    if state.stopped_at is not None:
        return SubscriptionPhase.STOPPED, state.stopped_at
    if state.paused_since is not None:
        return SubscriptionPhase.PAUSED, state.paused_since
    if state.awaits_answer:
        return SubscriptionPhase.PENDING, state.asked_at
    if state.failing_since is not None:
        return SubscriptionPhase.FAILING, state.failing_since
    return SubscriptionPhase.ACTIVE, state.answered_at
