from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from alerts.model.polling import AutoPoll
from daemon.schedule import Group, Timetable, groups, last_fire, longest_gap, next_fire, spread_offset_s

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 10, 24, 10, 0, tzinfo=UTC)


def test_accounts_that_share_a_cron_expression_are_one_group() -> None:
    assert groups({"a": "*/5 * * * *", "b": "0 * * * *", "c": "*/5  * * * *"}) == (
        Group("*/5 * * * *", ("a", "c")),
        Group("0 * * * *", ("b",)),
    )


def test_monday_to_friday_is_monday_to_friday() -> None:
    at = NOON
    days = []
    for _ in range(5):
        at = next_fire("0 9 * * 1-5", BERLIN, at)
        days.append(at.astimezone(BERLIN).isoweekday())
    assert days == [1, 2, 3, 4, 5]


def test_a_local_time_that_autumn_repeats_fires_once() -> None:
    first = next_fire("30 2 * * *", BERLIN, NOON)
    second = next_fire("30 2 * * *", BERLIN, first)
    assert first.astimezone(BERLIN).date().isoformat() == "2026-10-25"
    assert second.astimezone(BERLIN).date().isoformat() == "2026-10-26"


def test_every_five_minutes_goes_on_evenly_through_the_repeated_hour() -> None:
    at = datetime(2026, 10, 24, 23, 50, tzinfo=UTC)
    for _ in range(40):
        later = next_fire("*/5 * * * *", BERLIN, at)
        assert later - at == timedelta(minutes=5)
        at = later


@pytest.mark.parametrize(
    ("cron", "gap"),
    [("*/5 * * * *", timedelta(minutes=5)), ("0 9 * * 1-5", timedelta(days=3)), ("0 8,20 * * *", timedelta(hours=13))],
)
def test_the_longest_gap_is_how_long_silence_is_no_news(cron: str, gap: timedelta) -> None:
    assert longest_gap(cron, BERLIN, NOON) == gap


def test_silence_is_no_news_of_an_account_without_a_cron_while_it_may_be_left_alone() -> None:
    assert longest_gap(AutoPoll(timedelta(minutes=1), timedelta(hours=2)), BERLIN, NOON) == timedelta(hours=2)


def test_the_last_fire_is_strictly_before_and_that_of_the_repeated_hour_the_same() -> None:
    at = datetime(2026, 11, 2, 8, tzinfo=UTC)  # nine o'clock there
    assert last_fire("0 9 * * *", BERLIN, at) == at - timedelta(days=1)
    assert last_fire("0 9 * * *", BERLIN, at + timedelta(minutes=1)) == at
    repeated = next_fire("30 2 * * *", BERLIN, NOON)
    assert last_fire("30 2 * * *", BERLIN, repeated + timedelta(hours=4)) == repeated


def test_everything_is_due_at_the_start_and_missed_fires_are_one() -> None:
    timetable = Timetable.starting(["*/5 * * * *"], BERLIN, NOON)
    assert timetable.due(NOON) == ("*/5 * * * *",)
    ran = timetable.ran(["*/5 * * * *"], NOON + timedelta(minutes=27))
    assert ran.due(NOON + timedelta(minutes=29)) == ()
    assert ran.next_at() == NOON + timedelta(minutes=30)


def test_a_clock_that_stepped_back_does_not_silence_the_polls() -> None:
    ran = Timetable.starting(["*/5 * * * *"], BERLIN, NOON).ran(["*/5 * * * *"], NOON)
    stepped = NOON - timedelta(hours=5)
    assert ran.corrected(stepped).next_at() == stepped + timedelta(minutes=5)
    assert ran.corrected(NOON).next_at() == ran.next_at()


def test_nothing_is_due_without_accounts() -> None:
    assert Timetable.starting([], BERLIN, NOON).next_at() is None


def test_a_spread_offset_is_stable_and_under_half_the_interval_and_a_minute() -> None:
    offsets = [spread_offset_s(f"account-{n}", timedelta(minutes=1)) for n in range(500)]
    assert offsets == [spread_offset_s(f"account-{n}", timedelta(minutes=1)) for n in range(500)]
    assert 0 <= min(offsets) < 3
    assert 27 < max(offsets) < 30
    assert max(spread_offset_s(f"account-{n}", timedelta(hours=1)) for n in range(500)) < 60
