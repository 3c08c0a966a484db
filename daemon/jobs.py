"""A job: work that never runs twice at once, and whose failure stops nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

import structlog

from daemon.clock import Clock
from daemon.limits import JOB_STUCK_AFTER_S, TOPUPS_AT_ONCE
from daemon.logs import mask

log = structlog.get_logger("brimful.lanes")


@dataclass(slots=True)
class Health:
    """The counters of a job, for the health page and the heartbeat."""

    passes: int = 0
    failures: int = 0
    finished_at: datetime | None = None
    last_error: str = ""

    def fail(self, error: Exception) -> None:
        """Count a failure; its text is kept until a pass ends well."""
        self.failures += 1
        self.last_error = mask(f"{type(error).__name__}: {error}"[:300])


class Job:
    """Runs `work` when it is started; started again meanwhile, it runs once more after.

    A pass that raises, or exceeds its deadline, is logged and counted; the next one runs normally.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        clock: Clock,
        deadline_s: float,
        finished: Callable[[], None],
        stuck_after_s: float = JOB_STUCK_AFTER_S,
    ) -> None:
        self.name = name
        self.health = Health()
        self._work = work
        self._clock = clock
        self._deadline_s = deadline_s
        self._finished = finished
        self._stuck_after_s = stuck_after_s
        self._moved_s: float | None = None
        """When the running pass last made progress, by the loop's time."""
        self._task: asyncio.Task[None] | None = None
        self._again = False

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def note_progress(self) -> None:
        """Note that the running pass made progress."""
        self._moved_s = asyncio.get_running_loop().time()

    def stuck(self) -> str:
        """Return a sentence where the running pass has made no progress for too long, else nothing."""
        if self._moved_s is None:
            return ""
        still_s = asyncio.get_running_loop().time() - self._moved_s
        return f"{self.name}: nothing has moved for {still_s:.0f} s" if still_s > self._stuck_after_s else ""

    def start(self) -> None:
        """Run a pass now, or one more after the running one."""
        if self.busy:
            self._again = True
        else:
            self._task = asyncio.ensure_future(self._passes())

    async def run_to_end(self) -> None:
        """Run a pass in the caller's own task, and return when it has ended."""
        await self._passes()

    async def idle(self) -> None:
        """Wait until no pass is running."""
        while self._task is not None and self.busy:
            await asyncio.shield(self._task)

    async def cut(self) -> None:
        """Cancel the running pass, and wait until it has ended."""
        self._again = False
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _passes(self) -> None:
        while True:
            self._again = False
            await self._one_pass()
            self._finished()
            if not self._again:
                return

    async def _one_pass(self) -> None:
        self.note_progress()
        token = _CURRENT.set(self)
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._work()
        except Exception as error:  # an error in one pass must not stop the next
            self.health.fail(error)
            log.error("pass failed", lane=self.name, exc_info=error)
        else:
            self.health.last_error = ""
        finally:
            _CURRENT.reset(token)
            self._moved_s = None
        self.health.passes += 1
        self.health.finished_at = self._clock.now()


_CURRENT: ContextVar[Job | None] = ContextVar("job", default=None)
"""The job whose pass the code that asks is part of."""


def note_progress() -> None:
    """Note progress of the pass that the caller is part of: an answer came, one of several things is done."""
    job = _CURRENT.get()
    if job is not None:
        job.note_progress()


async def gather_bounded(works: Iterable[Awaitable[None]]) -> None:
    """Await them all, `TOPUPS_AT_ONCE` at a time; each begins only when its turn has come.

    A failure does not stop the others; the errors are raised together when all have ended.
    """
    errors: list[Exception] = []
    waiting = iter(works)

    async def go_through(first: Awaitable[None]) -> None:
        for work in chain((first,), waiting):
            try:
                await work
            except Exception as error:
                log.error("work failed", exc_info=error)
                errors.append(error)
            note_progress()

    await asyncio.gather(*(go_through(first) for first in islice(waiting, TOPUPS_AT_ONCE)))
    if errors:
        raise ExceptionGroup("some top-ups failed", errors)
