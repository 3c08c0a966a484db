"""A fleet of real daemons on one real PostgreSQL, and what the world saw of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks.process import ROOT, Process, Server, accounts_toml, free_port
from daemon.fleet.holdings import BUCKETS
from daemon.places import ServerUrl
from daemon.store import Store, StoreError, fleet
from tests.fleet.behind import Behind

MASTER_KEY = "YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcywgSSBzYXk="
HOOK = """
[[webhooks]]
id = "app{number}"
url = "{url}/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
allow_http = true
events = ["balance.*"]
accounts = ["a*{number}"]
"""


class Machines:
    """Daemons by name. Each event goes to one of ten receivers, so that every daemon delivers some."""

    def __init__(
        self, folder: Path, postgres: Behind, served: Server, accounts: int, *, poll: str = "* * * * *"
    ) -> None:
        self.folder = folder
        self.url: ServerUrl = postgres.database()
        self.config = folder / "config.toml"
        hooks = "".join(HOOK.format(number=number, url=served.url) for number in range(10))
        rule = '[[rules]]\nid = "low"\nkind = "low_balance"\nbelow_usd = 5.00\n'
        store = '[store]\nurl = "env:DATABASE_URL"\n'
        self.config.write_text(store + rule + hooks + accounts_toml(served.url, accounts, poll=poll))
        self.running: dict[str, Process] = {}
        self.pages: dict[str, str] = {}

    def start(self, name: str, **otherwise: str) -> Process:
        """Start a daemon with a page of its own; its log lies in the folder. `otherwise`: its words for words."""
        port, config = free_port(), self.folder / f"{name}.toml"
        text = f'{self.config.read_text()}\n[http]\nlisten = "127.0.0.1:{port}"\n'
        for word, instead in otherwise.items():
            text = text.replace(word, instead)
        config.write_text(text)
        self.pages[name] = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "daemon", "--config", str(config), "run", "--name", name]
        log = self.folder / f"{name}-{time.monotonic_ns()}.log"
        environ = {"DATABASE_URL": self.url.text, "PYTHONPATH": str(ROOT), "API_MASTER_KEY": MASTER_KEY}
        self.running[name] = process = Process(command, log=log, **environ)
        return process

    def kill(self, name: str) -> None:
        """End a daemon as `kill -9` does."""
        process = self.running.pop(name)
        process.signal(signal.SIGKILL)
        process.stop()

    def stop(self) -> None:
        """End all that run."""
        for process in self.running.values():
            process.signal(signal.SIGCONT)
            process.stop()
        self.running.clear()

    def alive(self) -> dict[str, fleet.DaemonRow]:
        """Return the rows of the daemons that are alive; nothing while there is no database."""
        try:
            store = Store(self.url, readonly=True)
        except StoreError:
            return {}
        try:
            return {one.name.rpartition("-")[2]: one for one in fleet.live(store.reader)}
        finally:
            store.close()

    def buckets(self) -> dict[str, int]:
        """Return how many buckets of accounts each daemon that is alive holds; nothing while there is no database."""
        return {name: one.buckets for name, one in self.alive().items()}

    def shared_by(self, *names: str, within_s: float = 30.0) -> float:
        """Wait until these daemons, and no other, hold all there is in fair shares; return how many seconds it took."""
        share = BUCKETS // len(names)

        def shared() -> bool:
            found = self.buckets()
            return found.keys() == set(names) and sum(found.values()) == BUCKETS and min(found.values()) >= share

        return wait(shared, within_s, lambda: str(self.buckets()))

    def heard(self, *names: str, since: datetime, within_s: float = 30.0) -> float:
        """Wait until each was heard of since then: a row outlives by ten seconds the connection of its daemon."""

        def heard() -> bool:
            alive = self.alive()
            return all(name in alive and alive[name].renewed_at > since for name in names)

        return wait(heard, within_s)

    def brimful(self, *words: str) -> str:
        """Run a command beside the daemons; return what it prints."""
        return subprocess.run(
            [sys.executable, "-m", "daemon", "--config", str(self.config), *words],
            env={**os.environ, "DATABASE_URL": self.url.text, "PYTHONPATH": str(ROOT), "API_MASTER_KEY": MASTER_KEY},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def logs(self) -> str:
        """Return what all daemons have logged."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def wait(until: Callable[[], bool], within_s: float, said: Callable[[], str] = lambda: "") -> float:
    """Wait until this is so; return how many seconds it took."""
    began = time.monotonic()
    while not until():
        if time.monotonic() - began > within_s:
            raise AssertionError(f"not within {within_s:g} s: {said()}")
        time.sleep(0.1)
    return time.monotonic() - began


def polls(served: Server, since: float = 0.0) -> Counter[str]:
    """Return how often each account was polled since then."""
    return Counter(account for at, account in served.ask("/polls")["polls"] if at >= since)


def hooks(served: Server) -> list[tuple[float, str, str, str]]:
    """Return the webhooks that arrived: when, id, account, type."""
    return [(at, id, account, kind) for at, id, account, kind in served.ask("/hooks")["hooks"]]
