"""Ten thousand accounts with a month behind each, through `brimful run` as a process: a start, and two minutes of it.

    python -m benchmarks.month [--accounts 10000] [--minutes 2] [--runway] [--json]

The daemon polls each account for the first time and is stopped; four weeks of hours, by day and night and with noise,
are put before each one's counters; then it is started again, and scraped every 15 s as Prometheus does. `--runway`: a
rule asks for a forecast of each account at every poll.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import tempfile
import time
from math import pi, sin
from pathlib import Path

from alerts.forecast.hourly import HOUR_MS, KEPT_HOURS, Hourly
from alerts.forecast.memory import BurnMemory
from alerts.model.values import replace
from benchmarks.many import first_sweep
from benchmarks.process import Server, accounts_toml, brimful, configuration, free_port, get, server, wait_for
from benchmarks.report import Figure, finish

SCRAPED_EVERY_S = 15.0
RUNWAY = '[[rules]]\nid = "runway"\nkind = "runway"\nbelow_days = 3\n'


def run(served: Server, accounts: int, minutes: float, *, runway: bool) -> list[Figure]:
    """Return the figures of one daemon on so many accounts."""
    with tempfile.TemporaryDirectory(prefix="brimful-month-") as folder:
        port = free_port()
        path = configuration(Path(folder), served, port, accounts_toml(served.url, accounts))
        if not runway:
            text = path.read_text()
            assert RUNWAY in text
            path.write_text(text.replace(RUNWAY, ""))
        with brimful(path, log=Path(folder) / "log") as process:
            first_sweep(served, process, accounts)
        _put_before(Path(folder) / "brimful.db")
        page = f"http://127.0.0.1:{port}"
        scrapes_s, pages_s = [], []
        with brimful(path, log=Path(folder) / "log") as process:
            wait_for(f"{page}/healthz", 60)
            began, cpu_s = time.monotonic(), process.sample().cpu_s
            while (passed_s := time.monotonic() - began) < 60 * minutes:
                scrapes_s.append((passed_s, get(f"{page}/metrics")[1]))
                pages_s.append(get(f"{page}/")[1])
                time.sleep(max(SCRAPED_EVERY_S - (time.monotonic() - began - passed_s), 0))
                process.check()
            found = process.sample()
    first_s = None if runway else 0.5  # with a rule the polls of that minute learn, beside it
    return [
        Figure(
            "/metrics, the slowest of the first minute", max(took for at, took in scrapes_s if at < 60), "s", first_s
        ),
        Figure(
            "/metrics, the slowest after it", max((took for at, took in scrapes_s if at >= 60), default=0), "s", 0.5
        ),
        Figure("front page, the slowest", max(pages_s), "s"),
        Figure(f"CPU of {minutes:g} minutes", found.cpu_s - cpu_s, "s"),
        Figure("memory", found.memory_mb, "MB", 150.0 if accounts >= 10_000 else None),
    ]


def _put_before(database: Path) -> None:
    """Put four weeks before the counters of each account."""
    chance = random.Random(1)
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT account, burn FROM account_state").fetchall()
        connection.executemany(
            "UPDATE account_state SET burn = ? WHERE account = ?",
            [(_aged(BurnMemory.decode(text), chance).encode(), account) for account, text in rows],
        )
    connection.close()


def _aged(memory: BurnMemory, chance: random.Random) -> BurnMemory:
    hourly = chance.randint(2_000, 90_000)
    noise = (1 + 0.6 * sin(hour * pi / 12) + chance.gauss(0, 0.3) for hour in range(KEPT_HOURS))
    spend, schedule = memory.spend, memory.schedule
    assert spend is not None
    assert schedule is not None
    planned = replace(schedule, counter=_with_past(schedule.counter, [hourly] * KEPT_HOURS))
    return replace(memory, spend=_with_past(spend, [max(int(hourly * part), 0) for part in noise]), schedule=planned)


def _with_past(counter: Hourly, hours: list[int]) -> Hourly:
    first_ms, _, last_ms, last, hour_start = json.loads(counter.encode())
    return Hourly.decode([first_ms - KEPT_HOURS * HOUR_MS, last - sum(hours), last_ms, last, hour_start], hours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--runway", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with server() as served:
        served.ask("/every?polls=7")
        found = run(served, options.accounts, options.minutes, runway=options.runway)
    title = f"month: {options.accounts:,} accounts with four weeks behind each{', a runway rule' * options.runway}"
    finish(title, found, as_json=options.json)


if __name__ == "__main__":
    main()
