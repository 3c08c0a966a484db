"""Events, deliveries, episodes and runs, a page at a time, of accounts or receivers that the asker sees.

An owner's cursor is the id of an event: numbers are counted over everybody, and would tell how much happens elsewhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

from alerts.model.events import Event
from alerts.model.instants import to_ms
from alerts.rules.state import Episode
from daemon.store.connection import Connection
from daemon.store.outbox import EVENT_COLUMNS, to_event
from daemon.store.replays import Filter, Logged, logged_where
from daemon.store.states import EPISODE_COLUMNS, to_episode

_LARGEST = 2**63 - 1


def number_of(conn: Connection, event_id: str) -> int | None:
    """Return the number of an event, None where there is none."""
    row = conn.execute("SELECT number FROM event WHERE id = ?", (event_id,)).fetchone()
    return None if row is None else int(row[0])


def events_after(conn: Connection, number: int, accounts: Iterable[str] | None, type: str, limit: int) -> list[Event]:
    """Return the events after `number`, oldest first; of all accounts (and of none) where `accounts` is None."""
    where, values = ("AND e.type = ?", (type,)) if type else ("", ())
    if accounts is None:
        rows = conn.execute(
            f"SELECT {EVENT_COLUMNS} FROM event e WHERE e.number > ? {where} ORDER BY e.number LIMIT ?",
            (number, *values, limit),
        )
        return [to_event(row) for row in rows]
    query = (
        f"SELECT e.number, {EVENT_COLUMNS} FROM event e WHERE e.account = ? AND e.number > ? {where} "
        "ORDER BY e.number LIMIT ?"
    )

    def of(account: str) -> list[tuple[int, Sequence[object]]]:
        return [(row[0], row[1:]) for row in conn.execute(query, (account, number, *values, limit))]

    merged = heapq.merge(*(of(account) for account in accounts), key=lambda row: row[0])
    return [to_event(row) for _, row in islice(merged, limit)]


def deliveries_before(
    conn: Connection, delivery: int | None, receivers: Sequence[str] | None, wanted: Filter, limit: int
) -> list[Logged]:
    """Return deliveries older than the one of this number, newest first; of all receivers where `receivers` is None."""
    before = _LARGEST if delivery is None else delivery
    if receivers is None:
        return logged_where(conn, wanted, "d.number < ?", (before,), limit)
    found: list[Logged] = []
    for receiver in receivers:
        found += logged_where(conn, wanted, "d.receiver = ? AND d.number < ?", (receiver, before), limit)
    return sorted(found, key=lambda one: -one.number)[:limit]


def delivery_of(conn: Connection, event_id: str, receiver: str) -> Logged | None:
    """Return the delivery of an event to a receiver."""
    found = logged_where(conn, Filter(), "e.id = ? AND d.receiver = ?", (event_id, receiver), 1)
    return found[0] if found else None


def episodes_before(conn: Connection, account: str, before: tuple[datetime, str] | None, limit: int) -> list[Episode]:
    """Return the account's episodes, the latest opened first, that were opened before that one."""
    opened, id = (_LARGEST, "") if before is None else (to_ms(before[0]), before[1])
    rows = conn.execute(
        f"SELECT {EPISODE_COLUMNS} FROM episode WHERE account = ? AND (opened_at < ? OR (opened_at = ? AND id > ?))"
        " ORDER BY opened_at DESC, id LIMIT ?",
        (account, opened, opened, id, limit),
    )
    return [to_episode(row) for row in rows]


def episode_of(conn: Connection, id: str) -> Episode | None:
    """Return an episode by its id."""
    row = conn.execute(f"SELECT {EPISODE_COLUMNS} FROM episode WHERE id = ?", (id,)).fetchone()
    return None if row is None else to_episode(row)
