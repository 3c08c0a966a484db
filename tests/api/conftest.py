"""The real daemon as a process on loopback, with the API; a usage API and a receiver beside it."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from daemon.clock import RandomIds, SystemClock
from daemon.config.load import load
from daemon.demo.standins.receiver import ReceiverStandin
from daemon.demo.standins.usage import UsageStandin
from daemon.resources.model import Actor, Role
from daemon.resources.registry import Registry
from daemon.store import Store
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from tests.commands.test_newcomer import ROOT, free_port

MASTER_KEY = base64.b64encode(b"a key of thirty-two bytes, I say").decode()
CONFIG = """
timezone = "UTC"
[store]
path = "{folder}/brimful.db"
[http]
listen = "127.0.0.1:{port}"
[stripe]
api_key = "sk_test_123"
mode = "test"
api_base = "http://127.0.0.1:1"
[api]
enabled = true
master_key = "env:API_MASTER_KEY"
allow_accounts_at = ["127.0.0.0/8"]
allow_subscriptions_at = ["127.0.0.0/8"]
[accounts.own]
provider = "contentstats"
base_url = "{usage}"
api_key = "env:OWN_KEY"
poll = "*/30 * * * *"
tags = ["house"]
[accounts.own.topup]
when_below_usd = 10.00
amount_usd = 50.00
customer = "cus_own"
max_charge_usd = 50.00
max_per_day_usd = 100.00
max_per_month_usd = 500.00
mode = "shadow"
[[rules]]
id = "low"
kind = "low_balance"
accounts = ["own"]
below_usd = 1.00
[[webhooks]]
id = "house"
url = "{receiver}"
secret = "env:HOUSE_SECRET"
allow_http = true
accounts = ["own"]
"""
HOUSE_SECRET = "whsec_" + base64.b64encode(b"the house's own signing secret!!").decode()
ENVIRON = {"API_MASTER_KEY": MASTER_KEY, "OWN_KEY": "cs_test_own", "HOUSE_SECRET": HOUSE_SECRET}


@dataclass
class Standins:
    """A usage API and a receiver, served from a thread."""

    usage: UsageStandin
    usage_url: str
    receiver: ReceiverStandin


@contextmanager
def standins() -> Iterator[Standins]:
    end, ready = Event(), Event()
    made: list[Standins] = []

    async def serve() -> None:
        usage = UsageStandin(SystemClock(), requests_per_minute=None)
        usage.prepaid("cs_test_own", balance_usd=50)
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(usage.serve())
            receiver = await stack.enter_async_context(ReceiverStandin())
            made.append(Standins(usage, url, receiver))
            ready.set()
            await asyncio.to_thread(end.wait)

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield made[0]
    finally:
        end.set()
        thread.join()


@dataclass
class Api:
    """A daemon that runs: `base` without the prefix; `admin` is a token of that role without an owner."""

    base: str
    folder: Path
    standins: Standins
    admin: str
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(base_url=f"{self.base}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=30)

    def token(self, role: str, **more: Any) -> str:
        with self.client(self.admin) as client:
            answer = client.post("/tokens", json={"role": role, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])


def brimful(folder: Path, *arguments: str) -> str:
    """Run a command beside the daemon."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "--config", str(folder / "config.toml"), *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRON},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def first_token(folder: Path) -> str:
    """Make the first token, before the daemon runs."""
    return token_for(folder / "config.toml", {**os.environ, **ENVIRON})


def token_for(path: Path, environ: Mapping[str, str]) -> str:
    """Make a token of the operator's in the store of a configuration."""
    config = load(path, environ=environ)
    with closing(Store(config.store.path)) as store:
        migrate(store)
        with store.write(durable=True) as tx:
            outbox = Outbox(store_id(tx, RandomIds()), config.receivers, RandomIds())
        registry = Registry(config, store=store, outbox=outbox, clock=SystemClock(), ids=RandomIds())
        operator = Actor(name="cli:test", source="cli", role=Role.ADMIN)
        return registry.new_token(operator, role=Role.ADMIN)[1]


@contextmanager
def daemon(folder: Path, beside: Standins, more: str = "") -> Iterator[Api]:
    """Run the daemon until the block ends."""
    port = free_port()
    text = CONFIG.format(folder=folder, port=port, usage=beside.usage_url, receiver=beside.receiver.url)
    (folder / "config.toml").write_text(text + more)
    admin = first_token(folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "--config", str(folder / "config.toml"), "run"],
            cwd=ROOT,
            env={**os.environ, **ENVIRON},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            made = Api(f"http://127.0.0.1:{port}", folder, beside, admin, process)
            wait_until(lambda: _answers(made))
            yield made
        finally:
            process.terminate()
            assert process.wait(30) == 0


def _answers(api: Api) -> bool:
    assert api.process.poll() is None, api.log
    try:
        return httpx.get(f"{api.base}/healthz").status_code in (200, 503)
    except httpx.TransportError:
        return False


def wait_until(done: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Return what `done` returned once it was true."""
    ends_at = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < ends_at, "it did not come about"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def beside() -> Iterator[Standins]:
    with standins() as made:
        yield made


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory, beside: Standins) -> Iterator[Api]:
    with daemon(tmp_path_factory.mktemp("api"), beside) as made:
        yield made
