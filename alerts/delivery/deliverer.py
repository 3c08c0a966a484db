"""The deliverer: one worker per receiver, started when something is due for it.

`deliver_due` waits for all workers (for `once`, the demo, the simulator); `start_due` only starts them and returns when
to call again (for `run`, where a slow receiver must not delay the others). Both use the same code.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from random import Random

from alerts.channels.base import Channel
from alerts.delivery.worker import Attempted, DeliveryClock, ReceiverWorker
from alerts.model.limits import DELIVERY_DRAIN_S
from alerts.model.outbox import DeliveryQueue


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
        self._workers: dict[str, ReceiverWorker] = {}
        self.take(channels)

    def take(self, added: Iterable[Channel] = (), removed: Collection[str] = ()) -> None:
        """Deliver to these channels from now on, and no longer to the receivers of the keys `removed`.

        A channel whose key is known takes the place of the one before, from the next attempt on. What is in flight to a
        receiver that is removed ends by itself; what is pending for it is the caller's to give up, before or after
        (`abandon_pending`). Call `start_due` after it.
        """
        for key in removed:
            self._workers.pop(key, None)
        for channel in added:
            self._workers[channel.key] = ReceiverWorker(
                channel, self._queue, self._clock, self._rng, self._observe, self._worker_finished
            )

    async def deliver_due(self, now: datetime) -> datetime | None:
        """Deliver all that is due, events caused by delivery included; return when the next delivery is due.

        A receiver that fails is not tried again in the same pass, however long the others take.
        """
        self._begin_pass()
        done: set[str] = set()
        while True:
            now = max(now, self._clock.now())
            before = {key: worker.sent for key, worker in self._workers.items()}
            started, next_at = self._start(now, done)
            running = [worker.task for worker in self._workers.values() if worker.task is not None and worker.busy]
            if not running:
                return next_at
            await asyncio.wait(running)
            self._raise_errors()
            done |= {key for key in started if self._workers[key].failed or self._workers[key].sent == before[key]}

    def start_due(self, now: datetime) -> datetime | None:
        """Start all that is due and return at once, with the time of the next delivery of an idle worker.

        Call again then, and whenever `idle` is called.
        """
        self._raise_errors()
        _, next_at = self._start(now, set(), patient=True)
        return next_at

    async def settle(self) -> None:
        """Wait until no worker is running."""
        while running := [worker.task for worker in self._workers.values() if worker.task is not None and worker.busy]:
            await asyncio.wait(running)
        self._raise_errors()

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
        running = [worker.task for worker in self._workers.values() if worker.task is not None and worker.busy]
        if running:
            await asyncio.wait(running, timeout=within_s)
        self._cut()
        await self.settle()

    def failed_in_last_pass(self) -> int:
        """Return how many deliveries failed since the last `deliver_due` began, or wait for a failing receiver."""
        return sum(worker.failed or worker.overdue() for worker in self._workers.values())

    def outcomes(self) -> dict[str, Counter[str]]:
        """Return by receiver what attempts came to since the start: delivered, pending (to be tried again), dead."""
        return {key: Counter(worker.outcomes) for key, worker in self._workers.items()}

    def stuck(self) -> list[str]:
        """Return a sentence for each receiver whose attempt outlives every deadline: its lane hangs."""
        return [said for worker in self._workers.values() if (said := worker.stuck())]

    def _begin_pass(self) -> None:
        for worker in self._workers.values():
            worker.sent = worker.failed = 0

    def _start(self, now: datetime, leave_out: set[str], *, patient: bool = False) -> tuple[set[str], datetime | None]:
        """Start all that is due. Return the workers started, and when an idle one has something due."""
        started: set[str] = set()
        waits: list[datetime] = []
        for key, worker in self._workers.items() if not self._stopping else ():
            if worker.busy:
                worker.start(now, patient=patient)
            elif (at := worker.ready_at(now)) is None:
                continue
            elif key not in leave_out and at <= now:
                worker.start(now, patient=patient)
                started.add(key)
            else:
                waits.append(at)
        return started, min(waits, default=None)

    def _cut(self) -> None:
        for worker in self._workers.values():
            if worker.busy:
                worker.cut()

    def _worker_finished(self) -> None:
        self.idle()

    def _raise_errors(self) -> None:
        """Raise the error that ended a worker: errors of the store are not swallowed."""
        for worker in self._workers.values():
            if (error := worker.take_error()) is not None:
                raise error
