"""What the rest of the store asks of a database, whichever it is: SQLite in a file, or PostgreSQL on a server.

Statements are written once, in SQLite's words, and within what both know: `ON CONFLICT (key) DO UPDATE SET n = t.n`,
`IS NOT DISTINCT FROM`, `RETURNING`, `?`, `?1` or `:name`. `postgresql.translated` says the few words that differ.
Both raise `sqlite3.Error` and its subclasses: their names are those of PEP 249, which both drivers share.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from daemon.places import Place


class Cursor(Protocol):
    """The rows of one statement."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection for reading; outside a transaction each statement sees what is committed when it begins."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor: ...
    def has_table(self, name: str) -> bool: ...
    def size_bytes(self) -> int: ...
    def pause_file(self) -> Path | None:
        """The file that pauses every charge while it exists; None where no file lies beside the database."""


class Transaction(Connection, Protocol):
    """A connection inside a transaction: the first argument of every function that writes."""

    committed: list[Callable[[], None]]
    """What is to be done once it is committed."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor: ...
    def write_rows(self, sql: str, rows: Sequence[Sequence[Any]], /) -> Cursor:
        """As `executemany`, for an `UPDATE … WHERE` or an `INSERT … VALUES` whose rows are of a key each.

        PostgreSQL runs it once for all of them.
        """

    def lock(self, name: str) -> None:
        """Wait until no other transaction has locked this name: the id of an account, or `*` for what all share.

        An account is locked before `*`, always. With SQLite every transaction that writes has locked everything.
        """


class Fence:
    """The daemon whose writes a store takes: each transaction first asks whether it is still one of the fleet.

    `number` is its row, None while it has none: then nothing is written. `armed` from when it first joined.
    `unreachable` says why the server is not to be asked, until the connection that keeps the row has reached it again.
    """

    def __init__(self) -> None:
        self.armed = False
        self.number: int | None = None
        self.unreachable = ""


class LostLease(sqlite3.OperationalError):
    """This daemon is no longer one of the fleet: nothing was written."""


class Dialect(Protocol):
    """One open database."""

    fence: Fence | None
    keeps_row: bool
    """Whether this connection keeps the daemon's row: it is not fenced, and is the first to reach a lost server."""

    def stay_here(self) -> None:
        """Be used by this thread alone from now on."""

    @property
    def foundation(self) -> Sequence[str]:
        """What has to run before any migration, each time."""

    @property
    def connection(self) -> Transaction: ...
    def begin(self, *, durable: bool) -> None: ...
    def commit(self) -> None: ...
    def roll_back(self) -> None:
        """End the transaction without its changes; nothing where none is open."""

    def begin_snapshot(self) -> None: ...
    def misplaced(self) -> str:
        """Return a sentence with the fix if the open database is not the one at its place, else the empty text."""

    def changed_elsewhere(self) -> bool:
        """Whether another process has committed since the last call: a command beside the daemon."""

    def check(self) -> str:
        """Return what is wrong with the database, the empty text where nothing is."""

    def statements(self, statements: Sequence[str], otherwise: Mapping[str, str]) -> Sequence[str]:
        """Return the statements of a migration in this dialect; `otherwise` is what PostgreSQL runs in their place."""

    def close(self) -> None: ...


class StoreError(Exception):
    """The database cannot be used; the message says what to do."""


def open_dialect(place: Place, *, readonly: bool) -> Dialect:
    """Open the database at a place; raises StoreError."""
    if isinstance(place, Path):
        from daemon.store.dialects.sqlite import Sqlite

        return Sqlite(place, readonly=readonly)
    from daemon.store.dialects.postgresql import Postgresql

    return Postgresql(place, readonly=readonly)
