"""The connection: WAL, immediate transactions, and `synchronous=FULL` wherever money or an event is concerned."""

from __future__ import annotations

import os
import pwd
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NewType

from daemon.limits import CHECKED_WHOLE_BYTES, STORE_BUSY_TIMEOUT_S

Transaction = NewType("Transaction", sqlite3.Connection)
"""A connection inside `BEGIN IMMEDIATE … COMMIT`: the first argument of every function that writes."""


_HISTORY = frozenset(
    {"runs", "outages", "extras", "summaries", "packed_hours", "event", "delivery", "attempt", "decision", "episode"}
)
"""The tables that grow with time."""


class _Writing:
    """An open transaction: committed if its block ends well, else rolled back."""

    __slots__ = ("_durable", "_store")

    def __init__(self, store: Store, durable: bool) -> None:
        self._store = store
        self._durable = durable

    def __enter__(self) -> Transaction:
        return self._store._begin(self._durable)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._store._commit()
        else:
            self._store._roll_back()


def pause_file(database: Path) -> Path:
    """Return the file that pauses every charge while it exists, for when the database cannot be written."""
    return database.with_name(f"{database.name}.paused")


class _Connection(sqlite3.Connection):
    """A connection that knows what is to be done once its transaction is committed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.committed: list[Callable[[], None]] = []


def once_committed(tx: Transaction, do: Callable[[], None]) -> None:
    """Call `do` after this transaction was committed, and never where it is rolled back: a log line tells no lie."""
    assert isinstance(tx, _Connection)
    tx.committed.append(do)


def database_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the database, without its write-ahead log."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages) * int(size)


def whose(file: Path) -> str:
    """Return whose a file is that this process may not use, and how to hand it over."""
    found, me = file.stat(), _user(os.geteuid())
    return (
        f"{file} belongs to {_user(found.st_uid)} (mode {found.st_mode & 0o777:04o}), and this process runs as {me}: "
        f"as root, chown {me}: {file}*"
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a user that systemd made up for the time being
        return str(uid)


class StoreError(Exception):
    """The database cannot be used; the message says what to do."""


class Store:
    """One open database.

    `probe` is called with "begin", "commit" and "committed" around every transaction: the simulator crashes there.
    """

    def __init__(self, path: Path, *, readonly: bool = False, probe: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.readonly = readonly
        self._probe = probe
        self._connection = self._connect()
        self._durable: bool | None = None
        self._others: int | None = None
        self._file = self._at_path()
        self.commits = 0
        self.committing_s = 0.0
        """How long all commits of this connection took, together."""

    def _at_path(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def is_in_place(self) -> bool:
        """Whether the file that is open is still the one at its path: not deleted, moved or replaced."""
        return self._file is not None and self._at_path() == self._file

    def misplaced(self) -> str:
        """Return a sentence with the fix if the open file is not the one at its path, else the empty text."""
        if self.is_in_place():
            return ""
        return (
            f"the database {self.path} was deleted, moved or replaced while it is in use: nothing is charged; move it "
            "back, or restart the daemon, which starts with what then lies there"
        )

    def _refuse_others_files(self) -> None:
        """Raise StoreError where a file of the database belongs to somebody else: a copy that root put back, say."""
        for end in ("", "-wal", "-shm"):
            file = self.path.with_name(self.path.name + end)
            needed = os.R_OK if self.readonly else os.R_OK | os.W_OK
            if file.exists() and not os.access(file, needed):
                raise StoreError(f"the database {self.path} cannot be opened: {whose(file)}")

    def _connect(self) -> _Connection:
        self._refuse_others_files()
        uri = f"{self.path.resolve().as_uri()}?mode={'ro' if self.readonly else 'rwc'}"
        if not self.readonly:
            self._make()
        try:
            connection = sqlite3.connect(
                uri,
                uri=True,
                isolation_level=None,
                timeout=STORE_BUSY_TIMEOUT_S,
                cached_statements=256,
                factory=_Connection,
            )
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            if not self.readonly:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA wal_autocheckpoint=1000")
        except sqlite3.Error as error:
            raise StoreError(f"cannot open the database {self.path}: {error}") from error
        return connection

    def _make(self) -> None:
        """Make the file where there is none, for its owner alone: SQLite would let others read it."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            raise StoreError(f"cannot open the database {self.path}: {error.strerror}") from error

    @property
    def reader(self) -> sqlite3.Connection:
        """The connection for reading outside a transaction."""
        return self._connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read from one snapshot, whatever is committed meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield self._connection
        finally:
            self._connection.execute("ROLLBACK")

    def write(self, *, durable: bool) -> _Writing:
        """Run one transaction (`with store.write(…) as tx:`).

        `durable` waits until the commit is on the disk (`synchronous=FULL`): required for money, events and all that a
        later effect depends on. Without it a power loss may undo the last commits, in order, never half of one.
        """
        return _Writing(self, durable)

    def _begin(self, durable: bool) -> Transaction:
        connection = self._connection
        if durable is not self._durable:
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._call_probe("begin")
        connection.execute("BEGIN IMMEDIATE")
        return Transaction(connection)

    def _commit(self) -> None:
        try:
            self._call_probe("commit")
            began = perf_counter()
            self._connection.execute("COMMIT")
            self.committing_s += perf_counter() - began
            self.commits += 1
        except BaseException:
            self._roll_back()
            raise
        self._call_probe("committed")
        if done := self._connection.committed:
            self._connection.committed = []
            for do in done:
                do()

    def _roll_back(self) -> None:
        self._connection.committed.clear()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def changed_elsewhere(self) -> bool:
        """Whether another process has committed since the last call: a command beside the daemon."""
        before = self._others
        (self._others,) = self._connection.execute("PRAGMA data_version").fetchone()
        return before is not None and self._others != before

    def check(self) -> None:
        """Raise StoreError if the file is damaged: no charge is planned on half a ledger.

        In a large file the history tables are not checked: they decide nothing, and damage shows when they are read.
        """
        try:
            verdict = self._verdict()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            said = " ".join(verdict.split())
            raise StoreError(
                f"the database {self.path} is damaged ({said}): restore the latest `brimful backup`, "
                "or move the file away and start with an empty one (Stripe still knows every charge)"
            )

    def _verdict(self) -> str:
        names = self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        if self.path.stat().st_size <= CHECKED_WHOLE_BYTES:
            (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            return str(said)
        for (name,) in names:
            if name not in _HISTORY:
                (said,) = self._connection.execute(f"PRAGMA quick_check('{name}')").fetchone()
                if said != "ok":
                    return str(said)
        return "ok"

    def close(self) -> None:
        self._connection.close()

    def _call_probe(self, point: str) -> None:
        if self._probe is not None:
            self._probe(point)
