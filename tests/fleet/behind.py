"""What stands between the daemons and their database: nothing, PgBouncer in transaction mode, or a failover.

Each has `database()`, which a fleet is given, and `stop` and `start`, which break it and mend it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString, Protocol

import psycopg

from daemon.places import ServerUrl
from tests.postgres import CLUSTER, STARTS_WITHIN_S, Cluster, folder_of_clusters, serving

PORT = 6432
LAG_S = 2.0
"""How far an asynchronous standby is behind when it is promoted."""
POOL = 8
"""Connections of PgBouncer to the server: fewer than what three daemons open."""
_POOLER = """
[databases]
* = host={folder} user=brimful
[pgbouncer]
unix_socket_dir = {folder}
listen_port = {port}
listen_addr =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
server_login_retry = 1
max_client_conn = 500
"""


class Behind(Protocol):
    """A database that can be broken and mended."""

    @property
    def stop(self) -> Callable[[], None]: ...

    @property
    def start(self) -> Callable[[], None]: ...

    def database(self) -> ServerUrl:
        """Return the URL of an empty one, by the way that the daemons take."""
        ...


class Pooler:
    """PgBouncer before a server; it alone is stopped and started."""

    def __init__(self, folder: Path, database: Callable[[], ServerUrl], as_user: dict[str, object]) -> None:
        self.folder, self._database, self._as_user = folder, database, as_user
        self._running: subprocess.Popen[bytes] | None = None
        (folder / "pooler.ini").write_text(_POOLER.format(folder=folder, port=PORT, pool=POOL))

    def database(self) -> ServerUrl:
        return ServerUrl(f"{self._database().text}&port={PORT}")

    def start(self) -> None:
        command = ["pgbouncer", "--quiet", str(self.folder / "pooler.ini")]
        with (self.folder / "pooler.log").open("ab") as log:
            self._running = subprocess.Popen(command, stdout=log, stderr=log, **self._as_user)  # type: ignore[call-overload]
        ends = time.monotonic() + STARTS_WITHIN_S
        while not (self.folder / f".s.PGSQL.{PORT}").exists():
            assert time.monotonic() < ends, (self.folder / "pooler.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it with all its connections, as a machine that is switched off does."""
        assert self._running is not None
        self._running.kill()
        self._running.wait()
        (self.folder / f".s.PGSQL.{PORT}").unlink(missing_ok=True)


@contextmanager
def pooled(where: Path) -> Iterator[Pooler]:
    """Serve a cluster, and PgBouncer before it (Debian: apt-get install pgbouncer)."""
    if shutil.which("pgbouncer") is None:
        raise SystemExit("there is no PgBouncer on this machine (Debian: apt-get install pgbouncer)")
    with serving(where) as server:
        pooler = Pooler(server.folder, server.database, server.as_user)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


class Pair:
    """A primary with a streaming standby; `stop` kills the one and promotes the other, `start` makes a new standby."""

    def __init__(self, where: Path, folder: Path, *, synchronous: bool) -> None:
        self._synchronous = synchronous
        self.clusters: list[Cluster] = []
        """The primary, then the standby."""
        for name in ("a", "b"):
            (folder / name).mkdir()
            self.clusters.append(Cluster(where, folder / name))
        hosts = ",".join(str(one.folder) for one in self.clusters)
        self._url = f"postgresql://brimful@/{{}}?host={hosts}&target_session_attrs=read-write"

    def begin(self) -> None:
        """Make the primary, and its standby."""
        first = self.clusters[0]
        first.run("initdb", "-D", str(first.data), *CLUSTER)
        first.start()
        self._wait(first, "SELECT true")
        self.start()

    def database(self) -> ServerUrl:
        """Return the URL of an empty one on both: whoever can be written to is asked."""
        with self._session(self.clusters[0]) as session:
            session.execute("CREATE DATABASE brimful TEMPLATE template0")
        return ServerUrl(self._url.format("brimful"))

    def stop(self) -> None:
        """Kill the primary with all its processes, and promote the standby. An asynchronous one is behind by then."""
        primary, standby = self.clusters
        if not self._synchronous:
            with self._session(standby) as session:
                session.execute("ALTER SYSTEM SET primary_conninfo = ''")
                session.execute("SELECT pg_reload_conf()")
            time.sleep(LAG_S)
        self.killed_at = time.monotonic()
        send_to(primary.pid, signal.SIGKILL)
        standby.run("pg_ctl", "promote", "-D", str(standby.data), "-w")
        primary.forget()
        self.clusters.reverse()

    def start(self) -> None:
        """Make what is no primary a standby of it, from its base backup."""
        primary, standby = self.clusters
        shutil.rmtree(standby.data, ignore_errors=True)
        source = ("-h", str(primary.folder), "-U", "brimful")
        standby.run("pg_basebackup", "-D", str(standby.data), *source, "-R", "-N", "-c", "fast")
        standby.start()
        self._wait(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
        if self._synchronous:
            with self._session(primary) as session:
                session.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                session.execute("SELECT pg_reload_conf()")
            self._wait(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")

    def close(self) -> None:
        for one in self.clusters:
            one.stop()

    def _session(self, cluster: Cluster) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(f"postgresql://brimful@/postgres?host={cluster.folder}", autocommit=True)

    def _wait(self, cluster: Cluster, question: LiteralString) -> None:
        ends = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                with self._session(cluster) as session:
                    if session.execute(question).fetchone() == (True,):
                        return
            except psycopg.OperationalError:
                pass
            assert time.monotonic() < ends, (cluster.folder / "log").read_text()[-2000:]
            time.sleep(0.05)


def send_to(postmaster: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a server."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, parent = int(status.parent.name), int(status.read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        if postmaster in (pid, parent):
            os.kill(pid, number)


@contextmanager
def paired(where: Path, *, synchronous: bool) -> Iterator[Pair]:
    """Serve a primary with a standby."""
    with folder_of_clusters() as folder:
        pair = Pair(where, folder, synchronous=synchronous)
        try:
            pair.begin()
            yield pair
        finally:
            pair.close()
