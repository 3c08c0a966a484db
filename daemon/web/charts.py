"""The charts of an account's page: where each line, band and label lies, for the template to draw as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.model.events import Severity
from alerts.model.money import MICRO, format_amount, is_counted, to_decimal
from alerts.rules.state import Episode
from daemon.store.summaries import Summary

HEIGHT, TOP, BOTTOM = 200, 22, 24
"""In pixels. The width is of the reader's screen: what lies along it is in percent."""
SPARK_HEIGHT = 28
_LINES_ACROSS = 4
_LABELS_BELOW = 5
_STEPS = (1, 2, 5)
_LEAST_STEP = MICRO // 100
"""A cent, or a hundredth of a gigabyte: no two levels are named alike."""


Point = tuple[datetime, int]
"""An instant and micro-dollars or micro-gigabytes."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis: percent of the width, or pixels from the top."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """`x` and `width` in percent, `y` and `height` in pixels. `tone` where it is an episode's."""

    x: float
    y: float
    width: float
    height: float
    label: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `paths` are SVG path data, one a stretch without a gap; `says` tells it to whoever cannot see it.

    `mark` is a level of its own; `credits` are top-ups where they were charged, `episodes` lie along the top.
    """

    title: str
    says: str
    paths: tuple[str, ...]
    bars: tuple[Bar, ...]
    across: tuple[Tick, ...]
    below: tuple[Tick, ...]
    mark: Tick | None = None
    credits: tuple[Tick, ...] = ()
    episodes: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """What the horizontal axis covers."""

    since: datetime
    until: datetime
    zone: ZoneInfo

    def x(self, at: datetime) -> float:
        """Return the place of an instant in percent; what lies outside stands at the edge."""
        return round(100 * min(max((at - self.since) / (self.until - self.since), 0.0), 1.0), 2)

    def labels(self) -> tuple[Tick, ...]:
        """A few midnights of the zone, or full hours where it is a day or two."""
        hours = (self.until - self.since) / timedelta(hours=1)
        step_h = next((step for step in _STEPS_H if hours / step <= _LABELS_BELOW), _STEPS_H[-1])
        first = self.until.astimezone(self.zone).replace(minute=0, second=0, microsecond=0)
        first = first.replace(hour=first.hour - first.hour % min(step_h, _DAY_H))
        wall = [first - timedelta(hours=step_h * number) for number in range(_LABELS_BELOW + 2)]
        form = "%d %b" if step_h >= _DAY_H else "%H:%M"
        found = [Tick(self.x(at), at.strftime(form)) for at in reversed(wall) if at.astimezone(UTC) > self.since]
        return tuple(tick for tick in found if _EDGE < tick.at < 100 - _EDGE)


_DAY_H = 24
_STEPS_H = (1, 3, 6, 12, _DAY_H, *(_DAY_H * days for days in (2, 7, 14, 30, 90)))
_EDGE = 5.0
"""So near to the edge, in percent, there is no room for a label."""


def line(
    title: str,
    points: Sequence[Point],
    span: ChartSpan,
    *,
    gap: timedelta,
    unit: str,
    mark: tuple[str, int] | None = None,
    credits: Sequence[tuple[datetime, str]] = (),
    episodes: Sequence[Episode] = (),
) -> Chart | None:
    """Return a line through micro-units over time, broken where nothing was read for longer than `gap`.

    The axis begins at nothing, so that a balance that hardly moves looks like one. None where there is no point.
    """
    if not points:
        return None
    form = _form(unit)
    values = [value for _, value in points]
    place = _Place([*values, *([] if mark is None else [mark[1]])])
    low, high, last = min(values), max(values), values[-1]
    return Chart(
        _titled(title, unit),
        f"{title}: between {form(low)} and {form(high)}, {form(last)} at the end",
        tuple(_path([(span.x(at), place.y(value)) for at, value in part]) for part in _stretches(points, gap)),
        (),
        place.ticks(unit),
        span.labels(),
        None if mark is None else Tick(place.y(mark[1]), f"{mark[0]} {form(mark[1])}"),
        tuple(Tick(span.x(at), label) for at, label in credits if span.since <= at <= span.until),
        tuple(_lane(one, span) for one in sorted(episodes, key=lambda one: one.severity is Severity.CRITICAL)),
    )


def _form(unit: str) -> Callable[..., str]:
    return lambda micro, places=2: format_amount(micro, unit, places)


def _titled(title: str, unit: str) -> str:
    return f"{title}, {unit}" if is_counted(unit) else title


def bars(title: str, days: Sequence[Point], span: ChartSpan, *, unit: str) -> Chart | None:
    """Return a bar a day (UTC), in micro-units. None where there is none."""
    if not days:
        return None
    form = _form(unit)
    place = _Place([value for _, value in days])
    drawn = []
    for start, value in days:
        x, end = span.x(start), span.x(start + timedelta(days=1))
        height = round(place.y(0) - place.y(value), 1)
        drawn.append(
            Bar(x, place.y(value), round(max((end - x) * 0.8, 0.1), 2), height, f"{start:%d %b}: {form(value)}")
        )
    total = sum(value for _, value in days)
    says = f"{title}: {form(total)} on {len(days)} days"
    return Chart(_titled(title, unit), says, (), tuple(drawn), place.ticks(unit), span.labels())


def spark(points: Sequence[Point], span: ChartSpan, *, top: int | None) -> tuple[str, ...]:
    """Return a small line without an axis, from nothing to its highest or to `top`; one path a stretch of days."""
    if not points:
        return ()
    values = [value for _, value in points]
    low, high = min(0, *values), max(1, top or 0, *values)
    return tuple(
        _path([(span.x(at), round((high - value) / (high - low) * SPARK_HEIGHT, 1)) for at, value in part])
        for part in _stretches(points, timedelta(days=2))
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
    """The vertical axis: from nothing to above the highest value, in round levels."""

    def __init__(self, values: Sequence[int]) -> None:
        low, high = min(0, *values), max(0, *values)
        self.step = _round_step(max((high - low) / _LINES_ACROSS, _LEAST_STEP))
        self.levels = [low // self.step * self.step]
        while self.levels[-1] < high or len(self.levels) < 2:
            self.levels.append(self.levels[-1] + self.step)

    def y(self, value: int) -> float:
        share = (value - self.levels[0]) / (self.levels[-1] - self.levels[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def ticks(self, unit: str) -> tuple[Tick, ...]:
        """Label each line. A unit that is a word stands in the title: beside each number there is no room for it."""
        if is_counted(unit):
            scale, suffix = (MICRO, " M") if self.step % (MICRO * MICRO) == 0 else (1, "")
            return tuple(Tick(self.y(one), f"{to_decimal(one // scale).normalize():,f}{suffix}") for one in self.levels)
        form, whole = _form(unit), self.step % MICRO == 0
        return tuple(Tick(self.y(one), form(one).replace(".00", "") if whole else form(one)) for one in self.levels)


def _round_step(least: float) -> int:
    size = 1
    while True:
        for factor in _STEPS:
            if factor * size >= least:
                return factor * size
        size *= 10


def _lane(episode: Episode, span: ChartSpan) -> Bar:
    x = span.x(episode.opened_at)
    end = 100.0 if episode.closed_at is None else span.x(episode.closed_at)
    words = f"{episode.rule} ({episode.severity.value}): {episode.why}"
    return Bar(x, 4, round(max(end - x, 0.4), 2), 5, words, episode.severity.value)


def _stretches(points: Sequence[Point], gap: timedelta) -> Iterator[list[Point]]:
    stretch: list[Point] = []
    for point in points:
        if stretch and point[0] - stretch[-1][0] > gap:
            yield stretch
            stretch = []
        stretch.append(point)
    yield stretch


def _path(places: Sequence[tuple[float, float]]) -> str:
    """A lone point is a short line: it would not be seen."""
    drawn = [f"{x} {y}" for x, y in places]
    return f"M{drawn[0]}h0.5" if len(drawn) == 1 else f"M{'L'.join(drawn)}"
