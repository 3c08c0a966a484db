"""What a report rests on, stored when it is first made of a period that has ended: every later one reads it.

The facts of a report of a period, and the level of an account at an instant: the closing of one period is the opening
of the next, whatever readings came or were folded away in between.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from alerts.model.instants import from_ms, to_ms
from alerts.model.spans import Span
from alerts.reports.facts import ReportFacts
from alerts.reports.past import Edge
from daemon.store.connection import Connection, Transaction


def _encode(value: Any) -> Any:
    if isinstance(value, ZoneInfo):
        return value.key
    raise TypeError(f"a report rests on no {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if kind is ZoneInfo:
        return ZoneInfo(value)
    raise TypeError(f"a report rests on no {kind.__name__}")


_FACTS = msgspec.json.Decoder(ReportFacts, dec_hook=_decode)
_EDGE = msgspec.json.Decoder(Edge)


def load(conn: Connection, report: str, span: Span) -> ReportFacts | None:
    """Return what the report of this period rests on, None where it was never made; raises ValueError for damage."""
    row = conn.execute(
        "SELECT facts FROM report_basis WHERE report = ? AND start_ms = ? AND end_ms = ?",
        (report, to_ms(span.start), to_ms(span.end)),
    ).fetchone()
    if row is None:
        return None
    try:
        return _FACTS.decode(zlib.decompress(row[0]))
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"the stored facts of {report} {span.key} cannot be read: {error}") from error


def keep(tx: Transaction, facts: ReportFacts, edges: Iterable[tuple[str, Edge]]) -> ReportFacts:
    """Store what a report rests on, unless it was stored already; returns what is stored."""
    span = facts.span
    tx.execute(
        "INSERT INTO report_basis VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            facts.report,
            span.key,
            to_ms(span.start),
            to_ms(span.end),
            to_ms(facts.made_at),
            zlib.compress(msgspec.json.encode(facts, enc_hook=_encode), 6),
        ),
    )
    tx.executemany(
        "INSERT INTO report_edge VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(account, to_ms(edge.at), msgspec.json.encode(edge).decode()) for account, edge in edges if edge.known],
    )
    return load(tx, facts.report, span) or facts


def made_before(conn: Connection, report: str, start: datetime) -> datetime | None:
    """Return when the report's latest stored period that ended by `start` was made; None without one."""
    row = conn.execute(
        "SELECT made_ms FROM report_basis WHERE report = ? AND end_ms <= ? ORDER BY end_ms DESC LIMIT 1",
        (report, to_ms(start)),
    ).fetchone()
    return None if row is None else from_ms(row[0])


def pinned(conn: Connection, account: str, start: datetime, end: datetime) -> dict[datetime, Edge]:
    """Return the levels that reports were already made with, by their instant."""
    rows = conn.execute(
        "SELECT edge FROM report_edge WHERE account = ? AND at_ms BETWEEN ? AND ?",
        (account, to_ms(start), to_ms(end)),
    )
    return {edge.at: edge for edge in (_EDGE.decode(text) for (text,) in rows)}
