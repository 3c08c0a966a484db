"""The person beside a fleet: looks in by a command on another machine, through any daemon's eyes."""

from __future__ import annotations

import sqlite3

from daemon.store import StoreError
from tests.sim.box import KilledError
from tests.sim.fleet.member import SHARED
from tests.sim.fleet.world import FleetWorld
from tests.sim.operator import ROUND, Operator


class FleetOperator(Operator):
    """Acts once for all."""

    def __init__(self, world: FleetWorld) -> None:
        super().__init__(world)
        self._fleet = world

    async def work(self) -> None:
        while True:
            await self._fleet.loop.rest(ROUND.total_seconds())
            able = [one for one in self._fleet.members.values() if one.is_able]
            if not able:
                continue
            try:
                await self.look(able[0])
            except KilledError:
                self._world.note("operator", f"{SHARED} went down meanwhile")
            except (sqlite3.Error, StoreError) as error:
                self._world.note("operator", f"no database: {error}")
