"""A fleet in the simulated world: a few seeds, the same every time, on a PostgreSQL of the tests' own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.sim import clocks
from tests.sim.fleet.database import prepare
from tests.sim.fleet.loop import FleetLoop
from tests.sim.fleet.runner import run_fleet

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def server(postgres_server: PostgresServer) -> Path:
    prepare(postgres_server)
    return postgres_server.folder


@pytest.mark.parametrize("seed", [1, pytest.param(5, marks=[pytest.mark.long, pytest.mark.postgresql])])
def test_a_fleet_that_is_killed_stopped_and_cut_off_ends_in_order(server: Path, seed: int) -> None:
    found = run_fleet(seed, 2.0, server)
    assert found.violations == []
    assert any(" lost " in line or " dead" in line for line in found.trace)


@pytest.mark.long
@pytest.mark.postgresql
def test_the_same_seed_is_the_same_run_of_a_fleet(server: Path) -> None:
    first, second = (run_fleet(2, 0.4, server, frozenset({"stop_one", "at_point"})) for _ in range(2))
    assert [line.partition("cannot open")[0] for line in first.trace] == [
        line.partition("cannot open")[0] for line in second.trace
    ]


def test_a_page_of_the_calendar_is_turned_while_the_machines_count_nothing() -> None:
    async def wait() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FleetLoop)
        rest = asyncio.ensure_future(loop.rest(100.0))
        await asyncio.sleep(10)
        loop.turn(80.0)
        await rest
        return loop.elapsed_s, loop.calendar_s

    assert clocks.run(wait, FleetLoop) == pytest.approx((20.0, 100.0))
