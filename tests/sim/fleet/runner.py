"""Runs seeds of a fleet: each on a database of its own, under virtual time."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, MutableMapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from daemon.fleet import holdings
from daemon.store.dialects import postgresql, wire
from daemon.work import retention
from tests.sim import clocks
from tests.sim.box import OWNER, in_dead_life, own_tasks
from tests.sim.fleet.checks import FleetWatch, check_fleet
from tests.sim.fleet.database import WorldDatabase
from tests.sim.fleet.loop import FleetLoop
from tests.sim.fleet.member import FleetLife
from tests.sim.fleet.operator import FleetOperator
from tests.sim.fleet.world import FleetWorld
from tests.sim.runner import Result, hasten, live_through, unhandled

FEW = 16
"""Buckets of a world: of few accounts most of 256 would stay empty, and each is read at every beat."""


def run_fleet(seed: int, days: float, server: Path, focus: frozenset[str] = frozenset()) -> Result:
    """Run one seed to its end and hold every invariant. `server`: the folder of a prepared PostgreSQL."""
    hasten()
    started = time.process_time()
    disks = Path(tempfile.mkdtemp(prefix=f"brimful-sim-{seed}-"))
    database = WorldDatabase(server, f"{os.getpid()}_{seed}")
    try:
        with _in_virtual_time():
            world, violations = clocks.run(partial(_live, seed, days, disks, database, focus), FleetLoop)
    finally:
        database.close()
        shutil.rmtree(disks, ignore_errors=True)
        gc.collect()
    charges = len(world.stripe.successes())
    return Result(seed, days, violations, time.process_time() - started, charges, focus, world.trace, "tests.sim.fleet")


def run_fleets(
    seeds: Iterable[int], days: float, server: Path, *, jobs: int, focus: frozenset[str] = frozenset()
) -> Iterator[Result]:
    """Run many, in processes of their own, on one server."""
    if jobs == 1:
        yield from (run_fleet(seed, days, server, focus) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(run_fleet, days=days, server=server, focus=focus), seeds, chunksize=1)


async def _live(
    seed: int, days: float, disks: Path, database: WorldDatabase, focus: frozenset[str]
) -> tuple[FleetWorld, list[str]]:
    loop = asyncio.get_running_loop()
    own_tasks(loop)
    unheard: list[str] = []
    loop.set_exception_handler(partial(unhandled, unheard))
    world = FleetWorld(seed, days, disks, database, focus)
    _listen_to_logs(world)
    watch = FleetWatch(world)
    found = await live_through(world, watch.look, FleetOperator(world).work(), partial(check_fleet, world, watch))
    return world, [*found, *world.crashes, *unheard]


@contextmanager
def _in_virtual_time() -> Iterator[None]:
    """Let no part of a daemon go by the host's own time, and let the buckets be few."""
    counts = dict.fromkeys((holdings.ACCOUNTS, holdings.RECEIVERS), FEW)
    put: list[tuple[Any, str, object]] = [
        (holdings, "BUCKETS", FEW),
        (holdings, "COUNTS", {**counts, holdings.DUTIES: holdings.COUNTS[holdings.DUTIES]}),
        (postgresql, "monotonic", lambda: asyncio.get_running_loop().time()),
        (retention, "FOLD_FOR_S", 3600.0),
        (wire, "ANSWER_WITHIN_S", 3600.0),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in put]
    holdings.bucket_of.cache_clear()
    try:
        for module, name, value in put:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        holdings.bucket_of.cache_clear()


def _is_of_a_disturbance(error: BaseException) -> bool:
    """Whether it is what a lost database causes, or a deadline that passed while the process was stopped."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_a_disturbance, error.exceptions))
    return isinstance(error, sqlite3.OperationalError | TimeoutError)


def _listen_to_logs(world: FleetWorld) -> None:
    """Be silent, but for an error that nothing which befell the daemon explains."""

    def collect(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        error, life = event.get("exc_info"), OWNER.get()
        if isinstance(life, FleetLife) and event.get("event") == "fleet":
            world.note(life.member.role, f"{event.get('outcome')} {event.get('problem', '')}")
        if isinstance(error, Exception) and not in_dead_life():
            explained = isinstance(life, FleetLife) and life.member.disturbed_until_s > world.loop.time()
            if not (explained and _is_of_a_disturbance(error)):
                where = traceback.extract_tb(error.__traceback__)[-1]
                said = f"{event.get('lane')}: {error!r} at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
                world.crashes.append(f"{world.truth.now()}: {said}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[collect],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        cache_logger_on_first_use=False,
    )
