"""SQLite: one file, WAL, one writer at a time, and `synchronous=FULL` wherever money or an event is concerned."""

from __future__ import annotations

import os
import pwd
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.limits import CHECKED_WHOLE_BYTES, STORE_BUSY_TIMEOUT_S
from daemon.store.dialects import Fence, StoreError

_HISTORY = frozenset(
    {"runs", "outages", "extras", "summaries", "packed_hours", "event", "delivery", "attempt", "decision", "episode"}
)
"""The tables that grow with time."""


class SqliteConnection(sqlite3.Connection):
    """A connection that knows what is to be done once its transaction is committed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.committed: list[Callable[[], None]] = []

    def has_table(self, name: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return self.execute(sql, (name,)).fetchone() is not None

    def size_bytes(self) -> int:
        """Return the size of the database, without its write-ahead log."""
        pages, size = (self.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages) * int(size)

    def pause_file(self) -> Path:
        return pause_file(Path(self.execute("PRAGMA database_list").fetchone()[2]))

    def write_rows(self, sql: str, rows: Sequence[Sequence[Any]], /) -> sqlite3.Cursor:
        return self.executemany(sql, rows)

    def lock(self, name: str) -> None:
        """Nothing: `BEGIN IMMEDIATE` has locked the whole database."""


class Sqlite:
    """One open file."""

    foundation: Sequence[str] = ()

    fence: Fence | None = None
    keeps_row = False

    def __init__(self, path: Path, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self.connection = self._connect()
        self._durable: bool | None = None
        self._others: int | None = None
        self._file = self._at_path()

    def stay_here(self) -> None:
        """Nothing: the driver itself refuses every thread but the one that opened the file."""

    def begin(self, *, durable: bool) -> None:
        if durable is not self._durable:
            self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def begin_snapshot(self) -> None:
        self.connection.execute("BEGIN")

    def misplaced(self) -> str:
        if self._file is not None and self._at_path() == self._file:
            return ""
        return (
            f"the database {self.path} was deleted, moved or replaced while it is in use: nothing is charged; move it "
            "back, or restart the daemon, which starts with what then lies there"
        )

    def changed_elsewhere(self) -> bool:
        before = self._others
        (self._others,) = self.connection.execute("PRAGMA data_version").fetchone()
        return before is not None and self._others != before

    def check(self) -> str:
        """Return what is damaged.

        In a large file the history tables are not checked: they decide nothing, and damage shows when they are read.
        """
        try:
            verdict = self._verdict()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict == "ok":
            return ""
        return (
            f"the database {self.path} is damaged ({' '.join(verdict.split())}): restore the latest `brimful backup`, "
            "or move the file away and start with an empty one (Stripe still knows every charge)"
        )

    def statements(self, statements: Sequence[str], otherwise: Mapping[str, str]) -> Sequence[str]:
        return statements

    def close(self) -> None:
        self.connection.close()

    def _at_path(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _refuse_others_files(self) -> None:
        """Raise StoreError where a file of the database belongs to somebody else: a copy that root put back, say."""
        for end in ("", "-wal", "-shm"):
            file = self.path.with_name(self.path.name + end)
            needed = os.R_OK if self.readonly else os.R_OK | os.W_OK
            if file.exists() and not os.access(file, needed):
                raise StoreError(f"the database {self.path} cannot be opened: {whose(file)}")

    def _connect(self) -> SqliteConnection:
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
                factory=SqliteConnection,
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

    def _verdict(self) -> str:
        names = self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        if self.path.stat().st_size <= CHECKED_WHOLE_BYTES:
            (said,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
            return str(said)
        for (name,) in names:
            if name not in _HISTORY:
                (said,) = self.connection.execute(f"PRAGMA quick_check('{name}')").fetchone()
                if said != "ok":
                    return str(said)
        return "ok"


def pause_file(database: Path) -> Path:
    """Return the file that pauses every charge while it exists, for when the database cannot be written."""
    return database.with_name(f"{database.name}.paused")


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
