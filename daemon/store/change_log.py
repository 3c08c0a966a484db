"""Who changed what (the audit, which is only added to), and what a POST with an idempotency key was answered."""

from __future__ import annotations

from typing import NamedTuple

from daemon.store.connection import Connection, Transaction

_COLUMNS = "at_ms, actor, source, owner, resource, action, changes, request"


class Entry(NamedTuple):
    """One change, as its columns say it; `changes` is JSON: by field, the old and the new value."""

    at_ms: int
    actor: str
    source: str
    owner: str
    resource: str
    action: str
    changes: str
    request: str


def record(tx: Transaction, entry: Entry) -> None:
    """Write one change, in the transaction that makes it."""
    tx.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", entry)


def page(conn: Connection, *, resource: str, actor: str, owner: str, after: int, limit: int) -> list[tuple[int, Entry]]:
    """Return changes with their numbers, oldest first, beginning after a number; what is empty asks for nothing."""
    asked = {"resource": resource, "actor": actor, "owner": owner}
    where = [f"{column} = ?" for column, value in asked.items() if value]
    rows = conn.execute(
        f"SELECT id, {_COLUMNS} FROM audit WHERE {' AND '.join([*where, 'id > ?'])} ORDER BY id LIMIT ?",
        (*(value for value in asked.values() if value), after, limit),
    )
    return [(row[0], Entry(*row[1:])) for row in rows]


class KeptAnswer(NamedTuple):
    """What a request was answered: the digest of its body, the status, and the answer as JSON."""

    digest: str
    status: int
    answer: str


def answered(conn: Connection, token: str, key: str, since_ms: int) -> KeptAnswer | None:
    """Return what a token was answered to an idempotency key, unless that was before `since_ms`."""
    row = conn.execute(
        "SELECT digest, status, answer FROM idempotency WHERE token = ? AND key = ? AND at_ms >= ?",
        (token, key, since_ms),
    ).fetchone()
    return None if row is None else KeptAnswer(*row)


def remember(tx: Transaction, token: str, key: str, answer: KeptAnswer, now_ms: int, forget_ms: int) -> None:
    """Keep an answer, and forget those from before `forget_ms`."""
    tx.execute("DELETE FROM idempotency WHERE at_ms < ?", (forget_ms,))
    tx.execute(
        "INSERT INTO idempotency (token, key, digest, status, answer, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (token, key, *answer, now_ms),
    )
