"""Summaries by hour and by day: updated with each reading, and kept when the readings are deleted.

The hours of a past day are packed into one row.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Metrics
from daemon.store.connection import Connection, Transaction

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class SummarySpan(StrEnum):
    HOUR = "hour"
    DAY = "day"  # of UTC


@dataclass(frozen=True, slots=True)
class Summary:
    """The readings of one hour or day (UTC). Money in micro-dollars, volume in micro-gigabytes; None: not reported.

    `spent` and `credited` are the growth of accrued and of funded since the previous reading, `used_grown` that of the
    volume; a counter that ran backwards adds nothing.
    """

    start_at: datetime
    samples: int
    seen_first_at: datetime
    seen_last_at: datetime
    balance_first: int | None
    balance_last: int | None
    uncharged_first: int | None
    uncharged_last: int | None
    charged_first: int | None
    charged_last: int | None
    available_min: int | None
    available_max: int | None
    spent: int | None
    credited: int | None
    used_first: int | None
    used_last: int | None
    used_grown: int | None
    effective_max: int | None


COLUMNS = (
    "samples",
    "seen_first_ms",
    "seen_last_ms",
    "balance_first",
    "balance_last",
    "uncharged_first",
    "uncharged_last",
    "charged_first",
    "charged_last",
    "available_min",
    "available_max",
    "spent",
    "credited",
    "used_first",
    "used_last",
    "used_grown",
    "effective_max",
)

_LEAST = frozenset({"seen_first_ms", "available_min"})
_MOST = frozenset({"seen_last_ms", "available_max", "effective_max"})
_FIRST = frozenset({"balance_first", "uncharged_first", "charged_first", "used_first"})
_SUM = frozenset({"samples", "spent", "credited", "used_grown"})


def _merged(name: str) -> str:
    """Return the SQL that merges a column of an hour into its day; NULL changes nothing."""
    old = f"summaries.{name}"
    both = {
        name in _LEAST: f"min({old}, excluded.{name})",
        name in _MOST: f"max({old}, excluded.{name})",
        name in _SUM: f"{old} + excluded.{name}",
        name in _FIRST: old,
    }.get(True, f"excluded.{name}")
    return f"{name} = coalesce({both}, {old}, excluded.{name})"


_MERGE = ", ".join(map(_merged, COLUMNS))
_FLUSH = (
    f"INSERT INTO summaries (account, span, start_ms, {', '.join(COLUMNS)}) "
    f"VALUES (?, ?, ?{', ?' * len(COLUMNS)}) ON CONFLICT (account, span, start_ms) DO UPDATE SET {_MERGE}"
)

Hour = list[Any]
"""The current hour: its start in milliseconds, then the values of `COLUMNS`."""


def hour_of(at_ms: int) -> int:
    """Return the start of the hour that `at_ms` lies in."""
    return at_ms - at_ms % HOUR_MS


def begin(at_ms: int, metrics: Metrics, before: Metrics | None) -> Hour:
    """Return a new hour with one reading."""
    balance, uncharged, charged = metrics.balance_microusd, metrics.uncharged_microusd, metrics.total_charged_microusd
    available, used = metrics.available_microusd, metrics.used_microgb
    hour = [hour_of(at_ms), 1, at_ms, at_ms, balance, balance, uncharged, uncharged, charged, charged]
    hour += [available, available, None, None, used, used, None, metrics.effective_microgb]
    _grow(hour, metrics, before)
    return hour


def carry(hour: Hour, at_ms: int, metrics: Metrics, before: Metrics | None) -> None:
    """Add a reading that differs from the previous one to the current hour."""
    hour[1] += 1
    hour[3] = max(hour[3], at_ms)
    hour[5], hour[7], hour[9] = metrics.balance_microusd, metrics.uncharged_microusd, metrics.total_charged_microusd
    available, used, effective = metrics.available_microusd, metrics.used_microgb, metrics.effective_microgb
    if available is not None:
        hour[10] = available if hour[10] is None else min(hour[10], available)
        hour[11] = available if hour[11] is None else max(hour[11], available)
    hour[15] = used
    if effective is not None:
        hour[17] = effective if hour[17] is None else max(hour[17], effective)
    _grow(hour, metrics, before)


def _grow(hour: Hour, metrics: Metrics, before: Metrics | None) -> None:
    accrued, funded, used = metrics.accrued_microusd, metrics.funded_microusd, metrics.used_microgb
    if accrued is not None:
        hour[12] = (hour[12] or 0) + _growth(accrued, None if before is None else before.accrued_microusd)
    if funded is not None:
        hour[13] = (hour[13] or 0) + _growth(funded, None if before is None else before.funded_microusd)
    if used is not None:
        hour[16] = (hour[16] or 0) + _growth(used, None if before is None else before.used_microgb)


def _growth(now: int, before: int | None) -> int:
    return 0 if before is None or now < before else now - before


def flush(write: Callable[[str, Sequence[Sequence[Any]]], object], ended: Sequence[tuple[str, Hour]]) -> None:
    """Write the hours that ended, and add them to their days."""
    rows = []
    for account, hour in ended:
        start = hour[0]
        rows.append((account, SummarySpan.HOUR, start, *hour[1:]))
        rows.append((account, SummarySpan.DAY, start - start % DAY_MS, *hour[1:]))
    write(_FLUSH, rows)


def summaries(
    connection: Connection, account: str, span: SummarySpan, since: datetime, until: datetime
) -> Iterator[Summary]:
    """Yield the hours or days that start in [since, until), in order, the current one included."""
    width = HOUR_MS if span is SummarySpan.HOUR else DAY_MS
    first, last = to_ms(since), to_ms(until)
    going_on = connection.execute(
        f"SELECT hour_ms, {', '.join(COLUMNS)} FROM latest WHERE account = ? AND hour_ms IS NOT NULL",
        (account,),
    ).fetchone()
    open_start = None if going_on is None else going_on[0] - going_on[0] % width
    for row in _stored(connection, account, span, first, last):
        if open_start is not None and row[0] >= open_start:
            if row[0] == open_start:
                yield _summary(_joined(row, going_on))
                open_start = None
                continue
            if first <= open_start < last:  # the clock was set back: later hours exist already
                yield _summary((open_start, *going_on[1:]))
            open_start = None
        yield _summary(row)
    if open_start is not None and first <= open_start < last:
        yield _summary((open_start, *going_on[1:]))


DayPoint = tuple[datetime, int | None, int | None]
"""A start, the lowest available balance in micro-dollars, and the highest effective volume in micro-gigabytes."""


def day_points(connection: Connection, accounts: Sequence[str], since: datetime) -> dict[str, list[DayPoint]]:
    """Return the days (UTC) of many accounts that start at or after `since`, in order; last the hour that goes on."""
    found: dict[str, list[DayPoint]] = {}
    rows = connection.execute(
        "SELECT account, start_ms, available_min, effective_max FROM summaries"
        " WHERE account IN (SELECT value FROM json_each(?1)) AND span = 'day' AND start_ms >= ?2"
        " UNION ALL SELECT account, hour_ms, available_min, effective_max FROM latest"
        " WHERE account IN (SELECT value FROM json_each(?1)) AND hour_ms >= ?2",
        (json.dumps(list(accounts)), to_ms(since)),
    )
    for account, start_ms, available, effective in sorted(rows, key=lambda row: row[:2]):
        found.setdefault(account, []).append((from_ms(start_ms), available, effective))
    return found


def _stored(connection: Connection, account: str, span: SummarySpan, first: int, last: int) -> list[Sequence[Any]]:
    """Return the rows that start in [first, last), in order, packed ones included."""
    rows: list[Sequence[Any]] = connection.execute(
        f"SELECT start_ms, {', '.join(COLUMNS)} FROM summaries"
        " WHERE account = ? AND span = ? AND start_ms >= ? AND start_ms < ? ORDER BY start_ms",
        (account, span, first, last),
    ).fetchall()
    if span is SummarySpan.DAY:
        return rows
    packed = connection.execute(
        "SELECT hours FROM packed_hours WHERE account = ? AND day_ms > ? AND day_ms < ?",
        (account, first - DAY_MS, last),
    ).fetchall()
    unpacked = (row for (hours,) in packed for row in unpack(hours) if first <= row[0] < last)
    return _merged_rows([*unpacked, *rows]) if packed else rows


def _merged_rows(rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return the rows in order, merging two with the same start, as a clock that was set back writes them."""
    found: dict[int, Sequence[Any]] = {}
    for row in rows:
        found[row[0]] = _joined(found[row[0]], row) if row[0] in found else row
    return [found[start] for start in sorted(found)]


def whole_days_ms(before: datetime) -> int:
    """Return the end of the last whole day that ended by then."""
    return to_ms(before) - to_ms(before) % DAY_MS


def pack_old(tx: Transaction, account: str, before: datetime) -> bool:
    """Pack the hours of the account's oldest day that ended before `before`; return whether there was one."""
    (start_ms,) = tx.execute(
        "SELECT min(start_ms) FROM summaries WHERE account = ? AND span = ? AND start_ms < ?",
        (account, SummarySpan.HOUR, whole_days_ms(before)),
    ).fetchone()
    if start_ms is None:
        return False
    day_ms = start_ms - start_ms % DAY_MS
    rows = _stored(tx, account, SummarySpan.HOUR, day_ms, day_ms + DAY_MS)
    tx.execute(
        "INSERT INTO packed_hours (account, day_ms, hours) VALUES (?, ?, ?)"
        " ON CONFLICT (account, day_ms) DO UPDATE SET hours = excluded.hours",
        (account, day_ms, pack(rows)),
    )
    tx.execute(
        "DELETE FROM summaries WHERE account = ? AND span = ? AND start_ms >= ? AND start_ms < ?",
        (account, SummarySpan.HOUR, day_ms, day_ms + DAY_MS),
    )
    return True


def pack(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return rows (a start, then `COLUMNS`) as compressed JSON, by column, each value as a difference to the last."""
    columns = [_steps(column) for column in zip(*rows, strict=True)]
    return zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), 9)


def unpack(packed: bytes) -> list[tuple[Any, ...]]:
    """Return the packed rows."""
    return list(zip(*map(_values, json.loads(zlib.decompress(packed))), strict=True))


def _steps(values: Sequence[int | None]) -> list[int | None]:
    steps: list[int | None] = []
    last = 0
    for value in values:
        steps.append(None if value is None else value - last)
        last = last if value is None else value
    return steps


def _values(steps: Sequence[int | None]) -> list[int | None]:
    values: list[int | None] = []
    last = 0
    for step in steps:
        last += step or 0
        values.append(None if step is None else last)
    return values


def _joined(stored: Sequence[Any], hour: Sequence[Any]) -> tuple[Any, ...]:
    """Return a stored row merged with the current hour: what `_MERGE` does in SQL."""
    joined: list[Any] = [stored[0]]
    for name, old, new in zip(COLUMNS, stored[1:], hour[1:], strict=True):
        if old is None or new is None:
            joined.append(new if old is None else old)
        elif name in _SUM:
            joined.append(old + new)
        elif name in _LEAST or name in _MOST:
            joined.append(min(old, new) if name in _LEAST else max(old, new))
        else:
            joined.append(old if name in _FIRST else new)
    return tuple(joined)


def _summary(row: Sequence[Any]) -> Summary:
    return Summary(from_ms(row[0]), row[1], from_ms(row[2]), from_ms(row[3]), *row[4:])
