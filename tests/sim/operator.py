"""The person: looks in a few times a day, resumes what was suspended, pauses, and acknowledges with care.

Everything goes through the functions behind `brimful topups`, on a connection of its own, as from another process.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from datetime import timedelta

from alerts.falls import CENT_MICROUSD
from alerts.values import replace
from daemon.store import Store, ledger_notes, ledger_reads, states
from daemon.store.ledger import Topup
from daemon.store.ledger_notes import StopKind
from daemon.topups import people
from daemon.topups.bench import Bench
from daemon.topups.desk import TopupDesk
from daemon.topups.states import State
from tests.sim.box import Box, KilledError
from tests.sim.world import World

ROUND = timedelta(hours=5)
SELDOM = timedelta(hours=25)
"""Where it is to be seen what one account's trouble is to another before anybody looks."""
PATIENCE = timedelta(hours=3)
"""How long a charge may wait for its credit before a person looks whether it has come."""


class Operator:
    """Acts as `brimful topups` lets a person act, beside the running daemon."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(world.seed + 4)
        self._pauses = self._rng.random() < 0.25
        self._cards = 0

    async def work(self) -> None:
        """Look in, round after round."""
        while True:
            await asyncio.sleep((SELDOM if "two" in self._world.focus else ROUND).total_seconds())
            for box in self._world.boxes:
                try:
                    await self.look(box)
                except KilledError:
                    self._world.note("operator", f"{box.name} went down meanwhile")

    async def look(self, box: Box) -> None:
        """See what stands still on one machine, and set it going again."""
        desk = box.service.topups if box.service is not None else None
        pausing = self._wants_pause()
        if desk is None or box.life is None or box.life.dead or not (pausing or _something_stands(desk)):
            return
        if box.name in self._world.misplaced:
            return  # a command finds no database
        with closing(Store(box.database)) as store:
            bench = replace(desk.bench, store=store, troubles={})
            self._end_stops(box, bench)
            for topup in ledger_reads.open_topups(store.reader):
                await self._acknowledge(box, bench, topup)
            for topup in ledger_reads.late(store.reader):
                self._world.note("operator", await people.acknowledge(bench, topup.id))
            if people.still_ahead(store.reader, bench.clock.now()):
                for account in desk.bench.charging()[:1]:
                    people.resume(store, account, bench.clock.now())
            self._accept(box, bench)
            if pausing:
                self._pause(box, desk, store)

    def _end_stops(self, box: Box, bench: Bench) -> None:
        for stop in ledger_notes.stops(bench.store.reader):
            if stop.kind is StopKind.BREAKER:
                continue
            if stop.kind is StopKind.SUSPENSION:
                self._save_another_card()
            named = None if stop.scope == ledger_notes.EVERYWHERE else stop.scope
            ended = people.resume(bench.store, named, bench.clock.now())
            if stop.kind is StopKind.SUSPENSION:
                self._world.resumes.append(self._world.truth.now())
            self._world.paused.discard((box.name, stop.scope))
            self._world.note("operator", f"resumed {stop.scope} on {box.name}: {'; '.join(ended)}")

    def _save_another_card(self) -> None:
        self._cards += 1
        method = self._world.stripe.method("pm_1")
        method.fingerprint = f"card{self._cards}"
        method.queue.clear()

    async def _acknowledge(self, box: Box, bench: Bench, topup: Topup) -> None:
        """A review is closed; a credit is taken as seen where the person finds it in the account."""
        if topup.state is State.PAID:
            waited = topup.paid_at is not None and self._world.truth.now() - topup.paid_at > PATIENCE
            credits = self._world.ledgers[self._world.purse(topup.account)].credits
            if not waited or not any(why == topup.payment_intent for _, _, why in credits):
                return
        elif topup.state is not State.NEEDS_REVIEW:
            return
        try:
            said = await people.acknowledge(bench, topup.id)
        except people.NothingToSay as nothing:
            said = str(nothing)
        self._world.note("operator", f"ack on {box.name}: {said}")

    def _accept(self, box: Box, bench: Bench) -> None:
        """Take a fall for true where the account really was credited no more: an earlier reading said too much."""
        for account in bench.config.accounts:
            state = states.load(bench.store.reader, account)
            truth = self._world.ledgers[self._world.purse(account)].funded
            said = None if state.last is None else state.last.metrics.funded_microusd
            if state.falls.fallen_since is not None and said is not None and abs(said - truth) <= CENT_MICROUSD:
                try:
                    self._world.note("operator", people.accept(bench.store, account, bench.clock.now()))
                except people.NothingToSay as nothing:
                    self._world.note("operator", str(nothing))

    def _wants_pause(self) -> bool:
        """Now and then charging is stopped until the next look."""
        return self._pauses and not self._world.faults_over and self._rng.random() <= 0.1

    def _pause(self, box: Box, desk: TopupDesk, store: Store) -> None:
        account = self._rng.choice([*sorted(desk.bench.config.accounts), None])
        people.pause(store, account, desk.bench.clock.now())
        self._world.paused.add((box.name, account or ledger_notes.EVERYWHERE))
        self._world.note("operator", f"paused {account or 'everything'} on {box.name}")


def _something_stands(desk: TopupDesk) -> bool:
    """Whether `brimful topups` would show anything that a person could end."""
    conn = desk.bench.store.reader
    ahead = people.still_ahead(conn, desk.bench.clock.now())
    fallen = any(state.falls.fallen_since is not None for state in states.load_all(conn).values())
    return bool(
        fallen or ledger_notes.stops(conn) or ledger_reads.open_accounts(conn) or ledger_reads.late(conn) or ahead
    )
