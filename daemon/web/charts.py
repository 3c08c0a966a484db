"""The charts of an account's page: where each line, band and label lies, for the template to draw as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.model.money import MICRO, format_gb, format_usd
from daemon.store.summaries import Summary

WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 74, 10, 12, 24
_LINES_ACROSS = 4
_LABELS_BELOW = 5
_STEPS = (1, 2, 5)


Point = tuple[datetime, int]
"""An instant and micro-dollars or micro-gigabytes."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in the chart's own units."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `paths` are SVG path data, one a stretch without a gap; `says` tells it to whoever cannot see it."""

    title: str
    says: str
    paths: tuple[str, ...]
    bars: tuple[Bar, ...]
    across: tuple[Tick, ...]
    below: tuple[Tick, ...]
    marks: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """What the horizontal axis covers."""

    since: datetime
    until: datetime
    zone: ZoneInfo

    def x(self, at: datetime) -> float:
        share = (at - self.since) / (self.until - self.since)
        return round(LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)

    def labels(self) -> tuple[Tick, ...]:
        """A few local dates, or times where it is a day or two."""
        long = self.until - self.since > timedelta(days=2)
        step = (self.until - self.since) / _LABELS_BELOW
        instants = [self.since + step * number for number in range(1, _LABELS_BELOW)]
        return tuple(
            Tick(self.x(at), at.astimezone(self.zone).strftime("%d %b" if long else "%H:%M")) for at in instants
        )


def line(
    title: str, points: Sequence[Point], span: ChartSpan, *, gap: timedelta, volume: bool, mark: int | None
) -> Chart | None:
    """Return a line through micro-units over time, broken where nothing was read for longer than `gap`.

    `mark` is a level of its own (the top-up's threshold, the quota). None where there is no point.
    """
    if not points:
        return None
    form = format_gb if volume else format_usd
    values = [value for _, value in points]
    levels = _levels([*values, *([] if mark is None else [mark])])
    place = _Place(levels)
    low, high, last = min(values), max(values), values[-1]
    return Chart(
        title,
        f"{title}: between {form(low)} and {form(high)}, {form(last)} at the end",
        tuple(_path(stretch, span, place) for stretch in _stretches(points, gap)),
        (),
        tuple(Tick(place.y(level), form(level)) for level in levels),
        span.labels(),
        () if mark is None else (Tick(place.y(mark), form(mark)),),
    )


def bars(title: str, days: Sequence[Point], span: ChartSpan, *, volume: bool) -> Chart | None:
    """Return a bar a day (UTC), in micro-units. None where there is none."""
    if not days:
        return None
    form = format_gb if volume else format_usd
    levels = _levels([0, *(value for _, value in days)])
    place = _Place(levels)
    drawn = []
    for start, value in days:
        x, end = span.x(start), span.x(start + timedelta(days=1))
        height = round(place.y(0) - place.y(value), 1)
        drawn.append(Bar(x, place.y(value), max(end - x - 1, 1.0), height, f"{start:%d %b}: {form(value)}"))
    total = sum(value for _, value in days)
    return Chart(
        title,
        f"{title}: {form(total)} on {len(days)} days",
        (),
        tuple(drawn),
        tuple(Tick(place.y(level), form(level)) for level in levels),
        span.labels(),
    )


def available(hours: Sequence[Summary]) -> list[Point]:
    """The lowest available balance of each hour or day."""
    return [(one.start_at, one.available_min) for one in hours if one.available_min is not None]


def effective(hours: Sequence[Summary]) -> list[Point]:
    """The highest effective volume of each hour or day."""
    return [(one.start_at, one.effective_max) for one in hours if one.effective_max is not None]


def spent(days: Sequence[Summary]) -> list[Point]:
    """What was spent on each day."""
    return [(one.start_at, one.spent) for one in days if one.spent is not None]


def grown(days: Sequence[Summary]) -> list[Point]:
    """By how much the volume grew on each day."""
    return [(one.start_at, one.used_grown) for one in days if one.used_grown is not None]


class _Place:
    """The vertical axis."""

    def __init__(self, levels: Sequence[int]) -> None:
        self._low, self._high = levels[0], levels[-1]

    def y(self, value: int) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _levels(values: Sequence[int]) -> list[int]:
    """Return round levels that enclose the values, at least two."""
    low, high = min(values), max(values)
    step = _round_step(max(high - low, MICRO // 100) / _LINES_ACROSS)
    first = low // step * step
    levels = [first]
    while levels[-1] < high or len(levels) < 2:
        levels.append(levels[-1] + step)
    return levels


def _round_step(least: float) -> int:
    size = 1
    while True:
        for factor in _STEPS:
            if factor * size >= least:
                return factor * size
        size *= 10


def _stretches(points: Sequence[Point], gap: timedelta) -> Iterator[list[Point]]:
    stretch: list[Point] = []
    for point in points:
        if stretch and point[0] - stretch[-1][0] > gap:
            yield stretch
            stretch = []
        stretch.append(point)
    yield stretch


def _path(stretch: Sequence[Point], span: ChartSpan, place: _Place) -> str:
    """A lone point is a short line: it would not be seen."""
    drawn = [f"{span.x(at)} {place.y(value)}" for at, value in stretch]
    return f"M{drawn[0]}h2" if len(drawn) == 1 else f"M{'L'.join(drawn)}"
