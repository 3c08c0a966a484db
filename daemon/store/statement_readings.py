"""The past that a statement rests on: picked out of the kept runs by SQL, or read from hourly summaries once folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Known, Metrics
from alerts.model.values import replace
from alerts.reports.past import (
    NOISE_MICROUSD,
    AccountPast,
    Edge,
    Jump,
    PriceChange,
    bucket_ms,
    edge_between,
    past_of,
)
from daemon.store.connection import Connection
from daemon.store.reading_rows import Run
from daemon.store.readings import around, history
from daemon.store.summaries import Summary, SummarySpan, summaries

_NOTHING: Mapping[datetime, Edge] = {}
_LOOK_BACK = timedelta(days=62)
"""How far outside a period a folded reading is looked for."""
_SAID = (
    "first_ms, last_ms, count, balance_microusd AS b, total_charged_microusd AS t, uncharged_microusd AS u,"
    " cost_per_snapshot_microusd AS p,"
    " coalesce(effective_said_microgb, used_microgb + coalesce(reserved_microgb, 0)) AS e"
)
_ENDED = (
    f"SELECT {_SAID}, number FROM runs WHERE account = :account AND first_ms <= :end AND first_ms >= coalesce("
    "(SELECT max(first_ms) FROM runs WHERE account = :account AND first_ms <= :start), 0)"
)
_GOING_ON = (
    f" UNION ALL SELECT {_SAID}, number FROM latest WHERE account = :account AND count IS NOT NULL AND first_ms <= :end"
)
_BESIDE = (
    "SELECT *, lag(first_ms) OVER w AS f0, lag(last_ms) OVER w AS l0, lag(b) OVER w AS b0, lag(t) OVER w AS t0,"
    " lag(u) OVER w AS u0, lag(p) OVER w AS p0, lead(first_ms) OVER w AS f1"
    " FROM ({runs}) AS runs_read WINDOW w AS (ORDER BY first_ms, number)"
)
_INSIDE = "first_ms > :start"
_JUMPED = (
    "CASE WHEN b IS NULL OR b0 IS NULL THEN FALSE WHEN t IS NULL OR t0 IS NULL THEN b > b0"
    " ELSE t - t0 < -:noise OR abs(b - b0 + t - t0) > :noise END"
)
_LAST_OF_BUCKET = "f1 IS NULL OR (first_ms - :start) / :width <> (f1 - :start) / :width"
_PICKED = (
    f"SELECT first_ms, b, t, u, p, e, f0, l0, b0, t0, u0, p0, {_JUMPED}, {_LAST_OF_BUCKET} FROM ({{beside}}) AS pairs"
    f" WHERE {_INSIDE} AND ({_JUMPED} OR (p <> p0) OR {_LAST_OF_BUCKET}) ORDER BY first_ms"
)
_TOLD = (
    "SELECT coalesce(sum(count), 0), max(e), coalesce(min(CASE WHEN t IS NULL THEN 0 ELSE 1 END), 1)"
    " FROM ({runs}) AS runs_read"
    " WHERE first_ms > :start AND last_ms <= :end"
)
# Names of our own stand in these statements, never a value. Without the run that goes on nothing has to be sorted.
_ALL = [
    (_PICKED.format(beside=_BESIDE.format(runs=runs)), _TOLD.format(runs=runs)) for runs in (_ENDED, _ENDED + _GOING_ON)
]


def past_over(
    connection: Connection,
    account: str,
    cuts: Sequence[datetime],
    pinned: Mapping[datetime, Edge] = _NOTHING,
    *,
    series: bool = True,
) -> AccountPast:
    """Return the past of an account between the first and the last of `cuts`, with the level at each.

    `pinned` are levels that reports were made with already: they stand, whatever was read since.

    One statement picks what jumped out of the runs, however many there are; only those come back.
    """
    start, end = cuts[0], cuts[-1]
    before, after = around(connection, account, start)
    if before is None and _is_folded(connection, account, start, after):
        past = past_of(_with_folded(connection, account, start, end), cuts)
        return replace(past, edges=tuple(pinned.get(edge.at, edge) for edge in past.edges))
    values = {
        "account": account,
        "start": to_ms(start),
        "end": to_ms(end),
        "noise": NOISE_MICROUSD,
        "width": bucket_ms(start, end) if series else to_ms(end) - to_ms(start),
    }
    going_on = "SELECT 1 FROM latest WHERE account = :account AND first_ms <= :end"
    picked, told = _ALL[connection.execute(going_on, values).fetchone() is not None]
    rows = connection.execute(picked, values).fetchall()
    polls, peak, by_total = connection.execute(told, values).fetchone()
    first = after if after is not None and after.first_at <= end else None
    return AccountPast(
        edges=tuple(pinned.get(cut) or _edge(connection, account, cut) for cut in cuts),
        jumps=tuple(_jump(account, row, start) for row in rows if row[12]),
        prices=tuple(_price(row) for row in rows if None not in (row[4], row[11]) and row[4] != row[11]),
        first=None if first is None else Known(account, first.first_at, first.metrics),
        readings=polls + sum(_polls_within(run, start, end) for run in _reaching(connection, account, start, end)),
        by_total=bool(by_total),
        peak_microgb=peak,
        series=_series(rows) if series else (),
    )


def _jump(account: str, row: tuple[Any, ...], start: datetime) -> Jump:
    """The two readings of a jump: the last of the run before it, cut at the period's start, and the first after it."""
    first_ms, b, t, u = row[:4]
    last_ms, b0, t0, u0 = row[7:11]
    before = Metrics(balance_microusd=b0, uncharged_microusd=u0, total_charged_microusd=t0)
    after = Metrics(balance_microusd=b, uncharged_microusd=u, total_charged_microusd=t)
    at = min(from_ms(last_ms), from_ms(first_ms))
    return Jump(Known(account, at, before), Known(account, from_ms(first_ms), after))


def _price(row: tuple[Any, ...]) -> PriceChange:
    return PriceChange(from_ms(row[0]), row[11], row[4])


def _series(rows: Sequence[tuple[Any, ...]]) -> tuple[tuple[int, int], ...]:
    """The last value of each bucket of time, and both sides of each jump."""
    points: dict[int, int] = {}
    for row in rows:
        first_ms, b, u, e, last_ms, b0, u0, jumped = row[0], row[1], row[3], row[5], row[7], row[8], row[10], row[12]
        value = e if b is None else b - (u or 0)
        if jumped and b0 is not None:
            points[min(last_ms, first_ms - 1)] = b0 - (u0 or 0)
        if value is not None:
            points[first_ms] = value
    return tuple(sorted(points.items()))


def _edge(connection: Connection, account: str, at: datetime) -> Edge:
    before, after = around(connection, account, at)
    known = None if before is None else Known(account, min(before.last_at, at), before.metrics)
    if known is not None and before is not None and before.last_at > at:
        return Edge(at, known)
    return edge_between(known, None if after is None else Known(account, after.first_at, after.metrics), at)


def _reaching(connection: Connection, account: str, start: datetime, end: datetime) -> list[Run]:
    """The runs that reach over an edge of the period: at most two."""
    found: dict[datetime, Run] = {}
    for at in (start, end):
        before, _ = around(connection, account, at)
        if before is not None and before.last_at > at and before.last_at > start:
            found[before.first_at] = before
    before, _ = around(connection, account, start)
    if before is not None and start < before.last_at <= end:
        found[before.first_at] = before
    return list(found.values())


def _polls_within(run: Run, start: datetime, end: datetime) -> int:
    """The run's polls inside the period; of a run that reaches over an edge, as if they were evenly spread."""
    inside = min(run.last_at, end) - max(run.first_at, start)
    whole = run.last_at - run.first_at
    return run.count if inside == whole else (run.count - 1) * max(inside, timedelta()) // whole + 1


# ── folded readings ─────────────────────────────────────────────────────────────────────────────────────────────────


def _is_folded(connection: Connection, account: str, start: datetime, after: Run | None) -> bool:
    """Whether readings before the first run were folded away, rather than never made."""
    row = connection.execute("SELECT since_ms FROM latest WHERE account = ?", (account,)).fetchone()
    if row is None or row[0] is None:
        return False
    return after is None or from_ms(row[0]) < after.first_at


def _with_folded(connection: Connection, account: str, start: datetime, end: datetime) -> list[Known]:
    """The first and last values of each hour, then what the kept runs say, in order, with one on either side."""
    _, after = around(connection, account, end)
    just_after = end + timedelta(milliseconds=1)  # a reading at the very end is the closing one
    runs = [run for run in history(connection, account, start, just_after) if isinstance(run, Run)]
    kept_from = runs[0].first_at if runs else (after.first_at if after is not None else end + _LOOK_BACK)
    points = list(_folded(connection, account, start, end, kept_from))
    for run in runs:
        edges = {edge for edge in (start, end) if run.first_at < edge < run.last_at}
        points += [Known(account, at, run.metrics) for at in sorted({run.first_at, run.last_at} | edges)]
    if after is not None:
        points.append(Known(account, after.first_at, after.metrics))
    return points


def _folded(
    connection: Connection, account: str, start: datetime, end: datetime, kept_from: datetime
) -> Iterator[Known]:
    until = min(kept_from, end + _LOOK_BACK)
    before: Summary | None = None
    for hour in summaries(connection, account, SummarySpan.HOUR, start - _LOOK_BACK, until):
        if hour.seen_first_at >= kept_from:
            break
        if hour.seen_last_at < start:
            before = hour
            continue
        if before is not None:
            yield _last_of(account, before)
            before = None
        yield _first_of(account, hour)
        if hour.seen_last_at > hour.seen_first_at:
            yield _last_of(account, hour)
        if hour.seen_first_at > end:
            return
    if before is not None:
        yield _last_of(account, before)


def _first_of(account: str, hour: Summary) -> Known:
    return Known(
        account,
        hour.seen_first_at,
        Metrics(
            balance_microusd=hour.balance_first,
            uncharged_microusd=hour.uncharged_first,
            total_charged_microusd=hour.charged_first,
            used_microgb=hour.used_first,
        ),
    )


def _last_of(account: str, hour: Summary) -> Known:
    return Known(
        account,
        hour.seen_last_at,
        Metrics(
            balance_microusd=hour.balance_last,
            uncharged_microusd=hour.uncharged_last,
            total_charged_microusd=hour.charged_last,
            used_microgb=hour.used_last,
            effective_said_microgb=hour.effective_max,
        ),
    )
