"""The beat: judges every few seconds whether every job is fresh, and tells systemd, the journal and the database.

systemd's watchdog is fed while nothing hangs. The database holds the judgement for `status`, which runs beside us; in a
fleet it is written with each renewal of the daemon's row.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

import structlog

from daemon.clock import Clock
from daemon.limits import HEALTH_EVERY_S
from daemon.process.notify import notify, watchdog_s
from daemon.store.health import StoredHealth, save
from daemon.work.health import Freshness
from daemon.work.service import Service

log = structlog.get_logger("brimful.health")


class Beat:
    """Runs beside the service of one configuration; `tell` is what systemd hears.

    `keep` takes the judgement when it changes; without one it is written into the store.
    """

    def __init__(
        self,
        service: Service,
        clock: Clock,
        tell: Callable[[str], bool] = notify,
        keep: Callable[[StoredHealth], None] | None = None,
    ) -> None:
        self._service = service
        self._clock = clock
        self._tell = tell
        self._keep = keep
        self._status = ""
        self._judged: tuple[str, ...] | None = None

    async def run(self) -> None:
        """Beat until cancelled."""
        watchdog = watchdog_s()
        every_s = HEALTH_EVERY_S if watchdog is None else min(HEALTH_EVERY_S, watchdog)
        while True:
            self.beat()
            await asyncio.sleep(every_s)

    def beat(self) -> Freshness:
        """Judge once, and tell whoever does not know it yet."""
        judged = self._service.freshness(self._clock.now())
        said = [] if judged.hangs else ["WATCHDOG=1"]
        if judged.status != self._status:
            self._status = judged.status
            said.append(f"STATUS={self._status}")
        if said:
            self._tell("\n".join(said))
        jobs = tuple(sorted(why.partition(":")[0] for why in judged.words))
        if jobs != self._judged:
            self._write(judged, first=self._judged is None)
            self._judged = jobs
        return judged

    def _write(self, judged: Freshness, *, first: bool) -> None:
        if not judged.fresh:
            log.warning("health", fresh=False, reasons=judged.words, hangs=judged.hangs)
        elif not first:
            log.info("health", fresh=True)
        health = StoredHealth(judged.fresh, judged.words, self._clock.now())
        if self._keep is not None:
            self._keep(health)
            return
        try:
            with self._service.store.write(durable=False) as tx:
                save(tx, health)
        except sqlite3.Error as error:  # a full disk, say: the journal has it
            log.warning("health", fresh=judged.fresh, unwritten=str(error))
