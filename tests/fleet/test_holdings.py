"""Who should hold what: fair shares, few moves, nothing that is busy."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from daemon.fleet.holdings import (
    ACCOUNTS,
    BUCKETS,
    COUNTS,
    DUTIES,
    EVERYTHING,
    NOTHING,
    RECEIVERS,
    Bucket,
    Holdings,
    bucket_of,
    share,
    to_give,
    to_take,
)

ALL = {(kind, number) for kind, count in COUNTS.items() for number in range(count)}


def settle(held: dict[Bucket, int], daemons: list[int]) -> int:
    """Let each in turn do what it would by itself, until nothing moves; return how many buckets were given back."""
    given_back = 0
    while True:
        before = dict(held)
        for daemon in daemons:
            held.update(dict.fromkeys(to_take(held, daemon, daemons), daemon))
            for one in to_give(held, daemon, daemons, ()):
                del held[one]
                given_back += 1
        if held == before:
            return given_back


@settings(deadline=None, max_examples=20)
@given(some.lists(some.integers(1, 2**62), min_size=1, max_size=6, unique=True))
def test_whoever_comes_and_goes_all_is_held_in_fair_shares(daemons: list[int]) -> None:
    held: dict[Bucket, int] = {}
    for count in (*range(1, len(daemons) + 1), *range(len(daemons), 0, -1)):
        alive = daemons[:count]
        held = {one: holder for one, holder in held.items() if holder in alive}
        settle(held, alive)
        assert held.keys() == ALL
        for kind, number in COUNTS.items():
            of_kind = Counter(holder for one, holder in held.items() if one[0] == kind)
            assert {of_kind[daemon] for daemon in alive} <= {number // count, number // count + 1}


def test_one_that_joins_moves_its_share_and_no_more() -> None:
    held: dict[Bucket, int] = {}
    settle(held, [1, 2, 3])
    moved = settle(held, [1, 2, 3, 4])
    assert moved == 2 * share(BUCKETS, 4, 0)


def test_what_is_busy_is_not_given_back() -> None:
    held = dict.fromkeys(ALL, 1)
    busy = {(ACCOUNTS, number) for number in range(BUCKETS - 3)}
    given_back = to_give(held, 1, [1, 2], busy)
    assert not given_back & busy
    assert sum(kind == ACCOUNTS for kind, _ in given_back) == 3


@pytest.mark.parametrize(("count", "daemons"), [(256, 1), (256, 3), (3, 5)])
def test_shares_add_up(count: int, daemons: int) -> None:
    assert sum(share(count, daemons, rank) for rank in range(daemons)) == count


def test_a_bucket_is_the_same_in_every_process() -> None:
    assert [bucket_of(id) for id in ("acme", "webhook:app", "ü")] == [128, 190, 49]


def test_what_is_held_is_known_by_its_name() -> None:
    held = Holdings(frozenset({(ACCOUNTS, bucket_of("acme")), (RECEIVERS, bucket_of("webhook:app")), (DUTIES, 1)}))
    assert held.account("acme")
    assert held.receiver("webhook:app")
    assert held.duty(1)
    assert not held.duty(0)
    assert not NOTHING.account("acme")
    assert EVERYTHING.account("acme")
    assert EVERYTHING.receiver("webhook:app")
    assert EVERYTHING.duty(0)
