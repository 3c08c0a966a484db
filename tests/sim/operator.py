"""The person: looks in a few times a day, resumes what was suspended, and acknowledges with care."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from daemon.store import ledger_notes
from daemon.store.ledger_notes import StopKind
from daemon.topups.desk import TopupDesk
from tests.sim.box import Box
from tests.sim.world import World

ROUND = timedelta(hours=5)


class Operator:
    """Acts as `brimful topups` lets a person act, beside the running daemon."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cards = 0

    async def work(self) -> None:
        while True:
            await asyncio.sleep(ROUND.total_seconds())
            for box in self._world.boxes:
                self.look(box)

    def look(self, box: Box) -> None:
        """See what stands still on one machine, and set it going again."""
        desk = box.service.topups if box.service is not None else None
        if desk is None or box.life is None or box.life.dead:
            return
        for stop in ledger_notes.stops(desk.bench.store.reader):
            if stop.kind is StopKind.SUSPENSION:
                self._resume(box, desk, stop.scope)

    def _resume(self, box: Box, desk: TopupDesk, account: str) -> None:
        """Save another card for the customer, then resume."""
        self._cards += 1
        method = self._world.stripe.method("pm_1")
        method.fingerprint = f"card{self._cards}"
        method.queue.clear()
        with desk.bench.store.write(durable=True) as tx:
            ledger_notes.lift(tx, account, StopKind.SUSPENSION)
            ledger_notes.forget_cards(tx, account)
        self._world.resumes.append(self._world.truth.now())
        self._world.note("operator", f"resumed {account} on {box.name} with another card")
