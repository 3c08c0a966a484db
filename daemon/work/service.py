"""The service: all that Brimful does, as a table of contents.

`step(now)` starts all that is due, in separate jobs (polls, time, money, reports, delivery, retention), and returns
when to call it again. In `run` the jobs overlap, so that a dead receiver or a slow poll delays nothing else. Elsewhere
a step waits for them, in that order: read, evaluate, charge, report, deliver, including what the step itself caused.
Every wake has a cause: a schedule, a committed event, a low reading, a job that ended, an operator's command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from alerts.channels.base import Channel
from alerts.delivery import Deliverer
from alerts.forecast.pace import burn_now
from alerts.model.instants import EPOCH
from alerts.model.readings import Known, Unavailable
from alerts.model.receivers import Receiver
from alerts.rules.state import AccountState
from daemon.clock import Clock
from daemon.config.model import Config, needs_topups
from daemon.fleet.holdings import EVERYTHING, REPORTS, RETENTION, Holdings
from daemon.jobs import Job, gather_bounded
from daemon.limits import (
    BATCH_WAIT_OF_A_FLEET_S,
    BATCH_WAIT_OF_A_PASS_S,
    BATCH_WAIT_S,
    BEAT_S,
    DELIVERY_PASS_DEADLINE_S,
    MONEY_PASS_DEADLINE_S,
    ONCE_WAITS_FOR_MONEY_S,
    RECOVERY_HEAD_START_S,
    REPORT_PASS_DEADLINE_S,
    SLOW_JOB_STUCK_AFTER_S,
    TIME_PASS_DEADLINE_S,
)
from daemon.net.heartbeat import Heartbeat
from daemon.reports.reporter import Reporter
from daemon.sources.fetcher import Fetcher
from daemon.status.topups import needs_person
from daemon.store import Store
from daemon.store.connection import Transaction
from daemon.store.outbox import Outbox
from daemon.work.changed import Changed
from daemon.work.due_polls import DuePolls
from daemon.work.evaluator import Evaluator, PollResult
from daemon.work.health import Freshness, StaleJob
from daemon.work.outcome import PassOutcome, why_unreadable
from daemon.work.poller import Poller
from daemon.work.retention import Retention
from daemon.work.tally import PollTally

if TYPE_CHECKING:
    from daemon.reconcile.reconciler import Reconciler
    from daemon.resources.registry import Registry
    from daemon.topups.service import TopupService


log = structlog.get_logger("brimful.service")

_AGAIN = timedelta(seconds=BEAT_S)  # a job that fails is due again; a pass that ends well sets its own time


class Service:
    """Runs the jobs. `overlap` is for `run`; `wake` is called when there may be something to do."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        outbox: Outbox,
        fetcher: Fetcher,
        evaluator: Evaluator,
        deliverer: Deliverer,
        reporter: Reporter,
        retention: Retention,
        heartbeat: Heartbeat | None,
        clock: Clock,
        channel: Callable[[Receiver], Channel],
        open_topups: Callable[[], Awaitable[tuple[TopupService, Reconciler]]],
        holdings: Holdings = EVERYTHING,
        overlap: bool = False,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        """The one in force. Whoever does not keep something of it asks here, each time anew."""
        self.holdings = holdings
        """What of it is this process's to do: all, or its part in a fleet."""
        self.held_back: Callable[[], str] = lambda: ""  # why nothing is done, in a fleet
        self.tell_others: Callable[[Transaction], None] = lambda tx: None
        """Lets the others of a fleet look for what the transaction changes."""
        self.registry: Registry | None = None  # what is managed as data; None where `[api]` is off
        self.catch_up: Callable[[], Awaitable[bool]] | None = None
        """Takes some of what another process has made of the configuration; returns whether there may be more."""
        self.store = store
        self.evaluator = evaluator
        self.topups: TopupService | None = None
        self.reconciler: Reconciler | None = None
        self.deliverer = deliverer
        self.reporter = reporter
        self.retention = retention
        self.heartbeat = heartbeat
        self.outbox = outbox
        self._fetcher = fetcher
        self._clock = clock
        self._channel = channel
        self._open_topups = open_topups
        self._overlap = overlap
        self._wake = wake
        self.held = holdings.of(config)  # the part of the configuration
        self._due_polls = DuePolls(self.held, evaluator.state, wake)
        self.polls = PollTally()
        self.started_at: datetime | None = None
        self.ending = False
        self._open_polls: dict[str, datetime] = {}
        self._topup_readings: dict[str, PollResult] = {}
        self._acted_on: set[str] = set()
        """The accounts whose readings the running pass over money acts on."""
        self.recovery: asyncio.Task[None] | None = None
        self._gone_receivers: frozenset[str] = frozenset()
        """Those that are no longer configured, and whose pending deliveries are not given up yet."""
        waits_s = BATCH_WAIT_S if holdings.whole else BATCH_WAIT_OF_A_FLEET_S
        self.poller = Poller(
            self.held,
            fetcher,
            evaluator,
            clock,
            done=self._on_result,
            finished=wake,
            batch_wait_s=waits_s if overlap else BATCH_WAIT_OF_A_PASS_S,
        )
        job = partial(Job, clock=clock, finished=wake)
        self._changes = job("changes", self._catch_up, deadline_s=TIME_PASS_DEADLINE_S)
        self._time = job("time", self._evaluate_time, deadline_s=TIME_PASS_DEADLINE_S)
        slow = partial(job, stuck_after_s=SLOW_JOB_STUCK_AFTER_S)
        self._money = slow("money", self._run_topups, deadline_s=MONEY_PASS_DEADLINE_S)
        self._reports = slow("reports", self._send_reports, deadline_s=REPORT_PASS_DEADLINE_S)
        self._delivery = job("delivery", self._deliver, deadline_s=DELIVERY_PASS_DEADLINE_S)
        self._retention = job("retention", self._retain, deadline_s=TIME_PASS_DEADLINE_S)
        self._jobs = (self._changes, self._time, self._money, self._reports, self._delivery, self._retention)
        self._due_at: dict[Job, datetime | None] = dict.fromkeys(self._jobs, EPOCH)
        """When each job is due; None if nothing is scheduled."""
        outbox.appended = deliverer.idle = partial(self._make_due, self._delivery)

    @property
    def crons(self) -> tuple[str, ...]:
        """The poll schedules, each once: another tuple where they changed."""
        return self._due_polls.crons

    @property
    def charging(self) -> set[str]:
        """The accounts whose money something is under way with, or about to be."""
        locked = {id for id, lock in self.topups.locks.items() if lock.locked()} if self.topups is not None else set()
        return locked | self._topup_readings.keys() | (self._acted_on if self._money.busy else set())

    @property
    def sends_reports(self) -> bool:
        """Whether a report is being made or sent, or looked for."""
        return self._reports.busy

    @property
    def jobs(self) -> tuple[Poller | Job, ...]:
        """All jobs, for the health page."""
        return (self.poller, *self._jobs)

    @property
    def awaits_credit(self) -> bool:
        """Whether a top-up was open when the last step ended, so that its account is polled every five minutes."""
        return bool(self._open_polls)

    # ── the step ────────────────────────────────────────────────────────────────────────────────────────────────

    async def step(self, now: datetime) -> datetime:
        """Start all that is due at `now`, and return when to call again. A job with nothing due does not run."""
        if not self._due_polls.begun:
            await self._begin(now)
        self._start_polls(now)
        if not self._overlap:
            await self.poller.idle()
        for job in self._jobs:
            if (at := self._due_at[job]) is not None and at <= now:
                self._due_at[job] = self._clock.now() + _AGAIN
                if self._overlap:
                    job.start()
                else:
                    await job.run_to_end()
        if self.heartbeat is not None and self.heartbeat.is_due(now):
            if self._overlap:
                self.heartbeat.start(now, self.stale_jobs(now))
            else:
                await self.heartbeat.beat(now, self.stale_jobs(now))
        return self.next_wake(self._clock.now())

    async def once(self) -> PassOutcome:
        """Run one pass: poll every account whatever its schedule, and wait a little for an open charge."""
        started = self._clock.now()
        await self.step(started)
        until = started + timedelta(seconds=ONCE_WAITS_FOR_MONEY_S)
        while self.topups is not None and (due := self._due_at[self._money]) is not None and due <= until:
            await self._clock.sleep(max((due - self._clock.now()).total_seconds(), 0.0))
            await self.step(self._clock.now())
        return await self._outcome()

    async def drain(self, within_s: float) -> None:
        """Let work in flight finish; cancel the rest after `within_s`. A cancelled charge stays recorded as unknown."""
        self.ending = True
        self.poller.drain()
        self.deliverer.stop()
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(job.idle() for job in self.jobs), self.deliverer.drain())
        except TimeoutError:
            if busy := [job.name for job in self.jobs if job.busy]:
                log.warning("cut", lanes=busy)
        finally:
            await asyncio.gather(*(job.cut() for job in self.jobs))
            if self.recovery is not None and not self.recovery.done():
                self.recovery.cancel()
                await asyncio.wait([self.recovery])
            await self.deliverer.drain(0.0)
            if self.heartbeat is not None:
                await self.heartbeat.aclose()

    def next_wake(self, now: datetime) -> datetime:
        """Return the earliest instant at which something is due, at most a day ahead."""
        instants = [at for at in self._due_at.values() if at is not None]
        if (at := self._due_polls.next_at()) is not None:
            instants.append(at)
        self._open_polls = self._awaiting_credit()
        instants += self._open_polls.values()
        return max(min([*instants, now + timedelta(days=1)]), now + timedelta(milliseconds=1))

    def changed_elsewhere(self) -> None:
        """Make due what somebody outside may have changed: the configuration, deliveries, mutes, top-ups."""
        self.deliverer.look_again()
        self._make_due(self._changes, self._time, self._money, self._delivery)

    def take(self, config: Config, states: Mapping[str, AccountState] | None = None) -> None:
        """Go on with another configuration, of the same store and zone, in which what did not change is identical.

        An account that is new, or asked otherwise, is polled at once; edited rules are judged by the last reading.
        Whatever an account that is gone, or was asked otherwise, still answers is dropped. `states`: of accounts that
        another daemon has handed over.
        """
        if self.ending:
            return
        held = self.holdings.of(config)
        changed = Changed.between(self.held, held)
        channels = [self._channel(receiver) for receiver in changed.receivers]
        now, gone = self._clock.now(), [account.id for account in changed.gone]
        if config.receivers is not self.config.receivers:
            self._gone_receivers |= {one.key for one in self.config.receivers.all}
            self._gone_receivers -= {one.key for one in config.receivers.all}
        self.config, self.held = config, held
        self.outbox.receivers = config.receivers
        self.deliverer.take(channels, changed.gone_receivers)
        self.evaluator.take(held, changed, states)
        self.poller.take(held, changed)
        self.reporter.take(config)
        self._due_polls.take(held, changed, now)
        self.polls.forget(gone)
        self._fetcher.forget(gone)
        if self.topups is not None:
            self.topups.context.config = config
            for account in gone:
                self.topups.context.last_errors.pop(account, None)
        for account in gone:
            self._topup_readings.pop(account, None)
        if self._due_polls.begun:
            self._poll_now(changed.to_poll if states is None else self._due_polls.missed(changed.added, states, now))
        self._make_due(self._time, self._money, self._reports, self._delivery, self._retention)

    def freshness(self, now: datetime) -> Freshness:
        """Judge whether every job is fresh: not failing, not hanging, not silent for far longer than its schedule."""
        late = [StaleJob(f"{job.name}: {job.health.last_error}") for job in self.jobs if job.health.last_error]
        late += [StaleJob(stuck, hangs=True) for job in self.jobs if (stuck := job.stuck())]
        late += [StaleJob(stuck, hangs=True) for stuck in self.deliverer.stuck()]
        late += [StaleJob(f"database: {why}") for why in (self.store.misplaced() or self.held_back(),) if why]
        for_s = 0.0 if self.started_at is None or not self.poller.busy else (now - self.started_at).total_seconds()
        if waiting := self.poller.late() or self.polls.unanswered(len(self.held.accounts), for_s):
            late.append(StaleJob(waiting))
        late += [StaleJob(why, hangs=True) for why in self._due_polls.late(now)]
        return Freshness(tuple(late), self._doing())

    def stale_jobs(self, now: datetime) -> list[str]:
        """Return a sentence for each job that is not fresh."""
        return self.freshness(now).words

    def _doing(self) -> str:
        said = self.polls.said(len(self.held.accounts))
        if self.polls.last and (at := self._due_polls.next_at()) is not None:
            said += f", next poll {at.astimezone(self.config.timezone):%H:%M:%S}"
        return f"{said}, {len(self._open_polls)} top-ups open" if self._open_polls else said

    def delays_s(self, now: datetime) -> dict[str, float]:
        """Return by job how many seconds ago it should have started what has not begun; 0 where nothing is late."""
        due_at = {self.poller.name: self._due_polls.next_at() or now}
        due_at |= {job.name: now if job.busy else at or now for job, at in self._due_at.items() if at != EPOCH}
        return {name: max((now - at).total_seconds(), 0.0) for name, at in due_at.items()}

    # ── the jobs' work ──────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self, now: datetime) -> None:
        """Resume open top-ups before the first poll; in `run` the polls do not wait for a slow Stripe."""
        if self.topups is not None:
            if self._overlap:
                self.recovery = asyncio.ensure_future(self.topups.recover(now))
                await asyncio.wait([self.recovery], timeout=RECOVERY_HEAD_START_S)
            else:
                await self.topups.recover(now)
        self.started_at = now
        self._due_polls.begin(now)

    async def _catch_up(self) -> None:
        """Take what another process has changed of the configuration."""
        more = self.catch_up is not None and await self.catch_up()
        self._come_back(self._changes, EPOCH if more else None)

    def _on_result(self, result: PollResult) -> None:
        """Pass a committed reading on to the top-ups."""
        self.polls.add(result, self.held.accounts[result.account].info.provider)
        self._due_polls.answered(result, self._clock.now())
        if self.topups is None:
            return
        if result.accepted is None:
            self.topups.count_unread(result.account, f"no reading, no charge: {why_unreadable(result)}")
        elif self.topups.is_concerned(result.account, result.accepted):
            self._topup_readings[result.account] = result
            self._make_due(self._money)
        elif self._due_at[self._money] is None:
            self._due_at[self._money] = self.topups.counts.due_at(self._clock.now())

    async def _evaluate_time(self) -> None:
        """Evaluate what time alone changes: one batch if jobs overlap, else all of it."""
        while True:
            now = self._clock.now()
            due_at = await self.evaluator.evaluate_time(now)
            if self._overlap or due_at is None or due_at > now:
                break
        self._come_back(self._time, due_at)

    async def _run_topups(self) -> None:
        if self.topups is None and needs_topups(self.config):
            self.topups, self.reconciler = await self._open_topups()
            self.recovery = asyncio.ensure_future(self.topups.recover(self._clock.now()))
            self._poll_now([one.id for one in self.held.accounts.values() if one.topup is not None])
        if (topups := self.topups) is None:
            self._come_back(self._money, None)
            return
        await self._recovered(topups)
        results, self._topup_readings = list(self._topup_readings.values()), {}
        self._acted_on = {one.account for one in results}
        errors: list[Exception] = []
        try:
            await gather_bounded(self._top_up(topups, one) for one in results)
        except ExceptionGroup as group:
            errors.append(group)
        now = self._clock.now()
        try:
            due_at = await topups.run_due(now)
        finally:
            reconciled_at = await self.reconciler.run_due(now) if self.reconciler is not None else None
        due_at = min((at for at in (due_at, reconciled_at) if at is not None), default=None)
        self._come_back(self._money, EPOCH if self._topup_readings else due_at)
        if errors:
            raise ExceptionGroup("some accounts could not be topped up", errors)

    async def _recovered(self, topups: TopupService) -> None:
        """Wait until the open top-ups are resumed: nothing is charged before."""
        recovery = self.recovery
        if recovery is None:
            return
        if recovery.done() and recovery.exception() is not None:
            recovery = self.recovery = asyncio.ensure_future(topups.recover(self._clock.now()))
        await asyncio.shield(recovery)
        self.recovery = None

    async def _top_up(self, topups: TopupService, result: PollResult) -> None:
        async def reread() -> Known | Unavailable:
            return await self.poller.reread(result.account)

        known, state = result.accepted, result.state
        if known is not None:
            burn = burn_now(state.burn, known.metrics, self._clock.now())
            await topups.on_reading(result.account, known, reread, burn, state.falls)

    async def _send_reports(self) -> None:
        mine = self.holdings.duty(REPORTS)
        self._come_back(self._reports, await self.reporter.send_due(self._clock.now()) if mine else None)

    async def _deliver(self) -> None:
        now = self._clock.now()
        if gone := self._gone_receivers:
            await self.deliverer.abandon(gone, now)
            if self._gone_receivers is gone:  # else more are gone by now, or one has come back
                self._gone_receivers = frozenset()
        at = await (self.deliverer.start_due(now) if self._overlap else self.deliverer.deliver_due(now))
        self._come_back(self._delivery, at)

    def _make_due(self, *jobs: Job) -> None:
        self._due_at |= dict.fromkeys(jobs, EPOCH)
        self._wake()

    def _come_back(self, job: Job, at: datetime | None) -> None:
        """Note when a job is due next; one that was made due while it ran is due at once."""
        if not self._overlap or self._due_at[job] != EPOCH:
            self._due_at[job] = at

    async def _retain(self) -> None:
        mine = self.holdings.duty(RETENTION)
        self._come_back(self._retention, await self.retention.fold(self._clock.now()) if mine else None)

    # ── what is due ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start_polls(self, now: datetime) -> None:
        for accounts, first in self._due_polls.take_due(now):
            self.poller.poll(accounts, spread=self._overlap and not first)
        waiting = [account for account, at in self._awaiting_credit().items() if at <= now]
        self._poll_now(waiting)

    def _poll_now(self, accounts: Sequence[str]) -> None:
        """Poll accounts besides their schedules."""
        if accounts and not self.ending:
            self._due_polls.asked(accounts, self._clock.now())
            self.poller.poll(accounts)

    def _awaiting_credit(self) -> dict[str, datetime]:
        """Return the accounts that await a credit, and when each is polled next for it."""
        if self.topups is None:
            return {}
        return self._due_polls.for_credit(self.topups.accounts_awaiting_credit())

    async def _outcome(self) -> PassOutcome:
        errors = self.topups.context.last_errors if self.topups is not None else None
        reports = [f"report {report} could not be sent" for report in self.reporter.failing()]
        return PassOutcome(
            read=self.polls.read,
            unreadable=self.polls.unreadable,
            needs_person=[] if errors is None else needs_person(self.config, self.store.reader, errors),
            undelivered=await self.deliverer.failed_in_last_pass(),
            failed=[*reports, *(f"{job.name}: {job.health.last_error}" for job in self.jobs if job.health.last_error)],
        )
