"""The unattended process, as its operator meets it: real processes, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.demo.standins.receiver import Fault
from daemon.store import Store
from tests.postgres import for_processes
from tests.service.conftest import KEY, Town

ROOT = Path(__file__).parents[2]


async def _start(path: Path, *command: str) -> Process:
    for_processes(path)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "daemon",
        "--config",
        str(path),
        *(command or ("run",)),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )


async def _until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.05)


def _ended(process: Process) -> bool:
    return process.returncode is not None


async def _stop(process: Process, number: int = signal.SIGTERM) -> tuple[float, list[dict[str, object]]]:
    started = time.monotonic()
    process.send_signal(number)
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    return time.monotonic() - started, [json.loads(line) for line in stderr.splitlines() if line.startswith(b"{")]


async def test_run_polls_at_once_tells_and_ends_well_on_sigterm(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    process = await _start(town.configure())
    try:
        await _until(lambda: town.events_of("balance.low"))
    finally:
        seconds, log = await _stop(process)
    assert process.returncode == 0
    assert seconds < 10
    assert [line["event"] for line in log if line["level"] == "error"] == []
    assert {"started", "stopped"} <= {line["event"] for line in log}


@pytest.mark.long
async def test_a_receiver_that_never_answers_does_not_hold_up_the_end(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    town.receiver.fault = Fault(delay_s=60)
    process = await _start(town.configure())
    try:
        await _until(lambda: town.usage.asked[KEY] > 0 and town.mailbox.kept)
    finally:
        seconds, _ = await _stop(process)
    assert process.returncode == 0
    assert seconds < 10
    with closing(Store(town.folder / "a.db", readonly=True)) as store:
        (state,) = store.reader.execute("SELECT state FROM delivery WHERE receiver = 'webhook:app'").fetchone()
    assert state == "pending"


async def test_sighup_takes_a_new_configuration_and_keeps_the_old_one_where_it_is_wrong(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="6.50", active_videos=0)
    path = town.configure()
    process = await _start(path)
    try:
        await _until(lambda: town.usage.asked[KEY] > 0)
        good = path.read_text()
        path.write_text(good.replace("below_usd", "belwo_usd"))
        process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)
        assert not _ended(process)
        path.write_text(good.replace("below_usd = 5.00", "below_usd = 7.00"))
        process.send_signal(signal.SIGHUP)
        await _until(lambda: town.events_of("balance.low"))
    finally:
        _, log = await _stop(process, signal.SIGINT)
    assert process.returncode == 0
    errors = [str(line["event"]) for line in log if line["level"] == "error"]
    assert errors == ["reload"]


async def test_a_second_run_on_one_database_names_the_first(town: Town, engine: str) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45")
    path = town.configure()
    first = await _start(path)
    try:
        await _until(lambda: town.usage.asked[KEY] > 0)
        second = await _start(path)
        _, stderr = await asyncio.wait_for(second.communicate(), 20)
        assert second.returncode == 1
        said = "give each one its own name" if engine == "postgresql" else f"a daemon (pid {first.pid}) holds"
        assert said in stderr.decode()
        assert "Traceback" not in stderr.decode()
    finally:
        await _stop(first)
