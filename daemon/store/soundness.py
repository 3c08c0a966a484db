"""Whether a database is whole: SQLite's own checks of every page, and that no row points at one that is gone."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from daemon.store.connection import Connection, Store

PROBLEMS_SHOWN = 5


def problems_of(path: Path) -> list[str]:
    """Return what is wrong with the database file, at most a few of each kind; nothing where it is whole.

    Raises sqlite3.Error where it cannot be read at all. It reads every page.
    """
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        pages = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({PROBLEMS_SHOWN})")]
        if pages != ["ok"]:
            return pages
        rows = connection.execute("PRAGMA foreign_key_check").fetchmany(PROBLEMS_SHOWN)
        return [f"a row of {row[0]} names one of {row[2]} that is gone" for row in rows]


def problems_on_server(store: Store) -> list[str]:
    """Return what is wrong with a server's database: every table is read whole, which finds pages that are damaged."""
    problems = []
    tables = store.reader.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY table_name"
    ).fetchall()
    for (table,) in tables:
        try:
            store.reader.execute(f'SELECT count(t.*) FROM "{table}" t')
        except sqlite3.Error as error:
            problems.append(f"{table} cannot be read: {error}")
    unsure = "SELECT conrelid::regclass, conname FROM pg_constraint WHERE NOT convalidated"
    problems += [f"{table} may break its rule {name}" for table, name in store.reader.execute(unsure)]
    return problems[:PROBLEMS_SHOWN]


def rows_of(connection: Connection) -> dict[str, int]:
    """Return how many rows there are of what matters, in the words of the commands."""
    tables = {"accounts": "latest", "readings": "runs", "episodes": "episode", "events": "event", "top-ups": "topups"}
    return {name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for name, table in tables.items()}
