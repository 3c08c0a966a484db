"""One judgement of health, whoever asks: what hangs starves the watchdog, what is down or full does not."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.mail import Mailed
from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.usage import Silence
from daemon.jobs import Job, note_progress
from daemon.process.beat import Beat
from daemon.store import Store
from daemon.store.health import load as load_health
from tests.postgres import for_processes
from tests.service.conftest import KEY, Town
from tests.service.test_idle import START, Apis
from tests.sim.clocks import TrueClock, run

ROOT = Path(__file__).parents[2]


# ── a job ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pass_that_comes_on_is_fresh_and_one_that_stands_still_hangs() -> None:
    async def live() -> tuple[str, str, str]:
        async def work() -> None:
            for _ in range(10):
                await asyncio.sleep(20)
                note_progress()
            await asyncio.sleep(3600)

        job = Job("money", work, clock=TrueClock(START), deadline_s=9000, finished=lambda: None, stuck_after_s=45)
        job.start()
        await asyncio.sleep(199)
        coming_on = job.stuck()
        await asyncio.sleep(50)
        hangs = job.stuck()
        await job.cut()
        return coming_on, hangs, job.stuck()

    assert run(live) == ("", "money: nothing has moved for 49 s", "")


# ── the service ─────────────────────────────────────────────────────────────────────────────────────────────────────

CONFIG = """
[store]
path = "{folder}/b.db"
[http]
listen = ""
[smtp]
host = "127.0.0.1"
sender = "b@example.com"
[accounts.clips]
provider = "contentstats"
base_url = "https://usage.example"
api_key = "cs_test_1"
poll = "* * * * *"
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 100.00
[[emails]]
id = "ops"
to = ["ops@example.com"]
"""


class HangingMailer:
    """A mail client that never comes back, whatever its deadlines."""

    sender = "b@example.com"

    async def send(self, message: EmailMessage, to: Sequence[str]) -> Mailed:
        await asyncio.sleep(1e6)
        raise AssertionError


def lived(folder: Path, seconds: float, *, silent: bool = False, mailer: Any = None) -> tuple[list[str], list[str]]:
    """Live so long; returns the reasons that stand then, and all that systemd was told meanwhile."""
    (folder / "config.toml").write_text(CONFIG.format(folder=folder))

    async def live() -> tuple[list[str], list[str]]:
        clock, woken, told = TrueClock(START), asyncio.Event(), list[str]()
        apis = Apis()
        apis.silent = silent

        def tell(said: str) -> bool:
            told.append(said)
            return True

        transport: httpx.AsyncBaseTransport = apis
        async with open_service(
            load(folder / "config.toml"), clock=clock, ids=SeededIds(1), transport=transport, mailer=mailer,
            overlap=True, wake=woken.set,
        ) as service:  # fmt: skip
            beat = asyncio.ensure_future(Beat(service, clock, tell).run())
            ends = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < ends:
                woken.clear()
                delay_s = min(((await service.step(clock.now())) - clock.now()).total_seconds(), 5.0)
                try:
                    async with asyncio.timeout(max(delay_s, 0.0)):
                        await woken.wait()
                except TimeoutError:
                    pass
            reasons = service.stale_jobs(clock.now())
            beat.cancel()
            await service.drain(1.0)
            return reasons, told

    lived_so: tuple[list[str], list[str]] = run(live)
    return lived_so


def fed(told: list[str]) -> list[bool]:
    return ["WATCHDOG=1" in said.splitlines() for said in told]


def test_a_receivers_lane_that_hangs_is_not_fresh_and_starves_the_watchdog(tmp_path: Path) -> None:
    reasons, told = lived(tmp_path, 200, mailer=HangingMailer())
    assert len(reasons) == 1
    assert reasons[0].startswith("delivery: email:ops has hung for ")
    assert fed(told)[0]
    assert not any(fed(told)[-10:])
    assert "STATUS=not fresh: delivery: email:ops" in told[-1]
    since = next(index for index, said in enumerate(told) if "not fresh" in said)
    assert since * 5 <= 70  # a beat each five seconds: noticed within ten of the bound


def test_an_api_that_hangs_is_not_fresh_within_half_a_minute_and_feeds_the_watchdog(tmp_path: Path) -> None:
    """A restart mends no provider."""
    reasons, told = lived(tmp_path, 28, silent=True)
    assert reasons == ["poll: no usage API answers, clips since 2026-11-10T09:00:50Z"]
    assert all(fed(told))
    assert any("STATUS=not fresh: poll: no usage API answers" in said for said in told)


def test_what_is_well_is_fed_and_says_what_it_does(tmp_path: Path) -> None:
    reasons, told = lived(tmp_path, 100, mailer=None)
    assert reasons == []
    assert all(fed(told))
    assert any("STATUS=1 accounts, 1 read, next poll 09:02:00" in said for said in told)


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Manager:
    """The service manager's end of sd_notify."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def hear(self) -> list[str]:
        while True:
            try:
                self.heard += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard

    async def until(self, begins: str, seconds: float = 40.0) -> str:
        ends = time.monotonic() + seconds
        while not (found := [line for line in self.hear() if line.startswith(begins)]):
            assert time.monotonic() < ends, f"no {begins!r} in {self.heard}"
            await asyncio.sleep(0.05)
        return found[-1]


@contextmanager
def managed(path: Path, folder: Path) -> Iterator[tuple[Manager, subprocess.Popen[bytes]]]:
    """The daemon under a service manager that watches it."""
    for_processes(path)
    manager = Manager(folder / "notify")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "4000000"}
    environ.pop("WATCHDOG_PID", None)
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "daemon", "--config", str(path), "run"]
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stderr=log)
        try:
            yield manager, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            manager.socket.close()


def logged(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == kind]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.long
async def test_page_journal_status_and_systemd_say_the_same_of_an_api_that_hangs(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="40.00")
    town.usage.fail(KEY, Silence())
    path, port = town.configure(), free_port()
    path.write_text(path.read_text().replace('listen = ""', f'listen = "127.0.0.1:{port}"'))
    with managed(path, town.folder) as (manager, process):
        await manager.until("READY=1")
        said = await manager.until("STATUS=not fresh: poll: no usage API answers, clips since ")
        assert "WATCHDOG=1" in manager.hear()
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/healthz")
        assert answer.status_code == 503
        (reason,) = answer.json()["reasons"]
        assert reason in said
        command = [sys.executable, "-m", "daemon", "--config", str(path), "status", "--json"]
        async with asyncio.timeout(20):  # in a fleet a daemon's row says it with the next renewal
            while True:
                done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, timeout=30)
                if not (beside := json.loads(done.stdout)["daemon"])["fresh"]:
                    break
        (reason_beside,) = beside["reasons"]
        assert (beside["pid"], beside["fresh"]) == (process.pid, False)
        assert reason_beside.removeprefix(f"{socket.gethostname()}: ") == reason  # a fleet says of whom
    (line,) = logged(town.folder, "health")
    assert (line["level"], line["fresh"], line["reasons"]) == ("warning", False, [reason])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of two megabytes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root mounts a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mounted, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.sqlite
async def test_a_disk_that_is_full_at_the_start_is_waited_for(town: Town, small_disk: Path) -> None:
    town.usage.prepaid(KEY, balance_usd="4.00")
    path = town.configure()
    path.write_text(path.read_text().replace(str(town.folder / "a.db"), str(small_disk / "a.db")))
    filler = small_disk / "filler"
    _fill(filler)
    with managed(path, town.folder) as (manager, process):
        await manager.until("STATUS=cannot start yet: ")
        await manager.until("EXTEND_TIMEOUT_USEC=")
        assert process.poll() is None
        filler.unlink()
        await manager.until("READY=1")
        await _until(lambda: town.events_of("balance.low"))
    failed = logged(town.folder, "start")
    assert (failed[0]["level"], failed[0]["tries"], failed[0]["again_in_s"]) == ("error", 1, 5.0)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(b"\0" * 4096)
        except OSError:
            return


async def _until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.05)


def test_the_judgement_of_a_daemon_that_is_gone_is_not_told(tmp_path: Path) -> None:
    from daemon.store.lock import holder, lock_path

    database = tmp_path / "a.db"
    assert holder(database) is None
    lock_path(database).write_text(f"{os.getpid()}\n")
    assert holder(database) == os.getpid()
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock_path(database).write_text(f"{gone.pid}\n")
    assert holder(database) is None


def test_the_stored_judgement_is_read_back(tmp_path: Path) -> None:
    _, _ = lived(tmp_path, 200, mailer=HangingMailer())
    store = Store(tmp_path / "b.db", readonly=True)
    stored = load_health(store.reader)
    store.close()
    assert stored is not None
    assert not stored.fresh
    assert stored.reasons[0].startswith("delivery: email:ops has hung")
