"""Spans: the named days, weeks and months of reports, in one time zone. Correct across daylight saving.

A week is an ISO 8601 week, from Monday. A day has 23, 24 or 25 hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class SpanKind(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Span:
    """One period of a report: from `start` (included) to `end` (excluded), aware UTC.

    `key` is what a person types and the store remembers: `2026-10`, `2026-W44`, `2026-10-31`.
    """

    kind: SpanKind
    key: str
    start: datetime
    end: datetime

    @property
    def title(self) -> str:
        """What a person reads: `October 2026`, `week 44 of 2026`, `31 October 2026`."""
        first = date.fromisoformat(f"{self.key}-01") if self.kind is SpanKind.MONTH else _first_day(self.kind, self.key)
        if self.kind is SpanKind.MONTH:
            return f"{_MONTHS[first.month - 1]} {first.year}"
        if self.kind is SpanKind.WEEK:
            year, week, _ = first.isocalendar()
            return f"week {week} of {year}"
        return f"{first.day} {_MONTHS[first.month - 1]} {first.year}"


_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_SHAPES = {
    SpanKind.DAY: re.compile(r"\d{4}-\d\d-\d\d"),
    SpanKind.WEEK: re.compile(r"\d{4}-W\d\d"),
    SpanKind.MONTH: re.compile(r"\d{4}-\d\d"),
}


def span_at(kind: SpanKind, instant: datetime, zone: ZoneInfo) -> Span:
    """Return the span of this kind that holds `instant` in `zone`."""
    day = instant.astimezone(zone).date()
    if kind is SpanKind.WEEK:
        day -= timedelta(days=day.weekday())
    elif kind is SpanKind.MONTH:
        day = day.replace(day=1)
    return _span(kind, day, zone)


def span_before(kind: SpanKind, instant: datetime, zone: ZoneInfo) -> Span:
    """Return the last span of this kind that has ended at or before `instant`."""
    here = span_at(kind, instant, zone)
    return span_at(kind, here.start - timedelta(milliseconds=1), zone)


def span_named(text: str, zone: ZoneInfo) -> Span:
    """Return the span that `text` names; its format gives the kind. Raises ValueError with the expected formats."""
    for kind, shape in _SHAPES.items():
        if shape.fullmatch(text):
            try:
                return _span(kind, _first_day(kind, text), zone)
            except ValueError as error:
                raise ValueError(f"there is no {kind.value} {text!r}") from error
    raise ValueError(f"{text!r} is not a period: expected 2026-10, 2026-W44 or 2026-10-31")


def _first_day(kind: SpanKind, key: str) -> date:
    if kind is SpanKind.MONTH:
        return date.fromisoformat(f"{key}-01")
    if kind is SpanKind.WEEK:
        return date.fromisocalendar(int(key[:4]), int(key[6:]), 1)
    return date.fromisoformat(key)


def _span(kind: SpanKind, first: date, zone: ZoneInfo) -> Span:
    if kind is SpanKind.MONTH:
        after = (first + timedelta(days=31)).replace(day=1)
        key = f"{first.year:04}-{first.month:02}"
    elif kind is SpanKind.WEEK:
        after = first + timedelta(days=7)
        year, week, _ = first.isocalendar()
        key = f"{year:04}-W{week:02}"
    else:
        after = first + timedelta(days=1)
        key = first.isoformat()
    return Span(kind, key, _midnight(first, zone), _midnight(after, zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The day's first instant. Where the clock skips midnight, the instant it skips at (PEP 495 fold 0)."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
