"""The state of falls, reading by reading, at its bounds."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Known
from alerts.model.reasons import AnomalyKind
from alerts.rules.falls import CENT_MICROUSD, DROP_STANDS_AFTER, NO_FALL, Falls, accepts_drop, fold
from alerts.rules.plausibility import Finding
from tests.helpers_alerts import START, metrics

MINUTE = timedelta(minutes=1)
DROP = Finding(AnomalyKind.DROP, "available_microusd", to_micro(50), to_micro(10))


def read(funded: str | float, at: datetime = START) -> Known:
    return Known("clips", at, metrics(balance=funded, total=0))


def of(funded: float) -> Falls:
    return fold(NO_FALL, read(funded), None)


def test_an_account_that_never_fell_remembers_what_was_credited_and_nothing_else() -> None:
    assert of(100) == Falls(funded_microusd=to_micro(100))
    assert (NO_FALL.dropped_from_microusd, NO_FALL.dropped_to_microusd) == (0, 0)


def test_less_by_a_cent_is_rounding_and_by_more_a_fall() -> None:
    assert to_micro("0.01") == CENT_MICROUSD
    assert fold(of(100), read("99.99"), None).fallen_since is None
    assert fold(of(100), read("99.989999"), None).fallen_since == START


def test_a_fall_that_still_shows_changes_nothing() -> None:
    fallen = fold(of(100), read(40), None)
    assert fold(fallen, read(40, START + MINUTE), None) is fallen
    assert fold(fallen, read(100, START + MINUTE), None) == of(100)


def test_a_credit_is_confirmed_by_the_lower_of_two_readings_in_a_row() -> None:
    once = fold(of(100), read(500), None)
    assert (once.funded_microusd, once.risen_microusd) == (to_micro(100), to_micro(500))
    lower = fold(once, read(200, START + MINUTE), None)
    assert (lower.funded_microusd, lower.risen_microusd, lower.fallen_since) == (to_micro(200), None, None)
    assert fold(once, read(600), None) == Falls(funded_microusd=to_micro(500), risen_microusd=to_micro(600))


def test_two_readings_that_disagree_above_what_was_accepted_are_a_drop_until_the_lower_one_stands() -> None:
    once = fold(of(0), read(66), None)
    lower = fold(once, read(53, START + MINUTE), None)
    assert (lower.dropped_at, lower.dropped_from_microusd, lower.dropped_to_microusd) == (
        START + MINUTE,
        to_micro(66),
        to_micro(53),
    )
    assert fold(lower, read(66, START + 2 * MINUTE), None).dropped_at is None
    stood = fold(lower, read(53, START + MINUTE + DROP_STANDS_AFTER), None)
    assert (stood.dropped_at, stood.funded_microusd) == (None, to_micro(53))
    assert fold(once, read("65.99", START + MINUTE), None).dropped_at is None, "a cent is rounding"


def test_two_readings_that_are_too_high_with_a_plain_one_between_bear_nothing_out() -> None:
    once = fold(of(100), read(500), None)
    plain = fold(once, read(100), None)
    assert plain == of(100)
    assert fold(plain, read(500), None) == once


@pytest.mark.parametrize(("accepted_after", "taken"), [(-1, False), (0, True), (1, True)])
def test_a_fall_is_taken_for_true_where_a_person_accepts_it_no_earlier_than_it_fell(
    accepted_after: int, taken: bool
) -> None:
    fallen = fold(of(100), read(40), None)
    after = fold(fallen, read(40, START + 9 * MINUTE), None, accepted_at=START + accepted_after * MINUTE)
    assert after == (of(40) if taken else fallen)


@pytest.mark.parametrize(("minutes", "taken"), [(59, False), (60, True), (61, True)])
def test_a_fall_is_taken_for_true_once_it_has_stood_as_long_as_is_configured(minutes: int, taken: bool) -> None:
    fallen = fold(of(100), read(40), None)
    after = fold(fallen, read(40, START + minutes * MINUTE), None, accepted_after=60 * MINUTE)
    assert after == (of(40) if taken else fallen)


def dropped() -> Falls:
    return fold(of(50), read(10), DROP)


def test_a_drop_stands_after_its_time_to_the_minute_and_leaves_no_trace() -> None:
    assert (dropped().dropped_at, dropped().dropped_from_microusd, dropped().dropped_to_microusd) == (
        START,
        DROP.before,
        DROP.after,
    )
    early, due = (read(10, START + DROP_STANDS_AFTER - wait) for wait in (MINUTE, timedelta()))
    assert (accepts_drop(dropped(), early), accepts_drop(dropped(), due)) == (False, True)
    assert fold(dropped(), early, None).dropped_at == START
    after = fold(dropped(), due, None)
    assert (after.dropped_at, after.dropped_from_microusd, after.dropped_to_microusd) == (None, 0, 0)


@pytest.mark.parametrize(("balance", "came_back"), [("30", False), ("30.000001", True)])
def test_a_drop_came_back_where_more_than_half_of_it_did(balance: str, came_back: bool) -> None:
    late = read(balance, START + DROP_STANDS_AFTER)
    assert accepts_drop(dropped(), late) is not came_back
    assert accepts_drop(NO_FALL, late) is False


def test_a_drop_does_not_stand_on_a_reading_that_says_no_balance() -> None:
    assert not accepts_drop(dropped(), Known("clips", START + DROP_STANDS_AFTER, metrics(total=5)))
