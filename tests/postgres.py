"""A PostgreSQL of the tests' own: made once a session in a temporary folder, reached by a socket in it, thrown away.

Debian's `apt-get install postgresql` brings it. It refuses to run as root: then it runs as `postgres` or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from daemon.places import Place, ServerUrl
from daemon.store import Store
from daemon.store.migrations import migrate

MISSING = (
    "there is no PostgreSQL on this machine (Debian: apt-get install postgresql): its half of the tests is skipped"
)
STARTS_WITHIN_S = 30
USES = 20
"""So often a database is used: what is deleted stays in its files."""
_TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_SEQUENCES = "SELECT quote_ident(sequencename), last_value FROM pg_sequences"
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_SCHEMA = """
SELECT (SELECT sum(oid::bigint + hashtext(relname)) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
       (SELECT sum(oid::bigint) FROM pg_trigger WHERE tgenabled = 'O'),
       (SELECT sum(oid::bigint) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
       (SELECT count(*) FROM pg_attribute WHERE NOT attisdropped)
"""
CLUSTER = ("-U", "brimful", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=on",
    "listen_addresses=",
    "max_connections=100",
    "autovacuum=off",
    "shared_buffers=64MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
)


def place_of(path: Path) -> Place:
    """Return where a test's database of this path lies. Over PostgreSQL it is another function (tests/conftest.py)."""
    return path


def for_processes(config: Path) -> None:
    """Let a configuration file name the test's own database, which other processes would not find by its path."""
    text = config.read_text()
    if (named := re.search(r'^path = "(.+)"$', text, re.M)) and isinstance(url := place_of(Path(named[1])), ServerUrl):
        config.write_text(text.replace(named[0], f'url = "{url.text}"'))


def name_of(url: ServerUrl) -> str:
    return url.text.partition("@/")[2].partition("?")[0]


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, the newest; None where there is none."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name))
    if folders:
        return folders[-1]
    return Path(os.path.realpath(found)).parent if found else None


class PostgresServer:
    """A running server, and its databases with Brimful's tables: copies of one, used again once they are emptied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start: Callable[[], None] = lambda: None
        self.stop: Callable[[], None] = lambda: None
        self.as_user: Any = {}
        self.pid = 0
        self._template = ""
        self._emptied = ""
        """The statements that make a database what the template is, but for its schema."""
        self._schema: object = None
        self._free: list[ServerUrl] = []
        self._uses: Counter[str] = Counter()
        self._numbers = count(1)
        self._admin: psycopg.Connection[tuple[object, ...]] | None = None

    def url(self, database: str) -> ServerUrl:
        return ServerUrl(f"postgresql://brimful@/{database}?host={self.folder}")

    def execute(self, statement: str) -> None:
        """Run a statement as the owner, in no database of a test."""
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self.url("postgres").text, autocommit=True)
        self._admin.execute(statement)

    def empty(self) -> ServerUrl:
        """Return a database without tables."""
        name = f"empty{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def database(self) -> ServerUrl:
        """Return a database with Brimful's tables, and nothing in them."""
        if not self._template:
            self._make_template()
        if self._free:
            return self._free.pop()
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    def _make_template(self) -> None:
        url = self.empty()
        store = Store(url)
        migrate(store)
        store.close()
        with psycopg.connect(url.text, autocommit=True) as session:
            tables = [name for (name,) in session.execute(_TABLES)]
            todo = [f"DELETE FROM {table}" for table in tables]
            for table in tables:
                for row in session.execute(f"SELECT * FROM {table}"):
                    values = ", ".join(sql.Literal(value).as_string(session) for value in row)
                    todo.append(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({values})")
            for name, last in session.execute(_SEQUENCES):
                todo.append(f"SELECT setval('{name}', {last or 1}, {last is not None})")
            self._schema = session.execute(_SCHEMA).fetchone()
        self._emptied = f"BEGIN; SET LOCAL session_replication_role = replica; {'; '.join(todo)}; COMMIT"
        self._template = name_of(url)

    def give_back(self, url: ServerUrl) -> None:
        """Empty a database for the next test; drop it where its schema was changed, or its files have grown."""
        self._uses[url.text] += 1
        with psycopg.connect(url.text, autocommit=True) as session:
            session.execute(_END_OTHERS)
            same = session.execute(_SCHEMA).fetchone() == self._schema
            if same and self._uses[url.text] < USES:
                session.execute(self._emptied)
                self._free.append(url)
                return
        self.drop(url)

    def drop(self, url: ServerUrl) -> None:
        self.execute(f"DROP DATABASE {name_of(url)} WITH (FORCE)")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let the server, with all its processes, stand still while the block runs."""
        stopped = [self.pid, *_children(self.pid)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()


class Cluster:
    """A folder of data and the server over it, reached by a socket in `folder`."""

    def __init__(self, where: Path, folder: Path) -> None:
        self.where, self.folder = where, folder
        self.data = folder / "data"
        user = _user()
        self.as_user: Any = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._running: subprocess.Popen[bytes] | None = None

    def run(self, program: str, *words: str) -> None:
        """Run one of PostgreSQL's programs."""
        command = [str(self.where / program), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.as_user)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def start(self) -> int:
        """Start the server; return its pid."""
        command = [str(self.where / "postgres"), "-D", str(self.data), "-k", str(self.folder)]
        for setting in _SETTINGS:
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self.as_user)
        return self.pid

    @property
    def pid(self) -> int:
        return 0 if self._running is None else self._running.pid

    def forget(self) -> None:
        """Reap a server that was killed."""
        if self._running is not None:
            self._running.wait(STARTS_WITHIN_S)
            self._running = None

    def stop(self) -> None:
        """End the server at once, without a checkpoint."""
        if self._running is not None:
            self._running.send_signal(signal.SIGQUIT)
        self.forget()


@contextmanager
def folder_of_clusters() -> Iterator[Path]:
    """A folder for a server's files that is thrown away. A socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="brimful-pg-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(where: Path) -> Iterator[PostgresServer]:
    """Make a cluster and serve it while the block runs; `where` is the folder of its programs."""
    with folder_of_clusters() as folder:
        cluster = Cluster(where, folder)
        cluster.run("initdb", "-D", str(cluster.data), *CLUSTER)
        server = PostgresServer(folder)
        server.as_user = cluster.as_user

        def start() -> None:
            server.pid = cluster.start()
            wait(server)

        def stop() -> None:
            server.close()
            cluster.stop()

        server.start, server.stop = start, stop
        start()
        try:
            yield server
        finally:
            stop()


def _children(pid: int) -> list[int]:
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], check=False, capture_output=True, text=True)
    return [int(one) for one in said.stdout.split()]


def _user() -> pwd.struct_passwd | None:
    """Return whom the server runs as where the tests run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def wait(server: PostgresServer) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
