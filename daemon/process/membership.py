"""The service as one of a fleet: what it holds, what is under way there, and how it lets go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from time import time_ns

from alerts.rules.state import AccountState
from daemon.clock import Clock
from daemon.config.model import Config
from daemon.fleet.fleet import DRAW, Fleet
from daemon.fleet.holdings import ACCOUNTS, DUTIES, RECEIVERS, REPORTS, Bucket, Holdings, bucket_of
from daemon.store.connection import Transaction
from daemon.store.fleet import tell
from daemon.work.service import Service


class HeldWork:
    """The service, as its place in the fleet moves it."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    @property
    def config(self) -> Config:
        return self._service.config

    @property
    def takes(self) -> bool:
        return self._service.started_at is not None and not self._service.ending

    def busy(self) -> Collection[Bucket]:
        service = self._service
        accounts = service.poller.under_way() | service.evaluator.under_way() | service.charging
        if service.recovery is not None and not service.recovery.done():
            accounts |= service.held.accounts.keys()
        receivers = service.deliverer.busy()
        busy = {*((ACCOUNTS, bucket_of(id)) for id in accounts), *((RECEIVERS, bucket_of(key)) for key in receivers)}
        return busy | {(DUTIES, REPORTS)} if service.sends_reports else busy  # else two would mail the same one

    def hold(self, holdings: Holdings, states: Mapping[str, AccountState]) -> None:
        service = self._service
        before, service.holdings = service.holdings, holdings
        service.take(service.config, states)
        gained = Holdings(holdings.buckets - before.buckets)
        if gained.buckets and service.topups is not None and not service.ending:
            service.recovery = asyncio.ensure_future(self._take_up(service.recovery, gained))

    async def let_go(self) -> None:
        service = self._service
        await asyncio.gather(*(job.cut() for job in service.jobs), service.deliverer.let_go())
        for job in service.jobs:
            job.health.last_error = ""  # of what others do now
        if (recovery := service.recovery) is not None:
            recovery.cancel()
            await asyncio.wait([recovery])
            service.recovery = None

    def look(self, *, changed: bool, told: Collection[str]) -> None:
        if changed or any(map(self._service.holdings.receiver, told)):
            self._service.changed_elsewhere()

    async def _take_up(self, before: asyncio.Task[None] | None, gained: Holdings) -> None:
        """Resume the open top-ups of what was taken over, one take-over after the other."""
        if before is not None:
            await asyncio.wait([before])
        topups = self._service.topups
        assert topups is not None, "what charges stays"
        await topups.recover(self._clock.now(), gained.account)


def _tell(tx: Transaction) -> None:
    tell(tx, str(time_ns()))


@asynccontextmanager
async def in_fleet(
    service: Service, clock: Clock, name: str, *, draw: Callable[[], int] = DRAW
) -> AsyncIterator[Fleet]:
    """Join the fleet, beat while the block runs, and give everything back after it."""
    fleet = Fleet(service.store, HeldWork(service, clock), name, draw=draw)
    try:
        await fleet.join()
        service.held_back = fleet.held_back
        service.tell_others = _tell
        beating = asyncio.ensure_future(fleet.run())
        try:
            yield fleet
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
    finally:
        await fleet.leave()
