"""The lock of a server's database: an advisory lock of a transaction that stays open, and whose it is.

Not of a session: PgBouncer's transaction mode would give the session to somebody else, with the lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from daemon.places import ServerUrl
from daemon.store.dialects.postgresql import PostgresqlConnection
from daemon.store.fleet import DaemonRow, live

_NUMBER = 7237118
_HOLDER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objid = ? AND l.classid = 0
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class LockSession:
    """A connection that may hold the lock."""

    def __init__(self, connection: PostgresqlConnection) -> None:
        self._connection = connection

    def take(self) -> bool:
        """Take the lock, until the connection ends; return whether nobody else has it."""
        self._connection.begin(b"BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
        return bool(self._connection.execute("SELECT pg_try_advisory_xact_lock(?)", (_NUMBER,)).fetchone()[0])

    def give_back(self) -> None:
        """End the transaction: the lock is free when this returns, and not some moments after the connection ended."""
        if self._connection.inside:
            with suppress(sqlite3.OperationalError):  # a server that is gone has ended it
                self._connection.command(b"ROLLBACK")

    def holder(self) -> str:
        """Return who holds the lock, as `brimful HOST:PID`; the empty text where nobody does."""
        row = self._connection.execute(_HOLDER, (_NUMBER,)).fetchone()
        return str(row[0]) if row is not None else ""

    def daemons(self) -> list[DaemonRow]:
        """Return the daemons that share the database."""
        return live(self._connection)


@contextmanager
def session(url: ServerUrl) -> Iterator[LockSession]:
    """Open a session; raises StoreError where the server cannot be reached."""
    connection = PostgresqlConnection(url)
    lock = LockSession(connection)
    try:
        yield lock
    finally:
        lock.give_back()
        connection.close()
