"""Retention: delete old readings, events and episodes, in small transactions; summaries stay, packed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from daemon.config.model import Config
from daemon.limits import FOLD_EVERY_S, FOLD_FOR_S, FOLD_PAUSE_S
from daemon.store import Store, old_log, readings, summaries
from daemon.store.connection import Transaction

LOG_KEPT = timedelta(days=400)
"""For so long, or for `keep_readings` if that is longer, events, deliveries, attempts and ended episodes are kept."""
PACKED_AFTER = timedelta(days=3)
"""Age at which the hourly summaries of a day are packed."""


class Retention:
    """Deletes old readings and packs old hours, account by account, then the old log, every six hours.

    Each piece is one short transaction, so that other writers do not wait for long. It runs apart, where `store` is a
    lane.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self._keep = config.store.keep_readings
        self._store = store
        self._next_at: datetime | None = None
        self._after = ""
        """The account at which the last piece ended, empty between two runs."""

    async def fold(self, now: datetime) -> datetime:
        """Delete one piece if it is due; return when the next one is."""
        every = timedelta(seconds=FOLD_EVERY_S)
        if self._next_at is not None and now < self._next_at <= now + every:
            return self._next_at
        whole = await self._store.apart(self._fold_piece, now)
        self._next_at = now + (every if whole else timedelta(seconds=FOLD_PAUSE_S))
        return self._next_at

    def _fold_piece(self, now: datetime) -> bool:
        """Go on where the last piece ended; return whether all accounts are done."""
        until = time.perf_counter() + FOLD_FOR_S
        with self._store.write(durable=False) as tx:
            while page := readings.accounts_after(tx, self._after, now - self._keep, now - PACKED_AFTER):
                for account, old in page:
                    while old and self._fold_some(tx, account, now):
                        if time.perf_counter() >= until:
                            return False
                    self._after = account
                if time.perf_counter() >= until:
                    return False
            while old_log.delete_old(tx, now - max(self._keep, LOG_KEPT)):
                if time.perf_counter() >= until:
                    return False
        self._after = ""
        return True

    def _fold_some(self, tx: Transaction, account: str, now: datetime) -> bool:
        """Delete or pack a little of the account; return whether there may be more."""
        return readings.fold_old(tx, account, now - self._keep) or summaries.pack_old(tx, account, now - PACKED_AFTER)
