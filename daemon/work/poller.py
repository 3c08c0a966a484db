"""The poller: fetches every account that is due, a bounded number at once, and hands the readings to the evaluator.

Accounts wait in a queue per host. A bounded number of workers takes them from there and appends the readings to one
list, which is evaluated and committed in batches: a poll costs the same however many accounts are waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from alerts.model.readings import Known, Reading, Reason, Unavailable
from daemon.clock import Clock
from daemon.config.model import AccountConfig, Config
from daemon.jobs import Health
from daemon.journal import PollLines
from daemon.limits import (
    BATCH_READINGS,
    POLL_STUCK_AFTER_S,
    POLLS_IN_FLIGHT,
    POLLS_PER_HOST,
    SPREAD_FROM_ACCOUNTS,
    SPREAD_TICK_S,
)
from daemon.schedule import spread_offset_s
from daemon.sources.fetcher import Fetcher
from daemon.work.changed import Changed
from daemon.work.evaluator import Evaluator, Fetched, PollResult

log = structlog.get_logger("brimful.poller")


@dataclass(slots=True)
class _Host:
    """The queue of one host and port, and the number of requests to it in flight."""

    name: str
    accounts: int = 0
    """How many accounts it has."""
    waiting: deque[str] = field(default_factory=deque)
    """May hold accounts that are gone, or were asked meanwhile: whoever takes one out asks whether it still waits."""
    under_way: int = 0
    listed: bool = False
    """Whether it is in the list of hosts with a free slot."""

    @property
    def crowded(self) -> bool:
        """Whether the polls of one schedule are spread."""
        return self.accounts > SPREAD_FROM_ACCOUNTS


@dataclass(slots=True)
class _Sweep:
    """The accounts of one schedule, each polled at its own offset from the start, in seconds."""

    started_s: float
    accounts: Sequence[tuple[float, str]]
    next: int = 0


class Poller:
    """Polls accounts. Calls `done` with each committed result, and `finished` when nothing is left to do.

    `batch_wait_s`: how long a commit waits for further readings while requests are in flight.
    """

    name = "poll"

    def __init__(
        self,
        config: Config,
        fetcher: Fetcher,
        evaluator: Evaluator,
        clock: Clock,
        *,
        done: Callable[[PollResult], None],
        finished: Callable[[], None],
        batch_wait_s: float,
    ) -> None:
        self.health = Health()
        self._accounts = config.accounts
        self._fetcher = fetcher
        self._evaluator = evaluator
        self._clock = clock
        self._done = done
        self._finished = finished
        self._batch_wait_s = batch_wait_s
        self._hosts = {name: _Host(name) for name in {account.host for account in self._accounts.values()}}
        self._host_of = {account.id: self._hosts[account.host] for account in self._accounts.values()}
        for host in self._host_of.values():
            host.accounts += 1
        self._offsets: dict[tuple[str, ...], Sequence[tuple[float, str]]] = {}
        self._free_hosts: deque[_Host] = deque()
        self._sweeps: list[_Sweep] = []
        self._since_s: dict[str, float] = {}
        """Since when each account waits for its answer, by the event loop's time, oldest first."""
        self._asked: dict[str, AccountConfig] = {}
        """Those of them whose request is under way, as they were configured when it began."""
        self._fetched: deque[Fetched] = deque()
        self._written: Sequence[Fetched] = ()
        """What is being committed."""
        self._workers: set[asyncio.Task[None]] = set()
        self._patient: set[asyncio.Task[None]] = set()
        """Fetches that wait for the rate limit of their API key: they take no worker."""
        self._broken: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._moved_s = 0.0
        """When there last was progress, by the loop's time: a poll began or ended, readings were committed."""
        self._lines = PollLines()

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def _under_way(self) -> bool:
        return bool(self._workers or self._patient)

    def poll(self, account_ids: Sequence[str], *, spread: bool = False) -> None:
        """Poll these accounts; one that still waits for its answer is not asked twice.

        `spread`, for accounts of one schedule: those of a crowded host start at stable offsets below a minute.
        """
        if spread and any(host.crowded for host in self._hosts.values()):
            spread_over = self._offsets_of(tuple(account_ids))
            self._sweeps.append(_Sweep(asyncio.get_running_loop().time(), spread_over))
        else:
            for account_id in account_ids:
                self._queue(account_id)
        if self.busy:
            self._woken.set()
        else:
            self._task = asyncio.ensure_future(self._run())

    async def reread(self, account_id: str) -> Reading:
        """Fetch the account once more, now, for a charge that is planned. Nothing is recorded or evaluated."""
        account = self._accounts.get(account_id)
        if account is None:
            return Unavailable(account_id, self._clock.now(), Reason.NOT_FOUND, "the account is no longer configured")
        return await self._fetcher.fetch(account)

    def take(self, config: Config, changed: Changed) -> None:
        """Go on with another configuration. What an account answers to a request that it would not be asked now is
        dropped; one that waits is asked as it is configured when its turn comes.
        """
        self._accounts = config.accounts
        for account in changed.gone:
            self._forget(account.id)
        for account in changed.asked_otherwise:
            before = self._host_of.get(account.id)
            if before is None or before.name != account.host or account.id in self._asked:
                self._forget(account.id)
                host = self._host_of[account.id] = self._hosts.setdefault(account.host, _Host(account.host))
                host.accounts += 1
        self._offsets.clear()

    def under_way(self) -> set[str]:
        """Return the accounts whose answer is awaited, or not committed yet."""
        return {*self._asked, *(one.account.id for one in (*self._fetched, *self._written))}

    async def idle(self) -> None:
        """Wait until nothing is queued or in flight."""
        while self._task is not None and self.busy:
            await asyncio.shield(self._task)

    async def cut(self) -> None:
        """Empty the queue, cancel the requests in flight, and wait until they have ended. Partial reads are dropped."""
        self._sweeps.clear()
        self._since_s.clear()
        self._asked.clear()
        self._fetched.clear()
        for host in self._hosts.values():
            host.waiting.clear()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def drain(self) -> None:
        """Begin no further request; readings in flight are still evaluated and committed."""
        self._sweeps.clear()
        for host in self._hosts.values():
            for account_id in host.waiting:
                if account_id not in self._asked:
                    self._since_s.pop(account_id, None)
            host.waiting.clear()
        self._woken.set()

    def late(self) -> str:
        """Return a sentence if an account has waited for its answer far too long, else the empty text."""
        if not self._since_s:
            return ""
        account_id, since_s = next(iter(self._since_s.items()))
        waits_s = int(asyncio.get_running_loop().time() - since_s)
        if waits_s <= POLL_STUCK_AFTER_S:
            return ""
        return f"{self.name}: {len(self._since_s)} accounts wait for an answer, {account_id} for {waits_s} s"

    def stuck(self) -> str:
        """Return a sentence where requests are under way and nothing has come of any for far too long, else nothing."""
        still_s = asyncio.get_running_loop().time() - self._moved_s
        if not self.busy or not self._under_way or still_s <= POLL_STUCK_AFTER_S:
            return ""
        return f"{self.name}: nothing has moved for {still_s:.0f} s"

    def _forget(self, account_id: str) -> None:
        self._since_s.pop(account_id, None)
        self._asked.pop(account_id, None)
        host = self._host_of.pop(account_id, None)
        if host is not None:
            host.accounts -= 1
            if not host.accounts and not host.under_way:
                del self._hosts[host.name]

    # ── the queue ───────────────────────────────────────────────────────────────────────────────────────────────

    def _offsets_of(self, account_ids: tuple[str, ...]) -> Sequence[tuple[float, str]]:
        offsets = self._offsets.get(account_ids)
        if offsets is None:
            interval = self._evaluator.poll_interval(account_ids[0])
            offsets = self._offsets[account_ids] = sorted(
                (spread_offset_s(one, interval) if self._host_of[one].crowded else 0.0, one) for one in account_ids
            )
        return offsets

    def _release(self) -> float | None:
        """Queue the accounts whose offset has come; return the seconds to the next one, or None."""
        now_s = asyncio.get_running_loop().time()
        for sweep in self._sweeps:
            until_s = now_s + SPREAD_TICK_S - sweep.started_s
            accounts, index = sweep.accounts, sweep.next
            while index < len(accounts) and accounts[index][0] <= until_s:
                self._queue(accounts[index][1])
                index += 1
            sweep.next = index
        self._sweeps = [sweep for sweep in self._sweeps if sweep.next < len(sweep.accounts)]
        if not self._sweeps:
            return None
        return max(
            min(sweep.started_s + sweep.accounts[sweep.next][0] for sweep in self._sweeps) - now_s, SPREAD_TICK_S
        )

    def _queue(self, account_id: str) -> None:
        host = self._host_of.get(account_id)
        if host is None or account_id in self._since_s:
            return
        self._since_s[account_id] = asyncio.get_running_loop().time()
        host.waiting.append(account_id)
        self._list(host)

    def _list(self, host: _Host) -> None:
        if host.waiting and not host.listed and host.under_way < POLLS_PER_HOST:
            host.listed = True
            self._free_hosts.append(host)

    def _take(self) -> tuple[_Host, AccountConfig] | None:
        """Take the next account of the next host in turn."""
        while self._free_hosts:
            host = self._free_hosts.popleft()
            host.listed = False
            while host.waiting and host.under_way < POLLS_PER_HOST:
                account_id = host.waiting.popleft()
                if self._host_of.get(account_id) is host and self._waits(account_id):
                    host.under_way += 1
                    account = self._asked[account_id] = self._accounts[account_id]
                    self._list(host)
                    return host, account
        return None

    def _waits(self, account_id: str) -> bool:
        return account_id in self._since_s and account_id not in self._asked

    # ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        try:
            while True:
                wait_s = self._release()
                self._start_workers()
                if self._broken is not None:
                    raise self._broken
                if self._fetched:
                    if self._under_way and len(self._fetched) < BATCH_READINGS:
                        await asyncio.sleep(self._batch_wait_s)
                    await self._commit()
                    await asyncio.sleep(0)
                elif self._under_way or wait_s is not None:
                    await self._wait(wait_s)
                else:
                    return
        finally:
            for task in (*self._workers, *self._patient):
                task.cancel()
            self.health.passes += 1
            self.health.finished_at = self._clock.now()
            self._finished()

    async def _wait(self, seconds: float | None) -> None:
        self._woken.clear()
        if seconds is None:
            await self._woken.wait()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    def _start_workers(self) -> None:
        """Start as many workers as there is work for."""
        while self._free_hosts and len(self._workers) < POLLS_IN_FLIGHT:
            taken = self._take()
            if taken is None:
                return
            task = asyncio.ensure_future(self._work(*taken))
            self._workers.add(task)
            task.add_done_callback(self._worker_ended)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._patient.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.health.fail(error)
            log.error("poll failed", lane=self.name, exc_info=error)
        elif error is not None:
            self._broken = error
        self._woken.set()

    async def _work(self, host: _Host, account: AccountConfig) -> None:
        """Fetch one account after the other until the queue is empty."""
        taken: tuple[_Host, AccountConfig] | None = (host, account)
        while taken is not None:
            host, account = taken
            try:
                if self._fetcher.must_wait(account):
                    task = asyncio.ensure_future(self._fetch(account))
                    self._patient.add(task)
                    task.add_done_callback(self._worker_ended)
                else:
                    await self._fetch(account)
            finally:
                host.under_way -= 1
                self._list(host)
            taken = self._take()

    async def _fetch(self, account: AccountConfig) -> None:
        """Fetch one account, a second time if the reading is implausible, and leave both for the next commit."""
        loop = asyncio.get_running_loop()
        self._moved_s = started_s = loop.time()
        try:
            first, second = await self._fetcher.fetch(account), None
            judge = self._evaluator.is_implausible
            if isinstance(first, Known) and self._counts(account) and await judge(account.id, first):
                second = await self._fetcher.fetch(account)
            self._moved_s = loop.time()
            self._fetched.append(Fetched(account, first, second, int((self._moved_s - started_s) * 1000)))
        finally:
            if self._asked.get(account.id) is account:
                del self._asked[account.id]
                del self._since_s[account.id]
            self._woken.set()

    def _counts(self, account: AccountConfig) -> bool:
        """Whether the account would still be asked as it was."""
        current = self._accounts.get(account.id)
        return current is account or (current is not None and current.is_asked_as(account))

    async def _commit(self) -> None:
        fetched = [self._fetched.popleft() for _ in range(min(len(self._fetched), BATCH_READINGS))]
        # one that is asked anew while it waits answers twice: both would be judged by the state before either
        batch = list({one.account.id: one for one in fetched if self._counts(one.account)}.values())
        if not batch:
            return
        self._written = batch
        try:
            results = await self._evaluator.evaluate(batch)
        except Exception as error:  # like a job: an error in one batch must not stop the next
            self.health.fail(error)
            log.error("batch failed", lane=self.name, exc_info=error)
            return
        finally:
            self._written = ()
        self.health.last_error = ""
        for one, result in zip(batch, results, strict=True):
            if not self._counts(one.account):  # gone while the batch was written
                continue
            self._lines.polled(result.account, result.reading, result.accepted, one.ms)
            self._done(result)
