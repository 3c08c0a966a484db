"""Whether a pass costs more with a long history behind it: `brimful once` over an empty store and over millions.

    python -m benchmarks.history [--millions 10] [--rounds 7] [--json]

Fifty accounts; the readings are written as the runs that they would have become, every one with other numbers. Both
stores take turns, so that what else the machine does falls on both; CPU and time are of the whole process.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.process import ROOT, Server, accounts_toml, configuration, free_port, server
from benchmarks.report import Figure, finish

ACCOUNTS = 50
EVERY_MS = 60_000

_FILL = """
INSERT INTO runs (account, first_ms, number, last_ms, count, balance_microusd, uncharged_microusd,
                  total_charged_microusd, total_snapshots, active_videos, cost_per_snapshot_microusd)
WITH RECURSIVE step(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step WHERE n + 1 < :count)
SELECT :account, :begin + n * :every, n, :begin + n * :every, 1,
       90000000000 - n * 45000, 750000, n * 45000, n * 3, 3, 15000
FROM step
"""


@dataclass(slots=True)
class Passes:
    """Every pass over one store: CPU and wall time in seconds."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)


def once(config: Path) -> tuple[float, float]:
    """Run `brimful once`; returns its CPU and its time in seconds."""
    before, began = os.times(), time.perf_counter()
    script = str(Path(sys.executable).with_name("brimful"))
    subprocess.run([script, "--config", str(config), "once"], check=True, cwd=ROOT, capture_output=True)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu_s, time.perf_counter() - began


def fill(database: Path, readings: int) -> float:
    """Write so many readings of the past into the store; returns its size in MB."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    each = readings // ACCOUNTS
    begin = int(time.time() * 1000) - (each + 60) * EVERY_MS
    for number in sorted(range(ACCOUNTS), key=lambda number: f"a{number}"):
        values = {"account": f"a{number}", "begin": begin, "every": EVERY_MS, "count": each}
        connection.execute(_FILL, values)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database.stat().st_size / 1e6


def prepared(folder: Path, served: Server, readings: int) -> tuple[Path, float]:
    """Return a configuration whose store has so many readings behind it, and the store's size in MB."""
    folder.mkdir()
    config = configuration(folder, served, free_port(), accounts_toml(served.url, ACCOUNTS))
    config.write_text(config.read_text().replace("[store]\n", '[store]\nkeep_readings = "36500d"\n'))
    once(config)
    size_mb = fill(folder / "brimful.db", readings) if readings else (folder / "brimful.db").stat().st_size / 1e6
    once(config)
    return config, size_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brimful-history-") as name, server() as served:
        served.ask("/every?polls=1")
        empty, _ = prepared(Path(name) / "empty", served, 0)
        full, size_mb = prepared(Path(name) / "full", served, int(options.millions * 1_000_000))
        found = {empty: Passes(), full: Passes()}
        for _ in range(options.rounds):
            for config, passes in found.items():
                cpu_s, wall_s = once(config)
                passes.cpu_s.append(cpu_s)
                passes.wall_s.append(wall_s)
    cpu = [full / empty for full, empty in zip(found[full].cpu_s, found[empty].cpu_s, strict=True)]
    wall = [full / empty for full, empty in zip(found[full].wall_s, found[empty].wall_s, strict=True)]
    finish(
        f"history: a pass over {options.millions:g} million readings and over none, {options.rounds} pairs",
        [
            Figure("the store", size_mb, "MB"),
            Figure("CPU of a pass, empty store", median(found[empty].cpu_s), "s"),
            Figure("CPU of a pass, full store", median(found[full].cpu_s), "s"),
            Figure("CPU, full / empty, median of the pairs", median(cpu), "", 1.1),
            Figure("time, full / empty, median of the pairs", median(wall), "", 1.1),
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
