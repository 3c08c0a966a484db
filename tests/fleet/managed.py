"""Two servers under Patroni, with etcd: what fails over by itself (Debian: apt-get install patroni etcd-server)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.process import free_port
from daemon.places import ServerUrl
from tests.fleet.behind import send_to
from tests.postgres import Cluster, folder_of_clusters

STARTS_WITHIN_S = 90
SETTINGS = {"ttl": 20, "loop_wait": 5, "retry_timeout": 5}
"""The least that Patroni takes; its own defaults are 30, 10 and 10 s."""
HBA = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]


class Managed:
    """`stop` kills the primary and its Patroni; the standby is promoted. `start` lets the killed one come back."""

    def __init__(self, where: Path, folder: Path) -> None:
        self.folder, self._where = folder, where
        self.ports = {"a": free_port(), "b": free_port()}
        self._user = Cluster(where, folder).as_user
        self._etcd = free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.killed_at = 0.0
        self._killed = ""

    def begin(self) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{free_port()}"
        self._run("etcd", "etcd", "--data-dir", str(self.folder / "etcd"), "--listen-client-urls", client,
                  "--advertise-client-urls", client, "--listen-peer-urls", peer,
                  "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")  # fmt: skip
        for name in self.ports:
            self._run(name, "patroni", str(self._configured(name)))
        self._wait_for_pair()

    def database(self) -> ServerUrl:
        """Return the URL of an empty one, on whichever can be written to."""
        with psycopg.connect(self._url("postgres").text, autocommit=True) as session:
            session.execute("CREATE DATABASE brimful TEMPLATE template0")
        return self._url("brimful")

    def stop(self) -> None:
        self._killed = self._primary()
        self.killed_at = time.monotonic()
        self._running[self._killed].kill()
        self._running[self._killed].wait()
        send_to(self._postmaster(self._killed), signal.SIGKILL)

    def start(self) -> None:
        self._run(self._killed, "patroni", str(self.folder / f"{self._killed}.json"))
        self._wait_for_pair()

    def close(self) -> None:
        for name, process in reversed(self._running.items()):
            process.kill()
            process.wait()
            if name in self.ports:
                send_to(self._postmaster(name), signal.SIGKILL)

    def _url(self, database: str) -> ServerUrl:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        return ServerUrl(f"postgresql://brimful@{hosts}/{database}?target_session_attrs=read-write")

    def _configured(self, name: str) -> Path:
        """Write the configuration of one Patroni; YAML takes JSON."""
        at, rest = f"127.0.0.1:{self.ports[name]}", f"127.0.0.1:{free_port()}"
        told: dict[str, Any] = {
            "scope": "brimful",
            "name": name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"host": f"127.0.0.1:{self._etcd}"},
            "bootstrap": {
                "dcs": {**SETTINGS, "synchronous_mode": True, "postgresql": {"use_pg_rewind": True}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "trust"}],
            },
            "postgresql": {
                "listen": at,
                "connect_address": at,
                "data_dir": str(self.folder / name),
                "bin_dir": str(self._where),
                "pgpass": str(self.folder / f"{name}.pgpass"),
                "pg_hba": HBA,
                "parameters": {"unix_socket_directories": str(self.folder), "wal_log_hints": True},
                "authentication": {
                    "superuser": {"username": "brimful", "password": "x"},
                    "replication": {"username": "replicator", "password": "x"},
                },
            },
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(told))
        return path

    def _run(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._user)

    def _postmaster(self, name: str) -> int:
        try:
            return int((self.folder / name / "postmaster.pid").read_text().split()[0])
        except FileNotFoundError:
            return 0

    def _primary(self) -> str:
        with psycopg.connect(self._url("postgres").text) as session:
            return next(name for name, port in self.ports.items() if port == session.info.port)

    def _wait_for_pair(self) -> None:
        """Wait until there are a primary and a standby that the primary waits for."""
        ends = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                with psycopg.connect(self._url("postgres").text, connect_timeout=2) as session:
                    if session.execute("SELECT sync_state FROM pg_stat_replication").fetchall() == [("sync",)]:
                        return
            except psycopg.OperationalError:
                pass
            logs = "".join(path.read_text()[-1500:] for path in self.folder.glob("[ab].log"))
            assert time.monotonic() < ends, logs
            time.sleep(0.5)


@contextmanager
def managed(where: Path) -> Iterator[Managed]:
    """Serve two servers under Patroni."""
    if shutil.which("patroni") is None or shutil.which("etcd") is None:
        raise SystemExit("there is no Patroni on this machine (Debian: apt-get install patroni etcd-server)")
    with folder_of_clusters() as folder:
        made = Managed(where, folder)
        try:
            made.begin()
            yield made
        finally:
            made.close()
