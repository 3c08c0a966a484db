"""Pictures: what a report's charts show, and the same in words with its numbers for whoever sees no picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from zoneinfo import ZoneInfo

from alerts.model.instants import from_ms, to_ms
from alerts.model.spans import Span
from alerts.model.units import USD
from alerts.reports.amounts import amount, volume
from alerts.reports.statements import Statement
from alerts.reports.totals import spend_by_day

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
    lines: tuple[tuple[int, str], ...]
    """Horizontal lines with their words: a limit, a budget, a threshold."""
    zone: str


def drawing(one: Statement, zone: ZoneInfo) -> Drawing | None:
    """Return the chart of a statement: what was available with its top-ups, or the storage, or None."""
    if len(one.series) < MIN_POINTS:
        return None
    figures, storage = one.figures, one.volume
    marks: list[tuple[int, int, str]] = []
    lines: list[tuple[int, str]] = []
    if figures is not None:
        after = dict(one.series)
        credited = [(to_ms(c.at), f"+{amount(c.amount_microusd, one.unit)}") for c in figures.credits]
        marks = [(at, after[at], label) for at, label in credited if at in after]
        lines = [] if one.threshold is None else [(one.threshold, "alert below")]
    elif storage is not None and storage.limit is not None:
        lines = [(storage.limit, "limit")]
    return Drawing(
        cid=f"{one.account.id}-{one.span.key}.png",
        alt=_alt(one, zone),
        unit=one.account.quota_unit if figures is None else one.unit,
        title="Effective storage" if figures is None else "Available",
        start_ms=to_ms(one.span.start),
        end_ms=to_ms(one.span.end),
        points=one.series,
        marks=tuple(marks),
        lines=tuple(lines),
        zone=zone.key,
    )


def spend_drawing(statements: Sequence[Statement], span: Span, budget: int | None, zone: ZoneInfo) -> Drawing | None:
    """Return the chart of what was spent over all accounts, day by day, against the budget; None for a single day."""
    days = spend_by_day([one for one in statements if one.unit == USD])
    if len(days) < MIN_POINTS:
        return None
    sums = list(accumulate(spent for _, spent in days))
    ends = [start for start, _ in days[1:]] + [span.end]
    points = [(to_ms(days[0][0]), 0), *zip(map(to_ms, ends), sums, strict=True)]
    alt = f"Spent over all accounts, {span.title}: {amount(sums[-1])} by the end"
    most_at, most = max(days, key=lambda row: row[1])
    alt += f", most on {_day(most_at, zone)} with {amount(most)}."
    return Drawing(
        cid=f"spent-{span.key}.png",
        alt=alt if budget is None else f"{alt} Budget {amount(budget)}.",
        unit=USD,
        title="Spent since the period began",
        start_ms=to_ms(span.start),
        end_ms=to_ms(span.end),
        points=tuple(points),
        marks=(),
        lines=() if budget is None else ((budget, "budget"),),
        zone=zone.key,
    )


def _alt(one: Statement, zone: ZoneInfo) -> str:
    figures = one.figures

    def say(value: int) -> str:
        return volume(value, one.account.quota_unit) if figures is None else amount(value, one.unit)

    what = "Effective storage" if figures is None else "Available"
    (_, first), (_, last) = one.series[0], one.series[-1]
    low_at, low = min(one.series, key=lambda point: point[1])
    high_at, high = max(one.series, key=lambda point: point[1])
    text = (
        f"{what} of {one.account.name}, {one.span.title}: from {say(first)} to {say(last)}, "
        f"lowest {say(low)} on {_day(from_ms(low_at), zone)}, highest {say(high)} on {_day(from_ms(high_at), zone)}."
    )
    if figures is not None and figures.credits:
        count = len(figures.credits)
        text += f" {count} credit{'' if count == 1 else 's'}, {say(figures.credited)} together."
    if figures is None and one.volume is not None and one.volume.limit is not None:
        text += f" Limit {say(one.volume.limit)}."
    return text


def _day(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {local:%b}"
