"""The events about a receiver: that it fails or has recovered, for the other receivers only; and a test of it."""

from __future__ import annotations

from datetime import datetime

from alerts.delivery.policy import ReceiverNotice
from alerts.model.events import Event, EventDraft, EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.outbox import ReceiverState

_ACTIONS = {
    ReceiverNotice.FAILING: "look at the receiver; its events wait and are tried again by themselves",
    ReceiverNotice.PAUSED: "repair the receiver; its events wait, and it is probed once a day",
    ReceiverNotice.STOPPED: "the receiver said 410 Gone: remove it from the configuration, or replay what it missed",
    ReceiverNotice.REFUSED: (
        "correct the address, or ask the mail server why it refuses it; the others have had the message"
    ),
    ReceiverNotice.DEAD: "look why this event is refused, and replay it",
}


def failing(notice: ReceiverNotice, state: ReceiverState, event: Event, pending: int, now: datetime) -> EventDraft:
    """Return `delivery.failing`: which receiver, since when, why, how much is pending, and what to do."""
    data: dict[str, JsonValue] = {
        "receiver": state.key,
        "state": notice.value,
        "failures": state.failures,
        "failing_since": rfc3339(state.failing_since or now),
        "last_error": state.last_error,
        "pending": pending,
        "event_id": event.id,
        "action": f"{_ACTIONS[notice]}: `{_command(notice, state, event)}`",
        "observed_at": rfc3339(now),
    }
    critical = notice in (ReceiverNotice.PAUSED, ReceiverNotice.STOPPED)
    return EventDraft(
        type=EventType.DELIVERY_FAILING,
        at=now,
        data=data,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        not_receiver=state.key,
    )


def recovered(before: ReceiverState, pending: int, now: datetime) -> EventDraft:
    """Return `delivery.recovered`: the receiver accepts events again, and those pending are sent now."""
    data: dict[str, JsonValue] = {
        "receiver": before.key,
        "failures": before.failures,
        "failing_since": rfc3339(before.failing_since or before.notified_at or now),
        "pending": pending,
        "observed_at": rfc3339(now),
    }
    return EventDraft(type=EventType.DELIVERY_RECOVERED, at=now, data=data, not_receiver=before.key)


def ping(receiver: str, now: datetime) -> EventDraft:
    """Return a `test.ping` to one receiver."""
    data: dict[str, JsonValue] = {
        "receiver": receiver,
        "message": "This is a test. Nothing happened.",
        "observed_at": rfc3339(now),
    }
    return EventDraft(type=EventType.TEST_PING, at=now, data=data, only_receiver=receiver)


def _command(notice: ReceiverNotice, state: ReceiverState, event: Event) -> str:
    if notice in (ReceiverNotice.DEAD, ReceiverNotice.STOPPED):
        return f"brimful deliveries replay {event.id} --to {state.key}"
    return f"brimful deliveries --receiver {state.key}"
