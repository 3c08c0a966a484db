"""Tidying: what is older than it is kept for goes, a bounded piece at a time; summaries stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon.config.model import Config
from daemon.limits import TIDY_EVERY_S
from daemon.store import Store, readings


class Tidying:
    """Deletes old readings, at most one bounded piece a step, and looks again every six hours."""

    def __init__(self, config: Config, store: Store) -> None:
        self._keep = config.store.keep_readings
        self._store = store
        self._next_at: datetime | None = None

    def tidy(self, now: datetime) -> int:
        """Delete one piece where it is time; returns how many rows went."""
        if self._next_at is not None and now < self._next_at <= now + timedelta(seconds=TIDY_EVERY_S):
            return 0
        with self._store.write(durable=False) as tx:
            gone = readings.fold_old(tx, now - self._keep)
        self._next_at = now if gone else now + timedelta(seconds=TIDY_EVERY_S)
        return gone
