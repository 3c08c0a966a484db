"""How long one year of five-minute readings of one account takes to be replayed.

    python -m benchmarks.backtest [--days 365] [--json]

The readings are stored as the daemon stores them, in a database of its own, and replayed from there through a
configuration with every kind of rule and a top-up.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerts.readings import Known, Metrics
from benchmarks.traces import COST, DAYS, STEP_MINUTES, STEPS_A_DAY, generate
from daemon.backtest.replay import Replay
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


def readings(days: int) -> Iterator[Known]:
    """Yield a year of an account with office hours and weekends, topped up by hand whenever it was under fifty."""
    trace = generate("weekly", 0)
    spent = funded = 0
    for step in range(days * STEPS_A_DAY):
        place = step % (DAYS * STEPS_A_DAY)
        if place:
            spent += trace.accrued[place] - trace.accrued[place - 1]
        if funded - spent < 50_000_000:
            funded += 200_000_000
        charged = spent // 10_000 * 10_000
        metrics = Metrics(
            balance_microusd=funded - charged,
            uncharged_microusd=spent - charged,
            total_charged_microusd=charged,
            active_videos=trace.rate[place] // (24 * COST),
            cost_per_snapshot_microusd=COST,
        )
        yield Known(ACCOUNT, BEGIN + timedelta(minutes=STEP_MINUTES * step), metrics)


def fill(store: Store, days: int) -> int:
    batch, count = [], 0
    for reading in readings(days):
        batch.append(reading)
        count += 1
        if len(batch) == STEPS_A_DAY:
            with store.write(durable=False) as tx:
                record(tx, batch)
            batch = []
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(CONFIG)
        config = load(path, secrets=False)
        store = Store(Path(folder, "year.db"))
        migrate(store)
        stored = fill(store, options.days)
        store.close()
        reader = Store(Path(folder, "year.db"), readonly=True)
        end = BEGIN + timedelta(days=options.days)
        began, cpu = time.perf_counter(), time.process_time()
        past = history(reader.reader, ACCOUNT, BEGIN, end)
        outcome = Replay(config, config.accounts[ACCOUNT], BEGIN, end).run(past)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        reader.close()
    good = seconds <= WANTED_SECONDS * options.days / 365
    if options.json:
        print(json.dumps({"readings": stored, "seconds": round(seconds, 2), "cpu_s": round(cpu, 2), "good": good}))
        return 0 if good else 1
    print(
        f"{stored:,} readings of {options.days} days replayed in {seconds:.1f} s "
        f"({cpu:.1f} s of CPU, {cpu / stored * 1e6:.0f} µs a reading); wanted: a year in {WANTED_SECONDS:.0f} s: "
        f"{'reached' if good else 'MISSED'}"
    )
    events = ", ".join(f"{count} {name}" for name, count in sorted(outcome.events.items()))
    print(f"{len(outcome.charges)} charges; {events}; {len(outcome.false_alarms)} false alarms")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
