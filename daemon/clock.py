"""Clocks and ids. Both are constructor arguments with real defaults, so that tests can replace them."""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The service's time, the wall-clock time (for signatures), and a wait."""

    def now(self) -> datetime:
        """The service's time: aware UTC, whole milliseconds. It may be virtual and may step."""
        ...

    def wall(self) -> datetime:
        """The wall-clock time, aware UTC: what a receiver compares a signature's timestamp with."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of the service's time."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def wall(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when set: in the demo and the tests the service and the stand-ins share one."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def set(self, now: datetime) -> None:
        """Move to `now`, forwards or backwards (a stepped clock is a fault worth testing)."""
        self._now = now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Advance by `seconds` at once, and let other tasks run."""
        self.advance(seconds)
        import asyncio

        await asyncio.sleep(0)


class Ids(Protocol):
    def new(self, prefix: str) -> str:
        """A new unguessable id, `prefix_…`, letters and digits only."""
        ...


class RandomIds:
    """Ids of 128 random bits."""

    def new(self, prefix: str) -> str:
        return f"{prefix}_{secrets.token_hex(16)}"


class SeededIds:
    """The same ids for the same seed: for tests and the simulator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self._random.getrandbits(128):032x}"
