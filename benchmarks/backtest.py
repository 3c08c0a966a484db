"""How long one year of five-minute readings of one account takes to be replayed.

    python -m benchmarks.backtest [--days 365] [--json]

The readings are stored as the daemon stores them, in a database of its own, and replayed from there through a
configuration with rules of every kind that reads money, and a top-up. CPU is what counts: a replay is one thread, and
what else the machine does must not fall on it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerts.model.readings import Known, Metrics
from benchmarks.traces import COST, DAYS, STEP_MINUTES, STEPS_A_DAY, generate
from daemon.backtest.replay import Replay, ReplayOutcome
from daemon.config.load import load
from daemon.store import Store
from daemon.store.migrations import migrate
from daemon.store.readings import history, record

WANTED_SECONDS = 10.0
BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
ACCOUNT = "clips"
CONFIG = """
timezone = "Europe/Berlin"
store.path = "year.db"
store.keep_readings = "400d"
stripe = { api_key = "env:STRIPE_API_KEY", mode = "test" }

[accounts.clips]
provider = "contentstats"
api_key = "env:CONTENTSTATS_API_KEY"
poll = "*/5 * * * *"

[accounts.clips.topup]
when_below_usd = 40.00
amount_usd = 150.00
customer = "cus_123"
max_charge_usd = 300.00
max_per_day_usd = 600.00
max_per_month_usd = 3000.00

[[rules]]
id = "low"
kind = "low_balance"
below_usd = 50.00

[[rules]]
id = "runway"
kind = "runway"
below_days = 2

[[rules]]
id = "budget"
kind = "budget"
period = "month"
limit_usd = 800.00
"""


KINDS = ("hourly", "changing")


def readings(days: int, kind: str) -> Iterator[Known]:
    """Yield an account with office hours and weekends, topped up by hand whenever it was under fifty.

    "changing": other numbers at every poll, the worst case. "hourly": the provider counts once an hour.
    """
    trace = generate("weekly", 0)
    every = 1 if kind == "changing" else 60 // STEP_MINUTES
    spent = shown = funded = 0
    for step in range(days * STEPS_A_DAY):
        place = step % (DAYS * STEPS_A_DAY)
        if place:
            spent += trace.accrued[place] - trace.accrued[place - 1]
        if step % every == 0:
            shown = spent
        if funded - shown < 50_000_000:
            funded += 200_000_000
        charged = shown // 10_000 * 10_000
        metrics = Metrics(
            balance_microusd=funded - charged,
            uncharged_microusd=shown - charged,
            total_charged_microusd=charged,
            active_videos=trace.rate[place // every * every] // (24 * COST),
            cost_per_snapshot_microusd=COST,
        )
        yield Known(ACCOUNT, BEGIN + timedelta(minutes=STEP_MINUTES * step), metrics)


def fill(store: Store, days: int, kind: str) -> int:
    batch, count = [], 0
    for reading in readings(days, kind):
        batch.append(reading)
        count += 1
        if len(batch) == STEPS_A_DAY:
            with store.write(durable=False) as tx:
                record(tx, batch)
            batch = []
    return count


@dataclass(frozen=True, slots=True)
class Measured:
    """One replay: seconds on the wall, and of this process's CPU (on a machine that does nothing else they agree)."""

    kind: str
    readings: int
    seconds: float
    cpu_s: float
    outcome: ReplayOutcome


def measure(folder: Path, days: int, kind: str) -> Measured:
    path = folder / "config.toml"
    path.write_text(CONFIG)
    config = load(path, secrets=False)
    store = Store(folder / f"{kind}.db")
    migrate(store)
    stored = fill(store, days, kind)
    store.close()
    reader = Store(folder / f"{kind}.db", readonly=True)
    end = BEGIN + timedelta(days=days)
    began, cpu = time.perf_counter(), time.process_time()
    past = history(reader.reader, ACCOUNT, BEGIN, end)
    outcome = Replay(config, config.accounts[ACCOUNT], BEGIN, end).run(past)
    found = Measured(kind, stored, time.perf_counter() - began, time.process_time() - cpu, outcome)
    reader.close()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(Path(folder), options.days, kind) for kind in KINDS]
    wanted = WANTED_SECONDS * options.days / 365
    good = all(one.cpu_s <= wanted for one in found)
    if options.json:
        listed = [
            {"kind": o.kind, "readings": o.readings, "seconds": round(o.seconds, 2), "cpu_s": round(o.cpu_s, 2)}
            for o in found
        ]
        print(json.dumps({"replays": listed, "good": good}, indent=2))
        return 0 if good else 1
    for one in found:
        events = ", ".join(f"{count} {name}" for name, count in sorted(one.outcome.events.items()))
        print(
            f"{one.kind:<9}{one.readings:,} readings of {options.days} days replayed in {one.seconds:.1f} s "
            f"({one.cpu_s:.1f} s of CPU, {one.cpu_s / one.readings * 1e6:.0f} µs a reading): "
            f"{len(one.outcome.charges)} charges, {events}"
        )
        verdict = "reached" if one.cpu_s <= wanted else "MISSED"
        print(f"         wanted: {wanted:.0f} s of CPU: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
