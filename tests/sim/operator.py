"""The person: looks in a few times a day, resumes what was suspended, and acknowledges with care."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.sim.world import World

ROUND = timedelta(hours=5)


class Operator:
    """Acts on what a person sees: the events that were told."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def work(self) -> None:
        while True:
            await asyncio.sleep(ROUND.total_seconds())
            await self.look()

    async def look(self) -> None:
        return None
