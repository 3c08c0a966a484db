"""`python -m tests.sim.fleet`: run seeds of a fleet on a PostgreSQL of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import MISSING, programs, serving
from tests.sim.__main__ import read_options, replay, report
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
    said = read_options("tests.sim.fleet", f"{__doc__} The last day of each is one of peace.", seeds=50, days=3.0)
    focus = frozenset(filter(None, said.focus.split(",")))
    with prepared_server() as server:
        if said.seed is not None:
            return replay(run_fleet(said.seed, said.days, server, focus))
        seeds = range(said.first, said.first + said.seeds)
        return report(run_fleets(seeds, said.days, server, jobs=said.jobs, focus=focus), said)


if __name__ == "__main__":
    sys.exit(main())
