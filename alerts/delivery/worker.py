"""One receiver's worker: takes what is due, sends it in order, then stores the results. It lives for one run.

A worker that is killed loses nothing: what was sent without a stored result is sent again with the same id. Workers
share only the store, so a dead receiver does not delay the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Protocol

from alerts.channels.base import Batch, Channel, Result, SendOutcome
from alerts.delivery import notices
from alerts.delivery.due import next_message, opened
from alerts.delivery.policy import DeliveryVerdict, ReceiverNotice, evaluate_delivery, evaluate_receiver, is_told
from alerts.delivery.results import attempt_result, cut_result, failures_before, outcome_of
from alerts.events.messages.message import charge_under_way
from alerts.model.events import Event, EventDraft
from alerts.model.limits import (
    DELIVERY_BATCH,
    DELIVERY_RESULTS_S,
    DELIVERY_STUCK_AFTER_S,
    DELIVERY_WIDTH,
    DIGEST_EVENTS,
    GATHER_BUSY_S,
    GATHER_RECENT_S,
    GATHER_S,
)
from alerts.model.outbox import AttemptResult, DeliveryQueue, ReceiverState
from alerts.model.values import replace


class DeliveryClock(Protocol):
    def now(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt, for the log and the counters."""

    receiver: str
    event: str
    type: str
    account: str | None
    outcome: SendOutcome
    verdict: DeliveryVerdict


class ReceiverWorker:
    """The deliveries of one receiver. At most one run of it is under way; `finished` is called with its key at its end.

    `outcomes` counts what attempts came to: delivered, pending (to be tried again), dead. While the queue is read or
    written, attempts end and `start`, `stop` and `cut` are called: they change flags, which are set back before a read.
    """

    def __init__(
        self,
        channel: Channel,
        queue: DeliveryQueue,
        clock: DeliveryClock,
        rng: Random,
        observe: Callable[[Attempted], None],
        finished: Callable[[str], None],
        outcomes: Counter[str],
    ) -> None:
        self.key = channel.key
        self.counted_as = channel.counted_as
        self.sent = 0
        self.failed = 0
        self._outcomes = outcomes
        self._channel = channel
        self._queue = queue
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._finished_run = finished
        self._task: asyncio.Task[None] | None = None
        self._not_before: datetime | None = None
        self._patient = False
        self._state = ReceiverState(channel.key)
        self._saved = self._state
        self._waiting: deque[Batch] = deque()
        self._flying: dict[asyncio.Task[SendOutcome], tuple[Batch, datetime]] = {}
        self._landed: deque[asyncio.Task[SendOutcome]] = deque()
        self._results: list[AttemptResult] = []
        self._results_since = 0.0
        self._moved_s = 0.0
        """When an attempt last began or ended, by the loop's time."""
        self._notices: list[Callable[[int], EventDraft]] = []
        """The events that the results cause, each of the number of pending deliveries."""
        self._reschedule_now = False
        self._abandon = ""
        self._more = False
        self._stopping = False
        self._wake = asyncio.Event()

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._task

    def stuck(self) -> str:
        """Return a sentence where the oldest attempt in flight outlives every deadline, else nothing."""
        if not self.busy or not self._flying:
            return ""
        still_s = asyncio.get_running_loop().time() - self._moved_s
        return f"delivery: {self.key} has hung for {still_s:.0f} s" if still_s > DELIVERY_STUCK_AFTER_S else ""

    def start(self, now: datetime, *, patient: bool = False) -> None:
        """Send all that is due by `now` and what becomes due meanwhile; a running worker checks the outbox again.

        With `patient`, a channel that gathers events waits a moment first, so that they become one message.
        """
        self._not_before = now
        self._patient = patient
        self._more = True
        if self.busy:
            self._wake.set()
            return
        self._task = asyncio.ensure_future(self._run())

    def take_error(self) -> BaseException | None:
        """Return the error that ended the last run, once; None if it ended well."""
        task = self._task
        if task is None or not task.done() or task.cancelled():
            return None
        self._task = None
        return task.exception()

    def stop(self) -> None:
        """Start no further attempt; those in flight go on."""
        self._stopping = True
        self._wake.set()

    def cut(self) -> None:
        """Cancel the attempts in flight: their deliveries stay pending, and are sent again with the same id."""
        self.stop()
        for task in self._flying:
            task.cancel()

    # ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        try:
            self._state = self._saved = await self._queue.apart(opened, self._channel, self._queue, self._now())
            while True:
                self._wake.clear()
                await self._conclude_landed()
                if self._patient and self._channel.gathers and self._more and not self._flying:
                    await self._linger()
                await self._refill()
                self._launch()
                if not self._flying and not self._landed:
                    await self._flush()
                    if not self._more or self._stopping or not self._state.is_open(self._now()):
                        return
                    if not self._waiting and not await self._look_again():
                        return
                else:
                    await self._wait()
        finally:
            for task in self._flying:
                task.cancel()
            self._flying.clear()
            self._waiting.clear()
            self._finished_run(self.key)

    async def _linger(self) -> None:
        """Wait before a message: longer if one was sent recently, or until the result of a charge that has begun is
        there. A stop ends the wait.
        """
        await self._flush()
        if (gather_s := await self._queue.apart(self._gather_s, self._now())) is not None:
            await self._wait_at_most(gather_s)
            await self._wait_at_most(GATHER_BUSY_S, self._no_charge_under_way)

    def _gather_s(self, now: datetime) -> float | None:
        due_at = self._queue.next_due(self.key)
        if due_at is None or due_at > now:
            return None
        recent = self._queue.sent_since(self.key, now - timedelta(seconds=GATHER_RECENT_S))
        return GATHER_BUSY_S if recent else GATHER_S

    async def _wait_at_most(self, seconds: float, enough: Callable[[], Awaitable[bool]] | None = None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._stopping:
                    self._wake.clear()
                    if enough is not None and await enough():
                        return
                    await self._wake.wait()

    async def _no_charge_under_way(self) -> bool:
        due = await self._queue.apart(self._queue.due, self.key, self._now(), DIGEST_EVENTS)
        return not charge_under_way([one.event for one in due])

    async def _look_again(self) -> bool:
        await self._refill()
        return bool(self._waiting) or self._more

    def _now(self) -> datetime:
        now = self._clock.now()
        return now if self._not_before is None or now >= self._not_before else self._not_before

    async def _wait(self) -> None:
        """Wait until an attempt ends, the results are due to be stored, or there may be more to do."""
        if not self._results:
            await self._wake.wait()
            return
        left_s = self._results_since + DELIVERY_RESULTS_S - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(left_s, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            await self._flush()

    # ── taking and sending ──────────────────────────────────────────────────────────────────────────────────────

    async def _refill(self) -> None:
        if self._waiting or not self._more or self._stopping or not self._state.is_open(self._now()):
            return
        if len(self._flying) >= self._width():
            return
        await self._flush()
        self._more = False
        if self._channel.gathers:
            message = await self._queue.apart(next_message, self._channel, self._queue, self._now())
            if message is not None:
                self._more = True
                self._waiting.append(message)
            return
        flying = {delivery.number for batch, _ in self._flying.values() for delivery in batch.deliveries}
        limit = DELIVERY_BATCH + len(flying)
        pings = self._state.awaits_answer
        due = await self._queue.apart(self._queue.due, self.key, self._now(), limit, pings=pings)
        self._more |= len(due) == limit
        self._waiting.extend(Batch(one.event.id, (one,)) for one in due if one.number not in flying)

    def _width(self) -> int:
        return 1 if self._channel.gathers or self._channel.target or self._state.failures else DELIVERY_WIDTH

    def _launch(self) -> None:
        if self._stopping or not self._state.is_open(self._now()):
            self._waiting.clear()
            return
        busy = {batch.deliveries[0].event.account for batch, _ in self._flying.values()} - {None}
        while self._waiting and len(self._flying) < self._width():
            batch = self._take_startable(busy)
            if batch is None:
                return
            busy.add(batch.deliveries[0].event.account)
            busy.discard(None)
            task = asyncio.ensure_future(self._channel.send(batch))
            self._flying[task] = (batch, self._now())
            self._moved_s = asyncio.get_running_loop().time()
            task.add_done_callback(self._land)

    def _take_startable(self, busy: set[str | None]) -> Batch | None:
        for index, batch in enumerate(self._waiting):
            if batch.deliveries[0].event.account not in busy:
                del self._waiting[index]
                return batch
        return None

    def _land(self, task: asyncio.Task[SendOutcome]) -> None:
        self._landed.append(task)
        self._moved_s = asyncio.get_running_loop().time()
        self._wake.set()

    # ── marking ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _conclude_landed(self) -> None:
        while self._landed:
            task = self._landed.popleft()
            if (flown := self._flying.pop(task, None)) is not None:
                self._conclude(*flown, task)
        if self._results and asyncio.get_running_loop().time() - self._results_since >= DELIVERY_RESULTS_S:
            await self._flush()

    def _conclude(self, batch: Batch, started_at: datetime, task: asyncio.Task[SendOutcome]) -> None:
        now = self._now()
        if not self._results:
            self._results_since = asyncio.get_running_loop().time()
        if task.cancelled():
            self._results.extend(cut_result(delivery, batch, now) for delivery in batch.deliveries)
            return
        outcome = outcome_of(task)
        roll = self._rng.random()
        verdicts = [
            evaluate_delivery(failures, self._state, outcome, now, roll) for failures in failures_before(batch, outcome)
        ]
        for delivery, verdict in zip(batch.deliveries, verdicts, strict=True):
            self._outcomes[verdict.state.value] += 1
            self._results.append(attempt_result(delivery, batch, outcome, verdict, started_at))
            event = delivery.event
            self._observe(Attempted(self.key, event.id, event.type.value, event.account, outcome, verdict))
        worst = max(range(len(verdicts)), key=lambda index: verdicts[index].failures)
        self._follow(batch, outcome, batch.deliveries[worst].event, verdicts[worst], now, roll)

    def _follow(
        self, batch: Batch, outcome: SendOutcome, event: Event, verdict: DeliveryVerdict, now: datetime, roll: float
    ) -> None:
        before = self._state
        consequence = evaluate_receiver(before, outcome, verdict, now, roll)
        self._state = consequence.receiver
        if outcome.result is Result.OK:
            self.sent += len(batch.deliveries)
            if before.awaits_answer:
                self._state = replace(self._state, answered_at=now)
            if before.failures or before.awaits_answer:
                self._more = True
        else:
            self.failed += len(batch.deliveries)
            self._hold_back(batch)
        self._reschedule_now |= consequence.reschedule_now
        self._abandon = self._abandon or consequence.abandon
        notice = consequence.notice
        if notice is None or not is_told(notice, before, customers=self.counted_as != self.key):
            return
        if notice is ReceiverNotice.RECOVERED:
            self._notices.append(partial(notices.recovered, before, now=now))
        else:
            self._notices.append(partial(notices.failing, notice, self._state, event, now=now))

    def _hold_back(self, batch: Batch) -> None:
        """Put back what waits for the same account: the failed delivery is retried first."""
        account = batch.deliveries[0].event.account
        if account is not None:
            kept = [other for other in self._waiting if other.deliveries[0].event.account != account]
            if len(kept) < len(self._waiting):
                self._waiting = deque(kept)
                self._more = True

    async def _flush(self) -> None:
        if not self._results:
            return
        await self._queue.apart(self._store_results, self._now())
        self._more |= self._reschedule_now
        self._saved = self._state
        self._results, self._notices = [], []
        self._reschedule_now, self._abandon = False, ""

    def _store_results(self, now: datetime) -> None:
        changed = self._state if self._state != self._saved or self._reschedule_now or self._abandon else None
        pending = self._queue.pending(self.key) if self._notices else 0
        self._queue.settle(
            self._results,
            changed,
            [notice(pending) for notice in self._notices],
            now,
            reschedule_now=self._reschedule_now,
            abandon=self._abandon,
        )
