"""What a poll costs: fetch, parse, judge and store, beside the floor of a bare `client.get` on the same client.

    python -m benchmarks.pipeline [--rounds 12] [--accounts 200] [--json]

A server in a process of its own answers both usage APIs on the loopback, from several ports as several hosts would. The
floor is `client.get(url, headers)` of an httpx client on the very transport that the pipeline uses, with the body read,
at the same concurrency. Chunks of both alternate in one run, so that what else the machine does falls on both; CPU is
this process's alone. Every poll of "changing" brings other numbers (the worst case); of "steady" every twelfth does, as
with hourly snapshots polled every five minutes. The median ratio of neighbouring chunks is what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import io
import json
import multiprocessing
import pstats
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import httpx

from alerts.readings import Known
from daemon.clock import RandomIds, SystemClock
from daemon.config.load import load
from daemon.config.model import Config
from daemon.http import HttpClient
from daemon.limits import POLLS_PER_HOST
from daemon.rounds import Rounds
from daemon.sources.fetcher import Fetcher, headers_of
from daemon.standins.loopback import Asked, Reply, serve
from daemon.store import Store
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id

WANTED_RATIO = 1.6
HOSTS = 4
STEADY_EVERY = 12


@dataclass(frozen=True, slots=True)
class Figures:
    """The outcome for one kind of load. CPU in microseconds a request."""

    load: str
    polls_per_cpu_second: float
    floor_per_cpu_second: float
    poll_cpu_us: float
    floor_cpu_us: float
    ratio: float
    chunks: int


# ── the server, in a process of its own ─────────────────────────────────────────────────────────────────────────────


class Answers:
    """Plausible answers of both APIs whose numbers move on every `every`-th request of a key."""

    def __init__(self) -> None:
        self.every = 1
        self._asked: dict[str, int] = {}

    def handle(self, asked: Asked) -> Reply:
        if asked.path.startswith("/every/"):
            self.every = int(asked.path.rpartition("/")[2])
            return Reply()
        key = asked.headers.get("x-api-key", "")
        step = self._asked[key] = self._asked.get(key, 0) + 1
        body = self._body(asked.path, step // self.every)
        return Reply(
            200,
            body,
            {
                "Content-Type": "application/json",
                "X-RateLimit-Limit": "1000000",
                "X-RateLimit-Remaining": "999999",
                "X-RateLimit-Reset": str(int(time.time()) + 60),
            },
        )

    @staticmethod
    def _body(path: str, step: int) -> bytes:
        if path == "/usage":
            used = 400_000 + step
            return (
                b'{"client_name":"My Application","usage_count":%d,"storage_usage_gb":%d.%03d,'
                b'"storage_reserved_gb":0.52,"storage_effective_usage_gb":%d.%03d,"storage_limit_gb":1024.0,"storage_limit_bytes":1099511627776,'
                b'"storage_remaining_gb":500.25}'
            ) % (step, used // 1000, used % 1000, (used + 520) // 1000, (used + 520) % 1000)
        cents = step * 45
        return (
            b'{"balance_usd":%d.45,"total_snapshots":%d,"active_videos":3,"uncharged_usage_usd":%d.%03d,'
            b'"total_charged_usd":6.75,"estimated_snapshots_remaining":830,"cost_per_snapshot":0.015}'
        ) % (90_000, step * 3, cents // 1000, cents % 1000)


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        answers = Answers()
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(serve(answers.handle)) for _ in range(HOSTS)]
            pipe.send(urls)
            await asyncio.get_running_loop().run_in_executor(None, pipe.poll, None)

    asyncio.run(run())


# ── the two contenders ──────────────────────────────────────────────────────────────────────────────────────────────


def _configuration(folder: Path, urls: Sequence[str], accounts: int) -> Config:
    """A third storage accounts, two thirds prepaid ones, each judged by four configured rules and the default ones."""
    lines = [f'[store]\npath = "{folder / "bench.db"}"']
    for number in range(accounts):
        provider = "tornado" if number % 3 == 0 else "contentstats"
        lines.append(
            f'[accounts.a{number:05d}]\nprovider = "{provider}"\nbase_url = "{urls[number % len(urls)]}"\n'
            f'api_key = "key-{number:05d}"\npoll = "*/5 * * * *"'
        )
    lines += [
        '[[rules]]\nid = "low"\nkind = "low_balance"\nbelow_usd = 5.0',
        '[[rules]]\nid = "runway"\nkind = "runway"\nbelow_days = 3',
        '[[rules]]\nid = "quota"\nkind = "quota"\nat_percent = [80, 90, 100]\nforecast_days = 7',
        '[[rules]]\nid = "budget"\nkind = "budget"\nperiod = "month"\nlimit_usd = 100000.0\nprojected = true',
    ]
    path = folder / "config.toml"
    path.write_text("\n\n".join(lines) + "\n")
    return load(path)


def _pipeline(config: Config, store: Store, http: HttpClient) -> Callable[[], Awaitable[None]]:
    clock, ids = SystemClock(), RandomIds()
    migrate(store)
    with store.write(durable=True) as tx:
        outbox = Outbox(store_id(tx, ids), config.receivers, ids)
    rounds = Rounds(
        config,
        store=store,
        outbox=outbox,
        fetcher=Fetcher(http, clock),
        clock=clock,
        ids=ids,
        standing=lambda account: None,
    )
    accounts = tuple(config.accounts)

    async def poll() -> None:
        polled = await rounds.poll(accounts)
        bad = next((one.reading for one in polled if not isinstance(one.reading, Known)), None)
        assert bad is None, bad
        assert len(polled) == len(accounts)

    return poll


def _floor(config: Config, http: HttpClient) -> Callable[[], Awaitable[None]]:
    client = httpx.AsyncClient(transport=http.transport, trust_env=False)
    asked = [(account.url, dict(headers_of(account))) for account in config.accounts.values()]
    slots = {url.rpartition("/")[0]: asyncio.Semaphore(POLLS_PER_HOST) for url in {one[0] for one in asked}}

    async def get(url: str, headers: dict[str, str]) -> None:
        async with slots[url.rpartition("/")[0]]:
            response = await client.get(url, headers=headers)
        assert response.status_code == 200
        assert response.content

    async def poll() -> None:
        await asyncio.gather(*(get(url, headers) for url, headers in asked))

    return poll


async def _cpu_s(work: Callable[[], Awaitable[None]], times: int) -> float:
    gc.collect()
    began = time.process_time()
    for _ in range(times):
        await work()
    return time.process_time() - began


async def _compare(
    load_name: str, poll: Callable[[], Awaitable[None]], floor: Callable[[], Awaitable[None]], chunks: int, size: int
) -> Figures:
    """Alternate chunks, each pair in the other order than the one before."""
    times = max(1, 400 // size)
    polls: list[float] = []
    floors: list[float] = []
    for number in range(chunks):
        for mine in (True, False) if number % 2 else (False, True):
            cpu_us = await _cpu_s(poll if mine else floor, times) / (times * size) * 1e6
            (polls if mine else floors).append(cpu_us)
    return Figures(
        load_name,
        1e6 / median(polls),
        1e6 / median(floors),
        median(polls),
        median(floors),
        median(mine / bare for mine, bare in zip(polls, floors, strict=True)),
        chunks,
    )


async def _measure(urls: Sequence[str], accounts: int, chunks: int, profile: bool) -> list[Figures]:
    found = []
    with tempfile.TemporaryDirectory(prefix="brimful-bench-") as folder:
        config = _configuration(Path(folder), urls, accounts)
        store, http = Store(config.store.path), HttpClient()
        try:
            poll, floor = _pipeline(config, store, http), _floor(config, http)
            for name, every in (("changing", 1), ("steady", STEADY_EVERY)):
                for url in urls:
                    await http.exchange("GET", f"{url}/every/{every}", headers={}, deadline_s=5, max_bytes=100)
                await poll()
                await floor()
                found.append(await _compare(name, poll, floor, chunks, accounts))
            if profile:
                await _profile(poll)
        finally:
            await http.aclose()
            store.close()
    return found


async def _profile(poll: Callable[[], Awaitable[None]]) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(10):
        await poll()
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("cumulative").print_stats("daemon|alerts|httpx|aiohttp|sqlite")
    sys.stdout.write("\n".join(text.getvalue().splitlines()[:90]) + "\n")


def main() -> int:
    """Print the figures; 1 where the pipeline costs more than `WANTED_RATIO` of the floor."""
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="pairs of chunks for each load")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="then show where the pipeline spends its time")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        found = asyncio.run(_measure(ours.recv(), options.accounts, options.rounds, options.profile))
    finally:
        ours.send(None)
        server.join(5)
    if options.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        _print(found, options.accounts)
    return 0 if all(one.ratio <= WANTED_RATIO for one in found) else 1


def _print(found: Sequence[Figures], accounts: int) -> None:
    print(f"{accounts} accounts, {HOSTS} hosts, {POLLS_PER_HOST} requests at once a host, one core\n")
    print(f"{'load':<10}{'polls/CPU s':>12}{'floor/CPU s':>13}{'µs a poll':>11}{'µs floor':>10}{'ratio':>8}")
    for one in found:
        print(
            f"{one.load:<10}{one.polls_per_cpu_second:>12,.0f}{one.floor_per_cpu_second:>13,.0f}"
            f"{one.poll_cpu_us:>11,.0f}{one.floor_cpu_us:>10,.0f}{one.ratio:>8.2f}"
        )
    print(
        f"\nratio: the whole pipeline's CPU beside a bare client.get of the same client; wanted: at most {WANTED_RATIO}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
