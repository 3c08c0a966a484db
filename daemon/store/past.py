"""What really happened: the events that were told and the charges that were made, as a replay is compared with."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from alerts.instants import from_ms, to_ms


@dataclass(frozen=True, slots=True)
class Told:
    """One event of an account, as it was committed."""

    type: str
    at: datetime
    rule: str | None
    episode: str | None


def told(connection: sqlite3.Connection, account: str, since: datetime, until: datetime) -> list[Told]:
    """Return the account's events that happened in [since, until], oldest first."""
    rows = connection.execute(
        "SELECT type, at_ms, rule, episode FROM event WHERE account = ? AND at_ms BETWEEN ? AND ? ORDER BY number",
        (account, to_ms(since), to_ms(until)),
    )
    return [Told(type, from_ms(at_ms), rule, episode) for type, at_ms, rule, episode in rows]
