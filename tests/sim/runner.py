"""Runs seeds: each in a world of its own, on a disk in memory, under virtual time."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import random
import shutil
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator, MutableMapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import stripe
import structlog
from stripe._api_requestor import _APIRequestor

from daemon.clock import Clock, SeededIds
from daemon.compose import open_service
from daemon.config.model import Config
from daemon.work.service import Service
from tests.sim import clocks
from tests.sim.box import KilledError, Life, Post, Wire, in_dead_life, own_tasks
from tests.sim.checker import Watch, check
from tests.sim.operator import Operator
from tests.sim.world import World

MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed came to. `trace` is the world's, in the order of time."""

    seed: int
    days: float
    violations: list[str]
    cpu_s: float
    charges: int
    focus: frozenset[str]
    trace: list[str] = field(repr=False)
    module: str = "tests.sim"

    @property
    def command(self) -> str:
        """What replays the seed with its trace."""
        focus = f" --focus {','.join(sorted(self.focus))}" if self.focus else ""
        return f"python -m {self.module} --seed {self.seed} --days {self.days:g}{focus}"


def run_seed(seed: int, days: float, focus: frozenset[str] = frozenset()) -> Result:
    """Run one seed to its end and hold every invariant."""
    hasten()
    started = time.process_time()
    home = MEMORY if MEMORY.is_dir() else None
    disks = Path(tempfile.mkdtemp(prefix=f"brimful-sim-{seed}-", dir=home))
    try:
        world, violations = clocks.run(partial(_live, seed, days, disks, focus))
    finally:
        shutil.rmtree(disks, ignore_errors=True)
        gc.collect()
    charges = len(world.stripe.successes())
    return Result(seed, days, violations, time.process_time() - started, charges, focus, world.trace)


def run_seeds(seeds: Iterable[int], days: float, *, jobs: int, focus: frozenset[str] = frozenset()) -> Iterator[Result]:
    """Run many, in processes of their own."""
    if jobs == 1:
        yield from (run_seed(seed, days, focus) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(run_seed, days=days, focus=focus), seeds, chunksize=1)


async def _live(seed: int, days: float, disks: Path, focus: frozenset[str]) -> tuple[World, list[str]]:
    loop = asyncio.get_running_loop()
    own_tasks(loop)
    unheard: list[str] = []
    loop.set_exception_handler(partial(unhandled, unheard))
    world = World(seed, days, disks, _open, focus)
    _listen_to_logs(world.crashes)
    watch = Watch(world)
    found = await live_through(world, watch.look, Operator(world).work(), partial(check, world, watch))
    return world, [*found, *world.crashes, *unheard]


async def live_through(
    world: World, look: Callable[[str, str], None], work: Coroutine[Any, Any, None], judge: Callable[[], list[str]]
) -> list[str]:
    """Let a world run to its end while `look` watches and an operator does their `work`; return what `judge` finds."""
    world.watch = look
    world.begin()
    operator = asyncio.create_task(work)
    await world.befall()
    operator.cancel()
    found = judge()
    await world.end_all()
    return found


def _open(config: Config, clock: Clock, life: Life, salt: str) -> AbstractAsyncContextManager[Service]:
    """Open the real service as one life of a machine: only its edges are the world's."""
    number = random.Random(salt).getrandbits(64)
    return open_service(
        config,
        clock=clock,
        ids=SeededIds(number),
        rng=random.Random(number),
        transport=Wire(life),
        mailer=Post(life),
        probe=life.probe,
    )


def hasten() -> None:
    """Leave out what costs time and is nobody's concern here."""
    _set_imports_aside()
    _hasten_the_sdk()


@functools.cache
def _set_imports_aside() -> None:
    """A world makes a lot of small objects and few cycles: they are collected when it has ended, all of them."""
    gc.freeze()
    gc.disable()


@functools.cache
def _hasten_the_sdk() -> None:
    """Leave out what Stripe's SDK does for itself at every request: a log line with the whole answer, written before it
    asks who wants to read it, and a look through a dozen environment variables for whoever may have started it.
    """
    stripe._util.logfmt = lambda props: ""
    setattr(_APIRequestor, "_detect_ai_agent", staticmethod(lambda environ: ""))  # noqa: B010  (the type is not to know)


def unhandled(found: list[str], loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Note an error that nobody was there to hear of, but for a death."""
    error = context.get("exception")
    if error is None or isinstance(error, KilledError | asyncio.CancelledError):
        return
    found.append(f"unhandled: {context.get('message')}: {error!r}")


def _is_full(error: BaseException) -> bool:
    """Whether it says that the disk is full: a fault of the world's, and to be said."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_full(one) for one in error.exceptions)
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)


def _listen_to_logs(crashes: list[str]) -> None:
    """Be silent, but for an error: a pass that failed is a finding, however well the service goes on."""

    def collect(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        error = event.get("exc_info")
        if isinstance(error, Exception) and not in_dead_life() and not _is_full(error):
            where = traceback.extract_tb(error.__traceback__)[-1]
            crashes.append(f"{event.get('lane')}: {error!r} at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[collect],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        cache_logger_on_first_use=False,
    )
