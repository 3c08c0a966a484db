"""The rows of what the API manages as data. What was archived or deleted stays as a row: its id is never free again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from daemon.store.connection import Connection, Transaction

_COLUMNS = "kind, id, owner, version, change, body, created_ms, changed_ms, archived_ms"
_MOST_NAMED = 500
"""Most ids that one statement names."""


class Row(NamedTuple):
    """One object, as its columns say it; `body` is JSON."""

    kind: str
    id: str
    owner: str
    version: int
    change: int
    body: str
    created_ms: int
    changed_ms: int
    archived_ms: int | None


def is_there(conn: Connection) -> bool:
    """Whether the database has the tables: a command that only reads does not migrate it."""
    return conn.has_table("resource")


def find(conn: Connection, kind: str, id: str) -> Row | None:
    """Return one object, archived or not."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM resource WHERE kind = ? AND id = ?", (kind, id)).fetchone()
    return None if row is None else Row(*row)


def find_many(conn: Connection, kind: str, ids: Collection[str]) -> dict[str, Row]:
    """Return those of the named objects that there are, archived or not, by id."""
    found: dict[str, Row] = {}
    rest = iter(ids)
    while named := tuple(islice(rest, _MOST_NAMED)):
        places = ", ".join("?" * len(named))
        rows = conn.execute(f"SELECT {_COLUMNS} FROM resource WHERE kind = ? AND id IN ({places})", (kind, *named))
        found.update((row[1], Row(*row)) for row in rows)
    return found


def since(conn: Connection, change: int, limit: int | None = None) -> list[Row]:
    """Return what was changed after a number, in the order of the changes: the first, or all of it."""
    most = "" if limit is None else f" LIMIT {limit:d}"
    rows = conn.execute(f"SELECT {_COLUMNS} FROM resource WHERE change > ? ORDER BY change{most}", (change,))
    return [Row(*row) for row in rows]


def page(
    conn: Connection, kind: str, *, owner: str | None, after: str, limit: int, archived: bool = False
) -> list[Row]:
    """Return objects of a kind by id, beginning after an id; of one owner, or of all where it is None."""
    of_owner, values = ("", (kind, after)) if owner is None else ("AND owner = ? ", (kind, after, owner))
    state = "IS NOT NULL" if archived else "IS NULL"
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM resource WHERE kind = ? AND id > ? {of_owner}AND archived_ms {state}"
        " ORDER BY id LIMIT ?",
        (*values, limit),
    )
    return [Row(*row) for row in rows]


def count(conn: Connection, kind: str, owner: str) -> int:
    """Return how many objects of a kind an owner has."""
    (found,) = conn.execute(
        "SELECT count(*) FROM resource WHERE kind = ? AND owner = ? AND archived_ms IS NULL", (kind, owner)
    ).fetchone()
    return int(found)


def ids_of(conn: Connection, kind: str) -> frozenset[str]:
    """Return every id of a kind, archived ones too; none where the database has no such table yet."""
    with suppress(sqlite3.OperationalError):
        return frozenset(row[0] for row in conn.execute("SELECT id FROM resource WHERE kind = ?", (kind,)))
    return frozenset()


def last_change(conn: Connection) -> int:
    """Return the number of the latest change of all."""
    (found,) = conn.execute("SELECT change FROM resource_last WHERE one = 1").fetchone()
    return int(found)


def next_change(tx: Transaction) -> int:
    """Take the next number. Its row stays locked until the commit, so that numbers become visible in order."""
    (found,) = tx.execute("UPDATE resource_last SET change = change + 1 WHERE one = 1 RETURNING change").fetchone()
    return int(found)


def put(tx: Transaction, row: Row) -> None:
    """Write an object, new or not. Its owner stays what it was."""
    tx.execute(
        f"INSERT INTO resource ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, change = excluded.change,"
        " body = excluded.body, changed_ms = excluded.changed_ms, archived_ms = excluded.archived_ms",
        row,
    )


def encode(body: Mapping[str, Any]) -> str:
    """Return a body as it is kept."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


# ── which account has which key at a provider ───────────────────────────────────────────────────────────────────────


def account_with_key(conn: Connection, digest: str) -> str | None:
    """Return the account that has a key at its provider, by the key's digest."""
    row = conn.execute("SELECT account FROM provider_key WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else str(row[0])


def set_key(tx: Transaction, account: str, digest: str | None) -> None:
    """Note which key an account has; None: none any more. The database refuses a second account with the same."""
    tx.execute("DELETE FROM provider_key WHERE account = ?", (account,))
    if digest is not None:
        tx.execute("INSERT INTO provider_key (digest, account) VALUES (?, ?)", (digest, account))


def meta(conn: Connection, key: str) -> str:
    """Return a value of the database as a whole, empty where there is none."""
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return "" if row is None else str(row[0])


def set_meta(tx: Transaction, key: str, value: str) -> None:
    """Set a value of the database as a whole."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )
