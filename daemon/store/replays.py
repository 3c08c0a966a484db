"""The delivery log, as commands, reports and the status page read it; and the replay of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.model.events import Event
from alerts.model.instants import from_ms, to_ms
from alerts.model.outbox import Attempt, DeliveryState
from daemon.store.connection import Connection, Transaction
from daemon.store.outbox import EVENT_COLUMNS, to_event


@dataclass(frozen=True, slots=True)
class Logged:
    """One delivery in the log. `last_error`: of its last attempt, empty if that succeeded."""

    number: int
    event_id: str
    type: str
    account: str | None
    receiver: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None
    last_status: int | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of the log; None means all. `event`: an event's id, or a type in which `*` matches any part."""

    number: int | None = None
    receiver: str | None = None
    event: str | None = None
    state: DeliveryState | None = None
    since: datetime | None = None
    until: datetime | None = None


_LOGGED = """
SELECT d.number, e.id, e.type, e.account, d.receiver, d.state, d.attempts, d.created_ms, d.next_attempt_ms,
    d.settled_ms, a.status, COALESCE(NULLIF(d.reason, ''), a.error, '')
FROM delivery d JOIN event e ON e.number = d.event
LEFT JOIN attempt a ON a.delivery = d.number AND a.ordinal = d.attempts
WHERE {where} ORDER BY d.number DESC LIMIT ?
"""


def find(conn: Connection, wanted: Filter, limit: int) -> list[Logged]:
    """Return the newest deliveries that match the filter, newest first."""
    return logged_where(conn, wanted, "TRUE", (), limit)


def logged_where(conn: Connection, wanted: Filter, term: str, more: Sequence[Any], limit: int) -> list[Logged]:
    """Return the newest deliveries that match the filter and one more term of the store's own."""
    where, values = _where(wanted)
    rows = conn.execute(_LOGGED.format(where=f"{where} AND {term}"), (*values, *more, limit))
    return [_to_logged(row) for row in rows]


def attempts(conn: Connection, number: int) -> list[Attempt]:
    """Return every attempt of a delivery, oldest first."""
    rows = conn.execute(
        "SELECT at_ms, elapsed_ms, status, error, answer FROM attempt WHERE delivery = ? ORDER BY ordinal", (number,)
    )
    return [
        Attempt(from_ms(at_ms), elapsed_ms, status, error, answer) for at_ms, elapsed_ms, status, error, answer in rows
    ]


def event_of(conn: Connection, number: int) -> Event | None:
    """Return the event that a delivery carries."""
    row = conn.execute(
        f"SELECT {EVENT_COLUMNS} FROM delivery d JOIN event e ON e.number = d.event WHERE d.number = ?", (number,)
    ).fetchone()
    return None if row is None else to_event(row)


def counts(conn: Connection) -> dict[tuple[str, DeliveryState], int]:
    """Return the number of deliveries by receiver and state."""
    rows = conn.execute("SELECT receiver, state, COUNT(*) FROM delivery GROUP BY receiver, state")
    return {(receiver, DeliveryState(state)): count for receiver, state, count in rows}


def replay(tx: Transaction, wanted: Filter, now: datetime) -> int:
    """Make the deliveries that match the filter due again, with the same id and bytes; return their number.

    Their receivers are tried at once, also stopped or paused ones: whoever replays has repaired them.
    """
    where, values = _where(wanted)
    numbers = [
        number
        for (number,) in tx.execute(
            f"SELECT d.number FROM delivery d JOIN event e ON e.number = d.event WHERE {where} ORDER BY d.number",
            values,
        )
    ]
    tx.executemany(
        "UPDATE delivery SET state = 'pending', failures = 0, next_attempt_ms = ?, settled_ms = NULL, parcel = NULL, "
        "rest = NULL, reason = '' WHERE number = ?",
        [(to_ms(now), number) for number in numbers],
    )
    tx.execute(
        "UPDATE receiver SET stopped_ms = NULL, blocked_until_ms = NULL WHERE key IN "
        "(SELECT receiver FROM delivery WHERE state = 'pending' AND next_attempt_ms = ?)",
        (to_ms(now),),
    )
    return len(numbers)


def _where(wanted: Filter) -> tuple[str, list[Any]]:
    terms: list[str] = ["TRUE"]
    values: list[Any] = []

    def add(term: str, value: Any) -> None:
        terms.append(term)
        values.append(value)

    if wanted.number is not None:
        add("d.number = ?", wanted.number)
    if wanted.receiver is not None:
        add("d.receiver = ?", wanted.receiver)
    if wanted.event is not None:
        if "." in wanted.event or "*" in wanted.event:
            add(r"e.type LIKE ? ESCAPE '\'", wanted.event.replace("_", r"\_").replace("%", r"\%").replace("*", "%"))
        else:
            add("e.id = ?", wanted.event)
    if wanted.state is not None:
        add("d.state = ?", wanted.state.value)
    if wanted.since is not None:
        add("d.created_ms >= ?", to_ms(wanted.since))
    if wanted.until is not None:
        add("d.created_ms < ?", to_ms(wanted.until))
    return " AND ".join(terms), values


def _to_logged(row: Sequence[Any]) -> Logged:
    number, event_id, kind, account, receiver, state, tries, created, next_attempt, settled, status, error = row
    return Logged(
        number=number,
        event_id=event_id,
        type=kind,
        account=account,
        receiver=receiver,
        state=DeliveryState(state),
        attempts=tries,
        created_at=from_ms(created),
        next_attempt_at=None if next_attempt is None else from_ms(next_attempt),
        settled_at=None if settled is None else from_ms(settled),
        last_status=status,
        last_error=error,
    )
