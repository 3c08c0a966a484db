"""The ledger beside the top-ups: stops, decisions, sent notifications, refused cards, bookmarks, listed intents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.model.instants import from_ms, to_ms
from daemon.store.connection import Connection, Transaction
from daemon.store.topup_rows import EVERYWHERE, Stop, StopKind


@dataclass(frozen=True, slots=True)
class GateCount:
    """How often a gate was the first to fail for an account, with the numbers of the last time."""

    account: str
    gate: str
    count: int
    first_at: datetime
    last_at: datetime
    detail: str
    gates: str


@dataclass(frozen=True, slots=True)
class SeenIntent:
    """A PaymentIntent of ours as Stripe last listed it."""

    payment_intent: str
    account: str
    customer: str
    seq: int | None
    status: str
    amount_cents: int
    created_at: datetime


# ── stops ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def has_stops(conn: Connection) -> bool:
    """Whether the database has the table of stops: the kill switch needs no other."""
    return conn.has_table("topup_stops")


def stop(tx: Transaction, stop: Stop) -> bool:
    """Set a stop; one of the same scope, kind and reason stays as it is. Return whether it is new."""
    done = tx.execute(
        "INSERT INTO topup_stops (scope, kind, reason, message, topup, fingerprint, since_at, probe_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            stop.scope,
            stop.kind.value,
            stop.reason,
            stop.message,
            stop.topup,
            stop.fingerprint,
            to_ms(stop.since_at),
            to_ms(stop.probe_at) if stop.probe_at else None,
        ),
    )
    return done.rowcount == 1


def lift_for_card(tx: Transaction, scope: str) -> None:
    """End the suspensions for a card alone: another card paid."""
    tx.execute(
        "DELETE FROM topup_stops WHERE scope = ? AND kind = ? AND fingerprint IS NOT NULL",
        (scope, StopKind.SUSPENSION.value),
    )


def lift(tx: Transaction, scope: str, kind: StopKind, reason: str | None = None) -> bool:
    """End the stops of a kind, or only that with this reason; return whether there was one."""
    where = "scope = ?1 AND kind = ?2 AND (reason = ?3 OR ?3 IS NULL)"
    return tx.execute(f"DELETE FROM topup_stops WHERE {where}", (scope, kind.value, reason)).rowcount > 0


def probe_later(tx: Transaction, scope: str, kind: StopKind, at: datetime) -> None:
    """Set when a stop is probed next."""
    tx.execute("UPDATE topup_stops SET probe_at = ? WHERE scope = ? AND kind = ?", (to_ms(at), scope, kind.value))


def stops(conn: Connection, account: str | None = None) -> tuple[Stop, ...]:
    """Return the stops of an account, the global ones first; without an account, all."""
    where = "WHERE scope IN ('*', ?)" if account is not None else ""
    rows = conn.execute(
        f"SELECT scope, kind, reason, message, since_at, topup, fingerprint, probe_at FROM topup_stops {where}"
        " ORDER BY scope, kind, since_at, reason",
        (account,) if account is not None else (),
    )
    return _paused_by_file(conn) + tuple(
        Stop(
            row[0],
            StopKind(row[1]),
            row[2],
            row[3],
            from_ms(row[4]),
            row[5],
            row[6],
            from_ms(row[7]) if row[7] else None,
        )
        for row in rows
    )


def _paused_by_file(conn: Connection) -> tuple[Stop, ...]:
    path = conn.pause_file()
    if path is None:
        return ()
    try:
        since = path.stat().st_mtime_ns // 1_000_000
    except OSError:
        return ()
    return (Stop(EVERYWHERE, StopKind.PAUSE, f"paused by a person, by the file {path.name}", "", from_ms(since)),)


def next_probe_at(conn: Connection) -> datetime | None:
    """Return when the next stop is probed; None if none is."""
    (at,) = conn.execute("SELECT min(probe_at) FROM topup_stops").fetchone()
    return None if at is None else from_ms(at)


# ── decisions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def count_decision(
    tx: Transaction, account: str, gate: str, now: datetime, *, detail: str, gates: str, times: int = 1
) -> None:
    """Count that `gate` was the first to fail. One row per account and gate: the table does not grow with polls."""
    tx.execute(
        "INSERT INTO topup_decisions (account, gate, count, first_at, last_at, detail, gates)"
        " VALUES (:account, :gate, :times, :now, :now, :detail, :gates) ON CONFLICT (account, gate) DO UPDATE SET"
        " count = topup_decisions.count + :times, last_at = :now, detail = :detail, gates = :gates",
        {"account": account, "gate": gate, "times": times, "now": to_ms(now), "detail": detail, "gates": gates},
    )


def decisions(conn: Connection, account: str | None = None) -> tuple[GateCount, ...]:
    """Return the counts per gate, the latest first."""
    rows = conn.execute(
        "SELECT account, gate, count, first_at, last_at, detail, gates FROM topup_decisions"
        " WHERE account = ?1 OR ?1 IS NULL ORDER BY last_at DESC, gate",
        (account,),
    )
    return tuple(GateCount(r[0], r[1], r[2], from_ms(r[3]), from_ms(r[4]), r[5], r[6]) for r in rows)


# ── sent notifications, refused cards, bookmarks ────────────────────────────────────────────────────────────────────


def notify_once(tx: Transaction, account: str, what: str, window: str, now: datetime) -> bool:
    """Return whether `what` was not sent yet in this window, and record it as sent."""
    done = tx.execute(
        "INSERT INTO topup_told VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (account, what, window, to_ms(now))
    )
    return done.rowcount == 1


def remember_card(tx: Transaction, account: str, fingerprint: str, reason: str, now: datetime) -> None:
    """Record a card that the bank refused permanently."""
    tx.execute(
        "INSERT INTO topup_cards (account, fingerprint, reason, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (account, fingerprint, reason, to_ms(now)),
    )


def forget_cards(tx: Transaction, account: str) -> None:
    """Delete the account's refused cards: a person resumed it."""
    tx.execute("DELETE FROM topup_cards WHERE account = ?", (account,))


def forget_card(tx: Transaction, fingerprint: str) -> None:
    """Delete a refused card for all accounts: a person resumed one that was suspended for it."""
    tx.execute("DELETE FROM topup_cards WHERE fingerprint = ?", (fingerprint,))


def refused_cards(conn: Connection, account: str, for_all: Iterable[str]) -> frozenset[str]:
    """Return the permanently refused cards: those of the account, and of any account for a reason in `for_all`."""
    reasons = tuple(for_all)
    rows = conn.execute(
        f"SELECT fingerprint FROM topup_cards WHERE account = ? OR reason IN ({', '.join('?' * len(reasons))})",
        (account, *reasons),
    )
    return frozenset(row[0] for row in rows)


def bookmark(conn: Connection, name: str) -> tuple[datetime, str] | None:
    """Return a bookmark's instant and text, None if it is not set."""
    row = conn.execute("SELECT at, text FROM topup_marks WHERE name = ?", (name,)).fetchone()
    return None if row is None else (from_ms(row[0]), row[1])


def bookmarks_under(conn: Connection, prefix: str) -> dict[str, datetime]:
    """Return the instant of every bookmark whose name begins with `prefix`."""
    rows = conn.execute(
        "SELECT name, at FROM topup_marks WHERE name >= ? AND name < ?", (prefix, f"{prefix}\U0010ffff")
    )
    return {name: from_ms(at) for name, at in rows}


def bookmark_times(conn: Connection, names: Sequence[str]) -> tuple[datetime | None, ...]:
    """Return the bookmarks' instants, in the order of the names."""
    rows = conn.execute(f"SELECT name, at FROM topup_marks WHERE name IN ({', '.join('?' * len(names))})", names)
    found = {name: from_ms(at) for name, at in rows}
    return tuple(found.get(name) for name in names)


def clear_bookmark(tx: Transaction, name: str) -> None:
    """Delete a bookmark."""
    tx.execute("DELETE FROM topup_marks WHERE name = ?", (name,))


# ── what Stripe listed ──────────────────────────────────────────────────────────────────────────────────────────────


def remember_intents(tx: Transaction, intents: Iterable[SeenIntent], now: datetime) -> None:
    """Record PaymentIntents of ours as they were listed; unchanged ones cost no write."""
    tx.executemany(
        "INSERT INTO stripe_intents VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (payment_intent) DO UPDATE SET"
        " status = excluded.status, amount_cents = excluded.amount_cents, created_at = excluded.created_at,"
        " seen_at = excluded.seen_at"
        " WHERE stripe_intents.status <> excluded.status OR stripe_intents.amount_cents <> excluded.amount_cents",
        [
            (i.payment_intent, i.account, i.customer, i.seq, i.status, i.amount_cents, to_ms(i.created_at), to_ms(now))
            for i in intents
        ],
    )


# ── shadow ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def record_shadow(tx: Transaction, account: str, now: datetime, *, amount_cents: int, gates: str) -> bool:
    """Record that the account would now be charged; one row per period of need. Return whether it is new."""
    done = tx.execute(
        "UPDATE topup_shadows SET last_at = ?, count = count + 1 WHERE account = ? AND ended_at IS NULL",
        (to_ms(now), account),
    )
    if done.rowcount:
        return False
    tx.execute(
        "INSERT INTO topup_shadows (account, first_at, last_at, amount_cents, gates) VALUES (?, ?, ?, ?, ?)",
        (account, to_ms(now), to_ms(now), amount_cents, gates),
    )
    return True


def end_shadow(tx: Transaction, account: str, now: datetime) -> None:
    """End the period of need: the account is above its threshold again."""
    tx.execute("UPDATE topup_shadows SET ended_at = ? WHERE account = ? AND ended_at IS NULL", (to_ms(now), account))
