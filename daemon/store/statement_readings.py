"""The readings of a statement: from runs, or from hourly summaries where the runs were deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

from alerts.model.readings import Known, Metrics
from daemon.store.reading_rows import Run
from daemon.store.readings import around, history
from daemon.store.summaries import Summary, SummarySpan, summaries

_LOOK_BACK = timedelta(days=62)
"""How far outside a period summaries are searched."""


def readings_over(
    connection: sqlite3.Connection, account: str, start: datetime, end: datetime
) -> tuple[list[Known], int]:
    """Return the readings of the period in order, with those at its edges, and the number of polls.

    The list begins with the last reading at or before `start` and ends with the first after `end`, if they exist. A run
    that crosses an edge is cut there, since its values are the same on both sides.
    """
    before, _ = around(connection, account, start)
    _, after = around(connection, account, end)
    just_after = end + timedelta(milliseconds=1)  # a reading at the very end is the closing one
    runs = [run for run in history(connection, account, start, just_after) if isinstance(run, Run)]
    points: list[Known] = []
    polls = 0
    if before is None:
        kept_from = runs[0].first_at if runs else (after.first_at if after is not None else end + _LOOK_BACK)
        points, polls = _folded(connection, account, start, end, kept_from)
    elif before.last_at < start:
        points.append(Known(account, before.last_at, before.metrics))
    for run in runs:
        points += _points(account, run, start, end)
        polls += _polls_within(run, start, end)
    if after is not None:
        points.append(Known(account, after.first_at, after.metrics))
    return points, polls


def _points(account: str, run: Run, start: datetime, end: datetime) -> Iterator[Known]:
    edges = {edge for edge in (start, end) if run.first_at < edge < run.last_at}
    for at in sorted({run.first_at, run.last_at} | edges):
        yield Known(account, at, run.metrics)


def _polls_within(run: Run, start: datetime, end: datetime) -> int:
    """Return the number of the run's polls inside the period, as if they were evenly spread."""
    inside = min(run.last_at, end) - max(run.first_at, start)
    whole = run.last_at - run.first_at
    if inside == whole:
        return run.count
    return (run.count - 1) * max(inside, timedelta()) // whole + 1


def _folded(
    connection: sqlite3.Connection, account: str, start: datetime, end: datetime, kept_from: datetime
) -> tuple[list[Known], int]:
    """Return the first and last values of each hour before the first stored run, and the number of polls."""
    until = min(kept_from, end + _LOOK_BACK)
    points: list[Known] = []
    polls = 0
    for hour in summaries(connection, account, SummarySpan.HOUR, start - _LOOK_BACK, until):
        if hour.seen_first_at >= kept_from:
            break
        if hour.seen_last_at < start:
            points = [_last_of(account, hour)]
            continue
        points += [_first_of(account, hour), _last_of(account, hour)]
        if hour.seen_first_at > end:
            break
        polls += hour.samples
    return points, polls


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
