"""The person: looks in a few times a day, resumes what was suspended, pauses, and acknowledges with care.

Everything goes through the functions behind `brimful topups`, on a connection of its own, as from another process.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from datetime import timedelta

from alerts.model.values import replace
from alerts.rules.falls import CENT_MICROUSD
from daemon.commands import operator
from daemon.status import topups as status
from daemon.store import Store, ledger_notes, ledger_reads, states
from daemon.store.topup_rows import EVERYWHERE, State, StopKind, Topup
from daemon.topups.context import TopupContext
from daemon.topups.service import TopupService
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
        topups = box.service.topups if box.service is not None else None
        pausing = self._wants_pause()
        if topups is None or box.life is None or box.life.dead or not (pausing or _something_stands(topups)):
            return
        if box.name in self._world.misplaced:
            return  # a command finds no database
        with closing(Store(box.place)) as store:
            context = replace(topups.context, store=store, last_errors={})
            self._end_stops(box, context)
            for topup in ledger_reads.open_topups(store.reader):
                await self._acknowledge(box, context, topup)
            for topup in ledger_reads.late(store.reader):
                self._world.note("operator", await operator.acknowledge(context, topup.id))
            if status.still_ahead(store.reader, context.clock.now()):
                for account in topups.context.charging()[:1]:
                    operator.resume(store, account, context.clock.now())
            self._accept(box, context)
            if pausing:
                self._pause(box, topups, store)

    def _end_stops(self, box: Box, context: TopupContext) -> None:
        for stop in ledger_notes.stops(context.store.reader):
            if stop.kind is StopKind.BREAKER:
                continue
            if stop.kind is StopKind.SUSPENSION:
                self._save_another_card()
            named = None if stop.scope == EVERYWHERE else stop.scope
            ended = operator.resume(context.store, named, context.clock.now())
            if stop.kind is StopKind.SUSPENSION:
                self._world.resumes.append(self._world.truth.now())
            self._world.paused.discard((box.name, stop.scope))
            self._world.note("operator", f"resumed {stop.scope} on {box.name}: {'; '.join(ended)}")

    def _save_another_card(self) -> None:
        self._cards += 1
        method = self._world.stripe.method("pm_1")
        method.fingerprint = f"card{self._cards}"
        method.queue.clear()

    async def _acknowledge(self, box: Box, context: TopupContext, topup: Topup) -> None:
        """A review is closed; a credit is taken as seen where the person finds it in the account."""
        if topup.state is State.PAID:
            waited = topup.paid_at is not None and self._world.truth.now() - topup.paid_at > PATIENCE
            credits = self._world.ledgers[self._world.purse(topup.account)].credits
            if self._world.source.falsehood:
                return  # the account shows the credit, its API does not: nothing is clear
            if not waited or not any(why == topup.payment_intent for _, _, why in credits):
                return
        elif topup.state is not State.NEEDS_REVIEW:
            return
        try:
            said = await operator.acknowledge(context, topup.id)
        except operator.NothingToSay as nothing:
            said = str(nothing)
        self._world.note("operator", f"ack on {box.name}: {said}")

    def _accept(self, box: Box, context: TopupContext) -> None:
        """Take a fall for true where the account really was credited no more: an earlier reading said too much."""
        for account in context.config.accounts:
            state = states.load(context.store.reader, account)
            truth = self._world.ledgers[self._world.purse(account)].funded
            said = None if state.last is None else state.last.metrics.funded_microusd
            if state.falls.fallen_since is not None and said is not None and abs(said - truth) <= CENT_MICROUSD:
                try:
                    self._world.note("operator", operator.accept(context.store, account, context.clock.now()))
                except operator.NothingToSay as nothing:
                    self._world.note("operator", str(nothing))

    def _wants_pause(self) -> bool:
        """Now and then charging is stopped until the next look."""
        return self._pauses and not self._world.faults_over and self._rng.random() <= 0.1

    def _pause(self, box: Box, topups: TopupService, store: Store) -> None:
        account = self._rng.choice([*sorted(topups.context.config.accounts), None])
        operator.pause(store, account, topups.context.clock.now())
        self._world.paused.add((box.name, account or EVERYWHERE))
        self._world.note("operator", f"paused {account or 'everything'} on {box.name}")


def _something_stands(topups: TopupService) -> bool:
    """Whether `brimful topups` would show anything that a person could end."""
    conn = topups.context.store.reader
    ahead = status.still_ahead(conn, topups.context.clock.now())
    fallen = any(state.falls.fallen_since is not None for state in states.load_all(conn).values())
    return bool(
        fallen or ledger_notes.stops(conn) or ledger_reads.open_accounts(conn) or ledger_reads.late(conn) or ahead
    )
