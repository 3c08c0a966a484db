"""The rate limit of one API key, as its answers tell it: how many requests are left, and until when to keep quiet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from daemon.limits import RETRY_AFTER_MAX_S
from daemon.sources.waits import rate_reset


class RateLimit:
    """One API key's budget of requests. Limits count per key, not per host and not per account."""

    __slots__ = ("__weakref__", "_left", "_reset_at", "_under_way", "quiet_until")

    def __init__(self) -> None:
        self.quiet_until: datetime | None = None
        """After a 429: nothing is sent before."""
        self._left: int | None = None
        self._reset_at: datetime | None = None
        self._under_way = 0

    @property
    def is_free(self) -> bool:
        """Whether the next request may be sent at any time: nothing said that it has to wait."""
        return self.quiet_until is None and (self._left is None or self._left > 0)

    def free_at(self, now: datetime) -> datetime | None:
        """Return when the next request may be sent, or None for now."""
        if self.quiet_until is not None:
            if _ahead(self.quiet_until, now):
                return self.quiet_until
            self.quiet_until = None
        if self._reset_at is not None and not _ahead(self._reset_at, now):
            self._left = self._reset_at = None
        if self._left is not None and self._left <= 0:
            return self._reset_at
        return None

    def send(self) -> None:
        """Count one request out."""
        self._under_way += 1
        if self._left is not None:
            self._left -= 1

    def back(self, headers: Mapping[str, str] | None, now: datetime) -> None:
        """Count one request back in with what its answer says; those still under way are taken as not counted yet."""
        self._under_way -= 1
        if headers is None:
            return
        left = headers.get("x-ratelimit-remaining")
        if left is not None and left.isascii() and left.isdigit():
            reset_at = rate_reset(headers, now)
            if reset_at is not None:
                self._left = int(left[:9]) - self._under_way
                self._reset_at = reset_at


def _ahead(moment: datetime, now: datetime) -> bool:
    """Whether `moment` is still to come; one further away than any wait is from before the clock was stepped back."""
    return now < moment <= now + timedelta(seconds=RETRY_AFTER_MAX_S)
