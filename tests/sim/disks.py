"""What lies on a machine's disk, read (and spoilt) from outside while its daemon knows nothing of it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from alerts.delivery.schedule import DELAYS

if TYPE_CHECKING:
    from tests.sim.box import Box

HEAL = timedelta(days=3)
"""So long before the end nothing fails any more."""


@dataclass(frozen=True, slots=True)
class Committed:
    """One event row of a database: what had to be delivered."""

    box: str
    store: str
    id: str
    type: str
    account: str | None
    sequence: int | None
    body: bytes
    certain: bool
    """Whether its delivery can be demanded: not where its disk was lost or went back."""

    @property
    def key(self) -> tuple[str, str]:
        """By what it is recognized where it arrives: its store (where it is numbered) and its id."""
        return (self.store if self.sequence is not None else "", self.id)


def read_events(box: Box, *, certain: bool) -> list[Committed]:
    """Return every event that the machine's database holds."""
    if not box.database.exists():
        return []
    connection = sqlite3.connect(box.database)
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
        store = row[0] if row else ""
        rows = connection.execute("SELECT id, type, account, sequence, body FROM event ORDER BY number").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()
    return [
        Committed(box.name, store, id, type, account, sequence, bytes(body), certain)
        for id, type, account, sequence, body in rows
    ]


def burn_number(box: Box, account: str) -> None:
    """Let a ledger have used a number that no other knows of: it gave up what it once planned."""
    if not box.database.exists():
        return
    now_ms = int(box.world.truth.now().timestamp() * 1000)
    connection = sqlite3.connect(box.database)
    try:
        connection.execute(
            "INSERT INTO topups (id, account, customer, seq, own, state, amount_cents, create_key, create_params,"
            " planned_at, state_at) SELECT ?1 || '-burnt', ?1, 'cus_1', 3 + coalesce(max(seq), 0), 1, 'abandoned',"
            " 2000, '', '{}', ?2, ?2 FROM topups WHERE account = ?1",
            (account, now_ms),
        )
        connection.commit()
    except sqlite3.OperationalError:
        return  # it has not come up yet
    finally:
        connection.close()


def ledger_has_open(database: Path, account: str) -> bool:
    """Whether a machine's ledger has a top-up of the account that is not over."""
    if not database.exists():
        return False
    connection = sqlite3.connect(database)
    try:
        where = "account = ? AND state NOT IN ('credited', 'abandoned', 'declined')"
        return connection.execute(f"SELECT 1 FROM topups WHERE {where}", (account,)).fetchone() is not None
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()


def read_given_up(box: Box) -> set[tuple[str, str]]:
    """Return which event failed at which webhook receiver as often as it is tried at all."""
    if not box.database.exists():
        return set()
    connection = sqlite3.connect(box.database)
    try:
        rows = connection.execute(
            "SELECT e.id, d.receiver FROM delivery d JOIN event e ON e.number = d.event"
            " WHERE d.state = 'dead' AND d.attempts >= ?",
            (len(DELAYS),),
        ).fetchall()
    finally:
        connection.close()
    return {(id, receiver.removeprefix("webhook:")) for id, receiver in rows}


def read_waiting(box: Box, receiver: str) -> int:
    """Return how many deliveries to a receiver are not done, of events from before the healing."""
    if not box.database.exists():
        return 0
    healed_ms = int((box.world.end - box.world.peace).timestamp() * 1000)
    connection = sqlite3.connect(box.database)
    try:
        left = "state = 'pending' OR (state = 'dead' AND attempts < ?)"
        sql = f"SELECT count(*) FROM delivery WHERE receiver = ? AND created_ms < ? AND ({left})"
        return int(connection.execute(sql, (receiver, healed_ms, len(DELAYS))).fetchone()[0])
    finally:
        connection.close()
