"""The daemons that share a store on a server, and their leases. All times are the server's: no two clocks are compared.

A lease is a row; what has none is free. Whoever takes a daemon's row away takes all its leases with it, and waits for,
or leaves alone, a daemon that is within a transaction: after that none of its transactions begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from alerts.model.instants import from_ms
from daemon.store.connection import Connection, Transaction
from daemon.store.health import StoredHealth, decode

TTL_MS = 10_000
"""How long a daemon is taken to be alive after it was last heard of."""
_TABLE = "daemon"
_NOW = "(CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint))"
_COLUMNS = "d.number, d.name, d.host, d.pid, d.since_ms, d.renewed_ms"
_HELD = "(SELECT COUNT(*) FROM lease l WHERE l.holder = d.number AND l.kind = 'accounts')"
_HEALTH = "to_jsonb(d) ->> 'health'"  # no error where an older program made the table: a lock asks before any migration
_JOIN = (
    f"INSERT INTO daemon (number, name, host, pid, since_ms, renewed_ms, until_ms)"
    f" VALUES (?, ?, ?, ?, {_NOW}, {_NOW}, {_NOW} + {TTL_MS}) ON CONFLICT (name) DO NOTHING"
)
_RENEW = f"UPDATE daemon SET renewed_ms = {_NOW}, until_ms = {_NOW} + {TTL_MS}, health = ? WHERE number = ?"
_EXPIRE = (
    "DELETE FROM daemon WHERE number IN"
    f" (SELECT number FROM daemon WHERE until_ms < {_NOW} FOR UPDATE SKIP LOCKED) RETURNING name"
)
_LIVE = f"SELECT {_COLUMNS}, {_HELD}, {_HEALTH} FROM daemon d WHERE d.until_ms >= {_NOW} ORDER BY d.since_ms, d.number"


class DaemonRow(NamedTuple):
    """One daemon that is alive. `buckets`: how many of accounts it holds. `health`: None until it has judged."""

    number: int
    name: str
    host: str
    pid: int
    since: datetime
    renewed_at: datetime
    buckets: int
    health: StoredHealth | None

    @property
    def is_fresh(self) -> bool:
        """Whether every job is fresh, as far as it has said."""
        return self.health is None or self.health.fresh


class Lease(NamedTuple):
    """What is held: a bucket of `accounts` or `receivers`, or one of the `duties`."""

    kind: str
    bucket: int
    holder: int


def live(conn: Connection) -> list[DaemonRow]:
    """Return the daemons that are alive, the longest first; nothing where the store is a file."""
    if conn.pause_file() is not None or not conn.has_table(_TABLE):
        return []
    return [
        DaemonRow(number, name, host, pid, from_ms(since), from_ms(renewed), buckets, decode(health))
        for number, name, host, pid, since, renewed, buckets, health in conn.execute(_LIVE)
    ]


def of_all(daemons: Collection[DaemonRow]) -> StoredHealth | None:
    """Return how the fleet fares: fresh where each of it is, with the reasons of those that are not, by their names."""
    known = [(one.name, one.health) for one in daemons if one.health is not None]
    if not known:
        return None
    wrong = [(name, health) for name, health in known if not health.fresh]
    reasons = [f"{name}: {reason}" for name, health in wrong for reason in health.reasons]
    since = min(one.since for _, one in wrong) if wrong else max(one.since for _, one in known)
    return StoredHealth(not wrong, reasons, since)


def join(tx: Transaction, number: int, name: str, host: str, pid: int, *, dead: Sequence[int]) -> bool:
    """Enter a daemon, unless another of this name is alive; return whether it is. `dead`: rows whose process ended.

    The number is drawn at random, so that no restored database has two daemons of one number.
    """
    for one in dead:
        leave(tx, one)
    tx.execute(_EXPIRE)
    return tx.execute(_JOIN, (number, name, host, pid)).rowcount == 1


def renew(tx: Transaction, number: int, health: str = "") -> bool:
    """Say that a daemon is alive, and how it fares; return whether it still is one of the fleet."""
    return tx.execute(_RENEW, (health, number)).rowcount == 1


def expire(tx: Transaction) -> list[str]:
    """Take what they hold from daemons that were not heard of for `TTL_MS`; return their names. Waits for nobody."""
    return [name for (name,) in tx.execute(_EXPIRE)]


def leave(tx: Transaction, number: int) -> None:
    """Take a daemon's row out, and with it its leases."""
    tx.execute("DELETE FROM daemon WHERE number = ?", (number,))


def leases(conn: Connection) -> list[Lease]:
    """Return all that is held."""
    return [Lease(*row) for row in conn.execute("SELECT kind, bucket, holder FROM lease ORDER BY kind, bucket")]


def take(tx: Transaction, number: int, wanted: Collection[tuple[str, int]]) -> None:
    """Take what is free of these."""
    take = "INSERT INTO lease (kind, bucket, holder) VALUES (?, ?, ?) ON CONFLICT (kind, bucket) DO NOTHING"
    tx.executemany(take, [(kind, bucket, number) for kind, bucket in sorted(wanted)])


def give_back(tx: Transaction, number: int, given: Collection[tuple[str, int]]) -> None:
    """Let these go."""
    give = "DELETE FROM lease WHERE kind = ? AND bucket = ? AND holder = ?"
    tx.executemany(give, [(kind, bucket, number) for kind, bucket in sorted(given)])


def marks(conn: Connection) -> dict[str, str]:
    """Return a mark of the stored state of each account, on a server: another one wherever it was written since."""
    return dict(conn.execute("SELECT account, CAST(xmin AS text) FROM account_state"))


class Committed(NamedTuple):
    """What others may have committed: the last change of what is managed as data, the last delivery, and what is
    pending of those after a given one: the number of the last and how many, by receiver.
    """

    change: int
    delivery: int
    pending: dict[str, tuple[int, int]]


def news(conn: Connection, delivery: int | None) -> Committed:
    """Return how far the others are; what is pending after `delivery`, nothing where it is None."""
    last = "COALESCE((SELECT MAX(number) FROM delivery), 0)"
    change, number = conn.execute(f"SELECT (SELECT change FROM resource_last), {last}").fetchone()
    rows = conn.execute(
        "SELECT receiver, MAX(number), COUNT(*) FROM delivery WHERE number > ? AND state = 'pending' GROUP BY receiver",
        (number if delivery is None else delivery,),
    )
    return Committed(change, number, {receiver: (latest, count) for receiver, latest, count in rows})


def tell(tx: Transaction, what: str) -> None:
    """Let the other daemons look for what was changed, as a command beside them does."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES ('beside', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (what,),
    )
