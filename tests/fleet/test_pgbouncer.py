"""Through PgBouncer in transaction mode, which is killed meanwhile: daemons, and commands that lock the database."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.process import Server
from daemon.store.lock import DatabaseHeldError, held, holder
from tests.fleet.behind import Pooler, pooled
from tests.fleet.conftest import ACCOUNTS
from tests.fleet.machines import Machines, polls, wait
from tests.postgres import MISSING, programs

pytestmark = pytest.mark.slow


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    where = programs()
    if where is None:
        pytest.skip(MISSING)
    if shutil.which("pgbouncer") is None:
        pytest.skip("there is no PgBouncer on this machine (Debian: apt-get install pgbouncer)")
    with pooled(where) as running:
        yield running


def test_a_fleet_and_its_commands_go_through_it(tmp_path: Path, pooler: Pooler, served: Server) -> None:
    machines = Machines(tmp_path, pooler, served, ACCOUNTS, poll="0 0 1 1 *")
    assert "read " in machines.brimful("once"), "nobody holds it yet"
    for name in ("a", "b", "c"):
        machines.start(name)
    try:
        machines.shared_by("a", "b", "c")
        pooler.stop()
        time.sleep(3)
        pooler.start()
        machines.heard("a", "b", "c", since=datetime.now(UTC))
        machines.shared_by("a", "b", "c")
        assert "all accounts: paused" in machines.brimful("topups", "pause")
        assert "ended the pause" in machines.brimful("topups", "resume")
        assert "whole, " in machines.brimful("store", "check")
        for process in machines.running.values():
            code, _ = process.stop()
            assert code == 0
    finally:
        machines.stop()
    wait(lambda: len(polls(served)) == ACCOUNTS, 20)
    url = machines.url
    with held(url):
        for _ in range(20):  # whichever connection to the server it is given
            with pytest.raises(DatabaseHeldError, match="a daemon"), held(url):
                pytest.fail("it is held")
        assert holder(url)
    with held(url):
        pass
