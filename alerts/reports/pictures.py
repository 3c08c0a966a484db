"""Pictures: what a report's charts show, and the same in words with its numbers for whoever sees no picture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.model.instants import to_ms
from alerts.model.money import format_gb, format_usd
from alerts.reports.statements import Statement

MIN_POINTS = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart that was drawn. `cid` names it within the mail and as a file."""

    cid: str
    png: bytes
    alt: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart to draw: values in millionths over instants in ms; `marks` are credits (instant, value after, label)."""

    cid: str
    alt: str
    unit: str
    title: str
    start_ms: int
    end_ms: int
    points: tuple[tuple[int, int], ...]
    marks: tuple[tuple[int, int, str], ...]
    limit: int | None
    zone: str


def drawing(statement: Statement, zone: ZoneInfo) -> Drawing | None:
    """Return the chart of a statement: the balance with its credits, or the storage under its limit, or None."""
    if len(statement.series) < MIN_POINTS:
        return None
    money, volume = statement.money, statement.volume
    marks: tuple[tuple[int, int, str], ...] = ()
    if money is not None:
        after = dict(statement.series)
        marks = tuple((to_ms(c.at), after.get(c.at, 0), f"+{format_usd(c.amount_microusd)}") for c in money.credits)
        marks = tuple(mark for mark in marks if mark[1])
    return Drawing(
        cid=f"{statement.account.id}-{statement.span.key}.png",
        alt=_alt(statement, zone),
        unit="USD" if money is not None else "GB",
        title="Balance" if money is not None else "Effective storage",
        start_ms=to_ms(statement.span.start),
        end_ms=to_ms(statement.span.end),
        points=tuple((to_ms(at), value) for at, value in statement.series),
        marks=marks,
        limit=volume.limit if money is None and volume is not None else None,
        zone=zone.key,
    )


def _alt(statement: Statement, zone: ZoneInfo) -> str:
    say = format_usd if statement.money is not None else format_gb
    what = "Balance" if statement.money is not None else "Effective storage"
    (_, first), (_, last) = statement.series[0], statement.series[-1]
    low_at, low = min(statement.series, key=lambda point: point[1])
    high_at, high = max(statement.series, key=lambda point: point[1])
    text = (
        f"{what} of {statement.account.name}, {statement.span.title}: from {say(first)} to {say(last)}, "
        f"lowest {say(low)} on {_day(low_at, zone)}, highest {say(high)} on {_day(high_at, zone)}."
    )
    if statement.money is not None and statement.money.credits:
        count = len(statement.money.credits)
        text += f" {count} credit{'' if count == 1 else 's'}, {format_usd(statement.money.credited)} together."
    if statement.money is None and statement.volume is not None and statement.volume.limit is not None:
        text += f" Limit {format_gb(statement.volume.limit)}."
    return text


def _day(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {local:%b}"
