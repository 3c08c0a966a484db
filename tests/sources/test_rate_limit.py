"""The limit of one API key: what its answers leave of its budget, with the requests that they do not know of yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from daemon.sources.rate_limit import RateLimit
from tests.helpers_sources import NOW

RESET = NOW + timedelta(seconds=60)


def said(left: int | str) -> Mapping[str, str]:
    return {"x-ratelimit-remaining": str(left), "x-ratelimit-reset": str(int(RESET.timestamp()))}


def sent(limit: RateLimit) -> int:
    """Send as many requests as may be sent at once; returns how many those were."""
    count = 0
    while limit.free_at(NOW) is None and count < 100:
        limit.send()
        count += 1
    return count


def test_requests_under_way_are_taken_off_what_an_answer_leaves() -> None:
    """Of five requests the first is answered: its answer counts none of the others, which come after it."""
    limit = RateLimit()
    for _ in range(5):
        limit.send()
    limit.back(said(left=7), NOW)
    assert sent(limit) == 7 - 4
    assert limit.free_at(NOW) == RESET


def test_a_budget_that_requests_under_way_have_spent_lets_none_out() -> None:
    limit = RateLimit()
    limit.send()
    limit.send()
    limit.back(said(left=1), NOW)
    assert not limit.is_free
    assert limit.free_at(NOW) == RESET
    limit.back(said(left=0), NOW)
    assert limit.free_at(NOW) == RESET
    assert limit.free_at(RESET) is None
    assert limit.is_free


def test_a_request_that_failed_is_under_way_no_longer() -> None:
    limit = RateLimit()
    limit.send()
    limit.send()
    limit.back(None, NOW)
    assert limit.is_free, "nothing was said of a budget"
    limit.back(said(left=2), NOW)
    assert sent(limit) == 2


def test_a_spent_budget_is_whole_again_at_its_reset_to_the_second() -> None:
    limit = RateLimit()
    limit.send()
    limit.back(said(left=0), NOW)
    assert limit.free_at(RESET - timedelta(microseconds=1)) == RESET
    assert limit.free_at(RESET) is None


def test_a_429_keeps_the_key_quiet_until_the_end_it_named() -> None:
    limit = RateLimit()
    limit.quiet_until = RESET
    assert not limit.is_free
    assert limit.free_at(NOW) == RESET
    assert limit.free_at(RESET) is None
    assert limit.is_free


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-remaining": "0"}, said("-1"), said("many"), said("٣")])
def test_an_answer_that_says_no_budget_sets_none(headers: Mapping[str, str]) -> None:
    limit = RateLimit()
    limit.send()
    limit.back(headers, NOW)
    assert limit.is_free
