"""The deliverer: one worker per receiver, started when something is due for it.

`deliver_due` waits for all workers (for `once`, the demo, the simulator); `start_due` only starts them and returns when
to call again (for `run`, where a slow receiver must not delay the others). Both use the same code; one is called at a
time.

What it costs grows with what is due, not with the receivers: a worker lives while it has something to do, and a
receiver is looked at when the outbox names it, when its time has come, when its worker ended and after `look_again`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import islice
from random import Random

from alerts.channels.base import Channel
from alerts.delivery.due import ready_at
from alerts.delivery.worker import Attempted, DeliveryClock, ReceiverWorker
from alerts.model.limits import DELIVERY_AT_ONCE, DELIVERY_DRAIN_S, DELIVERY_LOOKS, DELIVERY_SLICE_S
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
        self._looking: set[str] = set()
        """Those whose queue is being read."""
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
        receiver that is removed ends by itself; what is pending for it is the caller's to `abandon`, before or after.
        Call `start_due` after it.
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

    async def abandon(self, keys: Collection[str], now: datetime) -> None:
        """Give up what is pending for receivers that are no longer configured."""
        await self._queue.apart(self._queue.abandon, keys, now)

    async def deliver_due(self, now: datetime) -> datetime | None:
        """Deliver all that is due, events caused by delivery included; return when the next delivery is due.

        A receiver that fails is not tried again in the same pass, however long the others take.
        """
        self._reap()
        self._failed.clear()
        self.look_again()
        done: set[str] = set()
        while True:
            next_at = await self._start(max(now, self._clock.now()), done)
            if not (running := self._tasks()):
                return next_at
            await asyncio.wait(running)
            done |= {worker.key for worker in self._reap() if worker.failed or not worker.sent}

    async def start_due(self, now: datetime) -> datetime | None:
        """Start all that is due, and return the time of the next delivery of an idle worker.

        Call again then, and whenever `idle` is called, be it before this has returned.
        """
        self._reap()
        return await self._start(now, frozenset(), patient=True)

    def busy(self) -> frozenset[str]:
        """Return the receivers with a worker, and those that are looked at: something is under way to them."""
        return frozenset(self._workers.keys() | self._looking)

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

    async def failed_in_last_pass(self) -> int:
        """Return how many deliveries failed since the last `deliver_due` began, or wait for a failing receiver."""
        overdue = await self._queue.apart(self._queue.overdue)
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

    async def _start(self, now: datetime, leave_out: Collection[str], *, patient: bool = False) -> datetime | None:
        """Start all that is due; return when an idle receiver has something due, or `now` where looking goes on."""
        if not self._stopping:
            await self._gather_looks(now)
            await self._look(now, patient=patient)
        if self._stopping:
            return None
        while self._times and self._times[0][0] <= now:
            at, key = heappop(self._times)
            if self._due_at.get(key) == at:
                self._ready[self._channels[key].counted_as].append(key)
        held = [key for name in list(self._ready) for key in self._start_ready(name, now, leave_out, patient=patient)]
        while self._times and self._due_at.get(self._times[0][1]) != self._times[0][0]:
            heappop(self._times)
        waits = [self._due_at[key] for key in held] + [at for at, _ in self._times[:1]] + ([now] if self._looks else [])
        return min(waits, default=None)

    async def _gather_looks(self, now: datetime) -> None:
        if self._seen_at is not None and self._seen_at - now > _CLOCK_STEP:
            self._went_back = self._look_at_all = True
        self._seen_at = now
        self._looks.update(dict.fromkeys(sorted(self._queue.told())))
        if self._look_at_all:
            self._look_at_all = False  # it may be asked for again meanwhile
            try:
                waiting = await self._queue.apart(self._queue.waiting)
            except BaseException:
                self._look_at_all = True
                raise
            self._looks.update(dict.fromkeys(sorted(waiting)))

    async def _look(self, now: datetime, *, patient: bool) -> None:
        """Find out when the receivers that were named have something due; with `patient`, for a moment at most."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + DELIVERY_SLICE_S
        while self._looks and not self._stopping and not (patient and loop.time() > until_s):
            asked: list[Channel] = []
            for key in list(islice(self._looks, DELIVERY_LOOKS)):
                worker, channel = self._workers.get(key), self._channels.get(key)
                if worker is None and channel is not None:
                    asked.append(channel)
                    continue
                if worker is not None and worker.busy:  # one that has ended is looked at once it is let go of
                    worker.start(now, patient=patient)
                del self._looks[key]
            for channel, at in zip(asked, await self._ready_at(asked, now), strict=True):
                if self._channels.get(channel.key) is channel:  # else it was removed meanwhile, or replaced
                    self._schedule(channel.key, at)
                    del self._looks[channel.key]
        self._went_back &= bool(self._looks)

    async def _ready_at(self, channels: Sequence[Channel], now: datetime) -> list[datetime | None]:
        def ask() -> list[datetime | None]:
            return [ready_at(channel, self._queue, now, went_back=self._went_back) for channel in channels]

        self._looking = {channel.key for channel in channels}
        try:
            return await self._queue.apart(ask) if channels else []
        finally:
            self._looking = set()

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
