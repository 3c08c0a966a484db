"""`python -m tests.fleet.failover`: three real daemons charge while their primary is killed and its standby promoted.

With a synchronous standby nothing that was committed durably is lost; an asynchronous one is two seconds behind.
Prints, for each failover, how long no daemon could write, and how long none polled; then charging's own verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Protocol

from daemon.store import Store, StoreError, fleet
from tests.fleet.behind import Behind, paired
from tests.fleet.charging import NAMES, Truth, set_up, settle, verdict
from tests.fleet.managed import managed
from tests.postgres import MISSING, programs

WITHIN_S = 90.0


class Breakable(Behind, Protocol):
    """A database whose primary is killed by `stop`."""

    killed_at: float


BY: dict[str, Callable[[Path], AbstractContextManager[Breakable]]] = {
    "synchronous": partial(paired, synchronous=True),
    "asynchronous": partial(paired, synchronous=False),
    "patroni": managed,
}


async def failover(times: int, accounts: int, seed: int, by: str) -> int:
    """Fail over so many times; return 0 where nothing was charged twice and nothing was lost."""
    where = programs()
    if where is None:
        raise SystemExit(MISSING)
    rng = random.Random(seed)
    with BY[by](where) as pair, tempfile.TemporaryDirectory(prefix="brimful-fleet-") as disk:
        async with AsyncExitStack() as stack:
            truth = await set_up(stack, Path(disk), pair, accounts)
            truth.forgets = by == "asynchronous"
            for name in NAMES:
                await truth.start(name)
            try:
                await _wait(lambda: _writing(truth, 0.0) == len(NAMES), "all daemons are there")
                writes, polls = [], []
                for number in range(times):
                    # All are polled at the minute: it is killed while they are, and are charged; then right before.
                    await asyncio.sleep((61 if number % 2 == 0 else 57.5) - time.time() % 60)
                    write_s, poll_s = await _once(truth, pair, rng)
                    writes.append(write_s)
                    polls += [poll_s] if number % 2 else []
                await settle(truth)
                for what, values in (("wrote", writes), ("polled", polls)):
                    print(f"{what} after {statistics.median(values):.1f} s (median), {max(values):.1f} s (most)")
                forgotten = {one.id for one in truth.receiver.accepted} - truth.events().keys()
                print(f"{len(forgotten)} events were told that the database no longer knows")
                return verdict(truth, {"failovers": times})
            finally:
                for name in list(truth.running):
                    await truth.kill(name)


async def _once(truth: Truth, pair: Breakable, rng: random.Random) -> tuple[float, float]:
    """Fail over; return after how many seconds all daemons wrote again, and one polled."""
    for key in rng.sample(sorted(truth.accounts), len(truth.accounts) // 2):
        truth.burn(key)
    await asyncio.sleep(rng.random())
    await asyncio.to_thread(pair.stop)
    asked, at_ms = sum(truth.usage.asked.values()), time.time() * 1000
    await _wait(lambda: _writing(truth, at_ms) == len(NAMES), "all daemons write again")
    write_s = time.monotonic() - pair.killed_at
    await _wait(lambda: sum(truth.usage.asked.values()) > asked, "a poll")
    poll_s = time.monotonic() - pair.killed_at
    await asyncio.to_thread(pair.start)
    return write_s, poll_s


def _writing(truth: Truth, since_ms: float) -> int:
    """How many daemons have renewed their lease since then."""
    try:
        with closing(Store(truth.url, readonly=True)) as store:
            return sum(one.renewed_at.timestamp() * 1000 > since_ms for one in fleet.live(store.reader))
    except StoreError:
        return 0


async def _wait(until: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + WITHIN_S
    while not until():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {WITHIN_S:g} s: {what}")
        await asyncio.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.failover", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--accounts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--by", choices=BY, default="synchronous", help="the standby, promoted by hand; or Patroni")
    said = parser.parse_args()
    return asyncio.run(failover(said.times, said.accounts, said.seed, said.by))


if __name__ == "__main__":
    sys.exit(main())
