"""Cron expressions: what is accepted fires, what is refused says why, and gaps are those of the next sixty fires."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.spans import SpanKind
from daemon.config.cron import first_late, gaps, parse_cron

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "five fields .* has 0"),
        ("* * * *", "five fields .* has 4"),
        ("0 0 12 * * *", "five fields .* has 6"),
        ("@daily", "five fields .* has 1"),
        ("60 * * * *", "minute field is not valid"),
        ("* 24 * * *", "hour field is not valid"),
        ("* * 32 * *", "day-of-month field is not valid"),
        ("* * * 13 *", "month field is not valid"),
        ("* * * * 8", "day-of-week field is not valid"),
        ("*/0 * * * *", "minute field is not valid"),
        ("a * * * *", "minute field is not valid"),
    ],
)
def test_a_field_that_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_cron(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0 30 2 *", "day-of-month field is not valid"),
        ("0 0 31 4,6,9,11 *", "day-of-month field is not valid"),
        ("0 0 */31 * 1#2", "never fires"),  # the first of a month that is its second Monday
    ],
)
def test_what_never_fires_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_cron(text)


pieces = st.text("0123456789*/,-#LWAMON²", max_size=6)


@given(st.lists(st.one_of(pieces, st.just("*")), min_size=5, max_size=5).map(" ".join))
def test_whatever_is_written_is_accepted_or_refused_with_a_sentence(text: str) -> None:
    try:
        accepted, said = parse_cron(text), ""
    except ValueError as error:
        accepted, said = "", str(error)
    if accepted:
        shortest, longest = gaps(accepted, BERLIN)
        assert timedelta(minutes=1) <= shortest <= longest
    else:
        assert "field" in said or "fires" in said


def test_a_leap_day_does_fire() -> None:
    assert parse_cron("0 0 29 2 *") == "0 0 29 2 *"


@given(st.lists(st.sampled_from([" ", "  ", "\t", "\n"]), min_size=4, max_size=4))
def test_spaces_are_made_one(spaces: list[str]) -> None:
    fields = ("*/5", "9-17", "1,15", "*", "1-5")
    text = "".join(field + space for field, space in zip(fields, [*spaces, ""], strict=True))
    assert parse_cron(f" {text} ") == "*/5 9-17 1,15 * 1-5"


@given(st.integers(1, 59))
def test_no_two_fires_are_further_apart_than_their_step_nor_nearer_than_a_minute(step: int) -> None:
    shortest, longest = gaps(parse_cron(f"*/{step} * * * *"), UTC)
    assert timedelta(minutes=1) <= shortest <= longest == timedelta(minutes=step)


def test_a_week_s_end_is_a_longer_gap() -> None:
    assert gaps("0 9 * * 1-5", UTC) == (timedelta(days=1), timedelta(days=3))
    assert gaps("0 0 1 * *", UTC) == (timedelta(days=28), timedelta(days=31))


def test_the_zone_s_clock_change_is_in_the_gaps() -> None:
    assert gaps("0 9 * * *", UTC) == (timedelta(days=1), timedelta(days=1))
    assert gaps("0 9 1 * *", BERLIN)[0] == timedelta(days=28)
    assert {gap % timedelta(days=1) for gap in gaps("0 9 1 * *", BERLIN)} <= {timedelta(0), timedelta(hours=1)}


@pytest.mark.parametrize(
    ("period", "cron", "late"),
    [
        ("month", "0 8 1 * *", None),
        ("month", "0 0 1 * *", None),
        ("month", "59 23 28 * *", None),
        ("month", "0 8 * * 1", None),
        ("month", "0 8 29 * *", "2026-01"),
        ("month", "0 8 31 * *", "2026-01"),
        ("month", "0 8 1 1 *", "2026-01"),
        ("month", "0 8 1 */3 *", "2026-01"),
        ("week", "0 8 * * 1", None),
        ("week", "0 0 * * 1", None),
        ("week", "0 8 * * 0", None),
        ("week", "30 2 * * 0", None),
        ("week", "0 8 1,8,15,22 * *", "2026-W12"),
        ("week", "0 8 1 * *", "2026-W01"),
        ("day", "0 8 * * *", None),
        ("day", "30 2 * * *", None),
        ("day", "*/5 * * * *", None),
        ("day", "0 8 * * 1-5", "2026-01-02"),
        ("day", "0 8 1-30 * *", "2026-01-30"),
    ],
)
def test_a_cron_that_lets_a_further_period_end_is_known(period: str, cron: str, late: str | None) -> None:
    found = first_late(cron, SpanKind(period), BERLIN)
    assert (found and found[0].key) == late
