"""A day of many accounts in virtual time: whether memory stays flat, what folding costs, who waits for the disk.

    python -m benchmarks.day [--accounts 10000] [--hours 24] [--poll "* * * * *"] [--json]

A day of readings lies in the store when it begins, and `keep_readings` is a day, so that every hour folds as much as it
adds. Memory is taken every hour; flat is judged from the second hour on, when every account has been read.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.process import accounts_toml
from benchmarks.report import Figure, finish
from benchmarks.virtual import live
from daemon.store import Store
from daemon.store.migrations import migrate
from daemon.work.service import Service

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
CONFIG = '[store]\npath = "{folder}/brimful.db"\nkeep_readings = "1d"\n[http]\nlisten = ""\n'
_OLD = """
INSERT INTO runs (account, first_ms, number, last_ms, count,
                  balance_microusd, uncharged_microusd, total_charged_microusd)
WITH RECURSIVE step(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step WHERE n < 23)
SELECT ?1, ?2 + n * 3600000, n, ?2 + n * 3600000 + 3540000, 60, 90000000000, 750000, n * 45000 FROM step
"""


def fill(database: Path, accounts: int) -> None:
    """Write the day before: an hourly run of every account; in each hour the oldest of them is to be folded."""
    store = Store(database)
    migrate(store)
    store.close()
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN")
    begin_ms = int((BEGIN - timedelta(hours=25)).timestamp() * 1000)
    for number in range(accounts):
        connection.execute("INSERT INTO latest (account) VALUES (?)", (f"a{number}",))
        connection.execute(_OLD, (f"a{number}", begin_ms))
    connection.execute("COMMIT")
    connection.close()


def resident_mb() -> float:
    """Return this process's resident memory in MB."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--poll", default="* * * * *")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    memory_mb: list[float] = []

    def look(now: datetime, service: Service) -> None:
        memory_mb.append(resident_mb())

    with tempfile.TemporaryDirectory(prefix="brimful-day-") as folder:
        config = Path(folder) / "config.toml"
        tables = accounts_toml("https://usage.example", options.accounts, poll=options.poll)
        config.write_text(CONFIG.format(folder=folder) + tables)
        fill(Path(folder) / "brimful.db", options.accounts)
        lived = live(config, BEGIN, timedelta(hours=options.hours), hourly=look)
    steady = memory_mb[2:] or memory_mb
    finish(
        f"day: {options.accounts:,} accounts at {options.poll} for {options.hours} h",
        [
            Figure("polls", lived.polls, ""),
            Figure("CPU of 10,000 polls, without sockets", lived.cpu_s / lived.polls * 10_000, "s"),
            Figure("memory after two hours (this process)", steady[0], "MB"),
            Figure("memory at the end (this process)", steady[-1], "MB"),
            Figure("memory, end / after two hours", steady[-1] / steady[0], "", 1.25),
            Figure("CPU of folding", lived.fold_cpu_s, "s", 60.0),
            Figure("the longest transaction", 1000 * lived.held.longest_s, "ms"),
            Figure(f"of {lived.held.transactions} transactions over 50 ms", lived.held.long, ""),
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
