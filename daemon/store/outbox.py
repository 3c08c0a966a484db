"""The outbox: an event is numbered, encoded and addressed in the transaction of the state change that caused it.

Its id and the bytes of its body are the same on every later attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from alerts.model.events import Event, EventDraft, EventType, Severity, encode_body
from alerts.model.instants import from_ms, to_ms
from alerts.model.receivers import Receivers
from daemon.clock import Ids
from daemon.store.connection import Connection, Transaction, once_committed

EVENT_COLUMNS = "e.id, e.type, e.at_ms, e.account, e.severity, e.rule, e.episode, e.sequence, e.body"


def known_store_id(connection: Connection) -> str:
    """Return the id of the database, empty if it has none yet. Only reads."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
    return row[0] if row else ""


def store_id(tx: Transaction, ids: Ids) -> str:
    """Return the database's id, drawn once: events are numbered within it."""
    tx.execute("INSERT INTO meta (key, value) VALUES ('store', ?) ON CONFLICT DO NOTHING", (ids.new("store"),))
    (value,) = tx.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
    return str(value)


def to_event(row: Sequence[Any]) -> Event:
    """Return the event of a row of `EVENT_COLUMNS`."""
    event_id, kind, at_ms, account, severity, rule, episode, sequence, body = row
    return Event(
        id=event_id,
        type=EventType(kind),
        at=from_ms(at_ms),
        account=account,
        severity=Severity(severity),
        rule=rule,
        episode=episode,
        sequence=sequence,
        body=body,
    )


def find_event(conn: Connection, event_id: str) -> Event | None:
    """Return the event of this id, if there is one."""
    row = conn.execute(f"SELECT {EVENT_COLUMNS} FROM event e WHERE e.id = ?", (event_id,)).fetchone()
    return None if row is None else to_event(row)


class Outbox:
    """Commits events. `receivers` decides the fan-out; later changes of it do not affect committed events."""

    def __init__(self, store_id: str, receivers: Receivers, ids: Ids) -> None:
        self.store_id = store_id
        self.receivers = receivers
        self._ids = ids
        self.appended: Callable[[], None] = lambda: None
        """Called once an event is committed, so that its delivery starts."""
        self._told: set[str] = set()

    def append(self, tx: Transaction, draft: EventDraft, now: datetime) -> Event:
        """Insert `draft` in the caller's transaction: its number, its bytes, and one delivery per receiver.

        If an event with the draft's id exists, nothing is written and that event is returned.
        """
        if draft.id is not None and (known := find_event(tx, draft.id)) is not None:
            return known
        sequence = _take_number(tx, draft.account) if draft.numbered and draft.account is not None else None
        event = Event(
            id=draft.id or self._ids.new("evt"),
            type=draft.type,
            at=draft.at,
            account=draft.account,
            severity=draft.severity,
            rule=draft.rule,
            episode=draft.episode,
            sequence=sequence,
            body=encode_body(draft, sequence, self.store_id),
        )
        receivers = self.receivers.route(draft)
        _insert(tx, event, receivers, to_ms(now))
        once_committed(tx, partial(_say_alert, event))
        once_committed(tx, partial(self._tell, receivers))
        return event

    def _tell(self, receivers: Sequence[str]) -> None:
        self._told.update(receivers)
        self.appended()

    def take_told(self) -> set[str]:
        """Return the receivers that events were addressed to since the last call."""
        told, self._told = self._told, set()
        return told


def _take_number(tx: Transaction, account: str) -> int:
    (number,) = tx.execute(
        "INSERT INTO sequence (account, last) VALUES (?, 1) "
        "ON CONFLICT (account) DO UPDATE SET last = sequence.last + 1 RETURNING last",
        (account,),
    ).fetchone()
    return int(number)


def _say_alert(event: Event) -> None:
    from daemon import journal  # not for the commands that only read

    journal.alert(event)


def _insert(tx: Transaction, event: Event, receivers: Sequence[str], now_ms: int) -> None:
    (number,) = tx.execute(
        "INSERT INTO event (id, type, at_ms, committed_ms, account, severity, rule, episode, sequence, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            event.id,
            event.type.value,
            to_ms(event.at),
            now_ms,
            event.account,
            event.severity.value,
            event.rule,
            event.episode,
            event.sequence,
            event.body,
        ),
    ).fetchone()
    tx.executemany(
        "INSERT INTO delivery (event, receiver, account, created_ms, next_attempt_ms) VALUES (?, ?, ?, ?, ?)",
        [(number, receiver, event.account, now_ms, now_ms) for receiver in receivers],
    )
