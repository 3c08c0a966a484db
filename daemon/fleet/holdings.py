"""What a daemon of a fleet holds: buckets of accounts and of receivers, and duties that one of them does for all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

from alerts.model.receivers import Receivers
from daemon.config.model import Config

BUCKETS = 256
ACCOUNTS, RECEIVERS, DUTIES = "accounts", "receivers", "duties"
REPORTS, RETENTION, STRIPE = range(3)
"""The duties: sending reports, deleting old history, reading Stripe's events."""
COUNTS: Mapping[str, int] = {ACCOUNTS: BUCKETS, RECEIVERS: BUCKETS, DUTIES: 3}
"""How many buckets there are of each kind."""

Bucket = tuple[str, int]


@lru_cache(maxsize=1 << 21)
def bucket_of(key: str) -> int:
    """Return the bucket of an account's id or a receiver's key: the same in every process."""
    return int.from_bytes(blake2b(key.encode(), digest_size=2).digest(), "big") % BUCKETS


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held. `whole`: all there is, as by the one daemon of a file."""

    buckets: frozenset[Bucket] = frozenset()
    whole: bool = False

    def account(self, id: str) -> bool:
        return self.whole or (ACCOUNTS, bucket_of(id)) in self.buckets

    def receiver(self, key: str) -> bool:
        return self.whole or (RECEIVERS, bucket_of(key)) in self.buckets

    def duty(self, number: int) -> bool:
        return self.whole or (DUTIES, number) in self.buckets

    def of(self, config: Config) -> Config:
        """Return a configuration with the accounts and receivers that are held; what is kept is the same object."""
        if self.whole:
            return config
        accounts = {id: one for id, one in config.accounts.items() if self.account(id)}
        receivers = tuple(one for one in config.receivers.all if self.receiver(one.key))
        return replace(config, accounts=accounts, receivers=Receivers(receivers))


EVERYTHING = Holdings(whole=True)
NOTHING = Holdings()


def share(count: int, daemons: int, rank: int) -> int:
    """Return how many of `count` buckets are the share of one of so many daemons; `rank` counts from 0."""
    return count // daemons + (rank < count % daemons)


def to_take(held: Mapping[Bucket, int], number: int, daemons: Collection[int]) -> set[Bucket]:
    """Return the free buckets that this daemon should take, up to its share. `held`: the holder of each.

    Each begins its search elsewhere, so that daemons that start together do not all want the same ones.
    """
    ranks = sorted(daemons)
    rank = ranks.index(number)
    wanted: set[Bucket] = set()
    for kind, count in COUNTS.items():
        lacks = share(count, len(ranks), rank) - _own(held, number, kind)
        first = rank * count // len(ranks)
        order = [(kind, (first + step) % count) for step in range(count)]
        wanted.update([one for one in order if one not in held][: max(lacks, 0)])
    return wanted


def to_give(held: Mapping[Bucket, int], number: int, daemons: Collection[int], busy: Iterable[Bucket]) -> set[Bucket]:
    """Return the buckets above this daemon's share that it gives back: never one in which something is under way."""
    ranks = sorted(daemons)
    rank, at_work = ranks.index(number), frozenset(busy)
    given: set[Bucket] = set()
    for kind, count in COUNTS.items():
        over = _own(held, number, kind) - share(count, len(ranks), rank)
        quiet = [one for one, holder in sorted(held.items()) if holder == number and one[0] == kind]
        given.update([one for one in quiet if one not in at_work][: max(over, 0)])
    return given


def _own(held: Mapping[Bucket, int], number: int, kind: str) -> int:
    return sum(holder == number and one[0] == kind for one, holder in held.items())
