"""Writes to the ledger: each takes a transaction, so that one state change and the events it causes are one commit.

An update compares the old state first: if another process changed the top-up meanwhile it raises `Moved`, and nothing
is written. Money in micro-dollars, Stripe's amounts in cents, instants aware outside and milliseconds in the tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from alerts.model.instants import from_ms, to_ms
from alerts.model.values import replace
from daemon.store.connection import Transaction, once_committed
from daemon.store.topup_rows import Bookmark, State, Topup


class Moved(Exception):  # noqa: N818 – it is what happened to the row
    """The top-up is no longer in the state that was read: another process changed it. Read it again."""


COLUMNS = Topup.__struct_fields__
_FLAGS = frozenset({"own", "probe", "untold"})


def is_instant(column: str) -> bool:
    """Whether a column of the ledger holds an instant."""
    return column.endswith(("_at", "_until"))


_READ: Mapping[str, Callable[[Any], Any]] = {
    **{column: from_ms for column in COLUMNS if is_instant(column)},
    **dict.fromkeys(("state", "cancel_as"), State),
    **dict.fromkeys(_FLAGS, bool),
}
"""Converters of the columns that are not plain text or numbers."""
_READERS = tuple(_READ.get(column) for column in COLUMNS)


def encode(column: str, value: Any) -> Any:
    """Return a field's value as the table holds it."""
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, State):
        return value.value
    return int(value) if column in _FLAGS else value


def decode(row: tuple[Any, ...]) -> Topup:
    """Return the row as a `Topup`; the columns are `COLUMNS` in order."""
    return Topup(
        *(value if read is None or value is None else read(value) for read, value in zip(_READERS, row, strict=True))
    )


def insert(tx: Transaction, topup: Topup, now: datetime) -> None:
    """Insert a top-up: planned or adopted. An index refuses a second open plan of an account."""
    values = [encode(column, getattr(topup, column)) for column in COLUMNS]
    tx.execute(f"INSERT INTO topups ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", values)
    _record_step(tx, None, topup, now)
    remember_customer(tx, topup.account, topup.customer, now)
    advance_latest(tx, now)


def save(tx: Transaction, before: Topup, after: Topup, now: datetime) -> Topup:
    """Write the changed fields of a top-up and return it; a new state is recorded as a step, with its reason.

    Raises Moved if the row no longer has the state of `before`. The database refuses an impossible step.
    """
    _update(tx, before, after)
    if after.state is not before.state:
        _record_step(tx, before.state, after, now)
    advance_latest(tx, now)
    return after


def change(tx: Transaction, topup: Topup, now: datetime, **changes: Any) -> Topup:
    """Save a top-up with some of its fields changed."""
    return save(tx, topup, replace(topup, **changes), now)


def _update(tx: Transaction, before: Topup, after: Topup) -> None:
    changed = [column for column in COLUMNS if getattr(before, column) != getattr(after, column)]
    if not changed:
        return
    sets = ", ".join(f"{column} = ?" for column in changed)
    values = [encode(column, getattr(after, column)) for column in changed]
    done = tx.execute(
        f"UPDATE topups SET {sets} WHERE id = ? AND state = ? AND cancel_as IS NOT DISTINCT FROM ?",
        [*values, before.id, before.state.value, before.cancel_as.value if before.cancel_as else None],
    )
    if done.rowcount != 1:
        raise Moved(before.id)


def _record_step(tx: Transaction, before: State | None, after: Topup, now: datetime) -> None:
    tx.execute(
        "INSERT INTO topup_steps_taken (topup, at, before, after, reason) VALUES (?, ?, ?, ?, ?)",
        (after.id, to_ms(now), before.value if before else None, after.state.value, after.reason),
    )
    once_committed(tx, partial(_say_charge, after))


def _say_charge(topup: Topup) -> None:
    from daemon import journal  # not for the commands that only read

    journal.charge(topup)


def record_send(
    tx: Transaction,
    topup: Topup,
    kind: str,
    n: int,
    key: str,
    params: Mapping[str, Any],
    now: datetime,
    *,
    gates: str = "[]",
) -> int:
    """Record a request before it is sent, with its idempotency key and parameters; return the row id for its answer.

    The same `n` again sends the same key again; its parameters must be the same (asserted).
    """
    text = json.dumps(params, sort_keys=True, separators=(",", ":"))
    earlier = tx.execute(
        "SELECT max(send), min(key), min(params) FROM topup_sends WHERE topup = ? AND kind = ? AND n = ?",
        (topup.id, kind, n),
    ).fetchone()
    assert earlier[0] is None or (earlier[1], earlier[2]) == (key, text), (
        f"{topup.id}: {kind} {n} changed its parameters"
    )
    row = tx.execute(
        "INSERT INTO topup_sends (topup, kind, n, send, key, params, fingerprint, gates, sent_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (topup.id, kind, n, (earlier[0] or 0) + 1, key, text, topup.fingerprint, gates, to_ms(now)),
    ).fetchone()
    advance_latest(tx, now)
    return int(row[0])


def record_answer(
    tx: Transaction,
    send: int,
    now: datetime,
    *,
    answer: str,
    http_status: int | None,
    request_id: str | None,
    message: str,
) -> None:
    """Record the answer to a request, with Stripe's request id."""
    tx.execute(
        "UPDATE topup_sends SET answered_at = ?, answer = ?, http_status = ?, request_id = ?, message = ? WHERE id = ?",
        (to_ms(now), answer, http_status, request_id, message[:500], send),
    )


def record_past_send(
    tx: Transaction, topup: Topup, n: int, at: datetime, *, answer: str, message: str, fingerprint: str | None
) -> None:
    """Record an attempt of another database, as Stripe's charges show it. Known ones stay as they are."""
    tx.execute(
        "INSERT INTO topup_sends"
        " (topup, kind, n, send, key, params, fingerprint, sent_at, answered_at, answer, message)"
        " VALUES (?, 'confirm', ?, 1, ?, '{}', ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            topup.id,
            n,
            f"brimful:{topup.payment_intent}:confirm:{n}",
            fingerprint,
            to_ms(at),
            to_ms(at),
            answer,
            message[:500],
        ),
    )


def record_readback(
    tx: Transaction, topup: str, now: datetime, *, status: str, request_id: str | None, detail: str = ""
) -> None:
    """Record the result of reading a PaymentIntent back; an equal one is counted in the same row."""
    last = tx.execute(
        "SELECT id, status, detail FROM topup_readbacks WHERE topup = ? ORDER BY id DESC LIMIT 1", (topup,)
    ).fetchone()
    if last is not None and (last[1], last[2]) == (status, detail):
        tx.execute(
            "UPDATE topup_readbacks SET last_at = ?, count = count + 1, request_id = ? WHERE id = ?",
            (to_ms(now), request_id, last[0]),
        )
        return
    tx.execute(
        "INSERT INTO topup_readbacks (topup, status, request_id, detail, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)",
        (topup, status, request_id, detail, to_ms(now), to_ms(now)),
    )


def remember_customer(tx: Transaction, account: str, customer: str, now: datetime) -> None:
    """Record a customer of the account: its PaymentIntents are listed for ever."""
    tx.execute("INSERT INTO topup_customers VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (account, customer, to_ms(now)))


def advance_latest(tx: Transaction, now: datetime) -> None:
    """Record the latest instant of the ledger: with a clock behind it nothing is charged."""
    advance_bookmark(tx, Bookmark.LATEST, now)


def set_bookmark(tx: Transaction, name: str, at: datetime, text: str = "") -> None:
    """Set a bookmark: when a job last ran, and its cursor. It goes back if the clock was set back."""
    tx.execute(
        "INSERT INTO topup_marks (name, at, text) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET at = excluded.at, text = excluded.text",
        (name, to_ms(at), text),
    )


def advance_bookmark(tx: Transaction, name: str, at: datetime, text: str = "") -> None:
    """Set a bookmark whose instant never goes back."""
    tx.execute(
        "INSERT INTO topup_marks (name, at, text) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET at = max(topup_marks.at, excluded.at), text = excluded.text",
        (name, to_ms(at), text),
    )
