"""Periods are named, bounded right over clock changes, and found from any instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from alerts.model.spans import SpanKind, span_at, span_before, span_named

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_month_begins_and_ends_at_local_midnight_over_a_clock_change() -> None:
    october = span_named("2026-10", BERLIN)
    assert october.start == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert october.end == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert october.end - october.start == timedelta(days=31, hours=1)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
def test_a_day_is_as_long_as_the_zone_makes_it(day: str, hours: int) -> None:
    span = span_named(day, BERLIN)
    assert span.end - span.start == timedelta(hours=hours)


def test_a_week_is_isos_from_monday_and_its_year_may_differ() -> None:
    week = span_at(SpanKind.WEEK, datetime(2027, 1, 1, 12, tzinfo=UTC), BERLIN)
    assert week.key == "2026-W53"
    assert week.start == datetime(2026, 12, 27, 23, tzinfo=UTC)
    assert week == span_named("2026-W53", BERLIN)
    assert week.title == "week 53 of 2026"


def test_a_zone_that_skips_midnight_begins_its_day_where_the_clock_lands() -> None:
    beirut = ZoneInfo("Asia/Beirut")
    day, before = span_named("2026-03-29", beirut), span_named("2026-03-28", beirut)
    assert day.start == before.end == datetime(2026, 3, 28, 22, tzinfo=UTC)
    assert day.end - day.start == timedelta(hours=23)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/New_York", "UTC"])
@pytest.mark.parametrize("kind", list(SpanKind))
def test_neighbouring_periods_meet_without_gap_or_overlap(kind: SpanKind, zone: str) -> None:
    place = ZoneInfo(zone)
    span = span_at(kind, datetime(2026, 1, 1, tzinfo=UTC), place)
    for _ in range(400 if kind is SpanKind.DAY else 60):
        following = span_at(kind, span.end, place)
        assert following.start == span.end
        assert span_before(kind, following.start, place) == span
        assert span_at(kind, span.end - timedelta(milliseconds=1), place) == span
        assert span_named(following.key, place) == following
        span = following


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-W54", "2026-02-30", "october", "2026-1", ""])
def test_a_period_that_does_not_exist_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a period|there is no"):
        span_named(text, BERLIN)


def test_titles_read_as_a_person_says_them() -> None:
    assert span_named("2026-10", BERLIN).title == "October 2026"
    assert span_named("2026-10-31", BERLIN).title == "31 October 2026"
