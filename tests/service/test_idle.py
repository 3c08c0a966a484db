"""Every wake has a cause: what an hour of the running process comes to, step by step, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.limits import BEAT_S, POLL_STUCK_AFTER_S
from daemon.work.service import Service
from tests.sim.clocks import TrueClock, run

START = datetime(2026, 11, 10, 9, 0, 30, tzinfo=UTC)
HOUR_S = 3600
ACCOUNT = """
[accounts.{id}]
provider = "contentstats"
base_url = "https://usage.example/{id}"
api_key = "cs_test_{id}"
poll = "{poll}"
"""
REST = """
[store]
path = "{folder}/b.db"
[http]
listen = ""
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
[[webhooks]]
id = "app"
url = "https://hook.example/"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


class Apis(httpx.AsyncBaseTransport):
    """The usage API and the receiver; `balance_usd` is what every account has."""

    def __init__(self) -> None:
        self.balance_usd = 50.0
        self.silent = False
        self.asked: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked[request.url.host] += 1
        if self.silent and request.url.host == "usage.example":
            await asyncio.sleep(10 * HOUR_S)
        body = {"balance_usd": self.balance_usd, "uncharged_usage_usd": 0, "total_charged_usd": 6.75}
        return httpx.Response(200, json=body)


class Steps:
    """The process as `run` drives it: a step when something is due, woken or a beat has passed."""

    def __init__(self, service: Service, woken: asyncio.Event, clock: TrueClock) -> None:
        self.service, self.woken, self.clock = service, woken, clock
        self.taken = 0
        self.stale_jobs: list[str] = []

    async def live(self, seconds: float) -> None:
        ends = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < ends:
            self.woken.clear()
            next_at = await self.service.step(self.clock.now())
            self.taken += 1
            delay_s = min((next_at - self.clock.now()).total_seconds(), BEAT_S)
            try:
                async with asyncio.timeout(max(delay_s, 0.0)):
                    await self.woken.wait()
            except TimeoutError:
                continue


def lived(
    folder: Path, poll: str, accounts: int, apis: Apis, seconds: float, then: float = 0.0
) -> tuple[Steps, list[int]]:
    """Live for so long, let the balance sink, and live on; returns how often each job ran in the first part."""
    text = REST.format(folder=folder) + "".join(ACCOUNT.format(id=f"a{n}", poll=poll) for n in range(accounts))
    (folder / "config.toml").write_text(text)

    async def live() -> tuple[Steps, list[int]]:
        clock, woken = TrueClock(START), asyncio.Event()
        config = load(folder / "config.toml")
        async with open_service(
            config, clock=clock, ids=SeededIds(1), transport=apis, overlap=True, wake=woken.set
        ) as service:
            steps = Steps(service, woken, clock)
            await steps.live(60)
            steps.taken, before = 0, [job.health.passes for job in service.jobs]
            await steps.live(seconds)
            passes = [job.health.passes - old for job, old in zip(service.jobs, before, strict=True)]
            if then:
                apis.balance_usd = 1.0
                await steps.live(then)
            steps.stale_jobs = service.stale_jobs(clock.now())
            await service.drain(1.0)
            return steps, passes

    lived_so: tuple[Steps, list[int]] = run(live)
    return lived_so


BEATS = HOUR_S / BEAT_S


def test_an_idle_hour_takes_a_step_a_beat_and_runs_no_job(tmp_path: Path) -> None:
    steps, (polls, changes, time, money, reports, delivery, retention) = lived(tmp_path, "0 0 1 1 *", 2, Apis(), HOUR_S)
    assert steps.taken <= BEATS + 5
    assert (polls, changes, money, reports, delivery, retention) == (0, 0, 0, 0, 0, 0)
    assert time <= 2 * 2  # the end of an hour of silence, for each account


@pytest.mark.parametrize("accounts", [2, 200])
@pytest.mark.long
def test_polls_that_bring_nothing_new_wake_no_delivery_and_cost_no_step_each(tmp_path: Path, accounts: int) -> None:
    apis = Apis()
    steps, (polls, _, _, money, reports, delivery, _) = lived(tmp_path, "* * * * *", accounts, apis, HOUR_S)
    assert apis.asked["usage.example"] >= 60 * accounts
    assert (polls, money, reports, delivery) == (60, 0, 0, 0)
    assert steps.taken <= BEATS + 4 * 60


def test_an_event_is_delivered_at_once_by_the_commit_that_caused_it(tmp_path: Path) -> None:
    apis = Apis()
    _, (*_, delivery, _) = lived(tmp_path, "* * * * *", 2, apis, 600, then=60)
    assert delivery == 0
    assert apis.asked["hook.example"] == 2


def test_an_api_that_hangs_makes_nothing_spin_and_is_told_as_late(tmp_path: Path) -> None:
    apis = Apis()
    apis.silent = True
    steps, _ = lived(tmp_path, "* * * * *", 300, apis, HOUR_S)
    assert steps.taken <= BEATS + 8 * 60
    (late,) = steps.stale_jobs
    assert "accounts wait for an answer" in late
    assert int(late.split()[-2]) > POLL_STUCK_AFTER_S
