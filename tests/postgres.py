"""A PostgreSQL of the tests' own: made once a session in a temporary folder, reached by a socket in it, thrown away.

Debian's `apt-get install postgresql` brings it. It refuses to run as root: then it runs as `postgres` or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from daemon.places import ServerUrl
from daemon.store import Store
from daemon.store.migrations import migrate

MISSING = (
    "there is no PostgreSQL on this machine (Debian: apt-get install postgresql): its half of the tests is skipped"
)
STARTS_WITHIN_S = 30
_CLUSTER = ("-U", "brimful", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
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


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, the newest; None where there is none."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name))
    if folders:
        return folders[-1]
    return Path(os.path.realpath(found)).parent if found else None


class PostgresServer:
    """A running server. Each database that is asked for by a name is a copy of one with Brimful's tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start: Callable[[], None] = lambda: None
        self.stop: Callable[[], None] = lambda: None
        self.pid = 0
        self._template = ""
        self._numbers = count(1)
        self._admin: psycopg.Connection[tuple[object, ...]] | None = None

    def url(self, database: str) -> ServerUrl:
        return ServerUrl(f"postgresql://brimful@/{database}?host={self.folder}")

    def execute(self, sql: str) -> None:
        """Run a statement as the owner, in no database of a test."""
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self.url("postgres").text, autocommit=True)
        self._admin.execute(sql)

    def empty(self) -> ServerUrl:
        """Return a database without tables."""
        name = f"empty{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def database(self) -> ServerUrl:
        """Return a database with Brimful's tables, and nothing in them."""
        if not self._template:
            url = self.empty()
            store = Store(url)
            migrate(store)
            store.close()
            self._template = url.text.partition("@/")[2].partition("?")[0]
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    def drop(self, url: ServerUrl) -> None:
        self.execute(f"DROP DATABASE {url.text.partition('@/')[2].partition('?')[0]} WITH (FORCE)")

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


@contextmanager
def serving(where: Path) -> Iterator[PostgresServer]:
    """Make a cluster and serve it while the block runs; `where` is the folder of its programs."""
    folder = Path(tempfile.mkdtemp(prefix="brimful-pg-", dir="/tmp"))  # a socket's path has at most 107 characters
    user = _user()
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        as_user: Any = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = folder / "data"
        made = [
            str(where / "initdb"),
            "-D",
            str(data),
            *_CLUSTER,
        ]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_user)
        command = [str(where / "postgres"), "-D", str(data), "-k", str(folder)]
        for setting in _SETTINGS:
            command += ["-c", setting]
        server = PostgresServer(folder)
        running: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            with (folder / "log").open("ab") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **as_user))
            server.pid = running[-1].pid
            _wait(server)

        def stop() -> None:
            server.close()
            running[-1].send_signal(signal.SIGQUIT)  # at once, without a checkpoint
            running[-1].wait(STARTS_WITHIN_S)

        server.start, server.stop = start, stop
        start()
        try:
            yield server
        finally:
            stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _wait(server: PostgresServer) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
