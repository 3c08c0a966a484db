"""Several daemons on one PostgreSQL, as real processes: shares, a kill, a pause, a restart of the database."""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.process import Server
from tests.fleet.conftest import ACCOUNTS
from tests.fleet.machines import Machines, hooks, polls, wait
from tests.postgres import PostgresServer

pytestmark = pytest.mark.slow


def test_three_daemons_share_the_work_and_the_rest_goes_on_where_one_is_killed(
    machines: Machines, served: Server
) -> None:
    for name in ("a", "b", "c"):
        machines.start(name)
    machines.shared_by("a", "b", "c")
    wait(lambda: len(polls(served)) == ACCOUNTS, 20)
    assert set(polls(served).values()) == {1}, "each account is asked once, whoever holds it"

    time.sleep(2)  # what was answered is committed
    machines.kill("b")
    assert machines.shared_by("a", "c") <= 15
    time.sleep(2)
    assert set(polls(served).values()) == {1}, "what was read in this period is not read again"

    said = json.loads(machines.brimful("status", "--json"))["daemons"]
    assert sum(one["buckets"] for one in said) == 256
    assert {"name", "host", "pid", "buckets", "since", "renewed_at", "health"} == set(said[0])
    machines.start("b")
    machines.shared_by("a", "b", "c")
    for name in ("a", "b", "c"):
        code, took_s = machines.running.pop(name).stop()
        assert code == 0
        assert took_s < 10
    assert machines.buckets() == {}, "who leaves gives everything back at once"


def test_a_daemon_that_was_paused_writes_nothing_when_it_wakes_up(machines: Machines, served: Server) -> None:
    for name in ("a", "b"):
        machines.start(name)
    machines.shared_by("a", "b")
    wait(lambda: len(polls(served)) == ACCOUNTS, 20)
    time.sleep(2)  # what was answered is committed
    machines.running["a"].signal(signal.SIGSTOP)
    machines.shared_by("b")
    machines.running["a"].signal(signal.SIGCONT)
    machines.shared_by("a", "b")
    logged = machines.logs()
    assert "taken over" in logged
    assert "lost" in logged
    assert set(polls(served).values()) == {1}


def test_a_database_that_is_away_is_waited_for(machines: Machines, postgres: PostgresServer, served: Server) -> None:
    machines.start("a")
    machines.start("b")
    machines.shared_by("a", "b")
    postgres.stop()
    time.sleep(12)  # longer than a lease lasts
    for process in machines.running.values():
        process.check()
    postgres.start()
    machines.shared_by("a", "b", within_s=20)
    assert "not heard" in machines.logs() or "lost" in machines.logs()


def test_events_reach_receivers_that_another_daemon_holds(machines: Machines, served: Server) -> None:
    served.ask("/drop?accounts=" + ",".join(f"a{number}" for number in range(ACCOUNTS)))
    for name in ("a", "b", "c"):
        machines.start(name)
    wait(lambda: len({account for _, _, account, _ in hooks(served)}) == ACCOUNTS, 40, lambda: str(len(hooks(served))))
    assert len({id for _, id, _, _ in hooks(served)}) == ACCOUNTS == len(hooks(served))


@pytest.mark.long
@pytest.mark.postgresql
@pytest.mark.timeout(150)
def test_who_takes_over_asks_each_account_when_it_would_have_been_asked(
    tmp_path: Path, postgres: PostgresServer, served: Server
) -> None:
    """Accounts that have due times of their own: none is asked sooner for it, and none is forgotten."""
    machines = Machines(tmp_path, postgres, served, ACCOUNTS, poll='auto"\npoll_fastest = "20s')
    try:
        for name in ("a", "b"):
            machines.start(name)
        machines.shared_by("a", "b")
        wait(lambda: len(polls(served)) == ACCOUNTS, 20)
        time.sleep(5)
        machines.kill("b")
        machines.shared_by("a", within_s=15)
        time.sleep(45)
        asked: dict[str, list[float]] = defaultdict(list)
        for at, account in served.ask("/polls")["polls"]:
            asked[account].append(at)
        gaps = [two - one for times in asked.values() for one, two in pairwise(times)]
        assert len(asked) == ACCOUNTS
        assert min(gaps) >= 19
        assert max(gaps) <= 20 + 15
        assert min(len(times) for times in asked.values()) >= 2
    finally:
        machines.stop()
