"""When a receiver's next delivery can be tried, what its next message is, and what a customer's URL must answer first.

All that reads or writes the queue here runs apart (`DeliveryQueue.apart`), each as one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from alerts.channels.base import Batch, Channel
from alerts.delivery import notices
from alerts.model.limits import DELIVERY_LONGEST_WAIT_S, DIGEST_EVENTS
from alerts.model.outbox import Delivery, DeliveryQueue, ReceiverState
from alerts.model.values import replace

HOUR = timedelta(hours=1)


def ready_at(channel: Channel, queue: DeliveryQueue, now: datetime, *, went_back: bool = False) -> datetime | None:
    """Return when the receiver's next delivery can be tried; None if none is pending. `went_back`: the clock did."""
    state = opened(channel, queue, now)
    due_at = queue.next_due(channel.key, pings=state.awaits_answer and state.stopped_at is None)
    if due_at is None:
        return None
    if state.stopped_at is not None:
        reason = f"the receiver is gone: {state.last_error}"
        queue.settle([], state, [], now, abandon=reason)
        return None
    at = max(at for at in (due_at, state.blocked_until, allowed_at(channel, queue, now)) if at is not None)
    if at > now and (went_back or at - now > timedelta(seconds=DELIVERY_LONGEST_WAIT_S)):
        queue.settle([], replace(state, blocked_until=None), [], now, reschedule_now=True)
        return now  # the wait was set by a clock that was ahead
    return at


def opened(channel: Channel, queue: DeliveryQueue, now: datetime) -> ReceiverState:
    """Return the receiver's state; a customer's URL that has not answered yet has a `test.ping` in its queue then.

    A URL that was changed begins anew: its failures were another's, and it has answered nothing.
    """
    state = queue.receiver(channel.key)
    if not channel.target:
        return state
    changed = state.target != channel.target
    if changed:
        state = ReceiverState(channel.key, target=channel.target, asked_at=now)
    unasked = state.awaits_answer and state.stopped_at is None and queue.next_due(channel.key, pings=True) is None
    if changed or unasked:
        drafts = [notices.ping(channel.key, now)] if unasked else []
        queue.settle([], state, drafts, now, reschedule_now=changed)
    return state


def allowed_at(channel: Channel, queue: DeliveryQueue, now: datetime) -> datetime | None:
    """Return when the channel may send its next message; None is at any time."""
    most = channel.max_per_hour
    if most is None:
        return None
    sent = queue.sent_since(channel.key, now - HOUR)
    return sent[-most].at + HOUR if len(sent) >= most else None


def next_message(channel: Channel, queue: DeliveryQueue, now: datetime) -> Batch | None:
    """Return what a channel that gathers events sends next, and note its name; None where nothing may be sent now."""
    at = allowed_at(channel, queue, now)
    due = queue.due(channel.key, now, DIGEST_EVENTS) if at is None or at <= now else ()
    if not due:
        return None
    named = next((delivery for delivery in due if delivery.batch is not None), None)
    if named is not None and named.batch is not None:
        batch = Batch(named.batch, tuple(queue.batch(channel.key, named.batch)), named.remaining_recipients)
    else:
        batch = Batch(batch_name(due), tuple(due))
        queue.name_batch([delivery.number for delivery in due], batch.name)
    episodes = {delivery.event.episode for delivery in batch.deliveries} - {None}
    if len(episodes) != 1:
        return batch
    first = queue.first_batch(channel.key, str(episodes.pop()))
    return replace(batch, answers=first if first != batch.name else None)


def batch_name(together: Sequence[Delivery]) -> str:
    """Return the name of the message that these go out in: the same deliveries, the same name."""
    first = together[0]
    return (
        f"{first.event.id}.{first.number}" if len(together) == 1 else f"{first.event.id}.{first.number}.{len(together)}"
    )
