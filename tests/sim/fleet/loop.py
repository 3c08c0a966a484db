"""Virtual time for several machines: each can be stopped as SIGSTOP does, and a calendar moves on while all rest.

Two times pass. What the machines count (time-outs, leases, beats) passes second by second. The calendar (schedules,
caps, credits, faults) is ahead of it by all the hours in which nothing happened but beats: those are not lived through.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.sim.box import OWNER
from tests.sim.clocks import VirtualLoop

if TYPE_CHECKING:
    from tests.sim.fleet.member import FleetLife

_QUICK_S = (0.001, 0.02)
_SLOW_S = (0.02, 1.5)
_OUTSIDE = contextvars.Context()
"""Where what belongs to no machine runs."""


class _Ready(deque[asyncio.Handle]):
    """What is to run next. What belongs to a stopped process waits until it goes on; `nothing` runs in its place."""

    def __init__(self, nothing: asyncio.Handle) -> None:
        super().__init__()
        self._nothing = nothing

    def popleft(self) -> asyncio.Handle:
        handle = super().popleft()
        life: FleetLife | None = handle._context.get(OWNER)  # type: ignore[attr-defined]  # there since Python 3.7
        if life is None or not life.stopped:
            return handle
        life.parked.append(handle)
        return self._nothing


class FleetLoop(VirtualLoop):
    """`moved` is called whenever time has passed, with what the machines have counted and how far the calendar is."""

    def __init__(self) -> None:
        super().__init__()
        nothing = asyncio.Handle(lambda: None, (), self)
        nothing.cancel()
        self._ready = _Ready(nothing)
        self.moved: Callable[[float, float], None] = lambda elapsed_s, calendar_s: None
        self.rng = random.Random(0)
        self._numbers = count()
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._handle: asyncio.TimerHandle | None = None

    def _jump(self, seconds: float) -> None:
        super()._jump(seconds)
        self.moved(self.elapsed_s, self.calendar_s)

    def make_ready(self, handles: list[asyncio.Handle]) -> None:
        """Run these next, in their order."""
        self._ready.extend(handles)

    # ── the calendar ────────────────────────────────────────────────────────────────────────────────────────────

    def at_date(self, calendar_s: float, do: Callable[[], object]) -> None:
        """Call `do` when the calendar is so far."""
        heapq.heappush(self._entries, (calendar_s, next(self._numbers), do))
        self._wind()

    def next_date(self) -> float:
        """Return how far the calendar is when the next entry is due."""
        return self._entries[0][0]

    def turn(self, seconds: float) -> None:
        """Move the calendar on while the machines count nothing."""
        self.calendar_s += seconds
        self.moved(self.elapsed_s, self.calendar_s)
        self._wind()

    async def rest(self, seconds: float) -> None:
        """Wait so long by the calendar."""
        done: asyncio.Future[None] = self.create_future()
        self.at_date(self.calendar_s + seconds, partial(_settle, done, None, None))
        await done

    def _wind(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        if self._entries:
            due_s = max(self._entries[0][0] - self.calendar_s, 0.0)
            self._handle = self.call_at(self.elapsed_s + due_s, self._strike, context=_OUTSIDE)

    def _strike(self) -> None:
        while self._entries and self._entries[0][0] <= self.calendar_s + 1e-6:
            heapq.heappop(self._entries)[2]()
        self._wind()

    # ── threads ─────────────────────────────────────────────────────────────────────────────────────────────────

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run it in one piece, some time from now; whoever waits hears of it some time after."""
        future = self.create_future()
        slow = self.rng.random() < 0.01
        before_s, after_s = (self.rng.uniform(*(_SLOW_S if slow else _QUICK_S)) for _ in range(2))
        self.call_later(before_s, self._run_apart, future, after_s, func, args)
        return future

    def _run_apart(self, future: asyncio.Future[Any], after_s: float, func: Any, args: Any) -> None:
        life = OWNER.get()
        result, error = None, None
        try:
            with life.in_thread(func) if life is not None else nullcontext():  # type: ignore[attr-defined]
                result = func(*args)
        except BaseException as raised:  # noqa: BLE001  (it goes to whoever waits)
            error = raised
        self.call_later(after_s, _settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
