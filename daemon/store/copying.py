"""A store in a file, copied whole to an empty one on a server in one transaction: all of it is there, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from daemon.places import ServerUrl
from daemon.store.connection import Store, StoreError
from daemon.store.dialects.postgresql import PostgresqlConnection
from daemon.store.dialects.sqlite import pause_file
from daemon.store.migrations import migrate, require_current

ROWS_AT_ONCE = 5_000
_OWN = frozenset({"_sqlite_migrations", "sqlite_sequence", "topup_steps", "daemon", "lease"})
"""Tables that each store fills by itself."""


class Progress(Protocol):
    def __call__(self, table: str, done: int, *, of: int) -> None:
        """Say how many rows of a table are copied."""


def _silent(table: str, done: int, *, of: int) -> None:
    """Say nothing."""


def copy_store(source: Path, target: ServerUrl, progress: Progress = _silent) -> dict[str, int]:
    """Copy every row; return how many there are by table. Raises StoreError where anything stands against it.

    Call it with both stores held: no daemon may write to either meanwhile.
    """
    if pause_file(source).exists():
        raise StoreError(f"{pause_file(source)} pauses every charge, and cannot on a server: `brimful topups resume`")
    old = Store(source, readonly=True)
    try:
        require_current(old)
        new = Store(target)
        try:
            migrate(new)
            return _copy(old, new, progress)
        finally:
            new.close()
    finally:
        old.close()


def _copy(old: Store, new: Store, progress: Progress) -> dict[str, int]:
    conn = old.reader
    assert isinstance(conn, sqlite3.Connection)
    with old.snapshot(), new.write(durable=True) as tx:
        assert isinstance(tx, PostgresqlConnection)
        tables = _parents_first(conn)
        tx.execute("DELETE FROM resource_last WHERE change = 0")  # as a new store has it
        tx.execute("DELETE FROM meta WHERE key = 'beside'")  # of the commits that made the tables
        for table in tables:
            if tx.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:
                raise StoreError(f"the database {new.place} is not empty ({table} has rows): copy to a new one")
        copied: dict[str, int] = {}
        for table in tables:
            (rows,) = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
            columns = [name for _, name, *_ in conn.execute(f"PRAGMA table_info({table})")]
            tx.load(table, columns, _rows(conn, table, columns, partial(progress, table, of=rows)))
            (copied[table],) = tx.execute(f"SELECT count(*) FROM {table}").fetchone()
            if copied[table] != rows:
                raise StoreError(f"{table} has {rows} rows, and {copied[table]} came over: nothing was copied")
            _go_on_counting(conn, tx, table)
    return copied


def _rows(
    conn: sqlite3.Connection, table: str, columns: Sequence[str], done: Callable[[int], None]
) -> Iterator[Sequence[Any]]:
    quoted = ", ".join(f'"{column}"' for column in columns)
    count = 0
    for row in conn.execute(f"SELECT {quoted} FROM {table}"):
        # PostgreSQL's text holds no NUL, which SQLite's does: nothing of ours writes one, a provider's answer may.
        yield [value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value for value in row]
        count += 1
        if count % ROWS_AT_ONCE == 0:
            done(count)
    done(count)


def _parents_first(conn: sqlite3.Connection) -> list[str]:
    """Return the tables, each after those that its rows name."""
    names = [name for (name,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    left = {name: {row[2] for row in conn.execute(f"PRAGMA foreign_key_list({name})")} for name in names}
    ordered: list[str] = []
    while left:
        ready = sorted(name for name, parents in left.items() if not parents - set(ordered) - {name})
        assert ready, "no two tables name each other"
        ordered += ready
        for name in ready:
            del left[name]
    return [name for name in ordered if name not in _OWN]


def _go_on_counting(conn: sqlite3.Connection, tx: PostgresqlConnection, table: str) -> None:
    """Let the server number the next row as the file would have."""
    for _, name, kind, _, _, key in conn.execute(f"PRAGMA table_info({table})").fetchall():
        if not key or kind != "INTEGER":
            continue
        (sequence,) = tx.execute("SELECT pg_get_serial_sequence(?, ?)", (table, name)).fetchone()
        if sequence is None:
            continue
        (last,) = conn.execute(
            f"SELECT max(coalesce((SELECT max({name}) FROM {table}), 0), coalesce((SELECT seq FROM sqlite_sequence"
            " WHERE name = ?), 0))",
            (table,),
        ).fetchone()
        if last:
            tx.execute("SELECT setval(?, ?)", (sequence, last))
