"""The program from outside: real processes over real sockets, judged by what the world sees, on both databases."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import for_processes
from tests.service.conftest import Town, open_town
from tests.sim.hastened import HastenedClock

ROOT = Path(__file__).parents[2]
PROCESS_ENDS_WITHIN_S = 50


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Outside:
    """A town, and `brimful` in processes of its own beside it, on the town's clock."""

    def __init__(self, town: Town) -> None:
        self.town = town
        assert isinstance(town.clock, HastenedClock)
        self.clock = town.clock
        self._started: list[Process] = []

    async def start(self, *words: str, config: Path | None = None) -> Process:
        """Start `brimful` with these words."""
        path = config or self.town.folder / "config.toml"
        path.chmod(0o600)
        for_processes(path)
        command = ("-m", "tests.sim.hastened", str(self.clock.ahead.total_seconds()), "--config", str(path), *words)
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environ, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        self._started.append(process)
        return process

    async def kill_what_runs(self) -> None:
        for process in self._started:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    async def brimful(self, *words: str, config: Path | None = None) -> Said:
        """Run a command to its end; none shows a traceback."""

        process = await self.start(*words, config=config)
        out, err = await asyncio.wait_for(process.communicate(), PROCESS_ENDS_WITHIN_S)
        assert b"Traceback" not in out + err, err.decode()
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    async def passes(self, count: int = 1, every: timedelta = timedelta(minutes=5), config: Path | None = None) -> Said:
        """Let `brimful once` make so many passes, and the clocks go on after each; return what the last one said."""
        for _ in range(count):
            said = await self.brimful("once", config=config)
            self.clock.advance(every.total_seconds())
        return said

    async def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until it is so, while what was started last still runs."""
        async with asyncio.timeout(seconds):
            while not condition():
                assert self._started[-1].returncode is None, (await self._started[-1].communicate())[1].decode()
                await asyncio.sleep(0.05)

    def told(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The payloads that the receiver accepted, each event once; those of one type."""
        by_id = {one.id: one.payload for one in self.town.receiver.accepted}
        return [payload for payload in by_id.values() if kind in (None, payload["type"])]

    def kinds(self) -> list[str]:
        return [str(one["type"]) for one in self.told()]


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async with open_town(tmp_path, clock=HastenedClock()) as town:
        made = Outside(town)
        yield made
        await made.kill_what_runs()
        assert all(one.verified for one in town.receiver.received), "a signature was wrong"
