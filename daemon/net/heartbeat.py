"""The heartbeat: an outside watcher is pinged while every job is fresh, so that someone else notices our silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from pydantic import SecretStr

from daemon.limits import HEARTBEAT_DEADLINE_S, HEARTBEAT_EVERY_S
from daemon.net.http import HttpClient, HttpFailure

log = structlog.get_logger("brimful.heartbeat")


class Heartbeat:
    """Pings `url` at most once a minute. The URL is a secret: whoever knows it can keep the watcher quiet."""

    def __init__(self, url: SecretStr, http: HttpClient, *, every_s: float = HEARTBEAT_EVERY_S) -> None:
        self.missed = 0
        self._url = url
        self._http = http
        self._every = timedelta(seconds=every_s)
        self._last_at: datetime | None = None
        self._task: asyncio.Task[bool] | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether the last ping is a minute ago, or the clock was stepped back."""
        return self._last_at is None or not timedelta(0) <= now - self._last_at < self._every

    def start(self, now: datetime, stale_jobs: Sequence[str]) -> None:
        """Beat beside everything else: a watcher that is slow to answer holds up nothing."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self.beat(now, stale_jobs))

    async def aclose(self) -> None:
        """Cut a ping that is under way."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def beat(self, now: datetime, stale_jobs: Sequence[str]) -> bool:
        """Ping if it is time and `stale_jobs` is empty; returns whether the watcher heard. A failure is counted."""
        if stale_jobs or not self.is_due(now):
            return False
        self._last_at = now
        try:
            answer = await self._http.exchange(
                "GET",
                self._url.get_secret_value(),
                headers={},
                deadline_s=HEARTBEAT_DEADLINE_S,
                max_bytes=1024,
                truncate=True,
            )
        except HttpFailure as failure:
            return self._miss(failure.kind.value)
        return True if 200 <= answer.status < 300 else self._miss(f"HTTP {answer.status}")

    def _miss(self, why: str) -> bool:
        self.missed += 1
        log.warning("heartbeat missed", why=why, missed=self.missed)
        return False
