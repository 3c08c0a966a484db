"""A database whose every answer is slow: whoever asks the daemon something else is answered at once all the same."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.outside.conftest import Outside
from tests.postgres import for_processes
from tests.service.conftest import KEY, LOW, TOPUP
from tests.service.test_health import free_port

pytestmark = pytest.mark.timeout(300)
SLOW_S = 0.2
"""How long each answer of the database takes."""


class SlowWire:
    """Stands between a daemon and its server, whose folder this is: what the server says arrives `delay_s` later."""

    def __init__(self, folder: str) -> None:
        self.delay_s = 0.0
        self.answers = 0
        self._socket = f"{folder}/.s.PGSQL.5432"
        self._carried: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carried.add(task)
        there, away = await asyncio.open_unix_connection(self._socket)
        try:
            await asyncio.gather(self._pump(reader, away, slow=False), self._pump(there, writer, slow=True))
        except (OSError, asyncio.CancelledError):
            pass  # one of both went away, or the test has ended
        finally:
            self._carried.discard(task)
            for one in (writer, away):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async def end(self) -> None:
        for task in tuple(self._carried):
            task.cancel()
        await asyncio.gather(*self._carried)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        while some := await reader.read(1 << 20):
            if slow:
                self.answers += 1
                await asyncio.sleep(self.delay_s)
            writer.write(some)
            await writer.drain()
        writer.close()


def server_of(config: Path) -> tuple[str, str]:
    """Let a configuration name the test's database; return the URL in it, and the folder of its server."""
    for_processes(config)
    found = re.search(r'postgresql://brimful@/\w+\?host=([^"]+)', config.read_text())
    assert found is not None
    return found[0], found[1]


def replace_in(config: Path, before: str, after: str) -> None:
    config.write_text(config.read_text().replace(before, after))


@asynccontextmanager
async def slow_wire(config: Path) -> AsyncIterator[SlowWire]:
    """Let a configuration reach its database by a slow wire."""
    url, folder = server_of(config)
    wire = SlowWire(folder)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    replace_in(config, url, re.sub(r"@/(\w+).*", rf"@127.0.0.1:{port}/\1", url))
    yield wire
    server.close()
    await wire.end()


async def longest_answer_s(url: str, until: asyncio.Event) -> float:
    """Ask again and again until then; return how long the slowest answer took, in seconds."""
    longest_s = 0.0
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        while not until.is_set():
            began = time.monotonic()
            await client.get(url)
            longest_s = max(longest_s, time.monotonic() - began)
            await asyncio.sleep(0.01)
    return longest_s


@pytest.mark.postgresql
@pytest.mark.long
async def test_while_it_polls_charges_and_delivers_nothing_waits_for_a_slow_database(outside: Outside) -> None:
    town, port = outside.town, free_port()
    town.usage.prepaid(KEY, balance_usd="40.00", total_charged_usd="100", active_videos=0)
    path = town.configure(LOW, topup=TOPUP)
    replace_in(path, 'listen = ""', f'listen = "127.0.0.1:{port}"')
    replace_in(path, "*/5", "*")
    async with slow_wire(path) as wire:
        await outside.start("run", config=path)
        url = f"http://127.0.0.1:{port}/healthz"

        async def is_well() -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                with suppress(httpx.HTTPError):
                    return (await client.get(url)).status_code == 200
            return False

        while not await is_well():
            await asyncio.sleep(0.2)
        wire.delay_s, wire.answers, ended = SLOW_S, 0, asyncio.Event()
        asked = asyncio.ensure_future(longest_answer_s(url, ended))
        town.usage.prepaid(KEY, balance_usd="4.00", total_charged_usd="136", active_videos=0)
        await outside.until(lambda: outside.told("topup.credited") and outside.told("balance.recovered"), 240)
        ended.set()
        longest_s = await asked
        await outside.kill_what_runs()
    assert wire.answers > 50
    assert longest_s < SLOW_S
