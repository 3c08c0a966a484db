"""Whether a daemon ever used the database, and whether an account was ever in it.

For the kill switch, which must work with any schema: a missing table counts as empty.
"""

from __future__ import annotations

from daemon.store.connection import Connection

_ACCOUNTS = (("topups", "account"), ("topup_stops", "scope"), ("topup_decisions", "account"), ("latest", "account"))
"""Tables that name an account that was polled, charged or stopped."""


def was_used(conn: Connection) -> bool:
    """Whether a daemon (or `once`) ever opened the database: it writes the store id first."""
    if not conn.has_table("meta"):
        return True  # older than the store id, so not created by a command that only pauses
    return conn.execute("SELECT 1 FROM meta WHERE key = 'store'").fetchone() is not None


def knows_account(conn: Connection, account: str) -> bool:
    """Whether the account was ever polled, charged or stopped here, whether it is still configured or not."""
    return any(
        conn.execute(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", (account,)).fetchone() is not None
        for table, column in _ACCOUNTS
        if conn.has_table(table)
    )
