"""`python -m tests.sim.fleet`: run seeds of a fleet on a PostgreSQL of their own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import MISSING, programs, serving
from tests.sim.__main__ import replay, report
from tests.sim.fleet.database import prepare
from tests.sim.fleet.runner import run_fleet, run_fleets


@contextmanager
def prepared_server() -> Iterator[Path]:
    """Serve a PostgreSQL in which worlds can live; yield its folder."""
    where = programs()
    if where is None:
        raise SystemExit(MISSING)
    with serving(where) as server:
        prepare(server)
        server.close()
        yield server.folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.fleet", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--days", type=float, default=3.0, help="simulated days of each, the last of them in peace")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--focus", default="", help="faults that every seed has")
    parser.add_argument("--until-violation", action="store_true", help="stop at the first seed that has one")
    parser.add_argument("--seed", type=int, help="replay one seed and print its trace")
    said = parser.parse_args()
    focus = frozenset(filter(None, said.focus.split(",")))
    with prepared_server() as server:
        if said.seed is not None:
            return replay(run_fleet(said.seed, said.days, server, focus))
        seeds = range(said.first, said.first + said.seeds)
        return report(run_fleets(seeds, said.days, server, jobs=said.jobs, focus=focus), said)


if __name__ == "__main__":
    sys.exit(main())
