"""How `history` looks: runs and outages, a day a line over longer times, a chart on a terminal, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from alerts.model.accounts import AccountInfo
from alerts.model.money import format_amount, to_decimal
from alerts.model.readings import Metrics
from alerts.model.units import GB, OLDER_NAMES, USD
from alerts.reports.sheet import harmless
from alerts.rules.numbers import moment, money
from daemon.commands.common import print_table
from daemon.status.figures import FIELDS, IN_UNIT
from daemon.status.text import amount, left, local
from daemon.store.reading_rows import OutageRun, Run
from daemon.store.summaries import Summary

DAYS_FROM = timedelta(days=3)
"""Over a longer time a person is shown a line a day."""
RUNS_SHOWN = 50
CHART_COLUMNS = 60
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class History:
    """What was kept of one account between two instants."""

    account: AccountInfo
    since: datetime
    until: datetime
    entries: tuple[Run | OutageRun, ...]
    days: tuple[Summary, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Run))


def fields_of(info: AccountInfo) -> tuple[tuple[str, str], ...]:
    """Return the names of an account's figures: where they are in dollars or gigabytes, the older ones first."""
    older = []
    for name, attribute in IN_UNIT:
        unit = info.quota_unit if attribute.endswith("gb") else info.unit
        if (old := OLDER_NAMES.get(unit, {}).get(name)) is not None:
            older.append((old, attribute))
    return (*older, *IN_UNIT, *FIELDS)


def document(found: History) -> dict[str, Any]:
    """Return what `history --json` prints."""
    return {
        "account": found.account.id,
        "unit": found.account.unit,
        "quota_unit": found.account.quota_unit,
        "since": moment(found.since),
        "until": moment(found.until),
        "readings": [_reading(run, found.account) for run in found.runs],
        "outages": [_outage(entry) for entry in found.entries if isinstance(entry, OutageRun)],
        "days": [_day(day, found.account) for day in found.days],
    }


def _reading(run: Run, info: AccountInfo) -> dict[str, Any]:
    said: dict[str, Any] = {"first_at": moment(run.first_at), "last_at": moment(run.last_at), "count": run.count}
    for name, attribute in fields_of(info):
        value = getattr(run.metrics, attribute)
        if value is not None:
            said[name] = money(value) if "micro" in attribute else value
    return said


def _outage(outage: OutageRun) -> dict[str, Any]:
    return {
        "first_at": moment(outage.first_at),
        "last_at": moment(outage.last_at),
        "count": outage.count,
        "reason": outage.reason.value,
        "status": outage.status,
        "detail": outage.detail or None,
    }


def _day(day: Summary, info: AccountInfo) -> dict[str, Any]:
    paid = {"spent": day.spent, "credited": day.credited}
    paid |= {"available_min": day.available_min, "available_max": day.available_max}
    used = {"used": day.used_last, "grown": day.used_grown, "effective_max": day.effective_max}
    older = {f"{name}_usd": value for name, value in paid.items() if info.unit == USD}
    older |= {f"{name}_gb": value for name, value in used.items() if info.quota_unit == GB}
    figures = {name: money(value) for name, value in (older | paid | used).items()}
    return {"day": day.start_at.date().isoformat(), "readings": day.samples, **figures}


def to_csv(found: History) -> str:
    """Return a line a run or outage; amounts are exact decimals, and no text is taken for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    named = fields_of(found.account)
    units = [found.account.unit, found.account.quota_unit]
    writer.writerow(["first_at", "last_at", "count", "unavailable", *(name for name, _ in named), "unit", "quota_unit"])
    for entry in found.entries:
        times = [moment(entry.first_at), moment(entry.last_at), entry.count]
        if isinstance(entry, OutageRun):
            writer.writerow([*times, entry.reason.value, *("" for _ in named), *units])
        else:
            writer.writerow([*times, "", *(_cell(entry.metrics, attribute) for _, attribute in named), *units])
    return out.getvalue()


def _cell(metrics: Metrics, attribute: str) -> str:
    value = getattr(metrics, attribute)
    if value is None:
        return ""
    if "micro" in attribute:
        return f"{to_decimal(value).normalize():f}"
    return harmless(value) if isinstance(value, str) else str(value)


# ── for a person ────────────────────────────────────────────────────────────────────────────────────────────────────


def show(found: History, zone: ZoneInfo) -> None:
    """Print the history for a person: the chart where there is a terminal, then days or readings."""
    if not found.entries and not found.days:
        typer.echo(
            f"{found.account.id}: nothing was read between {local(found.since, zone)} and {local(found.until, zone)}"
        )
        return
    if Console().is_terminal:
        _show_chart(found, zone)
    if found.until - found.since > DAYS_FROM:
        _show_days(found)
        _show_outages(found, zone)
    else:
        _show_entries(found, zone)


def _measure(found: History) -> str:
    prepaid = any(run.metrics.available_microusd is not None for run in found.runs)
    return "available_microusd" if prepaid else "effective_microgb"


def _show_chart(found: History, zone: ZoneInfo) -> None:
    measure = _measure(found)
    points = [(run, value) for run in found.runs if (value := getattr(run.metrics, measure)) is not None]
    if not points:
        return
    unit = found.account.unit if measure == "available_microusd" else found.account.quota_unit
    values = [value for _, value in points]
    columns = min(CHART_COLUMNS, max(10, Console().width - 4))
    typer.echo(f"{measure.partition('_')[0]}: {format_amount(min(values), unit)} to {format_amount(max(values), unit)}")
    typer.echo(f"  {sparkline(points, found.since, found.until, columns)}")
    typer.echo(f"  {local(found.since, zone):<{columns - 16}}{local(found.until, zone)}\n")


def sparkline(points: Sequence[tuple[Run, int]], since: datetime, until: datetime, columns: int) -> str:
    """Return one character a stretch of time: its lowest value, a space where nothing was read."""
    low, high = min(value for _, value in points), max(value for _, value in points)
    width = (until - since) / columns
    cells: list[int | None] = [None] * columns
    for run, value in points:
        first = max(0, (run.first_at - since) // width)
        last = min(columns - 1, max(first, (run.last_at - since) // width))
        for column in range(min(first, columns - 1), last + 1):
            before = cells[column]
            cells[column] = value if before is None else min(before, value)
    return "".join(" " if cell is None else _bar(cell, low, high) for cell in cells)


def _bar(value: int, low: int, high: int) -> str:
    return _BARS[0] if high == low else _BARS[(value - low) * (len(_BARS) - 1) // (high - low)]


def _show_days(found: History) -> None:
    prepaid = any(day.available_min is not None for day in found.days)
    unit, quota_unit = found.account.unit, found.account.quota_unit
    if prepaid:
        columns = ["day (UTC)", "readings", "spent", "credited", "lowest", "highest", "at the end"]
        rows = [
            [
                day.start_at.date().isoformat(),
                str(day.samples),
                amount(day.spent, unit),
                amount(day.credited, unit),
                left(day.available_min, unit),
                left(day.available_max, unit),
                left(None if day.balance_last is None else day.balance_last - (day.uncharged_last or 0), unit),
            ]
            for day in found.days
        ]
    else:
        columns = ["day (UTC)", "readings", "grown", "used", "highest effective"]
        rows = [
            [
                day.start_at.date().isoformat(),
                str(day.samples),
                amount(day.used_grown, quota_unit),
                amount(day.used_last, quota_unit),
                amount(day.effective_max, quota_unit),
            ]
            for day in found.days
        ]
    print_table(found.account.id, columns, rows, right=columns[1:])


def _show_outages(found: History, zone: ZoneInfo) -> None:
    rows = [
        [local(one.first_at, zone), local(one.last_at, zone), str(one.count), one.reason.value, one.detail]
        for one in found.entries
        if isinstance(one, OutageRun)
    ]
    if rows:
        typer.echo()
        print_table("Unreadable", ["from", "to", "polls", "reason", "said"], rows[-RUNS_SHOWN:], right=["polls"])


def _show_entries(found: History, zone: ZoneInfo) -> None:
    prepaid = _measure(found) == "available_microusd"
    columns = ["from", "to", "readings", *_words(prepaid)]
    rows = [
        [
            _short(entry.first_at, zone),
            _short(entry.last_at, zone),
            str(entry.count),
            *_values(entry, found.account, prepaid),
        ]
        for entry in found.entries[-RUNS_SHOWN:]
    ]
    print_table(found.account.id, columns, rows, right=columns[2:])
    left_out = len(found.entries) - len(rows)
    if left_out > 0:
        typer.echo(f"{left_out} earlier lines are left out: --csv prints them all")


def _words(prepaid: bool) -> Iterator[str]:
    yield from ("balance", "pending", "available", "videos") if prepaid else ("used", "reserved", "effective", "limit")


def _values(entry: Run | OutageRun, info: AccountInfo, prepaid: bool) -> list[str]:
    if isinstance(entry, OutageRun):
        return [entry.reason.value, "", "", ""]
    metrics = entry.metrics
    if prepaid:
        videos = "–" if metrics.active_videos is None else str(metrics.active_videos)
        money_ = (metrics.balance_microusd, metrics.uncharged_microusd, metrics.available_microusd)
        return [*(amount(value, info.unit) for value in money_), videos]
    volumes = (metrics.used_microgb, metrics.reserved_microgb, metrics.effective_microgb, metrics.limit_microgb)
    return [amount(value, info.quota_unit) for value in volumes]


def _short(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%m-%d %H:%M")
