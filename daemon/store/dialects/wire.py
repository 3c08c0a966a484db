"""Statements on PostgreSQL's wire: libpq's calls by psycopg's binding, with psycopg's conversions, and nothing between.

A quarter of what a cursor of psycopg costs a statement. Errors are those of `sqlite3`, whose names are PEP 249's.
A `Server` is psycopg's connection. With a `fence`, of a daemon, it may be silent for `ANSWER_WITHIN_S`; else as long as
it needs.
"""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import NoneType
from typing import Any

import psycopg
from psycopg import DataError, abc
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from daemon.store.dialects import Fence
from daemon.store.dialects.translation import translated_for_all

ROWS_AT_ONCE = 100
"""Rows of one statement that are sent before the first result is read: far less than what a socket holds."""
ANSWER_WITHIN_S = 6.0
"""Longer than a statement may wait for a lock, shorter than a daemon may be unheard of."""
_GOOD = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY})
_LOST = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""Classes of errors that are of the server or of the moment, not of the statement."""


Server = psycopg.Connection[tuple[Any, ...]]


class ResultRows:
    """The rows of a statement."""

    __slots__ = ("_at", "_rows", "rowcount")

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = rows
        self._at = 0
        self.rowcount = rowcount

    def fetchone(self) -> tuple[Any, ...] | None:
        if self._at >= len(self._rows):
            return None
        self._at += 1
        return self._rows[self._at - 1]

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._at = self._rows[self._at :], len(self._rows)
        return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


def run(server: Server, sql: bytes, values: Sequence[Any], fence: Fence | None) -> ResultRows:
    """Run one statement."""
    with_types, pgconn = Transformer.from_context(server), server.pgconn
    if values:
        sent = _dumped(with_types, values)
        asked = pgconn.send_query_params, sql, sent, with_types.types, with_types.formats
        result = _answered(server, fence, *asked)
    else:
        result = _answered(server, fence, pgconn.send_query, sql)
    _check(pgconn, result)
    count = result.command_tuples
    with_types.set_pgresult(result)
    return ResultRows(with_types.load_rows(0, result.ntuples, tuple), -1 if count is None else count)


def run_text(server: Server, text: bytes, fence: Fence | None) -> PGresult:
    """Run statements without parameters in one round trip; return the result of the last one, or the first error."""
    return _answered(server, fence, server.pgconn.send_query, text)


def run_many(server: Server, sql: bytes, rows: Iterable[Sequence[Any]], fence: Fence | None) -> ResultRows:
    """Run one statement for every row, a hundred in one round trip."""
    count, left = 0, iter(rows)
    while some := list(islice(left, ROWS_AT_ONCE)):
        try:
            count += _pipelined(server, sql, some, fence)
        except psycopg.Error as error:
            raise sqlite3.OperationalError(_in_one_line(error)) from error
    return ResultRows([], count)


def run_for_all(server: Server, sql: str, rows: Sequence[Sequence[Any]], fence: Fence | None) -> ResultRows | None:
    """Run one statement once for all rows; None where a column holds something else than integers, or texts."""
    columns = [_column(values) for values in zip(*rows, strict=True)]
    known = [one for one in columns if one is not None]
    if len(known) < len(columns):
        return None
    text = translated_for_all(sql, tuple(kind for kind, _ in known))
    arrays = [array for kind, array in known if kind]
    result = _answered(server, fence, server.pgconn.send_query_params, text, arrays)
    _check(server.pgconn, result)
    return ResultRows([], result.command_tuples or 0)


def _column(values: Sequence[Any]) -> tuple[str, bytes] | None:
    """Return the type of a column and its values as an array is written; no type where all are NULL."""
    kinds = set(map(type, values))
    if kinds == {NoneType}:
        return "", b""
    if kinds <= {int, NoneType}:
        return "bigint", f"{{{','.join(map(str, values))}}}".replace("None", "NULL").encode()
    if not all(issubclass(kind, str) for kind in kinds - {NoneType}):
        return None
    return "text", f"{{{','.join(map(_quoted, values))}}}".encode()


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = _without_nul(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pipelined(server: Server, sql: bytes, rows: Sequence[Sequence[Any]], fence: Fence | None) -> int:
    with_types, pgconn = Transformer.from_context(server), server.pgconn
    pgconn.enter_pipeline_mode()
    try:
        _dumped(with_types, rows[0])
        pgconn.send_prepare(b"", sql, with_types.types)
        for row in rows:
            pgconn.send_query_prepared(b"", _dumped(with_types, row), with_types.formats)
        pgconn.pipeline_sync()
        return _counted(server, fence)
    finally:
        if pgconn.status == ConnStatus.OK:
            pgconn.exit_pipeline_mode()


def _answered(server: Server, fence: Fence | None, ask: Callable[..., None], *question: Any) -> PGresult:
    """Ask, and return the last result, or the first that is an error."""
    found: PGresult | None = None
    pgconn = server.pgconn
    try:
        ask(*question)
        while True:
            _wait(server, fence)
            result = pgconn.get_result()
            if result is None:
                break
            if found is None or found.status in _GOOD:
                found = result
    except psycopg.Error as error:  # the server closed the connection, without a result that could say so
        raise sqlite3.OperationalError(_in_one_line(error)) from error
    assert found is not None, "every statement has a result"
    return found


def _wait(server: Server, fence: Fence | None) -> None:
    """Wait until a result is there, with Python's lock released; close the connection where the server is silent."""
    pgconn = server.pgconn
    while pgconn.is_busy():
        if not select.select([pgconn.socket], [], [], None if fence is None else ANSWER_WITHIN_S)[0]:
            assert fence is not None, "who has all the time waits"
            fence.unreachable = f"the database server does not answer within {ANSWER_WITHIN_S:g} s"
            server.close()
            raise sqlite3.OperationalError(fence.unreachable)
        pgconn.consume_input()


def _dumped(with_types: abc.Transformer, values: Sequence[Any]) -> Sequence[Any]:
    """Return values as they are sent. Text holds no NUL there, as a provider's answer may: U+FFFD stands for it."""
    formats = [PyFormat.AUTO] * len(values)
    try:
        return with_types.dump_sequence(values, formats)
    except DataError:
        clean = [_without_nul(value) if isinstance(value, str) else value for value in values]
        return with_types.dump_sequence(clean, formats)


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _counted(server: Server, fence: Fence | None) -> int:
    """Read every result up to the end of the pipeline; return how many rows they touched. Raises the first error."""
    count, wrong, pgconn = 0, None, server.pgconn
    while True:
        _wait(server, fence)
        result = pgconn.get_result()
        if result is None:
            if pgconn.status != ConnStatus.OK:
                raise sqlite3.OperationalError(_words(pgconn.error_message))
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            break
        if result.status in _GOOD:
            count += result.command_tuples or 0
        elif wrong is None:
            wrong = result
    if wrong is not None:
        _check(pgconn, wrong)
    return count


def _check(pgconn: PGconn, result: PGresult) -> None:
    if result.status in _GOOD:
        return
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    said = _words(result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message)
    if state[:2] == "23":
        raise sqlite3.IntegrityError(said)
    if pgconn.status != ConnStatus.OK or not state or state[:2] in _LOST:
        raise sqlite3.OperationalError(said)
    raise sqlite3.DatabaseError(said)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _words(message: bytes) -> str:
    return " ".join(message.decode(errors="replace").split())
