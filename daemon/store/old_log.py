"""The log of what was told: events with their deliveries and attempts, and episodes that ended, go when they are old.

The ledger of top-ups and the summaries of readings are kept for ever.
"""

from __future__ import annotations

from datetime import datetime

from alerts.model.instants import to_ms
from daemon.store.connection import Transaction

_EVENTS = """
SELECT number FROM event
WHERE committed_ms < ?1
  AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = event.number AND state = 'pending')
  AND (episode IS NULL OR episode NOT IN (SELECT id FROM episode WHERE closed_at IS NULL))
ORDER BY committed_ms LIMIT ?2
"""
_WITH_EVENTS = (
    "DELETE FROM attempt WHERE delivery IN (SELECT number FROM delivery WHERE event = ?)",
    "DELETE FROM delivery WHERE event = ?",
    "DELETE FROM event WHERE number = ?",
)
_EPISODES = (
    "DELETE FROM decision WHERE id IN (SELECT id FROM decision WHERE last_at < ?1 LIMIT ?2)",
    "DELETE FROM episode WHERE id IN (SELECT id FROM episode WHERE closed_at < ?1 LIMIT ?2)",
)


def delete_old(tx: Transaction, before: datetime, *, rows: int = 100) -> bool:
    """Delete up to `rows` events and as many episodes from before then; return whether there may be more.

    What is still to be delivered stays, and so does every event of an episode that is open.
    """
    events = tx.execute(_EVENTS, (to_ms(before), rows)).fetchall()
    for statement in _WITH_EVENTS:
        tx.executemany(statement, events)
    deleted = [tx.execute(statement, (to_ms(before), rows)).rowcount for statement in _EPISODES]
    return max(len(events), *deleted) == rows
