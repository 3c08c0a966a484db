"""The notifications of an episode: its events, and the state of each delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.model.events import EventType
from alerts.model.instants import from_ms
from daemon.store.connection import Connection

NOTIFICATIONS_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Recipient:
    """One receiver of one event. `state` is `pending`, `delivered` or `dead`."""

    receiver: str
    state: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredNotification:
    """One event of an episode, and who gets it (`recipients` is empty if no receiver subscribes to it)."""

    event: str
    type: EventType
    at: datetime
    recipients: tuple[Recipient, ...]


def notifications_of(conn: Connection, episodes: Sequence[str]) -> Mapping[str, list[StoredNotification]]:
    """Return the events of each episode in the order of their commits; the latest `NOTIFICATIONS_LISTED` deliveries."""
    found: dict[str, dict[str, StoredNotification]] = {}
    rows = conn.execute(
        "SELECT * FROM (SELECT e.number, e.episode, e.id, e.type, e.at_ms, d.receiver, d.state, d.settled_ms, d.number"
        f" FROM event e LEFT JOIN delivery d ON d.event = e.number WHERE e.episode IN ({','.join('?' * len(episodes))})"
        f" ORDER BY e.number DESC, d.number DESC LIMIT {NOTIFICATIONS_LISTED}) AS latest_ones ORDER BY 1, 9",
        tuple(episodes),
    )
    for _, episode, event, kind, at_ms, receiver, state, settled, _ in rows:
        of_episode = found.setdefault(episode, {})
        notification = of_episode.get(event) or StoredNotification(event, EventType(kind), from_ms(at_ms), ())
        recipients = notification.recipients
        if receiver is not None:
            recipients = (*recipients, Recipient(receiver, state, None if settled is None else from_ms(settled)))
        of_episode[event] = StoredNotification(notification.event, notification.type, notification.at, recipients)
    return {episode: list(of_episode.values()) for episode, of_episode in found.items()}
