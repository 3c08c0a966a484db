"""The pace of one API key: what its answers leave of its budget, with the requests that they do not know of yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from daemon.sources.pace import RateLimit
from tests.helpers_sources import NOW

RESET = NOW + timedelta(seconds=60)


def said(left: int | str) -> Mapping[str, str]:
    return {"x-ratelimit-remaining": str(left), "x-ratelimit-reset": str(int(RESET.timestamp()))}


def sent(pace: RateLimit) -> int:
    """Send as many requests as may be sent at once; returns how many those were."""
    count = 0
    while pace.free_at(NOW) is None and count < 100:
        pace.send()
        count += 1
    return count


def test_requests_under_way_are_taken_off_what_an_answer_leaves() -> None:
    """Of five requests the first is answered: its answer counts none of the others, which come after it."""
    pace = RateLimit()
    for _ in range(5):
        pace.send()
    pace.back(said(left=7), NOW)
    assert sent(pace) == 7 - 4
    assert pace.free_at(NOW) == RESET


def test_a_budget_that_requests_under_way_have_spent_lets_none_out() -> None:
    pace = RateLimit()
    pace.send()
    pace.send()
    pace.back(said(left=1), NOW)
    assert not pace.is_free
    assert pace.free_at(NOW) == RESET
    pace.back(said(left=0), NOW)
    assert pace.free_at(NOW) == RESET
    assert pace.free_at(RESET) is None
    assert pace.is_free


def test_a_request_that_failed_is_under_way_no_longer() -> None:
    pace = RateLimit()
    pace.send()
    pace.send()
    pace.back(None, NOW)
    assert pace.is_free, "nothing was said of a budget"
    pace.back(said(left=2), NOW)
    assert sent(pace) == 2


def test_a_spent_budget_is_whole_again_at_its_reset_to_the_second() -> None:
    pace = RateLimit()
    pace.send()
    pace.back(said(left=0), NOW)
    assert pace.free_at(RESET - timedelta(microseconds=1)) == RESET
    assert pace.free_at(RESET) is None


def test_a_429_keeps_the_key_quiet_until_the_end_it_named() -> None:
    pace = RateLimit()
    pace.quiet_until = RESET
    assert not pace.is_free
    assert pace.free_at(NOW) == RESET
    assert pace.free_at(RESET) is None
    assert pace.is_free


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-remaining": "0"}, said("-1"), said("many"), said("٣")])
def test_an_answer_that_says_no_budget_sets_none(headers: Mapping[str, str]) -> None:
    pace = RateLimit()
    pace.send()
    pace.back(headers, NOW)
    assert pace.is_free
