"""Deliveries in the store: the `DeliveryQueue`, in a lane. Results are written after sending, in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from alerts.model.events import EventDraft
from alerts.model.instants import from_ms, to_ms
from alerts.model.outbox import AttemptResult, Delivery, DeliveryState, ReceiverState, SentBatch
from daemon.logs import mask
from daemon.store.connection import Connection, Store, Transaction
from daemon.store.outbox import EVENT_COLUMNS, Outbox, to_event

P = ParamSpec("P")
T = TypeVar("T")

_HELD = """EXISTS (
    SELECT 1 FROM delivery h
    WHERE h.receiver = d.receiver AND h.account = d.account AND h.state = 'pending' AND h.failures = 1
      AND h.number < d.number
)"""

_DUE = f"""
SELECT d.number, d.receiver, d.failures, d.parcel, d.rest, {EVENT_COLUMNS}
FROM delivery d INDEXED BY delivery_due JOIN event e ON e.number = d.event
WHERE d.receiver = ? AND d.state = 'pending' AND d.next_attempt_ms <= ? AND NOT {_HELD} {{more}}
ORDER BY d.next_attempt_ms, d.number LIMIT ?
"""
_PINGS = "AND d.account IS NULL AND e.type = 'test.ping'"

_BATCH = f"""
SELECT d.number, d.receiver, d.failures, d.parcel, d.rest, {EVENT_COLUMNS}
FROM delivery d INDEXED BY delivery_parcel JOIN event e ON e.number = d.event
WHERE d.receiver = ? AND d.parcel = ? AND d.parcel IS NOT NULL AND d.state = 'pending' ORDER BY d.number
"""

_NEXT_DUE = f"""
SELECT d.next_attempt_ms FROM delivery d INDEXED BY delivery_due
WHERE d.receiver = ? AND d.state = 'pending' AND NOT {_HELD}
ORDER BY d.next_attempt_ms LIMIT 1
"""

_NEXT_PING = f"""
SELECT d.next_attempt_ms FROM delivery d INDEXED BY delivery_due JOIN event e ON e.number = d.event
WHERE d.receiver = ? AND d.state = 'pending' {_PINGS}
ORDER BY d.next_attempt_ms LIMIT 1
"""

_OVERDUE = """
SELECT r.key, COUNT(*) FROM receiver r JOIN delivery d ON d.receiver = r.key AND d.state = 'pending'
WHERE r.told_ms IS NOT NULL GROUP BY r.key
"""

_SENT = """
SELECT MIN(settled_ms) AS at_ms, parcel FROM delivery INDEXED BY delivery_sent
WHERE receiver = ?1 AND state = 'delivered' AND parcel IS NOT NULL AND settled_ms > ?2 GROUP BY parcel
UNION ALL
SELECT MIN(a.at_ms), d.parcel FROM delivery d INDEXED BY delivery_parcel JOIN attempt a ON a.delivery = d.number
WHERE d.receiver = ?1 AND d.state = 'pending' AND d.parcel IS NOT NULL AND d.rest IS NOT NULL
GROUP BY d.parcel HAVING MIN(a.at_ms) > ?2
ORDER BY at_ms
"""
"""A message that some addresses accepted and others refused counts as sent, too."""

_MARK = """
UPDATE delivery SET state = ?, failures = ?, attempts = attempts + 1, next_attempt_ms = ?, settled_ms = ?,
    parcel = ?, rest = ?, reason = ?
WHERE number = ? AND (state = 'pending' OR 'delivered' = ?)
"""
"""What was given up while its attempt was under way stays so, unless it arrived."""

_ATTEMPT = """
INSERT INTO attempt (delivery, ordinal, at_ms, elapsed_ms, status, error, answer)
SELECT number, attempts, ?, ?, ?, ?, ? FROM delivery WHERE number = ? ON CONFLICT DO NOTHING
"""
"""One that was under way when its delivery was given up is no attempt more."""

_RECEIVER_COLUMNS = (
    "key, failures, failing_since_ms, blocked_until_ms, paused_since_ms, stopped_ms, told_ms, last_error, "
    "target, asked_ms, answered_ms"
)

_SAVE_RECEIVER = f"""
INSERT INTO receiver ({_RECEIVER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, failing_since_ms = excluded.failing_since_ms,
    blocked_until_ms = excluded.blocked_until_ms, paused_since_ms = excluded.paused_since_ms,
    stopped_ms = excluded.stopped_ms, told_ms = excluded.told_ms, last_error = excluded.last_error,
    target = excluded.target, asked_ms = excluded.asked_ms, answered_ms = excluded.answered_ms
"""


class StoredQueue:
    """The deliveries of one database. `outbox` commits the events that delivering itself causes."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store.lane("delivery")
        self._outbox = outbox

    def close(self) -> None:
        """Close the connection of its own, where there is one."""
        self._store.close_lane()

    async def apart(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        return await self._store.apart(work, *args, **more)

    def receiver(self, key: str) -> ReceiverState:
        return find_receiver(self._store.reader, key) or ReceiverState(key)

    def told(self) -> set[str]:
        return self._outbox.take_told()

    def waiting(self) -> list[str]:
        rows = self._store.reader.execute("SELECT DISTINCT receiver FROM delivery WHERE state = 'pending'")
        return [receiver for (receiver,) in rows]

    def due(self, key: str, now: datetime, limit: int, *, pings: bool = False) -> Sequence[Delivery]:
        due = _DUE.format(more=_PINGS if pings else "")
        return [_to_delivery(row) for row in self._store.reader.execute(due, (key, to_ms(now), limit))]

    def next_due(self, key: str, *, pings: bool = False) -> datetime | None:
        row = self._store.reader.execute(_NEXT_PING if pings else _NEXT_DUE, (key,)).fetchone()
        return None if row is None else from_ms(row[0])

    def name_batch(self, numbers: Sequence[int], name: str) -> None:
        with self._store.write(durable=True) as tx:
            tx.executemany("UPDATE delivery SET parcel = ? WHERE number = ?", [(name, number) for number in numbers])

    def batch(self, key: str, name: str) -> Sequence[Delivery]:
        return [_to_delivery(row) for row in self._store.reader.execute(_BATCH, (key, name))]

    def sent_since(self, key: str, since: datetime) -> Sequence[SentBatch]:
        rows = self._store.reader.execute(_SENT, (key, to_ms(since)))
        return [SentBatch(from_ms(at_ms), name) for at_ms, name in rows]

    def first_batch(self, key: str, episode: str) -> str | None:
        row = self._store.reader.execute(
            "SELECT d.parcel FROM event e JOIN delivery d ON d.event = e.number "
            "WHERE e.episode = ? AND d.receiver = ? AND d.parcel IS NOT NULL "
            "AND (d.state = 'delivered' OR d.rest IS NOT NULL) ORDER BY e.number LIMIT 1",
            (episode, key),
        ).fetchone()
        return None if row is None else str(row[0])

    def pending(self, key: str) -> int:
        (count,) = self._store.reader.execute(
            "SELECT COUNT(*) FROM delivery INDEXED BY delivery_due WHERE receiver = ? AND state = 'pending'", (key,)
        ).fetchone()
        return int(count)

    def overdue(self) -> dict[str, int]:
        return dict(self._store.reader.execute(_OVERDUE).fetchall())

    def settle(
        self,
        results: Sequence[AttemptResult],
        receiver: ReceiverState | None,
        drafts: Sequence[EventDraft],
        now: datetime,
        *,
        reschedule_now: bool = False,
        abandon: str = "",
    ) -> None:
        # A lost result only repeats a delivery with the same id; events and a gone receiver must not be lost.
        with self._store.write(durable=bool(drafts or abandon)) as tx:
            _write_results(tx, results)
            if receiver is not None:
                save_receiver(tx, receiver)
                if reschedule_now:
                    _reschedule_now(tx, receiver.key, to_ms(now))
                if abandon:
                    _abandon(tx, receiver.key, abandon, now)
            for draft in drafts:
                self._outbox.append(tx, draft, now)

    def abandon(self, keys: Collection[str], now: datetime) -> int:
        if not keys:
            return 0
        with self._store.write(durable=True) as tx:
            return sum(_abandon(tx, key, "the receiver is no longer configured", now) for key in sorted(keys))

    def abandon_unconfigured(self, keys: Collection[str], now: datetime) -> int:
        """Give up what is pending for any receiver but these; return the number of deliveries."""
        return self.abandon({*self.waiting()} - {*keys}, now)


def find_receiver(conn: Connection, key: str) -> ReceiverState | None:
    """Return the state of a receiver, None if it was never tried."""
    row = conn.execute(f"SELECT {_RECEIVER_COLUMNS} FROM receiver WHERE key = ?", (key,)).fetchone()
    return None if row is None else _to_receiver(row)


def failing_receivers(conn: Connection) -> list[ReceiverState]:
    """Return the receivers that are failing, paused or stopped, for the status page and the reports."""
    rows = conn.execute(
        f"SELECT {_RECEIVER_COLUMNS} FROM receiver WHERE failures > 0 OR stopped_ms IS NOT NULL ORDER BY key"
    )
    return [_to_receiver(row) for row in rows]


def pending_by_receiver(conn: Connection) -> dict[str, tuple[int, datetime]]:
    """Return how many deliveries to each receiver are not done, and when the oldest came: by their index alone."""
    rows = conn.execute(
        "SELECT receiver, waiting, created_ms FROM (SELECT receiver, count(*) AS waiting, min(number) AS oldest"
        " FROM delivery WHERE state = 'pending' GROUP BY receiver) AS w"
        " JOIN delivery USING (receiver) WHERE number = oldest"
    )
    return {receiver: (waiting, from_ms(created_ms)) for receiver, waiting, created_ms in rows}


def save_receiver(tx: Transaction, state: ReceiverState) -> None:
    """Write the state of a receiver."""
    tx.execute(
        _SAVE_RECEIVER,
        (
            state.key,
            state.failures,
            _ms(state.failing_since),
            _ms(state.blocked_until),
            _ms(state.paused_since),
            _ms(state.stopped_at),
            _ms(state.notified_at),
            mask(state.last_error),
            state.target,
            _ms(state.asked_at),
            _ms(state.answered_at),
        ),
    )


def _abandon(tx: Transaction, key: str, reason: str, now: datetime) -> int:
    return tx.execute(
        "UPDATE delivery SET state = 'dead', settled_ms = ?, next_attempt_ms = NULL, reason = ? "
        "WHERE receiver = ? AND state = 'pending'",
        (to_ms(now), reason, key),
    ).rowcount


def _write_results(tx: Transaction, results: Sequence[AttemptResult]) -> None:
    tx.executemany(
        _MARK,
        [
            (
                result.state.value,
                result.failures,
                _ms(result.next_attempt_at),
                None if result.state is DeliveryState.PENDING else to_ms(result.attempt.at),
                result.batch,
                None if result.remaining_recipients is None else json.dumps(result.remaining_recipients),
                mask(result.attempt.error) if result.state is DeliveryState.DEAD else "",
                result.number,
                result.state.value,
            )
            for result in results
        ],
    )
    tx.executemany(
        _ATTEMPT,
        [
            (
                to_ms(result.attempt.at),
                result.attempt.elapsed_ms,
                result.attempt.status,
                mask(result.attempt.error),
                mask(result.attempt.answer),
                result.number,
            )
            for result in results
        ],
    )


def _reschedule_now(tx: Transaction, key: str, now_ms: int) -> None:
    # Due since its commit, so that the oldest goes first again. An early attempt does not count: a receiver that fails
    # on and off must not use up three days' attempts in an hour.
    tx.execute(
        "UPDATE delivery SET next_attempt_ms = MIN(created_ms, ?), failures = MAX(failures - 1, 0)"
        " WHERE receiver = ? AND state = 'pending'",
        (now_ms, key),
    )


def _to_delivery(row: Sequence[Any]) -> Delivery:
    number, receiver, failures, batch, rest, *event = row
    return Delivery(
        number=number,
        receiver=receiver,
        event=to_event(event),
        failures=failures,
        batch=batch,
        remaining_recipients=None if rest is None else tuple(json.loads(rest)),
    )


def _to_receiver(row: Sequence[Any]) -> ReceiverState:
    key, failures, failing_since, blocked_until, paused_since, stopped, notified, last_error, *of_url = row
    target, asked, answered = of_url
    return ReceiverState(
        key=key,
        failures=failures,
        failing_since=_at(failing_since),
        blocked_until=_at(blocked_until),
        paused_since=_at(paused_since),
        stopped_at=_at(stopped),
        notified_at=_at(notified),
        last_error=last_error,
        target=target,
        asked_at=_at(asked),
        answered_at=_at(answered),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
