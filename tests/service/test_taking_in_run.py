"""Another configuration in the unattended process: its scheduler follows, another process's change is taken, a reload
still works.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import Config
from daemon.process import runner
from daemon.process.runner import Runner
from daemon.work.service import Service
from tests.service.conftest import KEY, TOPUP, Town
from tests.service.test_taking import OTHER, account, having, read, until, without


@asynccontextmanager
async def unattended(town: Town, monkeypatch: pytest.MonkeyPatch, services: list[Service]) -> AsyncIterator[Runner]:
    """The runner in this process; `services` gets each service that it opens."""

    @asynccontextmanager
    async def opened(config: Config, **options: Any) -> AsyncIterator[Service]:
        async with open_service(config, **options) as service:
            services.append(service)
            yield service

    monkeypatch.setattr(runner, "open_service", opened)
    run = Runner(load(town.folder / "config.toml"))
    running = asyncio.ensure_future(run.run())
    try:
        await until(lambda: services)
        yield run
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 20)


def jobs(scheduler: AsyncIOScheduler) -> set[str]:
    return {job.id for job in scheduler.get_jobs()}


async def test_the_scheduler_has_a_job_for_each_schedule_whatever_is_taken(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    town.configure()
    schedulers: list[AsyncIOScheduler] = []
    start = AsyncIOScheduler.start

    def started(scheduler: AsyncIOScheduler) -> None:
        schedulers.append(scheduler)
        start(scheduler)

    monkeypatch.setattr(AsyncIOScheduler, "start", started)
    services: list[Service] = []
    async with unattended(town, monkeypatch, services):
        (service,) = services
        await until(lambda: read(service, "clips"))
        service.take(having(service.config, account(town, "late", OTHER, poll="*/7 * * * *")))
        await until(lambda: jobs(schedulers[0]) == {"*/5 * * * *", "*/7 * * * *"})
        service.take(without(service.config, "late"))
        await until(lambda: jobs(schedulers[0]) == {"*/5 * * * *"})


async def test_what_another_process_changed_is_taken_when_its_write_is_seen(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    town.configure()
    services: list[Service] = []
    async with unattended(town, monkeypatch, services):
        (service,) = services
        await until(lambda: read(service, "clips"))
        changed = [having(service.config, account(town, "late", OTHER))]

        async def caught_up() -> bool:
            if is_there := bool(changed):
                service.take(changed.pop())
            return is_there

        service.catch_up = caught_up
        service.changed_elsewhere()
        await until(lambda: read(service, "late"))
        before = service.config

        async def broken() -> bool:
            raise OSError("the database is gone")

        service.catch_up = broken
        service.changed_elsewhere()
        await until(lambda: service.stale_jobs(town.clock.now()))
        assert "changes: OSError: the database is gone" in service.stale_jobs(town.clock.now())
        assert service.config is before


async def test_a_reload_after_it_starts_from_the_file(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.usage.prepaid(KEY, balance_usd="6.50", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    path = town.configure(topup=TOPUP.replace("when_below_usd = 10.00", "when_below_usd = 1.00"))
    services: list[Service] = []
    async with unattended(town, monkeypatch, services):
        services[0].take(having(services[0].config, account(town, "late", OTHER)))
        await until(lambda: read(services[0], "late") and read(services[0], "clips"))
        path.write_text(path.read_text().replace("below_usd = 5.00", "below_usd = 7.00"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: town.events_of("balance.low"))
        assert len(services) == 2
        assert set(services[1].config.accounts) == {"clips"}
