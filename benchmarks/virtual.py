"""The daemon's service over days of virtual time, in this process: for what no real process can show within an hour.

Nothing is left out but the sockets: polls go through the same poller, evaluator, store, retention and delivery.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.process import logs
from daemon.work.service import Service
from tests.sim.clocks import TrueClock, run

ANSWER = (
    '{{"balance_usd":{balance}.45,"uncharged_usage_usd":0.75,"total_snapshots":{snapshots},"active_videos":3,'
    '"total_charged_usd":{charged:.3f},"estimated_snapshots_remaining":830,"cost_per_snapshot":0.015}}'
)


class Usage(httpx.AsyncBaseTransport):
    """The usage APIs: an account's numbers move once an hour, at a minute of its own."""

    def __init__(self, clock: TrueClock, begin: datetime) -> None:
        self.polls = 0
        self._clock = clock
        self._begin = begin

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.polls += 1
        minute = timedelta(minutes=hash(request.url.path) % 60)
        hours = (self._clock.now() - self._begin + minute) // timedelta(hours=1)
        text = ANSWER.format(balance=90_000 - hours, snapshots=3 * hours, charged=0.045 * hours)
        return httpx.Response(200, text=text, headers={"content-type": "application/json"})


@dataclass(slots=True)
class Held:
    """How long the write lock was held, by the wall's time: the longest transaction, and how many took over 50 ms."""

    longest_s: float = 0.0
    long: int = 0
    transactions: int = 0
    _since: float = field(default=0.0, repr=False)

    def probe(self, point: str) -> None:
        """Called around every transaction."""
        now = time.perf_counter()
        if point == "begin":
            self._since = now
        elif point == "committed":
            self.transactions += 1
            self.longest_s = max(self.longest_s, now - self._since)
            self.long += now - self._since > 0.05


@dataclass(slots=True)
class Lived:
    """What is left when the time is over."""

    polls: int
    cpu_s: float
    fold_cpu_s: float
    held: Held


def _nobody(now: datetime, service: Service) -> None:
    """Look on and do nothing."""


def live(
    config: Path, begin: datetime, lasts: timedelta, *, hourly: Callable[[datetime, Service], None] = _nobody
) -> Lived:
    """Run the service from `begin` on for so long; `hourly` looks on."""
    held, fold_cpu_s = Held(), 0.0
    logs.set_up("warning")  # else each poll is printed

    async def main() -> Lived:
        nonlocal fold_cpu_s
        clock, woken = TrueClock(begin), asyncio.Event()
        usage = Usage(clock, begin)
        async with open_service(
            load(config), clock=clock, ids=SeededIds(1), transport=usage, overlap=True, wake=woken.set, probe=held.probe
        ) as service:
            fold = service.retention.fold

            async def timed(now: datetime) -> datetime:
                nonlocal fold_cpu_s
                began = time.process_time()
                try:
                    return await fold(now)
                finally:
                    fold_cpu_s += time.process_time() - began

            service.retention.fold = timed  # type: ignore[method-assign]  # the same, with a watch beside it
            next_hour = begin
            while (now := clock.now()) < begin + lasts:
                if now >= next_hour:
                    hourly(now, service)
                    next_hour += timedelta(hours=1)
                woken.clear()
                next_at = await service.step(now)
                delay_s = (next_at - clock.now()).total_seconds()  # no beat: nobody steps the clock here
                try:
                    async with asyncio.timeout(max(delay_s, 0.0)):
                        await woken.wait()
                except TimeoutError:
                    continue
            await service.drain(1.0)
            return Lived(usage.polls, 0.0, fold_cpu_s, held)

    began = time.process_time()
    lived: Lived = run(main)
    lived.cpu_s = time.process_time() - began
    return lived
