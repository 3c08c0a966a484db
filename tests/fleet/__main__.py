"""`python -m tests.fleet`: thousands of accounts each minute by three daemons, against one daemon with SQLite.

Prints the CPU of 10,000 polls of both in the same run, PostgreSQL's own, and what the usage API counted while one
daemon was killed and one was paused: accounts polled twice in a minute of the clock, accounts left out of one.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from benchmarks.process import TICKS_A_SECOND, Process, Server, accounts_toml, brimful, configuration, free_port, server
from tests.fleet.machines import Machines, hooks
from tests.postgres import MISSING, PostgresServer, programs, serving

NAMES = ("a", "b", "c")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=12, help="an account's numbers move with every so manieth answer")
    parser.add_argument("--minutes", type=int, default=3, help="measured, of each")
    said = parser.parse_args()
    where = programs()
    if where is None:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory(prefix="brimful-fleet-") as folder:
        alone = _alone(Path(folder), said.accounts, said.minutes, said.every)
        print(f"one daemon, SQLite: {alone:.1f} s of CPU for 10,000 polls", flush=True)
        with serving(where) as postgres, server() as served:
            served.ask(f"/every?polls={said.every}")
            machines = Machines(Path(folder), postgres, served, said.accounts)
            try:
                return _together(machines, postgres, served, said.accounts, said.minutes, alone)
            finally:
                machines.stop()


def _alone(folder: Path, accounts: int, minutes: int, every: int) -> float:
    """Return what one daemon with a file uses of CPU for 10,000 polls."""
    with server() as served:
        served.ask(f"/every?polls={every}")
        config = configuration(folder, served, free_port(), accounts_toml(served.url, accounts))
        with brimful(config, PYTHONPATH=".") as process:
            _first_sweep(served, accounts)
            return _cpu_for(served, [process], minutes)


def _together(
    machines: Machines, postgres: PostgresServer, served: Server, accounts: int, minutes: int, alone: float
) -> int:
    for name in NAMES:
        machines.start(name)
    machines.shared_by(*NAMES, within_s=120)
    _first_sweep(served, accounts)
    began, of_server = time.time(), _server_cpu_s(postgres)
    asked = int(served.ask("/stats")["asked"])
    cpu = _cpu_for(served, machines.running.values(), minutes)
    polls = int(served.ask("/stats")["asked"]) - asked
    of_server = (_server_cpu_s(postgres) - of_server) / polls * 10_000
    print(
        f"three daemons: {cpu:.1f} s ({cpu / alone:.2f} times), PostgreSQL {of_server:.2f} s for 10,000 polls",
        flush=True,
    )
    quiet = _counted(served, accounts, began, time.time())
    served.ask("/drop?accounts=" + ",".join(f"a{number}" for number in range(0, accounts, 25)))
    disturbed = time.time()
    machines.kill("b")
    print(f"kill -9 of one: the others held everything after {machines.shared_by('a', 'c'):.1f} s", flush=True)
    machines.start("b")
    machines.shared_by(*NAMES, within_s=120)
    time.sleep(60)
    machines.running["a"].signal(signal.SIGSTOP)
    print(f"one paused: the others held everything after {machines.shared_by('b', 'c'):.1f} s", flush=True)
    time.sleep(5)
    machines.running["a"].signal(signal.SIGCONT)
    machines.shared_by(*NAMES, within_s=120)
    time.sleep(120)
    after = _counted(served, accounts, disturbed, time.time())
    events = hooks(served)
    low = {account for _, _, account, kind in events if kind == "balance.low"}
    ids, lows = {id for _, id, _, _ in events}, -(-accounts // 25)
    print(f"{len(events)} webhooks of {len(ids)} events, {len(low)} of {lows} lows")
    print(f"in peace: {quiet}; killed and paused: {after} (accounts twice in a minute, accounts left out of one)")
    return 1 if quiet != (0, 0) or after[1] or len(low) != lows else 0


def _first_sweep(served: Server, accounts: int) -> None:
    """Wait until each account was asked, and the next minute has begun."""
    while int(served.ask("/stats")["accounts"]) < accounts:
        time.sleep(0.5)
    time.sleep(61 - time.time() % 60)


def _cpu_for(served: Server, processes: Iterable[Process], minutes: int) -> float:
    """Return the CPU of 10,000 polls, in seconds, of all these together."""
    running = list(processes)
    before, asked = [one.sample().cpu_s for one in running], int(served.ask("/stats")["asked"])
    time.sleep(60 * minutes)
    used = sum(one.sample().cpu_s - was for one, was in zip(running, before, strict=True))
    return used / (int(served.ask("/stats")["asked"]) - asked) * 10_000


def _counted(served: Server, accounts: int, since: float, until: float) -> tuple[int, int]:
    """Return how often an account was polled twice in a whole minute of the clock, or left out of one.

    Not a poll of the minute's very end that came a moment late: then there is a minute between two of them.
    """
    times: dict[str, list[float]] = {}
    for at, account in served.ask("/polls")["polls"]:
        times.setdefault(account, []).append(at)
    first, last = int(since // 60) + 1, int(until // 60)
    twice = missed = (accounts - len(times)) * (last - first)
    for polled in times.values():
        for one, other in pairwise(polled):
            if first <= int(other // 60) < last or first <= int(one // 60) < last:
                twice += int(one // 60) == int(other // 60) and other - one < 45
                missed += int(other // 60) - int(one // 60) > 1 and other - one > 90
    return twice, missed


def _server_cpu_s(postgres: PostgresServer) -> float:
    """Return the CPU that the server has used, with all its processes, those that ended included."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = int(stat.parent.name), stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if pid == postgres.pid:
            ticks += sum(int(one) for one in rest[11:15])
        elif int(rest[1]) == postgres.pid:
            ticks += int(rest[11]) + int(rest[12])
    return ticks / TICKS_A_SECOND


if __name__ == "__main__":
    sys.exit(main())
