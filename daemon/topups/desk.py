"""The desk: where readings come in and charges come out. Four doors: recover, attend, tend, standing.

`attend` takes a believed reading of an account, `tend` what time alone brings (read-backs, cancels, the credit watch,
reconciliation). For one account everything happens under one lock; nothing is cached that another process may change.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import islice

from alerts.falls import NO_FALL, Falls
from alerts.foresight.memory import BurnMemory
from alerts.instants import EPOCH
from alerts.readings import Known
from alerts.state import TopupStanding
from daemon.clock import Clock, Ids
from daemon.config.model import Config, TopupConfig, TopupMode
from daemon.lanes import together
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Store
from daemon.store.ledger import Moved, Topup
from daemon.topups import adoption, breakers, credit, reconcile, recovery
from daemon.topups.audit import audit
from daemon.topups.bench import Bench, Outbox, log
from daemon.topups.confirm import go_on
from daemon.topups.create import charge, continue_create
from daemon.topups.gateway import Gateway
from daemon.topups.judgement import Reread, Sight
from daemon.topups.second_read import set_off, shows_again
from daemon.topups.standing import people, standing
from daemon.topups.states import State
from daemon.topups.tending import tend_topup

QUIET_FLUSHED_EVERY = timedelta(hours=1)
QUIET_FLUSHED_AT_ONCE = 200
QUIET_FLUSHED_PAUSE = timedelta(seconds=1)
_AUDIT = "audit:"
AUDITED_A_PASS = 150
"""Accounts audited in one pass of reconciliation, every 15 minutes: 14,400 a day."""
AUDIT_EVERY = timedelta(days=1)
AUDIT_AGAIN_AFTER = timedelta(hours=1)
"""When an account is audited again that Stripe could not be asked about."""


class TopupDesk:
    """Charges what is low, once. See `docs/topups.md` for the promise and the algorithm."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        outbox: Outbox,
        gateway: Gateway,
        clock: Clock,
        ids: Ids,
        rng: random.Random,
    ) -> None:
        self.bench = Bench(config, store, outbox, gateway, clock, ids, rng)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._busy: frozenset[str] | None = None
        self._quiet: Counter[tuple[str, str, str]] = Counter()
        self._flushed_at: datetime | None = None
        self._shadows = {a.id for a in config.accounts.values() if a.topup and a.topup.mode is TopupMode.SHADOW}
        self._shadowing = self._shadows | ledger_reads.shadowing(store.reader)
        """The accounts for which a stretch may be open in which shadow mode would be charging."""

    async def recover(self, now: datetime) -> None:
        """At start, before the first poll: take up what the last process left, then adopt what Stripe knows."""
        self.bench.troubles.clear()
        await breakers.probe(self.bench, now)  # or the first pass after the key was mended would not charge yet
        try:
            await recovery.recover(self.bench, self._tend_locked)
        except ExceptionGroup as error:  # alerts and the other top-ups go on; `tend` meets it again and says so
            log.error("recover", exc_info=error)
            self.bench.troubles["recovery"] = f"some top-ups could not be taken up: {error.exceptions[0]}"
        self._note_busy()

    def is_concerned(self, account_id: str, known: Known) -> bool:
        """Whether a believed reading has to be attended to: the account is low, or a top-up of it is open.

        One that needs nothing is counted, without a query.
        """
        config = self.bench.topup(account_id)
        available = known.metrics.available_microusd
        if config is None:
            return False
        if available is None:
            self.pass_unread(account_id, "the reading does not say the balance")
            return False
        if available < config.when_below_microusd or self._busy is None or account_id in self._busy:
            return True
        self._pass_by(account_id, known)
        return False

    async def attend(
        self, account_id: str, known: Known, reread: Reread, memory: BurnMemory, falls: Falls = NO_FALL
    ) -> None:
        """Judge credits, go on with what is open, and charge what is low, by a believed reading of this pass.

        `reread` fetches the account again: the second read right before planning.
        """
        config = self.bench.topup(account_id)
        available = known.metrics.available_microusd
        if config is None or available is None:
            return
        low = available < config.when_below_microusd
        if low and account_id in self._shadows:
            self._shadowing.add(account_id)
        async with self._locks[account_id]:
            self.bench.troubles.pop(account_id, None)
            await self._attend(config, Sight(account_id, known, memory, falls=falls), reread, low=low)

    async def _attend(self, config: TopupConfig, sight: Sight, reread: Reread, *, low: bool) -> None:
        for topup in ledger_reads.open_topups(self.bench.store.reader, sight.account):
            if topup.state is State.PAID:
                if credit.is_seen(topup, sight.known.metrics) and not await shows_again(topup, reread):
                    continue  # one false reading must not free the slot
                if topup.untold:
                    adoption.first_reading(self.bench, topup, sight.known)
                else:
                    credit.see(self.bench, topup, sight.known, self.bench.clock.now())
            else:
                current = await set_off(self.bench, topup, sight, reread)
                if current is not None or not low:  # what is not wanted is given up: that moves no money
                    await go_on(self.bench, config, current or topup, sight)
        if low:
            await charge(self.bench, config, sight, reread)
        else:
            self._pass_by(sight.account, sight.known)

    def _pass_by(self, account: str, known: Known) -> None:
        """Nothing is wanted: counted, and written down once an hour."""
        self._quiet[account, "threshold", "available is not below the threshold"] += 1
        if account in self._shadowing:
            self._shadowing.discard(account)
            with self.bench.store.write(durable=True) as tx:
                ledger_notes.end_shadow(tx, account, known.at)

    def pass_unread(self, account: str, why: str) -> None:
        """No reading, no charge: counted like any gate that says no. `why` is a sentence."""
        if self.bench.topup(account) is not None:
            self._quiet[account, "reading", why] += 1

    def _note_busy(self) -> None:
        self._busy = ledger_reads.open_accounts(self.bench.store.reader)

    async def tend(self, now: datetime) -> datetime | None:
        """Do what time alone brings, and return when to come back; None while nothing is open or counted."""
        await breakers.probe(self.bench, now)
        due = ledger_reads.due(self.bench.store.reader, now)
        try:
            await together(self._tend_locked(topup) for topup in due)
        finally:
            reconciled_at = await self._reconcile(now)
            self._flush_quiet(now)
            self._note_busy()
        return self._next_wake(reconciled_at, now)

    async def _tend_locked(self, topup: Topup) -> None:
        async with self._locks[topup.account]:
            current = ledger_reads.get(self.bench.store.reader, topup.id)
            if current is None or current.state is not topup.state:
                return
            try:
                if current.state is State.CREATING:
                    await continue_create(self.bench, current)
                else:
                    await tend_topup(self.bench, current)
            except Moved:
                log.info("moved", topup=topup.id)

    async def _reconcile(self, now: datetime) -> datetime | None:
        """Reconcile where it is due; returns when it is due next."""
        due = reconcile.due_at(self.bench)
        if due is None or due > now:
            return due
        await reconcile.read_events(self.bench)
        await self._audit(now)
        return reconcile.due_at(self.bench)

    async def _audit(self, now: datetime) -> None:
        """Once a day: refunds and disputes by our own charges, and ledger, Stripe and history charge for charge."""
        (done_at,) = ledger_notes.marked_at(self.bench.store.reader, ("audit",))
        if self._is_due_again("audit", done_at, now):
            await reconcile.read_charges(self.bench)
            with self.bench.store.write(durable=True) as tx:
                ledger.mark_run(tx, "audit", now)
        for account in self._accounts_to_audit(now)[:AUDITED_A_PASS]:
            await self._audit_account(account, now)

    def _accounts_to_audit(self, now: datetime) -> list[str]:
        """The accounts that were not audited for a day, those first that wait longest."""
        done = ledger_notes.marked_with(self.bench.store.reader, _AUDIT)
        waiting = [
            (done.get(f"{_AUDIT}{account}", EPOCH), account)
            for account in self.bench.charging()
            if self._is_due_again(f"{_AUDIT}{account}", done.get(f"{_AUDIT}{account}"), now)
        ]
        return [account for _, account in sorted(waiting)]

    def _is_due_again(self, job: str, done_at: datetime | None, now: datetime) -> bool:
        """Whether a job was not done for a day, and not tried by this process for an hour."""
        tried_at = self.bench.ran_at.get(job)
        if tried_at is not None and timedelta() <= now - tried_at < AUDIT_AGAIN_AFTER:
            return False
        return done_at is None or not timedelta() <= now - done_at < AUDIT_EVERY

    async def _audit_account(self, account: str, now: datetime) -> None:
        """Tell each disagreement once. Where Stripe cannot be asked that is told once it lasts, and tried again."""
        job = f"{_AUDIT}{account}"
        self.bench.ran_at[job] = now
        async with self._locks[account]:
            said = await audit(self.bench, account)
        if said.refused is not None:
            breakers.note_unlisted(self.bench, account, said.refused, breakers.LISTING)
            return
        with self.bench.store.write(durable=True) as tx:
            for finding in said.findings:
                if finding.told:
                    continue
                message = f"{finding.payment_intent}: ledger {finding.ledger}; Stripe {finding.stripe}; "
                breakers.tell_review_once(
                    self.bench, tx, account, now, f"audit:{finding.payment_intent}", message + finding.history
                )
            ledger.mark_run(tx, job, now)

    def counts_due_at(self, now: datetime) -> datetime | None:
        """Return when what was counted has to be written down; None where nothing was."""
        if not self._quiet:
            return None
        due_at = now if self._flushed_at is None else self._flushed_at + QUIET_FLUSHED_EVERY
        return min(due_at, now + QUIET_FLUSHED_EVERY)

    def _flush_quiet(self, now: datetime) -> None:
        """Write down what was counted, once an hour, a bounded piece at a time."""
        due_at = self.counts_due_at(now)
        if due_at is None or due_at > now:
            return
        piece = list(islice(self._quiet, QUIET_FLUSHED_AT_ONCE))
        with self.bench.store.write(durable=False) as tx:
            for account, gate, detail in piece:
                times = self._quiet.pop((account, gate, detail))
                ledger_notes.count_decision(tx, account, gate, now, detail=detail, gates="[]", times=times)
        wait = QUIET_FLUSHED_PAUSE - QUIET_FLUSHED_EVERY if self._quiet else timedelta()
        self._flushed_at = now + wait

    def _next_wake(self, reconciled_at: datetime | None, now: datetime) -> datetime | None:
        """Return when the next thing is due."""
        conn = self.bench.store.reader
        times = [
            ledger_reads.next_due_at(conn, self.bench.clock.now()),
            ledger_notes.next_probe_at(conn),
            reconciled_at,
            self.counts_due_at(now),
        ]
        return min((at for at in times if at is not None), default=None)

    def accounts_awaiting_credit(self) -> tuple[str, ...]:
        """Return the accounts whose open top-up waits for a reading: to be polled every five minutes."""
        return tuple(sorted(ledger_reads.open_accounts(self.bench.store.reader)))

    def standing(self, account_id: str) -> TopupStanding | None:
        """Return what a `balance.low` says of the account's top-ups; None where it has none configured."""
        return standing(self.bench.config, self.bench.store.reader, account_id, self.bench.clock.now())

    def needs_person(self) -> list[str]:
        """Return a sentence for every charge that needs a person, or whose outcome is still unknown."""
        return people(self.bench.config, self.bench.store.reader, self.bench.troubles)
