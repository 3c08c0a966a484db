"""The events and episodes that really happened: a replay is compared with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from alerts.model.instants import from_ms, to_ms
from daemon.store.connection import Connection


@dataclass(frozen=True, slots=True)
class PastNotification:
    """One event of an account, as it was committed."""

    type: str
    at: datetime
    rule: str | None
    episode: str | None
    is_reminder: bool


def notifications(connection: Connection, account: str, since: datetime, until: datetime) -> list[PastNotification]:
    """Return the account's events that happened in [since, until], oldest first."""
    rows = connection.execute(
        "SELECT type, at_ms, rule, episode, body FROM event"
        " WHERE account = ? AND at_ms BETWEEN ? AND ? ORDER BY number",
        (account, to_ms(since), to_ms(until)),
    )
    return [
        PastNotification(type, from_ms(at_ms), rule, episode, bool(json.loads(body)["data"].get("reminder")))
        for type, at_ms, rule, episode, body in rows
    ]


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """One episode, as it was stored."""

    rule: str
    opened_at: datetime
    closed_at: datetime | None


def episodes(connection: Connection, account: str, since: datetime, until: datetime) -> list[PastEpisode]:
    """Return the account's episodes that opened in [since, until], oldest first."""
    rows = connection.execute(
        "SELECT rule, opened_at, closed_at FROM episode WHERE account = ? AND opened_at BETWEEN ? AND ?"
        " ORDER BY opened_at",
        (account, to_ms(since), to_ms(until)),
    )
    return [
        PastEpisode(rule, from_ms(opened), None if closed is None else from_ms(closed)) for rule, opened, closed in rows
    ]
