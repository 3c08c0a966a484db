"""The service: everything that Brimful does, as a table of contents.

`step(now)` starts all that is due, in lanes of their own (polls, money, reports, delivery), and says when to come
back. In `run` the lanes overlap, so that a dead receiver or a slow poll holds up nothing else; everywhere else a step
sees them through, in that order: read, judge, charge, report, deliver, including what the step itself caused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import httpx
import structlog

from alerts.delivery import Deliverer
from alerts.instants import EPOCH
from alerts.mail import Mailer
from alerts.readings import Known, Unavailable
from alerts.state import TopupStanding
from daemon.channels import build_channels, log_attempt
from daemon.clock import Clock, Ids, RandomIds, SystemClock
from daemon.config.model import Config
from daemon.config.past import refuse_lost
from daemon.heartbeat import Heartbeat
from daemon.http import HttpClient
from daemon.lanes import Lane
from daemon.limits import (
    BEAT_S,
    DELIVERY_PASS_DEADLINE_S,
    MONEY_PASS_DEADLINE_S,
    ONCE_WAITS_FOR_MONEY_S,
    POLL_OPEN_TOPUP_EVERY_S,
    POLL_ROUND_DEADLINE_S,
    REPORT_PASS_DEADLINE_S,
)
from daemon.lock import held
from daemon.mailer import SmtpMailer
from daemon.outcome import Outcome, why_unreadable
from daemon.reports.reporter import Reporter
from daemon.rounds import Polled, Rounds
from daemon.schedule import Timetable, groups
from daemon.sources.fetcher import Fetcher
from daemon.store import Store
from daemon.store.deliveries import StoredQueue
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from daemon.tidying import Tidying

if TYPE_CHECKING:
    from daemon.topups.desk import TopupDesk

log = structlog.get_logger("brimful.service")


class Service:
    """The heart of the process. `overlap` is for `run`; `wake` is called when a lane has finished or made work."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        rounds: Rounds,
        topups: TopupDesk | None,
        deliverer: Deliverer,
        reporter: Reporter,
        tidying: Tidying,
        heartbeat: Heartbeat | None,
        clock: Clock,
        overlap: bool = False,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.store = store
        self.rounds = rounds
        self.topups = topups
        self.deliverer = deliverer
        self.reporter = reporter
        self.tidying = tidying
        self.heartbeat = heartbeat
        self._clock = clock
        self._overlap = overlap
        self._wake = wake
        self._groups = {
            group.cron: group.accounts
            for group in groups({account.id: account.poll for account in config.accounts.values()})
        }
        self._timetable: Timetable | None = None
        self._polled: dict[str, Polled] = {}
        self._asked_at: dict[str, datetime] = {}
        self._waiting: list[str] = []
        self._open_polls: dict[str, datetime] = {}
        self._to_attend: dict[str, Polled] = {}
        self._recovered = False
        self._time_judged_at: datetime | None = None
        self._due_at: dict[str, datetime | None] = dict.fromkeys(("money", "reports", "delivery"), EPOCH)
        self._first_polls = set(self._groups)
        lane = partial(Lane, clock=clock, finished=self._lane_finished)
        self._polls = {
            cron: lane(f"poll {cron}", partial(self._poll, cron), deadline_s=POLL_ROUND_DEADLINE_S)
            for cron in self._groups
        }
        self._poll_open = lane("poll open top-ups", self._poll_waiting, deadline_s=POLL_ROUND_DEADLINE_S)
        self._money = lane("money", self._attend_money, deadline_s=MONEY_PASS_DEADLINE_S)
        self._reports = lane("reports", self._send_reports, deadline_s=REPORT_PASS_DEADLINE_S)
        self._delivery = lane("delivery", self._deliver, deadline_s=DELIVERY_PASS_DEADLINE_S)

    @property
    def crons(self) -> tuple[str, ...]:
        """The poll schedules, each once."""
        return tuple(self._groups)

    @property
    def polled(self) -> tuple[Polled, ...]:
        """What the last poll of each account came to."""
        return tuple(self._polled.values())

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Every lane, for its health."""
        return (*self._polls.values(), self._poll_open, self._money, self._reports, self._delivery)

    @property
    def awaits_credit(self) -> bool:
        """Whether a top-up was open when the last step ended, so that its account is polled every five minutes."""
        return bool(self._open_polls)

    # ── the step ────────────────────────────────────────────────────────────────────────────────────────────────

    async def step(self, now: datetime) -> datetime:
        """Start all that is due at `now`, and return when to come back."""
        await self._recover(now)
        self._start_polls(now)
        if not self._overlap:
            await self._idle(*self._polls.values(), self._poll_open)
        self._judge_time(now)
        for lane in (self._money, self._reports, self._delivery):
            if self._has_work(lane, now):
                if self._overlap:
                    lane.start()
                else:
                    await lane.see_through()
        self.tidying.tidy(now)
        if self.heartbeat is not None:
            if self._overlap:
                self.heartbeat.start(now, self.unfresh(now))
            else:
                await self.heartbeat.beat(now, self.unfresh(now))
        return self.next_wake(self._clock.now())

    async def once(self) -> Outcome:
        """One pass over everything, every account polled whatever its schedule; waits a little for an open charge."""
        started = self._clock.now()
        await self.step(started)
        until = started + timedelta(seconds=ONCE_WAITS_FOR_MONEY_S)
        while self.topups is not None and (due := self._due_at["money"]) is not None and due <= until:
            await self._clock.sleep(max((due - self._clock.now()).total_seconds(), 0.0))
            await self.step(self._clock.now())
        return self._outcome()

    async def drain(self, within_s: float) -> None:
        """Let work in flight finish; cut the rest after `within_s`. A charge that is cut stays recorded as unknown."""
        lanes = self.lanes
        self.deliverer.stop()
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(self._idle(*lanes), self.deliverer.drain())
        except TimeoutError:
            if busy := [lane.name for lane in lanes if lane.busy]:
                log.warning("cut", lanes=busy)
        finally:
            await asyncio.gather(*(lane.cut() for lane in lanes))
            await self.deliverer.drain(0.0)
            if self.heartbeat is not None:
                await self.heartbeat.aclose()

    def next_wake(self, now: datetime) -> datetime:
        """Return the earliest instant at which something is due, at most a day ahead."""
        instants = [at for at in self._due_at.values() if at is not None]
        if self._timetable is not None and (at := self._timetable.next_at()) is not None:
            instants.append(at)
        self._open_polls = self._hungry()
        instants += self._open_polls.values()
        return max(min([*instants, now + timedelta(days=1)]), now + timedelta(milliseconds=1))

    def unfresh(self, now: datetime) -> list[str]:
        """Return a sentence for each job that is not fresh: failing, or silent for far longer than its schedule."""
        late = []
        for lane in self.lanes:
            if lane.health.last_error:
                late.append(f"{lane.name}: {lane.health.last_error}")
        for cron, due_at in (self._timetable.due_at if self._timetable else {}).items():
            if now - due_at > timedelta(seconds=POLL_ROUND_DEADLINE_S + BEAT_S):
                late.append(f"poll {cron}: due since {due_at.isoformat()}")
        return late

    # ── the lanes' work ─────────────────────────────────────────────────────────────────────────────────────────

    async def _recover(self, now: datetime) -> None:
        if self._recovered:
            return
        if self.topups is not None:
            await self.topups.recover(now)
        self._timetable = Timetable.starting(self._groups, self.config.timezone, now)
        self._recovered = True

    async def _poll(self, cron: str) -> None:
        first = cron in self._first_polls
        self._first_polls.discard(cron)
        self._note(await self.rounds.poll(self._groups[cron], spread=self._overlap and not first))

    async def _poll_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._note(await self.rounds.poll(waiting))

    def _note(self, round_: Iterable[Polled]) -> None:
        for polled in round_:
            self._polled[polled.account] = polled
            if self.topups is not None and polled.believed is not None:
                self._to_attend[polled.account] = polled
            elif self.topups is not None:
                self.topups.pass_unread(polled.account, f"no reading, no charge: {why_unreadable(polled)}")

    async def _attend_money(self) -> None:
        if self.topups is None:
            self._due_at["money"] = None
            return
        polled, self._to_attend = list(self._to_attend.values()), {}
        self._retry_later("money")
        attended = await asyncio.gather(
            *(self._attend_account(self.topups, one) for one in polled), return_exceptions=True
        )
        self._due_at["money"] = await self.topups.tend(self._clock.now())
        if errors := [error for error in attended if isinstance(error, Exception)]:
            raise ExceptionGroup("some accounts could not be attended", errors)

    async def _attend_account(self, topups: TopupDesk, polled: Polled) -> None:
        async def reread() -> Known | Unavailable:
            return await self.rounds.reread(polled.account)

        if polled.believed is not None:
            await topups.attend(polled.account, polled.believed, reread, polled.state.burn)

    async def _send_reports(self) -> None:
        self._retry_later("reports")
        self._due_at["reports"] = await self.reporter.send_due(self._clock.now())

    def _retry_later(self, lane: str) -> None:
        """Until the pass says otherwise: one that fails is tried again after a beat, and none is due while it runs."""
        self._due_at[lane] = self._clock.now() + timedelta(seconds=BEAT_S)

    async def _deliver(self) -> None:
        self._retry_later("delivery")
        now = self._clock.now()
        if self._overlap:
            self._due_at["delivery"] = self.deliverer.start_due(now)
        else:
            self._due_at["delivery"] = await self.deliverer.deliver_due(now)

    # ── what is due ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start_polls(self, now: datetime) -> None:
        assert self._timetable is not None
        timetable = self._timetable.corrected(now)
        due = timetable.due(now)
        self._timetable = timetable.ran(due, now)
        for cron in due:
            self._asked_at.update(dict.fromkeys(self._groups[cron], now))
            self._polls[cron].start()
        waiting = [account for account, at in self._hungry().items() if at <= now]
        if waiting:
            self._asked_at.update(dict.fromkeys(waiting, now))
            self._waiting += waiting
            self._poll_open.start()

    def _hungry(self) -> dict[str, datetime]:
        """The accounts whose open top-up waits for a reading, and when each is to be polled for it."""
        if self.topups is None:
            return {}
        every = timedelta(seconds=POLL_OPEN_TOPUP_EVERY_S)
        return {
            account: self._asked_at.get(account, EPOCH) + every
            for account in self.topups.hungry()
            if account in self.config.accounts
        }

    def _judge_time(self, now: datetime) -> None:
        """Once a beat is enough where the lanes overlap: a step is taken whenever one of them ends."""
        since = None if self._time_judged_at is None else now - self._time_judged_at
        if self._overlap and since is not None and timedelta() <= since < timedelta(seconds=BEAT_S):
            return
        self.rounds.judge_time(now)
        self._time_judged_at = now

    def _has_work(self, lane: Lane, now: datetime) -> bool:
        if lane is self._money:
            return bool(self._to_attend) or self._is_due("money", now)
        return self._is_due("reports", now) if lane is self._reports else True

    def _is_due(self, lane: str, now: datetime) -> bool:
        at = self._due_at[lane]
        return at is not None and at <= now

    def _lane_finished(self) -> None:
        self._wake()

    async def _idle(self, *lanes: Lane) -> None:
        for lane in lanes:
            await lane.idle()

    def _outcome(self) -> Outcome:
        unreadable = {
            polled.account: why_unreadable(polled) for polled in self._polled.values() if polled.believed is None
        }
        return Outcome(
            read=len(self._polled) - len(unreadable),
            unreadable=unreadable,
            needs_person=self.topups.needs_person() if self.topups is not None else [],
            undelivered=self.deliverer.failed_in_last_pass(),
            failed=[
                *(f"report {report} could not be sent" for report in self.reporter.failing()),
                *(f"{lane.name}: {lane.health.last_error}" for lane in self.lanes if lane.health.last_error),
            ],
        )


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    rng: random.Random | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    mailer: Mailer | None = None,
    probe: Callable[[str], None] | None = None,
    overlap: bool = False,
    wake: Callable[[], None] = lambda: None,
) -> AsyncIterator[Service]:
    """Hold the database, compose the parts with real defaults, and yield the service; close everything after.

    Raises DatabaseHeldError where another process has the database, StoreError where it cannot be used, ConfigError
    where a top-up that is open in it would lose its account, its customer or Stripe.
    """
    clock, ids = clock or SystemClock(), ids or RandomIds()
    rng = rng or random.SystemRandom()
    async with AsyncExitStack() as stack:
        stack.enter_context(held(config.store.path))
        store = Store(config.store.path, probe=probe)
        stack.callback(store.close)
        store.check()
        migrate(store)
        refuse_lost(config, store.reader)
        with store.write(durable=True) as tx:
            name = store_id(tx, ids)
        outbox = Outbox(name, config.receivers, ids)
        queue = StoredQueue(store, outbox)
        queue.abandon_unconfigured([receiver.key for receiver in config.receivers.all], clock.now())
        http = HttpClient(transport=transport)
        stack.push_async_callback(http.aclose)
        if mailer is None and config.smtp is not None:
            mailer = SmtpMailer(config.smtp)
        topups = _open_desk(config, store, outbox, http, clock, ids, rng)
        standing: Callable[[str], TopupStanding | None] = topups.standing if topups is not None else lambda _: None
        yield Service(
            config,
            store=store,
            rounds=Rounds(
                config,
                store=store,
                outbox=outbox,
                fetcher=Fetcher(http, clock),
                clock=clock,
                ids=ids,
                standing=standing,
            ),
            topups=topups,
            deliverer=Deliverer(
                queue,
                build_channels(config, http=http, mailer=mailer, clock=clock),
                clock,
                rng,
                observe=log_attempt,
                idle=wake,
            ),
            reporter=Reporter(config, store=store, mailer=mailer, name=name),
            tidying=Tidying(config, store),
            heartbeat=Heartbeat(config.heartbeat_url, http) if config.heartbeat_url is not None else None,
            clock=clock,
            overlap=overlap,
            wake=wake,
        )


def _open_desk(
    config: Config, store: Store, outbox: Outbox, http: HttpClient, clock: Clock, ids: Ids, rng: random.Random
) -> TopupDesk | None:
    """Return the desk where an account is topped up; the Stripe SDK is loaded only then."""
    if config.stripe is None or not any(account.topup is not None for account in config.accounts.values()):
        return None
    from daemon.topups.desk import TopupDesk
    from daemon.topups.gateway import StripeGateway

    gateway = StripeGateway(config.stripe, http, clock)
    return TopupDesk(config=config, store=store, outbox=outbox, gateway=gateway, clock=clock, ids=ids, rng=rng)
