"""The database of one seed: real PostgreSQL, whose clock is the world's, and which writes down who wrote what.

Each daemon is a role of its own and comes by a socket of its own: so it can be cut off, and the server knows its name.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from daemon.fleet import holdings
from daemon.places import ServerUrl
from daemon.store import Store
from daemon.store.migrations import migrate
from tests.postgres import PostgresServer

ROLES = ("a", "b", "c")
TEMPLATE = "world"
_SCHEMA = (
    "CREATE SCHEMA sim",
    # stands before pg_catalog's own in the search path of a world's database
    "CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
    " $$ SELECT to_timestamp(CAST(pg_read_file(current_setting('sim.clock'), 0, 20) AS double precision)) $$",
    "CREATE FUNCTION sim.today() RETURNS double precision LANGUAGE sql VOLATILE AS"
    " $$ SELECT CAST(pg_read_file(current_setting('sim.clock'), 20, 20) AS double precision) $$",
    "CREATE TABLE sim.bucket (kind text, key text, bucket bigint, PRIMARY KEY (kind, key))",
    "CREATE TABLE sim.stale (at double precision, writer text, what text, key text, holder text)",
    "CREATE TABLE sim.held (at double precision, kind text, bucket bigint, holder bigint)",
    """CREATE FUNCTION sim.judge() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        wanted text;
        holder text;
    BEGIN
        IF TG_TABLE_NAME = 'topup_sends' THEN
            SELECT account INTO wanted FROM public.topups WHERE id = NEW.topup;
        ELSIF TG_TABLE_NAME = 'delivery' THEN
            wanted := NEW.receiver;
        ELSE
            wanted := NEW.account;
        END IF;
        SELECT d.name INTO holder FROM sim.bucket b
            JOIN public.lease l ON l.kind = b.kind AND l.bucket = b.bucket JOIN public.daemon d ON d.number = l.holder
            WHERE b.kind = TG_ARGV[0] AND b.key = wanted;
        IF current_user <> 'brimful' AND holder IS DISTINCT FROM current_user THEN
            INSERT INTO sim.stale VALUES (sim.today(), current_user, TG_TABLE_NAME, wanted, holder);
        END IF;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER judged AFTER INSERT OR UPDATE ON account_state FOR EACH ROW EXECUTE FUNCTION sim.judge('accounts')",
    "CREATE TRIGGER judged AFTER INSERT ON topup_sends FOR EACH ROW EXECUTE FUNCTION sim.judge('accounts')",
    "CREATE TRIGGER judged AFTER UPDATE ON delivery FOR EACH ROW EXECUTE FUNCTION sim.judge('receivers')",
    """CREATE FUNCTION sim.note_lease() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO sim.held VALUES (sim.today(), NEW.kind, NEW.bucket, NEW.holder);
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER noted AFTER INSERT ON lease FOR EACH ROW EXECUTE FUNCTION sim.note_lease()",
)
_READ_BY_CHECKER = {
    "meta": "key, value",
    "event": "number, id, type, account, sequence, body",
    "delivery": "number, event, receiver, state, attempts, created_ms",
}


def prepare(server: PostgresServer) -> None:
    """Make the database that every seed's is a copy of, once a server."""
    for role in ROLES:
        server.execute(f"CREATE ROLE {role} SUPERUSER LOGIN")
    server.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    url = server.url(TEMPLATE)
    with closing(Store(url)) as store:
        migrate(store)
    with psycopg.connect(url.text, autocommit=True) as connection:
        for statement in _SCHEMA:
            connection.execute(statement)


class WorldDatabase:
    """The database of one seed, and the ways to it. `elapsed_s` of its clock counts from the beginning."""

    def __init__(self, folder: Path, name: str) -> None:
        self._server = PostgresServer(folder)
        self._name = f"seed_{name}"
        self._folder = Path(tempfile.mkdtemp(prefix="brimful-", dir="/tmp"))  # a socket's path is short
        self._folder.chmod(0o755)
        self._clock = os.open(self._folder / "clock", os.O_RDWR | os.O_CREAT, 0o644)
        self.set_clock(0.0, 0.0)
        self._server.execute(f"CREATE DATABASE {self._name} TEMPLATE {TEMPLATE}")
        self._server.execute(f"ALTER DATABASE {self._name} SET sim.clock = '{self._folder / 'clock'}'")
        self._server.execute(f"ALTER DATABASE {self._name} SET search_path = sim, pg_catalog, public")
        self.place = self._server.url(self._name)
        self._reader = psycopg.connect(self.place.text, autocommit=True)
        self.is_down = False
        self._cut: set[str] = set()
        for role in ROLES:
            self.mend(role)

    def url(self, role: str) -> ServerUrl:
        """Return how a daemon reaches it."""
        return ServerUrl(f"postgresql://{role}@/{self._name}?host={self._folder / role}")

    def set_clock(self, elapsed_s: float, calendar_s: float) -> None:
        """Let the server's clock say so; the calendar is for what it writes down."""
        os.pwrite(self._clock, f"{elapsed_s:020.6f}{calendar_s:020.6f}".encode(), 0)

    def know(self, accounts: Collection[str], receivers: Collection[str]) -> None:
        """Write down in which bucket each lies."""
        rows = [(holdings.ACCOUNTS, id) for id in accounts] + [(holdings.RECEIVERS, key) for key in receivers]
        for kind, key in rows:
            self.ask("INSERT INTO sim.bucket VALUES (%s, %s, %s)", kind, key, holdings.bucket_of(key))

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as somebody outside the fleet."""
        cursor = self._reader.execute(sql, values)
        return cursor.fetchall() if cursor.description else []

    # ── what befalls it ─────────────────────────────────────────────────────────────────────────────────────────

    def drop_connections(self, role: str) -> None:
        """End all that a daemon has open: what it has not committed is gone."""
        which = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s AND datname = %s"
        self.ask(which, role, self._name)

    def cut(self, role: str) -> None:
        """Part a daemon from the database: its connections are lost, and it gets no other."""
        self._cut.add(role)
        (self._folder / role).unlink(missing_ok=True)
        self.drop_connections(role)

    def mend(self, role: str) -> None:
        """Let a daemon through again."""
        self._cut.discard(role)
        if not self.is_down and not (self._folder / role).exists():
            (self._folder / role).symlink_to(self._server.folder)

    def go_down(self) -> None:
        """Be away: every connection is lost, and nobody gets another."""
        self.is_down = True
        for role in ROLES:
            (self._folder / role).unlink(missing_ok=True)
            self.drop_connections(role)

    def come_up(self) -> None:
        self.is_down = False
        for role in set(ROLES) - self._cut:
            self.mend(role)

    def reaches(self, role: str) -> bool:
        """Whether a daemon gets through."""
        return not self.is_down and role not in self._cut

    # ── what it knows ───────────────────────────────────────────────────────────────────────────────────────────

    def holders(self) -> dict[str, dict[int, int]]:
        """Return how many buckets of each kind each number holds: 0 for one that has a row and holds nothing."""
        rows = self.ask(
            "SELECT d.number, l.kind, count(l.bucket) FROM daemon d LEFT JOIN lease l"
            " ON l.holder = d.number GROUP BY d.number, l.kind"
        )
        numbers = {number for number, _, _ in rows}
        found = {kind: dict.fromkeys(sorted(numbers), 0) for kind in holdings.COUNTS}
        for number, kind, buckets in rows:
            if kind is not None:
                found[kind][number] = buckets
        return found

    def alive(self) -> int:
        """Return how many daemons were heard of within the life of a lease."""
        now_ms = "extract(epoch FROM sim.clock_timestamp()) * 1000"
        return int(self.ask(f"SELECT count(*) FROM daemon WHERE until_ms >= {now_ms}")[0][0])

    def is_shared_by(self, daemons: int) -> bool:
        """Whether so many daemons, and no other, hold all there is in fair shares."""
        for kind, held in self.holders().items():
            count = holdings.COUNTS[kind]
            shares = sorted(held.values())
            if shares != sorted(holdings.share(count, daemons, rank) for rank in range(daemons)):
                return False
        return True

    def copy_for_checker(self, file: Path) -> None:
        """Write what the checker reads of a store into a file, as it reads it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file)) as copy, copy:
            for table, columns in _READ_BY_CHECKER.items():
                copy.execute(f"CREATE TABLE {table} ({columns})")
                places = ", ".join("?" * len(columns.split(",")))
                copy.executemany(f"INSERT INTO {table} VALUES ({places})", self.ask(f"SELECT {columns} FROM {table}"))

    def close(self) -> None:
        """Drop it, with all that is open."""
        self._reader.close()
        os.close(self._clock)
        self._server.execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)
