"""Virtual time: an event loop that jumps to its next timer, and clocks that read it, skewed where a fault says so."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Asks no socket, for there is none: time moves on by what it was asked to wait."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the world stands still: nothing is left that could ever happen")
        if timeout:
            self.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Nothing waits: thirty days pass as fast as the work in them."""

    def __init__(self) -> None:
        selector = _Jump()
        selector.jump = self._jump
        self.elapsed_s = 0.0
        """How far the machines have counted."""
        self.calendar_s = 0.0
        """How far the calendar is: as far, where nobody turns its pages."""
        super().__init__(selector)
        self._clock_resolution = 1e-6  # after months, a float of seconds is coarser than the host's own clock

    def _jump(self, seconds: float) -> None:
        self.elapsed_s += seconds
        self.calendar_s += seconds

    def time(self) -> float:
        return self.elapsed_s


class TrueClock:
    """The world's time: where the loop's calendar stands, from `start`. Whole milliseconds."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self._elapsed_s, self._now = 0.0, start

    def now(self) -> datetime:
        elapsed_s = asyncio.get_running_loop().calendar_s  # type: ignore[attr-defined]  # a virtual loop
        if elapsed_s != self._elapsed_s:  # asked many times an instant
            self._elapsed_s, self._now = elapsed_s, self.start + timedelta(milliseconds=int(elapsed_s * 1000))
        return self._now

    def wall(self) -> datetime:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SkewedClock(TrueClock):
    """One machine's clock: the world's, off by `skew`, which faults change."""

    def __init__(self, truth: TrueClock) -> None:
        super().__init__(truth.start)
        self.skew = timedelta(0)

    def now(self) -> datetime:
        now = super().now()
        return now + self.skew if self.skew else now


def run(main: Callable[[], Any], loop: Callable[[], VirtualLoop] = VirtualLoop) -> Any:
    """Run a coroutine function on a loop of virtual time."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
