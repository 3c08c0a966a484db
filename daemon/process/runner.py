"""The unattended process: signals, the scheduler that wakes the service, the service manager, and a reload.

APScheduler holds one job a schedule, which only wakes; what is due is the service's to say. It sleeps on the monotonic
clock, so a beat of at most half a minute notices a stepped wall clock.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from daemon.clock import Clock, SystemClock
from daemon.compose import open_service
from daemon.config.load import ConfigError
from daemon.config.model import Config
from daemon.fleet.fleet import name_of
from daemon.limits import (
    BEAT_S,
    DRAIN_S,
    LOOK_FOR_COMMANDS_S,
    START_AGAIN_MAX_S,
    START_AGAIN_S,
    START_TAKES_S,
    SWITCH_THREADS_S,
)
from daemon.process.beat import Beat
from daemon.process.membership import in_fleet
from daemon.process.notify import notify
from daemon.schedule import next_fire
from daemon.store import StoreError
from daemon.store.lock import DatabaseHeldError
from daemon.work.preflight import load_to_run
from daemon.work.service import Service

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = structlog.get_logger("brimful.run")

CREDENTIALS_OF_THE_START = (
    "secrets named credential:NAME are still those of the last start, for systemd hands them over then: "
    "systemctl restart brimful takes new ones"
)


class CronTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """A cron expression as cronsim reads it: APScheduler's own has other days of the week and clock changes."""

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return next_fire(self._cron, self._zone, now)

    def __str__(self) -> str:
        return f"cron[{self._cron}]"


class Runner:
    """Runs the service until SIGTERM or SIGINT; SIGHUP reloads the configuration, unless the new one is wrong."""

    def __init__(self, config: Config, *, clock: Clock | None = None, instance: str = "") -> None:
        """`instance`: what this daemon is called beside others of its host, where several share a store."""
        self._config = config
        self._name = name_of(instance)
        self._before: Config | None = None  # what ran until a reload, while the new one has not started
        self._clock = clock or SystemClock()
        self._woken = asyncio.Event()
        self._stopping = False
        self._reload_asked = False
        self._loading: asyncio.Task[Config] | None = None
        self._started = False
        self._tries = 0
        self.missed = 0

    async def run(self) -> None:
        """Return when the process was told to stop and all work in flight has ended or was recorded as unknown.

        Raises ConfigError where the configuration cannot start on its database.
        """
        sys.setswitchinterval(SWITCH_THREADS_S)
        _log_warnings(self._config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._ask_reload)
        try:
            while not self._stopping:
                try:
                    await self._run_configuration()
                except ConfigError as error:
                    self._go_back(error)
                except (StoreError, DatabaseHeldError, OSError, sqlite3.Error) as error:
                    await self._wait_to_start(error)
            log.info("stopped")
        finally:
            notify("STOPPING=1")

    async def _run_configuration(self) -> None:
        config = self._config
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(
                open_service(config, clock=self._clock, overlap=True, wake=self._woken.set)
            )
            if self._before is not None:
                self._say_reloaded()
            keep = None
            if service.store.dialect.fence is not None:
                keep = (await stack.enter_async_context(in_fleet(service, self._clock, self._name))).judged
            await stack.enter_async_context(self._page(service))
            scheduler = self._schedule(service)
            stack.callback(scheduler.shutdown, wait=False)
            look = asyncio.ensure_future(self._look_for_commands(service))
            stack.callback(look.cancel)
            log.info("started", accounts=len(config.accounts), rules=len(config.rules), store=str(config.store.place))
            self._started = True
            notify("READY=1")
            beat = asyncio.ensure_future(Beat(service, self._clock, keep=keep).run())
            stack.callback(beat.cancel)
            try:
                crons = service.crons
                while not self._stopping and not self._reloaded():
                    await self._one_step(service)
                    if service.crons is not crons:
                        crons = service.crons
                        self._follow(scheduler, crons)
                    self._begin_reload()
            finally:
                scheduler.pause()
                await service.drain(DRAIN_S)

    def _page(self, service: Service) -> AbstractAsyncContextManager[None]:
        """Serve the local page, and the API, while the configuration runs; what serves is loaded only then."""
        web = service.config.web
        if web.host is None:
            return nullcontext()
        from daemon.web.server import serving
        from daemon.web.site import site

        served: ASGIApp = site(service.config, service, self._clock, lambda: self.missed)
        if service.registry is not None:
            from daemon.api.app import api, beside

            served = beside(served, api(service, service.registry, self._clock))
        return serving(served, web.host, web.port)

    def _say_reloaded(self) -> None:
        """Say that the new configuration runs, and what it could not bring: systemd hands credentials over once."""
        self._before = None
        hint = {"hint": CREDENTIALS_OF_THE_START} if os.environ.get("CREDENTIALS_DIRECTORY") else {}
        log.info("reload", outcome="taken", accounts=len(self._config.accounts), **hint)

    async def _wait_to_start(self, error: Exception) -> None:
        """Under a service manager try again for ever, ever more slowly: a full disk is free again some day."""
        is_start = not self._started or self._before is not None
        if self._stopping or not is_start or not notify(f"STATUS=cannot start yet: {error}"):
            raise error
        self._tries += 1
        delay_s = START_AGAIN_S if self._started else min(START_AGAIN_S * 2 ** (self._tries - 1), START_AGAIN_MAX_S)
        log.error("start", outcome="failed", problem=str(error), tries=self._tries, again_in_s=delay_s)
        extend = int((delay_s + START_TAKES_S) * 1_000_000)
        notify(f"EXTEND_TIMEOUT_USEC={extend}\nWATCHDOG=1")
        self._woken.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._woken.wait()
        except TimeoutError:
            return

    def _go_back(self, error: ConfigError) -> None:
        """The drain of a reload can leave a top-up open which the new configuration would lose: the old one runs on."""
        if self._before is None:
            raise error
        _log_kept(str(error))
        self._config, self._before = self._before, None

    async def _one_step(self, service: Service) -> None:
        self._woken.clear()
        try:
            next_at = await service.step(self._clock.now())
        except sqlite3.Error as error:
            if service.store.dialect.fence is None:
                raise
            log.warning("step", problem=str(error))  # the server is gone for now: the fleet holds back, and says so
            next_at = self._clock.now() + timedelta(seconds=LOOK_FOR_COMMANDS_S)
        delay_s = min((next_at - self._clock.now()).total_seconds(), BEAT_S)
        reload = self._reload_asked and self._loading is None
        if delay_s > 0 and not self._stopping and not reload:
            try:
                async with asyncio.timeout(delay_s):
                    await self._woken.wait()
            except TimeoutError:
                return

    async def _look_for_commands(self, service: Service) -> None:
        """Wake when a command beside the daemon wrote something (a fleet looks by itself); say where its database is
        gone.
        """
        was_misplaced = ""
        while True:
            misplaced = service.store.misplaced()
            if misplaced and not was_misplaced:
                log.error("database", problem=misplaced)
            elif was_misplaced and not misplaced:
                log.info("database", problem="", path=str(service.store.place))
            was_misplaced = misplaced
            if service.store.dialect.fence is None and service.store.changed_elsewhere():
                service.changed_elsewhere()
            await asyncio.sleep(LOOK_FOR_COMMANDS_S)

    def _schedule(self, service: Service) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(
            timezone=self._config.timezone,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

        self._follow(scheduler, service.crons)
        scheduler.add_listener(self._count_missed, EVENT_JOB_MISSED | EVENT_JOB_ERROR | EVENT_JOB_MAX_INSTANCES)
        scheduler.start()
        return scheduler

    def _follow(self, scheduler: AsyncIOScheduler, crons: tuple[str, ...]) -> None:
        """Have a job for each schedule, and none else."""
        known = {job.id for job in scheduler.get_jobs()}
        for cron in known.difference(crons):
            scheduler.remove_job(cron)
        for cron in set(crons) - known:
            scheduler.add_job(self._wake, CronTrigger(cron, self._config.timezone), id=cron, name=cron)

    async def _wake(self) -> None:
        self._woken.set()

    def _count_missed(self, event: JobExecutionEvent) -> None:
        self.missed += 1
        log.warning("schedule missed", job=event.job_id, code=event.code)

    def _stop(self) -> None:
        self._stopping = True
        self._woken.set()

    def _ask_reload(self) -> None:
        self._reload_asked = True
        self._woken.set()

    def _begin_reload(self) -> None:
        """Read the configuration anew in a thread: polls, deliveries and charges go on meanwhile."""
        if self._reload_asked and self._loading is None:
            self._reload_asked = False
            self._loading = asyncio.ensure_future(asyncio.to_thread(load_to_run, self._config.path, beside_others=True))
            self._loading.add_done_callback(lambda _: self._woken.set())

    def _reloaded(self) -> bool:
        """Whether a new configuration was read and is to be started; one that is wrong is logged, and forgotten."""
        if self._loading is None or not self._loading.done():
            return False
        loading, self._loading = self._loading, None
        try:
            config = loading.result()
        except ConfigError as error:
            _log_kept(str(error))
            return False
        if config.store.place != self._config.store.place:
            _log_kept("[store] path or url cannot change while running: restart instead")
            return False
        self._config, self._before = config, self._config
        _log_warnings(config)
        return True


def _log_warnings(config: Config) -> None:
    for problem in config.warnings:
        log.warning("configuration", problem=problem)


def _log_kept(problems: str) -> None:
    log.error("reload", outcome="refused", problems=problems, hint="the configuration in use stays")
