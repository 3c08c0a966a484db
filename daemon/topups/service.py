"""The top-ups as a service: recover at start, act on readings, do what time brings.

For one account everything happens under one lock; nothing is cached that another process may change.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from structlog.contextvars import bound_contextvars

from alerts.forecast.pace import BurnNow
from alerts.model.readings import Known
from alerts.rules.falls import NO_FALL, Falls
from daemon.clock import Clock
from daemon.config.model import Config, TopupMode
from daemon.jobs import gather_bounded
from daemon.journal import holding
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Store
from daemon.store.decision_counts import DecisionCounts
from daemon.store.ledger import Moved
from daemon.store.outbox import Outbox
from daemon.store.topup_rows import EVERYWHERE, State, StopKind, Topup
from daemon.stripe.answers import GONE, AnswerKind, Refused
from daemon.stripe.gateway import Gateway
from daemon.topups.adoption import adopt
from daemon.topups.context import PROBE_EVERY, TopupContext, log
from daemon.topups.executor import run
from daemon.topups.listing import list_intents, read_list
from daemon.topups.planning import charge
from daemon.topups.policy.gate import GateName
from daemon.topups.policy.step import Reading, Readings, Time
from daemon.topups.second_read import AccountReads, ReadAgain

_KEY_IS_GOOD = frozenset({*GONE, AnswerKind.BAD_REQUEST})
"""Refusals of a read that only a key that is good can meet: the customer is gone, say."""


class TopupService:
    """Charges what is low, once. See `docs/topups.md` for the promise and the algorithm."""

    def __init__(
        self, *, config: Config, store: Store, outbox: Outbox, gateway: Gateway, clock: Clock, rng: random.Random
    ) -> None:
        self.context = TopupContext(config, store, outbox, gateway, clock, rng)
        self.locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Held while something happens to an account."""
        self._busy: frozenset[str] | None = None
        self.counts = DecisionCounts(store)
        self._shadowing: set[str] = set()
        """The accounts for which a stretch may be open in which shadow mode would be charging."""

    # ── at start ────────────────────────────────────────────────────────────────────────────────────────────────

    async def recover(self, now: datetime, taken_over: Callable[[str], bool] | None = None) -> None:
        """At start, or for what was taken over: resume what the last process left, then adopt what Stripe knows."""
        mine = taken_over or self.context.holds
        self.context.last_errors.clear()
        self._shadowing |= await self.context.read(ledger_reads.shadowing)
        await self._probe(now)  # or the first pass after the key was mended would not charge yet
        try:
            try:
                opened = [one for one in await self.context.read(ledger_reads.open_topups) if mine(one.account)]
                # A credit is judged by the first reading: it may have come while nobody looked.
                await gather_bounded(self._resume(topup) for topup in opened if topup.state is not State.PAID)
            finally:
                await gather_bounded(self._adopt(account) for account in self.context.config.accounts if mine(account))
        except ExceptionGroup as error:  # alerts and the other top-ups go on; `run_due` meets it again and says so
            log.error("recover", exc_info=error)
            self.context.last_errors["recovery"] = f"some top-ups could not be taken up: {error.exceptions[0]}"
        self._busy = await self.context.read(ledger_reads.open_accounts)

    async def _adopt(self, account: str) -> None:
        """Adopt what Stripe knows. Where nothing is charged, nobody is troubled by what it does not say."""
        view = await self.context.apart(TopupContext.account, account)
        if view.config is None or not view.may_post:
            return
        with bound_contextvars(account=account):
            listed = await (list_intents if view.charges else read_list)(self.context, account)
            refused = listed if isinstance(listed, Refused) else await adopt(self.context, account, listed)
            if refused is not None and not view.charges:
                log.warning("left_unread", message=refused.message)

    async def _probe(self, now: datetime) -> None:
        """Ask Stripe anew where the breaker is open and its time has come: a good read closes it."""
        context = self.context
        stops = await context.read(ledger_notes.stops)
        stop = next((one for one in stops if one.kind is StopKind.BREAKER), None)
        if stop is None or (stop.probe_at is not None and timedelta() < stop.probe_at - now <= PROBE_EVERY):
            return
        customers = [topup.customer for account in context.charging() if (topup := context.topup(account)) is not None]
        answer = await context.gateway.intents(customers[0], limit=1) if customers else None
        is_good = answer is None or not isinstance(answer, Refused) or answer.kind in _KEY_IS_GOOD
        await context.apart(_probed, is_good=is_good)

    # ── a reading ───────────────────────────────────────────────────────────────────────────────────────────────

    def is_concerned(self, account_id: str, known: Known) -> bool:
        """Whether an accepted reading has to be acted on: the account is low, or a top-up of it is open.

        One that needs nothing is counted, without a query.
        """
        config = self.context.topup(account_id)
        available = known.metrics.available_microusd
        if config is None:
            return False
        if available is None:
            self.count_unread(account_id, "the reading does not say the balance")
            return False
        is_awaited = self._busy is None or account_id in self._busy or account_id in self._shadowing
        if available < config.when_below_microusd or is_awaited:
            return True
        self._count_enough(account_id)
        return False

    async def on_reading(
        self, account_id: str, known: Known, read_again: ReadAgain, burn: BurnNow, falls: Falls = NO_FALL
    ) -> None:
        """Judge credits, go on with what is open, and charge what is low, by an accepted reading of this pass.

        `read_again` fetches the account again: the second read right before planning.
        """
        config = self.context.topup(account_id)
        available = known.metrics.available_microusd
        if config is None or available is None or not self.context.holds(account_id):
            return
        is_low = available < config.when_below_microusd
        if is_low and config.mode is TopupMode.SHADOW:
            self._shadowing.add(account_id)
        async with holding(self.locks[account_id], account=account_id):
            self.context.last_errors.pop(account_id, None)
            for topup in await self.context.read(ledger_reads.open_topups, account_id):
                await run(self.context, topup.id, Reading(), AccountReads(Readings(known, burn, falls), read_again))
            if is_low:
                await charge(self.context, config, account_id, AccountReads(Readings(known, burn, falls), read_again))
            else:
                self._count_enough(account_id)
                if account_id in self._shadowing:
                    self._shadowing.discard(account_id)
                    await self.context.apart(_end_shadow, account_id, known.at)

    def _count_enough(self, account: str) -> None:
        self.counts.add(account, GateName.THRESHOLD, "available is not below the threshold")

    def count_unread(self, account_id: str, why: str) -> None:
        """No reading, no charge: counted like any gate that says no. `why` is a sentence."""
        if self.context.topup(account_id) is not None:
            self.counts.add(account_id, GateName.READING, why)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run_due(self, now: datetime) -> datetime | None:
        """Do what time alone brings, and return when to come back; None while nothing is open or counted."""
        await self._probe(now)
        try:
            due = [one for one in await self.context.read(ledger_reads.due, now) if self.context.holds(one.account)]
            await gather_bounded(self._resume(topup) for topup in due)
        finally:
            await self.counts.flush(now)
            self._busy = await self.context.read(ledger_reads.open_accounts)
        due_at = await self.context.read(ledger_reads.next_due_at, self.context.clock.now(), self.context.holds)
        times = (due_at, await self.context.read(ledger_notes.next_probe_at), self.counts.due_at(now))
        return min((at for at in times if at is not None), default=None)

    async def _resume(self, topup: Topup) -> None:
        """Go on with a top-up by time alone: read it back, list it, watch its credit."""
        async with holding(self.locks[topup.account], account=topup.account):
            current = await self.context.read(ledger_reads.get, topup.id)
            moved = current is None or (current.state, current.next_at) != (topup.state, topup.next_at)
            if moved or not self.context.holds(topup.account):
                return  # a reading has moved it on meanwhile, or it was handed over
            try:
                await run(self.context, topup.id, Time())
            except Moved:
                log.info("moved", topup=topup.id)

    def accounts_awaiting_credit(self) -> tuple[str, ...]:
        """Return the accounts whose open top-up waits for a reading, as of the last pass: polled every five minutes."""
        return tuple(sorted(filter(self.context.holds, self._busy or ())))


def _probed(context: TopupContext, *, is_good: bool) -> None:
    with context.store.write(durable=True) as tx:
        if is_good:
            ledger_notes.lift(tx, EVERYWHERE, StopKind.BREAKER)
            ledger.advance_latest(tx, context.clock.now())
        else:
            ledger_notes.probe_later(tx, EVERYWHERE, StopKind.BREAKER, context.clock.now() + PROBE_EVERY)


def _end_shadow(context: TopupContext, account: str, at: datetime) -> None:
    with context.store.write(durable=True, lock=account) as tx:
        ledger_notes.end_shadow(tx, account, at)
