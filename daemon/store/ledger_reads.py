"""Reads from the ledger, by a connection or inside a transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from alerts.model.instants import from_ms, to_ms
from alerts.model.money import from_cents
from daemon.store.connection import Connection
from daemon.store.ledger import COLUMNS, decode
from daemon.store.topup_rows import CHARGED, LONGEST_RETRY, OPEN, SECOND_LISTING, Send, Spend, State, Topup

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM topups"
_OPEN = "(" + ", ".join(f"'{state.value}'" for state in State if state in OPEN) + ")"
_LIVE = f"(state IN {_OPEN} OR watch_until IS NOT NULL)"  # as the index `topups_open` says it
LATEST = 50
LONGEST_WAIT = timedelta(hours=3)
"""Upper bound for `next_at`, so that a future time written by a wrong clock cannot delay a top-up for longer."""
_CHARGED = "(" + ", ".join(f"'{state.value}'" for state in State if state in CHARGED) + ")"
_CHARGE = (
    f"SELECT id, amount_cents, paid_at AS at, charged_at, 0 FROM topups WHERE account = ?1 AND state IN {_CHARGED}"
)


@dataclass(frozen=True, slots=True)
class StateChange:
    """One step that a top-up took."""

    at: datetime
    before: str | None
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Readback:
    status: str
    request_id: str | None
    detail: str
    first_at: datetime
    last_at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """A period in which an account in shadow mode would have been charged."""

    account: str
    first_at: datetime
    last_at: datetime
    count: int
    amount_cents: int
    gates: str
    ended_at: datetime | None


def get(conn: Connection, topup: str) -> Topup | None:
    """Return the top-up, by its id or its PaymentIntent's."""
    row = conn.execute(f"{_SELECT} WHERE id = ?1 OR payment_intent = ?1", (topup,)).fetchone()
    return None if row is None else decode(row)


def account_of(conn: Connection, topup: str) -> str | None:
    """Return the account of a top-up, which never changes, by its id."""
    row = conn.execute("SELECT account FROM topups WHERE id = ?", (topup,)).fetchone()
    return None if row is None else str(row[0])


def of_account(conn: Connection, account: str) -> tuple[Topup, ...]:
    """Return every top-up of the account, by ascending number."""
    return _all(conn, "WHERE account = ? ORDER BY seq, planned_at", (account,))


def all_topups(conn: Connection, limit: int = 1000) -> tuple[Topup, ...]:
    """Return the latest top-ups of all accounts, newest first."""
    return _all(conn, "ORDER BY planned_at DESC, seq DESC LIMIT ?", (limit,))


def open_topups(conn: Connection, account: str | None = None) -> tuple[Topup, ...]:
    """Return the top-ups that hold a slot."""
    where = f"WHERE {_LIVE} AND state IN {_OPEN} AND (account = ?1 OR ?1 IS NULL) ORDER BY planned_at"
    return _all(conn, where, (account,))


class OpenTopup(NamedTuple):
    """What a configuration must keep of an open top-up: columns that every version of the ledger has."""

    id: str
    account: str
    customer: str
    state: State


def open_in_any_version(conn: Connection) -> tuple[OpenTopup, ...]:
    """Return the top-ups that hold a slot, also of a database that an upgrade has not migrated yet."""
    where = f"{_LIVE} AND state IN {_OPEN} ORDER BY planned_at"
    rows = conn.execute(f"SELECT id, account, customer, state FROM topups WHERE {where}").fetchall()
    return tuple(OpenTopup(id, account, customer, State(state)) for id, account, customer, state in rows)


def open_states(conn: Connection, account: str) -> dict[str, str]:
    """Return the state by id of every top-up that holds the account's slot."""
    where = f"{_LIVE} AND state IN {_OPEN} AND +account = ? ORDER BY planned_at"
    return dict(conn.execute(f"SELECT id, state FROM topups WHERE {where}", (account,)).fetchall())


def open_accounts(conn: Connection) -> frozenset[str]:
    """Return the accounts with an open top-up. Called at every step, so no row is decoded."""
    rows = conn.execute(f"SELECT account FROM topups WHERE {_LIVE} AND state IN {_OPEN}")
    return frozenset(row[0] for row in rows)


# Top-ups that become due by time: open ones, and ended ones whose PaymentIntent is still read back for a while. A retry
# waits for an accepted reading instead, unless its time was set by a clock that was ahead.
_TIMED = (
    f"{_LIVE} AND (state IN {_OPEN} OR (watch_until > :now AND state <> 'credited'))"
    " AND (state <> 'retry_wait' OR cancel_as IS NOT NULL OR next_at > :retried)"
)


def due(conn: Connection, now: datetime) -> tuple[Topup, ...]:
    """Return the top-ups that are due at `now`. A wait above `LONGEST_WAIT` is due, too: its clock was ahead."""
    values = {"now": to_ms(now), "far": to_ms(now + LONGEST_WAIT), "retried": to_ms(now + LONGEST_RETRY)}
    return _all(conn, f"WHERE {_TIMED} AND (next_at <= :now OR next_at > :far) ORDER BY planned_at", values)


def next_due_at(
    conn: Connection, now: datetime, holds: Callable[[str], bool] = lambda account: True
) -> datetime | None:
    """Return when the next top-up of the accounts that are held is due by time; None if there is none."""
    values = {"now": to_ms(now), "retried": to_ms(now + LONGEST_RETRY)}
    rows = conn.execute(f"SELECT account, next_at FROM topups WHERE {_TIMED}", values)
    return _instant(min((at for account, at in rows if at is not None and holds(account)), default=None))


def charged_between(conn: Connection, account: str, since: datetime, until: datetime) -> tuple[Topup, ...]:
    """Return the top-ups charged in [since, until), by the local clock."""
    return _all(
        conn,
        f"WHERE account = ? AND state IN {_CHARGED} AND paid_at >= ? AND paid_at < ? ORDER BY paid_at",
        (account, to_ms(since), to_ms(until)),
    )


def any_charged_since(conn: Connection, since: datetime) -> bool:
    """Return whether there is a charge since then, by either clock. Called at every pass, so no row is read."""
    paid, charged = (
        f"EXISTS (SELECT 1 FROM topups WHERE state IN {_CHARGED} AND {clock} >= ?1)"
        for clock in ("paid_at", "charged_at")
    )
    return bool(conn.execute(f"SELECT {paid} OR {charged}", (to_ms(since),)).fetchone()[0])


def charged_since(conn: Connection, since: datetime) -> tuple[Topup, ...]:
    """Return every charge since then, by either clock, for refunds, disputes and the audit."""
    where = f"WHERE state IN {_CHARGED} AND (paid_at >= ?1 OR charged_at >= ?1) ORDER BY paid_at"
    return _all(conn, where, (to_ms(since),))


def _all(conn: Connection, where: str, values: tuple[Any, ...] | dict[str, Any]) -> tuple[Topup, ...]:
    return tuple(decode(row) for row in conn.execute(f"{_SELECT} {where}", values))


def max_seq(conn: Connection, account: str) -> int:
    """Return the highest number used, in the ledger (without a charge, too) or in a list of Stripe; 0 for none."""
    used, listed = (f"SELECT max(seq) FROM {table} WHERE account = ?1" for table in ("topups", "stripe_intents"))
    row = conn.execute(f"SELECT max(coalesce(({used}), 0), coalesce(({listed}), 0))", (account,)).fetchone()
    return int(row[0])


def customers(conn: Connection, account: str) -> tuple[str, ...]:
    """Return every customer of the account, former ones included."""
    rows = conn.execute(
        "SELECT customer FROM topup_customers WHERE account = ? ORDER BY first_at, customer", (account,)
    )
    return tuple(row[0] for row in rows)


def spends(conn: Connection, account: str, since: datetime) -> tuple[Spend, ...]:
    """Return the charges since then, by either clock, and all top-ups that are open or unknown."""
    rows = conn.execute(
        f"{_CHARGE} AND paid_at >= ?2 UNION {_CHARGE} AND charged_at >= ?2"
        " UNION ALL SELECT id, amount_cents, coalesce(paid_at, planned_at), charged_at, 1 FROM topups"
        f" WHERE {_LIVE} AND state IN {_OPEN} AND state NOT IN {_CHARGED} AND +account = ?1 ORDER BY at",
        (account, to_ms(since)),
    )
    return tuple(Spend(r[0], r[1] * 10_000, from_ms(r[2]), _instant(r[3]), bool(r[4])) for r in rows)


def spent_in_all(conn: Connection, since: datetime, stripe_since: datetime, but_of: str | None) -> int:
    """Return what all accounts were charged since then by either clock, and what is open or unknown, in micro-dollars.

    Without the top-up `but_of`. Read by the indexes of instants: it costs what a day's charges are, not the history.
    """
    charged = f"SELECT id, amount_cents FROM topups WHERE state IN {_CHARGED} AND"
    row = conn.execute(
        f"SELECT coalesce(sum(amount_cents), 0) FROM ({charged} paid_at >= ?1 UNION {charged} charged_at > ?2"
        f" UNION SELECT id, amount_cents FROM topups WHERE {_LIVE} AND state IN {_OPEN} AND state NOT IN {_CHARGED})"
        " AS spent WHERE id <> ?3",
        (to_ms(since), to_ms(stripe_since) - 1000, but_of or ""),
    ).fetchone()
    return from_cents(int(row[0]))


def all_spends(conn: Connection, since: datetime) -> dict[str, list[Spend]]:
    """Return the charges of every account since then by either clock, and all that are open or unknown."""
    found: dict[str, list[Spend]] = {}
    still_open = (topup for topup in open_topups(conn) if topup.state not in CHARGED)
    for topup in (*charged_since(conn, since), *still_open):
        at, is_open = topup.paid_at or topup.planned_at, topup.state not in CHARGED
        found.setdefault(topup.account, []).append(
            Spend(topup.id, topup.amount_microusd, at, topup.charged_at, is_open)
        )
    return found


def spends_of_customer(conn: Connection, customer: str, since: datetime) -> list[tuple[str, Spend]]:
    """Return the PaymentIntents that Stripe listed for a customer since then, each with its account."""
    rows = conn.execute(
        "SELECT account, payment_intent, amount_cents, created_at, status FROM stripe_intents"
        " WHERE customer = ? AND created_at >= ? AND status <> 'canceled'",
        (customer, to_ms(since)),
    )
    return [
        (row[0], Spend(row[1], row[2] * 10_000, from_ms(row[3]), from_ms(row[3]), is_open=row[4] == "processing"))
        for row in rows
    ]


def open_of_customer(conn: Connection, customer: str, *, but_of: str) -> tuple[Topup, ...]:
    """Return the top-ups of a customer's other accounts that hold a slot."""
    where = f"WHERE {_LIVE} AND state IN {_OPEN} AND customer = ? AND +account <> ? ORDER BY planned_at"
    return _all(conn, where, (customer, but_of))


def late(conn: Connection) -> tuple[Topup, ...]:
    """Return the top-ups whose credit came after `topup.not_credited`, and that nobody has confirmed."""
    where = "WHERE state = 'credited' AND told_at IS NOT NULL ORDER BY planned_at"
    return _all(conn, where, ())


def highest_credited(conn: Connection, account: str, since: datetime) -> int | None:
    """Return the highest `funded` with which a charge's credit was seen since then, in micro-dollars."""
    row = conn.execute(
        "SELECT max(funded_before_microusd + amount_cents * 10000) FROM topups"
        " WHERE account = ? AND state = 'credited' AND credited_microusd IS NOT NULL AND credited_at >= ?",
        (account, to_ms(since)),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def last_attempt_at(conn: Connection, account: str) -> datetime | None:
    """Return when the account's card was last tried, successfully or not.

    Reads only the `LATEST` top-ups: after an attempt nothing is planned until the cooldown has ended.
    """
    row = conn.execute(
        "SELECT max(sent_at) FROM topup_sends WHERE kind = 'confirm'"
        " AND topup IN (SELECT id FROM topups WHERE account = ? ORDER BY seq DESC LIMIT ?)",
        (account, LATEST),
    ).fetchone()
    charged = conn.execute(
        "SELECT max(max(coalesce(charged_at, 0), paid_at)) FROM (SELECT charged_at, paid_at FROM topups"
        f" WHERE account = ? AND state IN {_CHARGED} ORDER BY paid_at DESC LIMIT ?) AS latest_ones",
        (account, LATEST),
    ).fetchone()
    latest = max(row[0] or 0, charged[0] or 0)
    return from_ms(latest) if latest else None


def sends(conn: Connection, topup: str, kind: str | None = None) -> tuple[Send, ...]:
    """Return the requests of a top-up, in order."""
    rows = conn.execute(
        "SELECT id, topup, kind, n, send, key, params, fingerprint, gates, sent_at, answered_at, answer, http_status,"
        " request_id, message FROM topup_sends WHERE topup = ?1 AND (kind = ?2 OR ?2 IS NULL) ORDER BY id",
        (topup, kind),
    )
    return tuple(_send(row) for row in rows)


def _send(row: tuple[Any, ...]) -> Send:
    topup, kind, n, send, key, params, fingerprint, gates = row[1:9]
    answer, http_status, request_id, message = row[11:]
    return Send(
        id=row[0],
        topup=topup,
        kind=kind,
        n=n,
        send=send,
        key=key,
        params=params,
        fingerprint=fingerprint,
        gates=gates,
        sent_at=from_ms(row[9]),
        answered_at=_instant(row[10]),
        answer=answer,
        http_status=http_status,
        request_id=request_id,
        message=message,
    )


def attempts_on_card(conn: Connection, fingerprint: str, since: datetime) -> int:
    """Return the number of failed attempts on a card since then, by any account; the same key again counts once.

    Source: the card networks limit retries of a refused charge, not successful charges.
    """
    row = conn.execute(
        "SELECT count(DISTINCT s.topup || ' ' || s.n) FROM topup_sends s JOIN topups t ON t.id = s.topup"
        " WHERE s.kind = 'confirm' AND s.fingerprint = ? AND s.sent_at >= ?"
        " AND NOT (t.state IN ('paid', 'credited')"
        " AND s.n = (SELECT max(n) FROM topup_sends WHERE topup = s.topup AND kind = 'confirm'))",
        (fingerprint, to_ms(since)),
    ).fetchone()
    return int(row[0])


def abandoned_by_second_listing(conn: Connection, account: str, since: datetime) -> int:
    """Return how many top-ups since then ended because the second listing differed."""
    row = conn.execute(
        "SELECT count(DISTINCT s.topup) FROM topup_steps_taken s JOIN topups t ON t.id = s.topup"
        " WHERE +t.account = ? AND s.after = 'abandoned' AND s.reason LIKE ? AND s.at >= ?",
        (account, f"{SECOND_LISTING}%", to_ms(since)),
    ).fetchone()
    return int(row[0])


def steps(conn: Connection, topup: str) -> tuple[StateChange, ...]:
    """Return the state changes of a top-up, in order."""
    rows = conn.execute("SELECT at, before, after, reason FROM topup_steps_taken WHERE topup = ? ORDER BY id", (topup,))
    return tuple(StateChange(from_ms(r[0]), r[1], r[2], r[3]) for r in rows)


def times_entered(conn: Connection, topup: str) -> dict[State, int]:
    """Return how often a top-up has entered each state."""
    rows = conn.execute("SELECT after, count(*) FROM topup_steps_taken WHERE topup = ? GROUP BY after", (topup,))
    return {State(row[0]): row[1] for row in rows}


def intents_of(conn: Connection, account: str) -> dict[str, str]:
    """Return the account's top-up ids by PaymentIntent."""
    where = "account = ? AND payment_intent IS NOT NULL"
    return dict(conn.execute(f"SELECT payment_intent, id FROM topups WHERE {where}", (account,)).fetchall())


def readbacks(conn: Connection, topup: str) -> tuple[Readback, ...]:
    """Return the read-backs of a top-up; equal ones in a row are one, with a count."""
    rows = conn.execute(
        "SELECT status, request_id, detail, first_at, last_at, count FROM topup_readbacks WHERE topup = ? ORDER BY id",
        (topup,),
    )
    return tuple(Readback(r[0], r[1], r[2], from_ms(r[3]), from_ms(r[4]), r[5]) for r in rows)


def shadows(conn: Connection, account: str | None = None) -> tuple[Shadow, ...]:
    """Return the charges that shadow mode did not make, newest first."""
    rows = conn.execute(
        "SELECT account, first_at, last_at, count, amount_cents, gates, ended_at FROM topup_shadows"
        " WHERE account = ?1 OR ?1 IS NULL ORDER BY id DESC LIMIT 200",
        (account,),
    )
    return tuple(Shadow(r[0], from_ms(r[1]), from_ms(r[2]), r[3], r[4], r[5], _instant(r[6])) for r in rows)


def shadowing(conn: Connection) -> frozenset[str]:
    """Return the accounts that shadow mode would be charging now."""
    return frozenset(row[0] for row in conn.execute("SELECT account FROM topup_shadows WHERE ended_at IS NULL"))


def since_for_caps(now: datetime) -> datetime:
    """Return the start of the spends that any cap counts: the longest month and a day of clock difference."""
    return now - timedelta(days=33)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
