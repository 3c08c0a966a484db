"""A daemon's last judgement of its own health, for a command beside it; one of a fleet has it in its own row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.model.instants import from_ms, to_ms
from daemon.store.connection import Connection, Transaction


@dataclass(frozen=True, slots=True)
class StoredHealth:
    """Whether every job was fresh, the reasons where not, and since when that is so."""

    fresh: bool
    reasons: Sequence[str]
    since: datetime


def save(tx: Transaction, health: StoredHealth) -> None:
    """Write the judgement; the caller does so when it changes."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES ('health', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (encode(health),),
    )


def load(connection: Connection) -> StoredHealth | None:
    """Return the last judgement; None where no daemon has written one."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'health'").fetchone()
    return None if row is None else decode(row[0])


def encode(health: StoredHealth | None) -> str:
    """Return the judgement as JSON text; the empty text where there is none yet."""
    if health is None:
        return ""
    return json.dumps({"fresh": health.fresh, "reasons": list(health.reasons), "since_ms": to_ms(health.since)})


def decode(text: str | None) -> StoredHealth | None:
    """Return the judgement that was encoded."""
    if not text:
        return None
    said = json.loads(text)
    return StoredHealth(said["fresh"], said["reasons"], from_ms(said["since_ms"]))
