"""What a database says of those who used it: whether a daemon ever did, and whether an account was ever in it.

For the kill switch, which works whatever else the schema lacks: a table that is not there says nothing.
"""

from __future__ import annotations

import sqlite3

_ACCOUNTS = (("topups", "account"), ("topup_stops", "scope"), ("topup_decisions", "account"), ("latest", "account"))
"""Tables that name an account that was polled, charged or stopped."""


def was_used(conn: sqlite3.Connection) -> bool:
    """Whether a daemon (or `once`) ever opened the database: it gives it an id before all else."""
    if not _has(conn, "meta"):
        return True  # older than the id: made by no program that only pauses
    return conn.execute("SELECT 1 FROM meta WHERE key = 'store'").fetchone() is not None


def knows_account(conn: sqlite3.Connection, account: str) -> bool:
    """Whether the account was ever polled, charged or stopped here, whatever the configuration says of it now."""
    return any(
        conn.execute(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", (account,)).fetchone() is not None
        for table, column in _ACCOUNTS
        if _has(conn, table)
    )


def _has(conn: sqlite3.Connection, table: str) -> bool:
    found = conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    return found is not None
