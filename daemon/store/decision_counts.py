"""Decisions not to charge that cost no write of their own: counted in memory, written down once an hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice

from daemon.store import ledger_notes
from daemon.store.connection import Store

FLUSHED_EVERY = timedelta(hours=1)
FLUSHED_AT_ONCE = 200
FLUSHED_PAUSE = timedelta(seconds=1)


class DecisionCounts:
    """How often each gate said no since the last time that it was written down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._flushed_at: datetime | None = None

    def add(self, account: str, gate: str, detail: str) -> None:
        """Count a gate's no; `detail` is a sentence."""
        self._counts[account, gate, detail] += 1

    def due_at(self, now: datetime) -> datetime | None:
        """Return when what was counted has to be written down; None where nothing was."""
        if not self._counts:
            return None
        due_at = now if self._flushed_at is None else self._flushed_at + FLUSHED_EVERY
        return min(due_at, now + FLUSHED_EVERY)

    async def flush(self, now: datetime) -> None:
        """Write down what is due, a bounded piece at a time."""
        due_at = self.due_at(now)
        if due_at is None or due_at > now:
            return
        piece = {said: self._counts[said] for said in islice(self._counts, FLUSHED_AT_ONCE)}
        await self._store.apart(self._write, piece, now)
        self._counts -= Counter(piece)
        self._flushed_at = now + (FLUSHED_PAUSE - FLUSHED_EVERY if self._counts else timedelta())

    def _write(self, piece: Mapping[tuple[str, str, str], int], now: datetime) -> None:
        with self._store.write(durable=False) as tx:
            for (account, gate, detail), times in piece.items():
                ledger_notes.count_decision(tx, account, gate, now, detail=detail, gates="[]", times=times)
