"""The deliverer: one worker per receiver, started when something is due for it.

`deliver_due` waits for all workers (for `once`, the demo, the simulator); `start_due` only starts them and returns when
to call again (for `run`, where a slow receiver must not delay the others). Both use the same code.

What it costs grows with what is due, not with the receivers: a worker lives while it has something to do, and a
receiver is looked at when the outbox names it, when its time has come, when its worker ended and after `look_again`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from random import Random

from alerts.channels.base import Channel
from alerts.delivery.due import ready_at
from alerts.delivery.worker import Attempted, DeliveryClock, ReceiverWorker
from alerts.model.limits import DELIVERY_AT_ONCE, DELIVERY_DRAIN_S, DELIVERY_SLICE_S
from alerts.model.outbox import DeliveryQueue

_CLOCK_STEP = timedelta(minutes=1)
"""If the clock goes back by more, it was ahead: deliveries that it postponed are due."""


class Deliverer:
    """Delivers what is due. `observe` is called with every attempt."""

    def __init__(
        self,
        queue: DeliveryQueue,
        channels: Iterable[Channel],
        clock: DeliveryClock,
        rng: Random,
        *,
        observe: Callable[[Attempted], None] = lambda attempted: None,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self.idle: Callable[[], None] = lambda: None
        """Called when a worker has finished: its receiver may have a next delivery at a later time."""
        self._stopping = False
        self._rng = rng
        self._observe = observe
        self._channels: dict[str, Channel] = {}
        self._workers: dict[str, ReceiverWorker] = {}
        self._ended: set[str] = set()
        self._looks: dict[str, None] = {}
        """The receivers to look at, in order."""
        self._look_at_all = False
        self._seen_at: datetime | None = None
        self._went_back = False
        self._due_at: dict[str, datetime] = {}
        """When a receiver's next delivery is due; a time in `_times` that differs is out of date."""
        self._times: list[tuple[datetime, str]] = []
        self._ready: defaultdict[str, deque[str]] = defaultdict(deque)
        """The receivers to start, by the name that they are counted as."""
        self._running: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.take(channels)

    def take(self, added: Iterable[Channel] = (), removed: Collection[str] = ()) -> None:
        """Deliver to these channels from now on, and no longer to the receivers of the keys `removed`.

        A channel whose key is known takes the place of the one before, from the next attempt on. What is in flight to a
        receiver that is removed ends by itself; what is pending for it is the caller's to give up, before or after
        (`abandon_pending`). Call `start_due` after it.
        """
        for key in removed:
            self._forget(key)
        for channel in added:
            self._forget(channel.key)
            self._channels[channel.key] = channel
            self._looks[channel.key] = None

    def look_again(self) -> None:
        """Look at every receiver at the next start: deliveries were made due by something else than the outbox."""
        self._look_at_all = True

    async def deliver_due(self, now: datetime) -> datetime | None:
        """Deliver all that is due, events caused by delivery included; return when the next delivery is due.

        A receiver that fails is not tried again in the same pass, however long the others take.
        """
        self._reap()
        self._failed.clear()
        self.look_again()
        done: set[str] = set()
        while True:
            next_at = self._start(max(now, self._clock.now()), done)
            if not (running := self._tasks()):
                return next_at
            await asyncio.wait(running)
            done |= {worker.key for worker in self._reap() if worker.failed or not worker.sent}

    def start_due(self, now: datetime) -> datetime | None:
        """Start all that is due and return at once, with the time of the next delivery of an idle worker.

        Call again then, and whenever `idle` is called.
        """
        self._reap()
        return self._start(now, frozenset(), patient=True)

    def busy(self) -> frozenset[str]:
        """Return the receivers with a worker: something is under way to them."""
        return frozenset(self._workers)

    async def let_go(self) -> None:
        """Cancel every attempt, and return when its result is stored or lost. What is taken afterwards is delivered."""
        self._cut()
        while running := self._tasks():
            await asyncio.wait(running)
        for key in list(self._ended):
            self._running[self._workers[key].counted_as] -= 1
            self._workers.pop(key).take_error()
        self._ended.clear()

    async def settle(self) -> None:
        """Wait until no worker is running."""
        while running := self._tasks():
            await asyncio.wait(running)
        self._reap()

    def stop(self) -> None:
        """Start no further attempt; cancel those in flight after `DELIVERY_DRAIN_S`."""
        if self._stopping:
            return
        self._stopping = True
        for worker in self._workers.values():
            worker.stop()
        asyncio.get_running_loop().call_later(DELIVERY_DRAIN_S, self._cut)

    async def drain(self, within_s: float = DELIVERY_DRAIN_S) -> None:
        """Stop, wait `within_s` for attempts in flight, cancel the rest, and return when every result is stored."""
        self.stop()
        if running := self._tasks():
            await asyncio.wait(running, timeout=within_s)
        self._cut()
        await self.settle()

    def failed_in_last_pass(self) -> int:
        """Return how many deliveries failed since the last `deliver_due` began, or wait for a failing receiver."""
        overdue = self._queue.overdue()
        failed = self._failed + Counter({key: worker.failed for key, worker in self._workers.items()})
        return sum(failed[key] or overdue[key] for key in failed.keys() | overdue.keys() if key in self._channels)

    def outcomes(self) -> dict[str, Counter[str]]:
        """Return what attempts came to since the start: delivered, pending (to be tried again), dead.

        By receiver; those of customers count as one of each kind (`counted_as`).
        """
        return {name: Counter(counts) for name, counts in self._outcomes.items()}

    def stuck(self) -> list[str]:
        """Return a sentence for each receiver whose attempt outlives every deadline: its lane hangs."""
        return [said for worker in self._workers.values() if (said := worker.stuck())]

    # ── what is due ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, now: datetime, leave_out: Collection[str], *, patient: bool = False) -> datetime | None:
        """Start all that is due; return when an idle receiver has something due, or `now` where looking goes on."""
        if self._stopping:
            return None
        self._gather_looks(now)
        self._look(now, patient=patient)
        while self._times and self._times[0][0] <= now:
            at, key = heappop(self._times)
            if self._due_at.get(key) == at:
                self._ready[self._channels[key].counted_as].append(key)
        held = [key for name in list(self._ready) for key in self._start_ready(name, now, leave_out, patient=patient)]
        while self._times and self._due_at.get(self._times[0][1]) != self._times[0][0]:
            heappop(self._times)
        waits = [self._due_at[key] for key in held] + [at for at, _ in self._times[:1]] + ([now] if self._looks else [])
        return min(waits, default=None)

    def _gather_looks(self, now: datetime) -> None:
        if self._seen_at is not None and self._seen_at - now > _CLOCK_STEP:
            self._went_back = self._look_at_all = True
        self._seen_at = now
        self._looks.update(dict.fromkeys(sorted(self._queue.told())))
        if self._look_at_all:
            self._looks.update(dict.fromkeys(sorted(self._queue.waiting())))
            self._look_at_all = False

    def _look(self, now: datetime, *, patient: bool) -> None:
        """Find out when the receivers that were named have something due; with `patient`, for a moment at most."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + DELIVERY_SLICE_S
        while self._looks and not (patient and loop.time() > until_s):
            key = next(iter(self._looks))
            if (worker := self._workers.get(key)) is not None:
                worker.start(now, patient=patient)
            elif (channel := self._channels.get(key)) is not None:
                self._schedule(key, ready_at(channel, self._queue, now, went_back=self._went_back))
            del self._looks[key]
        self._went_back &= bool(self._looks)

    def _schedule(self, key: str, at: datetime | None) -> None:
        if key in self._due_at and self._due_at[key] == at:
            return
        if at is None:
            self._due_at.pop(key, None)
        else:
            self._due_at[key] = at
            heappush(self._times, (at, key))

    def _start_ready(self, name: str, now: datetime, leave_out: Collection[str], *, patient: bool) -> list[str]:
        """Start the receivers that count as `name`, as many as may run at once. Return those that are left out."""
        ready, held = self._ready[name], []
        while ready and self._running[name] < DELIVERY_AT_ONCE:
            key = ready.popleft()
            at = self._due_at.get(key)
            if at is None or at > now or key in self._workers:
                continue  # it was looked at again since
            if key in leave_out:
                held.append(key)
            else:
                del self._due_at[key]
                self._run(self._channels[key], now, patient=patient)
        ready.extend(held)
        if not ready:
            del self._ready[name]
        return held

    def _run(self, channel: Channel, now: datetime, *, patient: bool) -> None:
        outcomes = self._outcomes[channel.counted_as]
        worker = ReceiverWorker(
            channel, self._queue, self._clock, self._rng, self._observe, self._worker_finished, outcomes
        )
        self._workers[channel.key] = worker
        self._running[worker.counted_as] += 1
        worker.start(now, patient=patient)

    # ── the workers ─────────────────────────────────────────────────────────────────────────────────────────────

    def _forget(self, key: str) -> None:
        """Take a receiver out; its worker, if it runs, begins no further attempt."""
        if self._channels.pop(key, None) is None:
            return
        self._due_at.pop(key, None)
        self._looks.pop(key, None)
        self._failed.pop(key, None)
        if (worker := self._workers.get(key)) is not None:
            worker.stop()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [worker.task for worker in self._workers.values() if worker.task is not None and worker.busy]

    def _cut(self) -> None:
        for worker in self._workers.values():
            if worker.busy:
                worker.cut()

    def _worker_finished(self, key: str) -> None:
        self._ended.add(key)
        self.idle()

    def _reap(self) -> list[ReceiverWorker]:
        """Let go of the workers that have ended, and look at their receivers again.

        Raises the error that ended a worker: errors of the store are not swallowed.
        """
        ended = [self._workers.pop(key) for key in self._ended if not self._workers[key].busy]
        for worker in ended:
            self._ended.discard(worker.key)
            self._running[worker.counted_as] -= 1
            if worker.key in self._channels:
                self._failed += Counter({worker.key: worker.failed})
                self._looks[worker.key] = None
        for worker in ended:
            if (error := worker.take_error()) is not None:
                raise error
        return ended
