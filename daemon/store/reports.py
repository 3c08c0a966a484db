"""Reports in the store: which report was sent for which period, and the data of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from alerts.model.instants import from_ms, to_ms
from alerts.model.spans import Span
from alerts.reports.facts import Blocked, DeadDelivery, OpenAlert
from daemon.store import ledger_notes, ledger_reads
from daemon.store.connection import Connection, Transaction
from daemon.store.topup_rows import CUSTOMER_GONE, EVERYWHERE, State, Stop, StopKind

_NOBODY: Mapping[str, str] = {}
_LISTED = 100
"""Most rows of one kind in a report."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The sending of one report for one period.

    Once it is sent, `last_error` names the addresses refused permanently; `waiting` holds those that deferred it, with
    the server's text, and `failures` and `next_attempt_at` are theirs.
    """

    report: str
    period: str
    message_id: str
    sent_at: datetime | None
    failures: int
    next_attempt_at: datetime | None
    last_error: str
    waiting: Mapping[str, str]


def sendings(conn: Connection, report: str) -> dict[str, Sending]:
    """Return the sendings of a report, by period."""
    rows = conn.execute(
        "SELECT report, period, message_id, sent_ms, failures, next_attempt_ms, last_error, waiting FROM report"
        " WHERE report = ?",
        (report,),
    )
    return {
        period: Sending(id, period, name, _instant(sent), failures, _instant(due), error, json.loads(waiting))
        for id, period, name, sent, failures, due, error, waiting in rows
    }


def mark_sent(
    tx: Transaction,
    report: str,
    span: Span,
    message_id: str,
    at: datetime,
    *,
    refused: str = "",
    waiting: Mapping[str, str] = _NOBODY,
    failures: int = 0,
    next_at: datetime | None = None,
) -> None:
    """Record that the mail server accepted the report of this period at `at`, and for whom it did not."""
    next_ms = None if next_at is None else to_ms(next_at)
    sent_ms, error = to_ms(at), refused[:500]
    _save(tx, report, span, message_id, sent_ms, failures=failures, next_ms=next_ms, error=error, waiting=waiting)


def mark_failed(
    tx: Transaction, report: str, span: Span, message_id: str, *, failures: int, next_at: datetime, error: str
) -> None:
    """Record a failed attempt, and when the next one is due."""
    _save(tx, report, span, message_id, None, failures=failures, next_ms=to_ms(next_at), error=error[:500])


def _save(
    tx: Transaction,
    report: str,
    span: Span,
    message_id: str,
    sent_ms: int | None,
    *,
    failures: int,
    next_ms: int | None,
    error: str,
    waiting: Mapping[str, str] = _NOBODY,
) -> None:
    tx.execute(
        "INSERT INTO report"
        " (report, period, start_ms, end_ms, message_id, sent_ms, failures, next_attempt_ms, last_error, waiting)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (report, period) DO UPDATE SET message_id = excluded.message_id, sent_ms = excluded.sent_ms,"
        " failures = excluded.failures, next_attempt_ms = excluded.next_attempt_ms, last_error = excluded.last_error,"
        " waiting = excluded.waiting",
        (
            *(report, span.key, to_ms(span.start), to_ms(span.end), message_id, sent_ms, failures, next_ms, error),
            json.dumps(dict(waiting)),
        ),
    )


def dead_deliveries(conn: Connection, since: datetime, until: datetime) -> tuple[DeadDelivery, ...]:
    """Return the deliveries given up in [since, until) and not replayed, newest first, but for customers' own URLs."""
    rows = conn.execute(
        "SELECT d.receiver, e.type, e.id, d.settled_ms FROM delivery d JOIN event e ON e.number = d.event"
        " LEFT JOIN receiver r ON r.key = d.receiver"
        " WHERE d.state = 'dead' AND COALESCE(r.target, '') = '' AND d.settled_ms >= ? AND d.settled_ms < ?"
        " ORDER BY d.settled_ms DESC LIMIT ?",
        (to_ms(since), to_ms(until), _LISTED),
    )
    return tuple(DeadDelivery(receiver, kind, event, from_ms(ms)) for receiver, kind, event, ms in rows)


def alerts(conn: Connection, since: datetime, until: datetime) -> tuple[OpenAlert, ...]:
    """Return the episodes that were open at some time between the two instants, those first that were at its end."""
    rows = conn.execute(
        "SELECT account, rule, severity, opened_at, closed_at, why FROM episode"
        " WHERE opened_at < ?2 AND (closed_at IS NULL OR closed_at >= ?1)"
        " ORDER BY closed_at IS NOT NULL AND closed_at < ?2, opened_at, account, rule LIMIT ?3",
        (to_ms(since), to_ms(until), _LISTED),
    )
    return tuple(
        OpenAlert(account, rule, severity, from_ms(opened), why, _ended(closed, until))
        for account, rule, severity, opened, closed, why in rows
    )


def _ended(closed_ms: int | None, until: datetime) -> datetime | None:
    closed = _instant(closed_ms)
    return closed if closed is not None and closed < until else None


def capped(conn: Connection, since: datetime, until: datetime) -> tuple[Blocked, ...]:
    """Return the top-ups that a cap refused in [since, until), newest first."""
    rows = conn.execute(
        "SELECT account, at_ms, body FROM event WHERE type = 'topup.capped' AND committed_ms >= ? AND committed_ms < ?"
        " ORDER BY number DESC LIMIT ?",
        (to_ms(since), to_ms(until), _LISTED),
    )
    return tuple(
        Blocked(account or "", from_ms(at_ms), *_capped_words(json.loads(body)["data"]))
        for account, at_ms, body in rows
    )


def stopped(conn: Connection, until: datetime | None = None) -> tuple[Blocked, ...]:
    """Return what waits for a person: pauses, suspensions, breakers, reviews, and late credits to confirm.

    `until` leaves out what began only then.
    """
    stops = [
        Blocked(
            "every account" if stop.scope == EVERYWHERE else stop.scope,
            stop.since_at,
            f"top-ups {_STOPS[stop.kind]}: {stop.message or stop.reason}",
            _resume(stop),
        )
        for stop in ledger_notes.stops(conn)
    ]
    questions = [
        Blocked(t.account, t.state_at, f"{t.id} {_QUESTIONS[t.state]}: {t.reason}", f"brimful topups explain {t.id}")
        for t in ledger_reads.open_topups(conn)
        if t.state in _QUESTIONS
    ]
    late = [
        Blocked(
            t.account,
            t.credited_at or t.state_at,
            f"{t.id} was credited after its credit was reported missing: it may be a manual purchase",
            f"brimful topups ack {t.id}",
        )
        for t in ledger_reads.late(conn)
    ]
    every = [one for one in (*stops, *questions, *late) if until is None or one.at < until]
    return tuple(every[:_LISTED])


_STOPS = {StopKind.PAUSE: "are paused", StopKind.SUSPENSION: "are suspended", StopKind.BREAKER: "are stopped"}
_QUESTIONS = {State.NEEDS_REVIEW: "needs a review", State.ACTION_REQUIRED: "needs an action"}


def _resume(stop: Stop) -> str:
    """Return the command that resumes charging. The stop for a gone customer ends with its own command."""
    if stop.kind is StopKind.BREAKER:
        return "brimful check --online"
    _, acknowledge, customer = stop.message.rpartition("brimful topups ack ")
    if stop.reason == CUSTOMER_GONE and acknowledge:
        return acknowledge + customer
    return "brimful topups resume" + ("" if stop.scope == EVERYWHERE else f" {stop.scope}")


def _capped_words(data: dict[str, object]) -> tuple[str, str]:
    """Return the event's sentence for a person, and the command that it names."""
    return f"a cap allowed no further charge: {data['message']}. {data['action']}", str(data["command"])


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def event_ids(conn: Connection) -> frozenset[str]:
    """Return the ids of every event that was ever committed."""
    return frozenset(row[0] for row in conn.execute("SELECT id FROM event"))


def deliveries_by_state(conn: Connection) -> dict[str, int]:
    """Return how many deliveries are pending, delivered and dead; states without any are left out."""
    return dict(conn.execute("SELECT state, COUNT(*) FROM delivery GROUP BY state"))
