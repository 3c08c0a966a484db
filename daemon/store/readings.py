"""Readings in the store: equal consecutive ones as one run, failed polls as outages, and hourly summaries.

The current run, outage and hour of an account are one row (`latest`), so that a poll costs the same whatever the
history. What ended is appended to `runs`, `outages` and `summaries`.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Known, Metrics, Reading, Unavailable
from daemon.limits import FOLD_ROWS
from daemon.store import summaries as sums
from daemon.store.connection import Connection, Transaction
from daemon.store.reading_rows import COLUMNS, OutageRun, Run, Values, metrics_of, outage_of, run_of, values_of

_METRICS = ", ".join(COLUMNS)
_OUTAGE = ("outage_first_ms", "outage_last_ms", "outage_count", "outage_reason", "outage_status", "outage_detail")
_LATEST = (
    "account",
    "since_ms",
    "number",
    "first_ms",
    "last_ms",
    "count",
    *COLUMNS,
    "extra",
    *_OUTAGE,
    "hour_ms",
    *sums.COLUMNS,
)
_EXTRA_AT = 6 + len(COLUMNS)
_OUTAGE_AT = _EXTRA_AT + 1
_HOUR_AT = _OUTAGE_AT + len(_OUTAGE)

# Only names of our own are formatted into these statements, never a value.
_LOAD = f"SELECT {', '.join(_LATEST)} FROM latest WHERE account IN (SELECT value FROM json_each(?))"
_SAVE = (
    f"INSERT INTO latest ({', '.join(_LATEST)}) VALUES (?{', ?' * (len(_LATEST) - 1)}) "
    "ON CONFLICT (account) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _LATEST[1:])
)
_TOUCH = "UPDATE latest SET last_ms = ?, count = ?, samples = ?, seen_last_ms = ? WHERE account = ?"
_SEEN_AGAIN = (
    "UPDATE latest SET last_ms = max(last_ms, ?1), count = count + 1, samples = samples + 1,"
    " seen_last_ms = max(seen_last_ms, ?1) WHERE account = ?2"
)
_END_RUN = (
    f"INSERT INTO runs (account, first_ms, number, last_ms, count, {_METRICS}) "
    f"VALUES (?, ?, ?, ?, ?{', ?' * len(COLUMNS)})"
)
_END_OUTAGE = (
    "INSERT INTO outages (account, first_ms, last_ms, count, reason, status, detail) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_KEEP_EXTRA = (
    "INSERT INTO extras (account, at_ms, extra) VALUES (?, ?, ?)"
    " ON CONFLICT (account, at_ms) DO UPDATE SET extra = excluded.extra"
)


_Write = Callable[[str, Sequence[Sequence[Any]]], object]
"""Runs a statement for many rows."""


@dataclass(slots=True)
class _Current:
    """One row of `latest`, while it is updated."""

    account: str
    since_ms: int | None
    number: int
    first_ms: int
    last_ms: int
    count: int
    """0 before the first reading."""
    values: Values
    extra: str
    outage: list[Any] | None
    hour: sums.Hour | None
    changed: bool = False
    """Whether more changed than the counts of the run and the hour."""

    def row(self) -> tuple[Any, ...]:
        run = (self.first_ms, self.last_ms, self.count) if self.count else (None, None, None)
        outage = self.outage or (None,) * len(_OUTAGE)
        hour = self.hour or (None,) * (1 + len(sums.COLUMNS))
        return (self.account, self.since_ms, self.number, *run, *self.values, self.extra, *outage, *hour)


class _Ended:
    """What ended in one batch, collected for `executemany`."""

    def __init__(self) -> None:
        self.runs: list[tuple[Any, ...]] = []
        self.outages: list[tuple[Any, ...]] = []
        self.hours: list[tuple[str, sums.Hour]] = []
        self.extras: list[tuple[str, int, str]] = []


def record(tx: Transaction, readings: Sequence[Reading]) -> None:
    """Store a batch of readings, in order; pass only those that may become history (`Evaluation.recorded`).

    A reading equal to the account's run extends it; another one, or a failed poll, ends it. The cost per reading does
    not depend on the history.
    """
    current = _load(tx, readings)
    ended = _Ended()
    for reading in readings:
        row = current.get(reading.account)
        if row is None:
            row = current[reading.account] = _Current(
                reading.account, None, 0, 0, 0, 0, (None,) * len(COLUMNS), "{}", None, None, True
            )
        if isinstance(reading, Known):
            _known(row, reading, ended)
        else:
            _unavailable(row, reading, ended)
    _write(tx.write_rows if len(current) == len(readings) else tx.executemany, current, ended)


def seen_again(tx: Transaction, seen: Sequence[tuple[int, str]]) -> None:
    """Extend the run and the hour of accounts whose reading equals the last one: (milliseconds, account).

    Same effect as `record`, only for readings within the hour of the last one and without an outage since.
    """
    tx.write_rows(_SEEN_AGAIN, seen)


def _load(tx: Transaction, readings: Sequence[Reading]) -> dict[str, _Current]:
    names = json.dumps([reading.account for reading in readings])
    loaded = {}
    for row in tx.execute(_LOAD, (names,)):
        loaded[row[0]] = _Current(
            row[0],
            row[1],
            row[2],
            row[3] or 0,
            row[4] or 0,
            row[5] or 0,
            row[6:_EXTRA_AT],
            row[_EXTRA_AT],
            None if row[_OUTAGE_AT] is None else list(row[_OUTAGE_AT:_HOUR_AT]),
            None if row[_HOUR_AT] is None else list(row[_HOUR_AT:]),
        )
    return loaded


def _known(row: _Current, reading: Known, ended: _Ended) -> None:
    at_ms, metrics = to_ms(reading.at), reading.metrics
    values = values_of(metrics)
    same = values == row.values and row.count > 0
    hour = row.hour
    if same and hour is not None and row.outage is None and metrics.extra == row.extra and _within(hour, at_ms):
        row.count += 1
        row.last_ms = max(row.last_ms, at_ms)
        hour[1] += 1
        hour[3] = max(hour[3], at_ms)
        return
    row.changed = True
    _summarise(row, at_ms, metrics, ended)
    if same and row.outage is None:
        row.count += 1
        row.last_ms = max(row.last_ms, at_ms)
    else:
        _end_run(row, ended)
        _end_outage(row, ended)
        row.number += 1
        row.first_ms = row.last_ms = at_ms
        row.count = 1
        row.values = values
        if row.since_ms is None:
            row.since_ms = at_ms
    if metrics.extra != row.extra:
        row.extra = metrics.extra
        ended.extras.append((row.account, at_ms, metrics.extra))


def _within(hour: sums.Hour, at_ms: int) -> bool:
    return bool(0 <= at_ms - hour[0] < sums.HOUR_MS)


def _summarise(row: _Current, at_ms: int, metrics: Metrics, ended: _Ended) -> None:
    before = metrics_of(row.values) if row.count else None
    if row.hour is not None and _within(row.hour, at_ms):
        sums.carry(row.hour, at_ms, metrics, before)
        return
    if row.hour is not None:
        ended.hours.append((row.account, row.hour))
    row.hour = sums.begin(at_ms, metrics, before)


def _unavailable(row: _Current, reading: Unavailable, ended: _Ended) -> None:
    row.changed = True
    at_ms = to_ms(reading.at)
    outage = row.outage
    if outage is not None and outage[3] == reading.reason and outage[4] == reading.status:
        outage[1] = max(outage[1], at_ms)
        outage[2] += 1
        outage[5] = reading.detail
        return
    _end_outage(row, ended)
    row.outage = [at_ms, at_ms, 1, reading.reason.value, reading.status, reading.detail]


def _end_run(row: _Current, ended: _Ended) -> None:
    if row.count:
        ended.runs.append((row.account, row.first_ms, row.number, row.last_ms, row.count, *row.values))


def _end_outage(row: _Current, ended: _Ended) -> None:
    if row.outage is not None:
        ended.outages.append((row.account, *row.outage))
        row.outage = None


def _write(write: _Write, current: Mapping[str, _Current], ended: _Ended) -> None:
    touched, saved = [], []
    for row in current.values():
        if row.changed:
            saved.append(row.row())
        elif row.hour is not None:
            touched.append((row.last_ms, row.count, row.hour[1], row.hour[3], row.account))
    if touched:
        write(_TOUCH, touched)
    if saved:
        write(_SAVE, saved)
    if ended.runs:
        write(_END_RUN, ended.runs)
    if ended.outages:
        write(_END_OUTAGE, ended.outages)
    if ended.extras:
        write(_KEEP_EXTRA, ended.extras)
    if ended.hours:
        sums.flush(write, ended.hours)


def last(connection: Connection, account: str) -> Known | None:
    """Return the account's last good reading with its unknown fields."""
    row = connection.execute(
        f"SELECT last_ms, extra, {_METRICS} FROM latest WHERE account = ? AND count IS NOT NULL",
        (account,),
    ).fetchone()
    return None if row is None else Known(account, from_ms(row[0]), metrics_of(row[2:], row[1]))


def current_outage(connection: Connection, account: str) -> OutageRun | None:
    """Return the current outage, or None if the last poll gave a reading."""
    row = connection.execute(
        f"SELECT {', '.join(_OUTAGE)} FROM latest WHERE account = ? AND outage_first_ms IS NOT NULL",
        (account,),
    ).fetchone()
    return None if row is None else outage_of(row)


def accounts_seen(connection: Connection) -> dict[str, datetime | None]:
    """Return every account that was ever polled, with the instant of its first good reading."""
    rows = connection.execute("SELECT account, since_ms FROM latest ORDER BY account")
    return {account: None if since is None else from_ms(since) for account, since in rows}


def poll_states(connection: Connection) -> dict[str, tuple[bool, bool]]:
    """Return for every account ever polled whether it ever had a reading, and whether it has an outage now."""
    rows = connection.execute("SELECT account, since_ms IS NOT NULL, outage_first_ms IS NOT NULL FROM latest")
    return {account: (bool(was_read), bool(is_out)) for account, was_read, is_out in rows}


def latest_at(connection: Connection) -> datetime | None:
    """Return the instant of the latest reading of any account."""
    row = connection.execute("SELECT max(last_ms) FROM latest").fetchone()
    return None if row[0] is None else from_ms(row[0])


def first_at(connection: Connection, account: str) -> datetime | None:
    """Return the instant of the account's first good reading, even if it was deleted since."""
    return accounts_seen(connection).get(account)


def history(connection: Connection, account: str, since: datetime, until: datetime) -> Iterator[Run | OutageRun]:
    """Yield the runs and outages that overlap [since, until), current ones included, by their start."""
    runs: Iterator[Run | OutageRun] = _runs(connection, account, to_ms(since), to_ms(until))
    outages: Iterator[Run | OutageRun] = _outages(connection, account, to_ms(since), to_ms(until))
    yield from heapq.merge(runs, outages, key=lambda one: one.first_at)


_REACHING_IN = "coalesce((SELECT max(first_ms) FROM {table} WHERE account = :account AND first_ms < :since), 0)"
"""Of those that began before `since`, only the last can overlap it: no earlier one is read."""


def _runs(connection: Connection, account: str, since_ms: int, until_ms: int) -> Iterator[Run]:
    fields = f"first_ms, last_ms, count, {_METRICS}"
    for row in connection.execute(
        f"SELECT {fields} FROM runs WHERE account = :account AND first_ms < :until AND last_ms >= :since"
        f" AND first_ms >= {_REACHING_IN.format(table='runs')} ORDER BY first_ms, number",
        {"account": account, "since": since_ms, "until": until_ms},
    ):
        yield run_of(row)
    for row in connection.execute(
        f"SELECT {fields} FROM latest WHERE account = ? AND first_ms < ? AND last_ms >= ?",
        (account, until_ms, since_ms),
    ):
        yield run_of(row)


def _outages(connection: Connection, account: str, since_ms: int, until_ms: int) -> Iterator[OutageRun]:
    for row in connection.execute(
        "SELECT first_ms, last_ms, count, reason, status, detail FROM outages"
        " WHERE account = :account AND first_ms < :until AND last_ms >= :since"
        f" AND first_ms >= {_REACHING_IN.format(table='outages')} ORDER BY first_ms, id",
        {"account": account, "since": since_ms, "until": until_ms},
    ):
        yield outage_of(row)
    for row in connection.execute(
        f"SELECT {', '.join(_OUTAGE)} FROM latest WHERE account = ? AND outage_first_ms < ? AND outage_last_ms >= ?",
        (account, until_ms, since_ms),
    ):
        yield outage_of(row)


def around(connection: Connection, account: str, instant: datetime) -> tuple[Run | None, Run | None]:
    """Return the last run that began at or before `instant` and the first that began after it."""
    at_ms = to_ms(instant)
    fields = f"first_ms, last_ms, count, {_METRICS}"
    query = f"SELECT {fields} FROM runs WHERE account = ?"
    going_on = connection.execute(
        f"SELECT {fields} FROM latest WHERE account = ? AND count IS NOT NULL",
        (account,),
    ).fetchone()
    before = connection.execute(
        f"{query} AND first_ms <= ? ORDER BY first_ms DESC, number DESC LIMIT 1", (account, at_ms)
    ).fetchone()
    after = connection.execute(
        f"{query} AND first_ms > ? ORDER BY first_ms, number LIMIT 1", (account, at_ms)
    ).fetchone()
    if going_on is not None:
        if going_on[0] <= at_ms:
            before = going_on
        elif after is None:
            after = going_on
    return (None if before is None else run_of(before), None if after is None else run_of(after))


def extras(connection: Connection, account: str, since: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    """Yield each change of the unknown fields in [since, until): its time and the new canonical JSON."""
    for at_ms, extra in connection.execute(
        "SELECT at_ms, extra FROM extras WHERE account = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms",
        (account, to_ms(since), to_ms(until)),
    ):
        yield from_ms(at_ms), extra


def accounts_after(
    connection: Connection, account: str, before: datetime, hours_before: datetime
) -> list[tuple[str, bool]]:
    """Return the next hundred accounts ever polled whose names follow `account`, in order, and whether there is
    anything of each to delete that ended before `before`, or hours to pack before `hours_before`.
    """
    values = {
        "after": account,
        "before": to_ms(before),
        "hours": sums.whole_days_ms(hours_before),
        "span": sums.SummarySpan.HOUR,
    }
    return [(name, bool(old)) for name, old in connection.execute(_NEXT, values)]


def fold_old(tx: Transaction, account: str, before: datetime, rows: int = FOLD_ROWS) -> bool:
    """Delete runs, outages and unknown fields of the account that ended before `before`; their summaries stay.

    Deletes at most `rows` of each kind; return whether there may be more.
    """
    gone = [tx.execute(statement, (account, to_ms(before), rows)).rowcount for statement in _FOLD]
    return max(gone) >= rows


_NEXT = (
    "SELECT account, EXISTS (SELECT 1 FROM runs r WHERE r.account = a.account AND first_ms < :before"
    " AND last_ms < :before) OR EXISTS (SELECT 1 FROM outages o WHERE o.account = a.account AND first_ms < :before"
    " AND last_ms < :before) OR EXISTS (SELECT 1 FROM extras e WHERE e.account = a.account AND at_ms < :before)"
    " OR EXISTS (SELECT 1 FROM summaries s WHERE s.account = a.account AND span = :span AND start_ms < :hours)"
    " FROM (SELECT account FROM latest WHERE account > :after ORDER BY account LIMIT 100) a ORDER BY account"
)
_FOLD = (
    "DELETE FROM runs WHERE (account, first_ms, number) IN (SELECT account, first_ms, number FROM runs"
    " WHERE account = ?1 AND first_ms < ?2 AND last_ms < ?2 ORDER BY first_ms LIMIT ?3)",
    "DELETE FROM outages WHERE id IN (SELECT id FROM outages"
    " WHERE account = ?1 AND first_ms < ?2 AND last_ms < ?2 ORDER BY first_ms LIMIT ?3)",
    "DELETE FROM extras WHERE (account, at_ms) IN (SELECT account, at_ms FROM extras"
    " WHERE account = ?1 AND at_ms < ?2 ORDER BY at_ms LIMIT ?3)",
)
