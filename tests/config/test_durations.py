"""Durations are written as a person writes them: the shortest form that reads back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.durations import format_duration, parse_duration

HUNDRED_YEARS = timedelta(days=36_525)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        (" 7d\n", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("36525d", HUNDRED_YEARS),
    ],
)
def test_a_number_and_a_unit_is_a_duration(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["36526d", "876601h", "9999999999s", "99999999999s", "999999999w"])
def test_a_hundred_years_is_the_longest(text: str) -> None:
    with pytest.raises(ValueError, match=r"hundred years|whole number"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=90), "90m"),
        (timedelta(hours=1), "1h"),
        (timedelta(days=1), "24h"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=2), "2d"),
        (timedelta(weeks=2), "14d"),
        (timedelta(seconds=90, milliseconds=400), "90s"),
    ],
)
def test_a_duration_is_shown_in_its_shortest_form(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.integers(0, HUNDRED_YEARS // timedelta(seconds=1)).map(lambda seconds: timedelta(seconds=seconds)))
def test_what_is_shown_reads_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
