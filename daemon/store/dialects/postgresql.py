"""PostgreSQL 14 or later, by psycopg: one connection, `synchronous_commit`, and row locks where money is decided.

A connection that was lost is made anew by whoever asks next; until then every call fails at once. Nothing here needs a
session that lasts, so that PgBouncer's transaction mode will do: no LISTEN, no SET, nothing prepared on the server.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from threading import get_ident
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from daemon.limits import STORE_BUSY_TIMEOUT_S
from daemon.places import ServerUrl
from daemon.store.dialects import Cursor, Fence, LostLease, StoreError
from daemon.store.dialects.translation import in_postgresql, translated

if TYPE_CHECKING:
    import psycopg
    from psycopg.adapt import AdaptersMap

LEAST_VERSION = 140_000
CONNECT_WITHIN_S = 3
CONNECT_AGAIN_AFTER_S = 2.0
IDLE_IN_TRANSACTION_S = 5.0
"""After so long without a statement the server ends a transaction of one of a fleet: a paused process locks nothing."""
_BEGIN = f"BEGIN; SET LOCAL lock_timeout = '{STORE_BUSY_TIMEOUT_S:g}s'; SET LOCAL random_page_cost = 1.1"
"""The rows of a batch are found by their keys: with the cost of a spinning disk whole tables would be read for them."""
_ASYNCHRONOUS = f"{_BEGIN}; SET LOCAL synchronous_commit = off".encode()
_SYNCHRONOUS = _BEGIN.encode()
_FENCED = (
    f"; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_S:g}s'"
    "; SELECT 1 FROM daemon WHERE number = {} FOR KEY SHARE"
)
_SNAPSHOT = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BESIDE = "INSERT INTO meta (key, value) VALUES ('beside', '{}') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_PAIRS = "CREATE OR REPLACE FUNCTION {0}(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS " + (
    "'SELECT CASE WHEN $1 IS NULL OR $2 IS NULL THEN NULL WHEN $1 {1} $2 THEN $1 ELSE $2 END'"
)
FOUNDATION = (
    "SELECT pg_advisory_xact_lock(7237117)",  # one daemon at a time brings the tables up to date
    _PAIRS.format("max", ">"),  # of two values, as SQLite knows them
    _PAIRS.format("min", "<"),
)


class PostgresqlConnection:
    """What the store needs of a connection, over psycopg's."""

    def __init__(self, url: ServerUrl) -> None:
        self.url = url
        self.committed: list[Callable[[], None]] = []
        self.fence: Fence | None = None
        self.keeps_row = False
        self.renewed = False
        """Whether it was made anew since this was last set back."""
        self.inside = False
        """Whether a transaction is open: it is never gone on with on another connection."""
        self.thread: int | None = None
        """The only one that may use it, where it is of a lane that works apart."""
        self._lost = ""
        self._again_at = 0.0
        self._server = _connect(url)
        from daemon.store.dialects.wire import (  # needs the driver, which is there by now
            run,
            run_for_all,
            run_many,
            run_text,
        )

        self._run, self._run_many, self._run_text = run, run_many, run_text
        self._run_for_all = run_for_all

    @property
    def lost(self) -> str:
        """Why the server cannot be reached, the empty text while it can. In a fleet whoever keeps the row says so."""
        return self._lost if self._hurry is None else self._hurry.unreachable

    @property
    def _hurry(self) -> Fence | None:
        """The fence where the server has to answer soon: to a daemon of a fleet. None for a command, which waits."""
        return self.fence if self.fence is not None and self.fence.armed else None

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        text, server = translated(sql), self._live()
        values = text.values(parameters)
        try:
            return self._run(server, text.sql, values, self._hurry)
        except sqlite3.OperationalError:
            if self.inside or not server.closed:
                raise
        server = self._live()  # the server was away while nobody asked: nothing was begun
        return self._run(server, text.sql, values, self._hurry)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        return self._run_many(self._live(), translated(sql).sql, rows, self._hurry)

    def write_rows(self, sql: str, rows: Sequence[Sequence[Any]], /) -> Cursor:
        done = self._run_for_all(self._live(), sql, rows, self._hurry)
        return self.executemany(sql, rows) if done is None else done

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert many rows by COPY, in the transaction."""
        named = ", ".join(f'"{column}"' for column in columns)
        import psycopg

        try:
            with self._live().cursor().copy(f"COPY {table} ({named}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise sqlite3.DatabaseError(str(error)) from error

    def command(self, text: bytes, expected: bytes = b"") -> bytes | None:
        """Run statements without parameters in one round trip; return what the server says the last one did."""
        said = self._run_text(self._live(), text, self._hurry)
        if said.error_message or (expected and said.command_status != expected):
            problem = " ".join(said.error_message.decode(errors="replace").split())
            raise sqlite3.OperationalError(problem or f"the server answered {said.command_status!r}")
        return said.command_status

    def begin(self, text: bytes) -> bytes | None:
        """Begin a transaction, on a new connection where the server was away while nobody asked."""
        try:
            said = self.command(text)
        except sqlite3.OperationalError:
            if not self._server.closed:
                raise
            said = self.command(text)
        self.inside = True
        return said

    def has_table(self, name: str) -> bool:
        found = self.execute("SELECT to_regclass(quote_ident(?)) IS NOT NULL", (name,)).fetchone()
        return bool(found[0])

    def size_bytes(self) -> int:
        return int(self.execute("SELECT pg_database_size(current_database())").fetchone()[0])

    def pause_file(self) -> None:
        return None

    def lock(self, name: str) -> None:
        take = "SELECT 1 FROM sequence WHERE account = ? FOR UPDATE"
        if self.execute(take, (name,)).fetchone() is None:
            self.execute("INSERT INTO sequence (account, last) VALUES (?, 0) ON CONFLICT DO NOTHING", (name,))
            self.execute(take, (name,))

    def drop(self) -> None:
        """Let go of the server; whoever asks next reaches it anew."""
        self._server.close()

    def close(self) -> None:
        self._lost, self._again_at = "the store was closed", inf
        self._server.close()

    def _live(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return the connection, made anew where it was lost."""
        assert self.thread in (None, get_ident()), "a lane's connection is used by `apart` alone"
        if not self._server.closed and not self._server.broken:
            return self._server
        if self.inside:
            raise sqlite3.OperationalError("the connection to the server was lost within a transaction")
        fence = None if self.keeps_row else self.fence
        if fence is not None and fence.unreachable:
            raise sqlite3.OperationalError(fence.unreachable)
        if monotonic() < self._again_at:
            raise sqlite3.OperationalError(self._lost)
        try:
            self._server, self._lost, self.renewed = _connect(self.url), "", True
        except StoreError as error:
            self._lost, self._again_at = str(error), monotonic() + CONNECT_AGAIN_AFTER_S
            if fence is not None and fence.armed:
                fence.unreachable = self._lost
            raise sqlite3.OperationalError(self._lost) from error
        return self._server


class Postgresql:
    """One open database of a server."""

    foundation = FOUNDATION

    def __init__(self, url: ServerUrl, *, readonly: bool) -> None:
        self.url = url
        self.readonly = readonly
        self.connection = PostgresqlConnection(url)
        self._others: str | None = None
        self._watches = False
        """Whether this process is one that is told, rather than a command that tells."""
        self._tells: bool | None = None

    @property
    def fence(self) -> Fence | None:
        return self.connection.fence

    @fence.setter
    def fence(self, fence: Fence | None) -> None:
        self.connection.fence = fence

    @property
    def keeps_row(self) -> bool:
        return self.connection.keeps_row

    @keeps_row.setter
    def keeps_row(self, keeps: bool) -> None:
        self.connection.keeps_row = keeps

    def stay_here(self) -> None:
        self.connection.thread = get_ident()

    def begin(self, *, durable: bool) -> None:
        assert not self.readonly, "the store was opened for reading"
        text, fence = _SYNCHRONOUS if durable else _ASYNCHRONOUS, self.fence
        if fence is None or not fence.armed or self.keeps_row:
            self.connection.begin(text)
            return
        if (number := fence.number) is None:
            raise LostLease("this daemon holds nothing: it may not write")
        try:
            said = self.connection.begin(text + _FENCED.format(number).encode())
        except sqlite3.OperationalError:
            self.connection.inside = True  # perhaps
            self.roll_back()
            raise
        if said != b"SELECT 1":
            self.roll_back()
            raise LostLease("others have taken over from this daemon, which was not heard of: nothing was written")

    def commit(self) -> None:
        text = "COMMIT"
        if not self._watches:
            self._tells = self._tells or self.connection.has_table("meta")
            if self._tells:
                text = f"{_BESIDE.format(f'{os.getpid()}-{time_ns()}')}; COMMIT"
        self.connection.command(text.encode(), b"COMMIT")
        self.connection.inside = False

    def roll_back(self) -> None:
        if not self.connection.inside:
            return
        try:
            self.connection.command(b"ROLLBACK")
        except sqlite3.OperationalError:
            self.connection.drop()  # the server rolls back what nobody commits
        finally:
            self.connection.inside = False

    def begin_snapshot(self) -> None:
        self.connection.begin(_SNAPSHOT)

    def misplaced(self) -> str:
        return self.connection.lost

    def changed_elsewhere(self) -> bool:
        before, self._watches = self._others, True
        try:
            row = self.connection.execute("SELECT value FROM meta WHERE key = 'beside'").fetchone()
        except sqlite3.Error:
            return False
        self._others = row[0] if row is not None else ""
        renewed, self.connection.renewed = self.connection.renewed, False
        return renewed or (before is not None and self._others != before)

    def check(self) -> str:
        """Nothing: whether its pages are whole a server looks after by itself."""
        return ""

    def statements(self, statements: Sequence[str], otherwise: Mapping[str, str]) -> Sequence[str]:
        return [text for one in statements if (text := in_postgresql(one, otherwise))]

    def close(self) -> None:
        self.connection.close()


def _connect(url: ServerUrl) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        import psycopg
    except ImportError as error:
        raise StoreError(
            "a store on PostgreSQL needs psycopg: pip install 'brimful[postgresql]', or name a file by [store] path"
        ) from error
    try:
        connection = psycopg.connect(
            url.text,
            autocommit=True,
            context=_adapters(),
            prepare_threshold=None,
            connect_timeout=CONNECT_WITHIN_S,
            application_name=f"brimful {socket.gethostname()}:{os.getpid()}",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
    except (psycopg.Error, UnicodeDecodeError) as error:
        raise StoreError(f"cannot open the database {url}: {_hidden(url, error)}") from error
    version, encoding = connection.info.server_version, connection.info.parameter_status("server_encoding")
    connection.pgconn.nonblocking = 0
    if version >= LEAST_VERSION and encoding == "UTF8":
        return connection
    connection.close()
    raise StoreError(
        f"the database {url} is of PostgreSQL {version // 10_000} in {encoding}: it must be 14 or later, in UTF8"
    )


def _hidden(url: ServerUrl, error: Exception) -> str:
    """Return libpq's words in one line; where they repeat the URL, nothing of it that may be secret."""
    said = " ".join(str(error).split())
    is_of_url = isinstance(error, UnicodeDecodeError) or "://" in said or not said.startswith("connection")
    return "the URL cannot be read" if is_of_url else said


def _adapters() -> Any:
    global _KEPT
    if _KEPT is None:
        import psycopg
        from psycopg.adapt import AdaptersMap, Loader
        from psycopg.types.numeric import Int8Dumper

        class WholeLoader(Loader):
            """A sum of bigint is numeric: a whole number all the same."""

            def load(self, data: Any) -> int:
                return int(bytes(data))

        _KEPT = AdaptersMap(psycopg.adapters)
        _KEPT.register_dumper(int, Int8Dumper)  # one type for all, whatever the value: statements stay the same
        _KEPT.register_loader("numeric", WholeLoader)
    return _Adapted(_KEPT)


class _Adapted:
    """What psycopg takes adapters from."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters
        self.connection = None


_KEPT: AdaptersMap | None = None
