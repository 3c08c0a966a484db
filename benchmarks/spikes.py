"""Spikes: how often the default rule cries wolf on accounts that do nothing unusual, and how soon it sees a leak.

Run with `python -m benchmarks.spikes`. Every trace of the forecast benchmark is read hourly twice: as it is, and with
a leak of eight times its mean burn through one day.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from alerts.model.accounts import AccountInfo
from alerts.model.events import EventType
from alerts.model.readings import Known, Metrics
from alerts.model.specs import Spike
from alerts.rules.evaluation import Context, evaluate
from alerts.rules.state import AccountState
from benchmarks.traces import COST, DAYS, STEPS_A_DAY, TUNED, UNSEEN, Trace, generate

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
LEAK_DAY = 40
WANTED_DAYS, WANTED_HOURS = 500, 6
LEAK_FACTOR = 8
STEPS_AN_HOUR = STEPS_A_DAY // 24
FUNDS_MICROUSD = 10**11


@dataclass(frozen=True, slots=True)
class Found:
    """What one family's traces gave. `hours`: from a leak's beginning to its alert; None where there was none."""

    family: str
    days: int
    false_alarms: int
    hours: tuple[int | None, ...]


def spikes(trace: Trace, *, leak: bool) -> Iterator[int]:
    """Yield the hour of every `usage.spike` that the default rule tells of the trace, reminders left out."""
    ids = count()
    context = Context(
        info=AccountInfo("trace", "contentstats"),
        rules=(Spike(id="spike"),),
        zone=ZoneInfo("UTC"),
        now=BEGIN,
        poll_interval=timedelta(hours=1),
        mutes={},
        topup=lambda account: None,
        new_id=lambda prefix: f"{prefix}_{next(ids)}",
        watching_since=BEGIN,
    )
    state, leaked = AccountState.new("trace"), 0
    an_hour = trace.accrued[LEAK_DAY * STEPS_A_DAY] * LEAK_FACTOR // (LEAK_DAY * 24)
    for hour in range(DAYS * 24):
        if leak and LEAK_DAY <= hour / 24 < LEAK_DAY + 1:
            leaked += an_hour
        step = hour * STEPS_AN_HOUR
        accrued, scheduled = trace.accrued[step] + leaked, trace.has_schedule
        metrics = Metrics(
            balance_microusd=FUNDS_MICROUSD - accrued,
            total_charged_microusd=accrued,
            active_videos=trace.rate[step] // (24 * COST) if scheduled else None,
            cost_per_snapshot_microusd=COST if scheduled else None,
        )
        known = Known("trace", BEGIN + timedelta(hours=hour), metrics)
        evaluation = evaluate(state, known, known, context.at(known.at, {}, BEGIN))
        state = evaluation.state
        if any(draft.type is EventType.USAGE_SPIKE and "reminder" not in draft.data for draft in evaluation.drafts):
            yield hour


def measure(family: str, seeds: Sequence[int]) -> Found:
    """Return what the traces of one family gave."""
    false_alarms, hours = 0, []
    for seed in seeds:
        trace = generate(family, seed)
        false_alarms += len(list(spikes(trace, leak=False)))
        begins = LEAK_DAY * 24
        seen = (hour - begins for hour in spikes(trace, leak=True) if begins <= hour < begins + 48)
        hours.append(next(seen, None))
    return Found(family, DAYS * len(seeds), false_alarms, tuple(hours))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a family, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args(arguments).seeds)
    found = [measure(family, seeds) for family in {**TUNED, **UNSEEN}]
    print(f"{'family':<12} {'days':>5} {'false alarms':>12}   hours until a leak was told")
    for one in found:
        hours = ", ".join("never" if hour is None else str(hour) for hour in one.hours)
        print(f"{one.family:<12} {one.days:>5} {one.false_alarms:>12}   {hours}")
    alarms, days = sum(one.false_alarms for one in found), sum(one.days for one in found)
    told = [hour for one in found for hour in one.hours]
    missed = told.count(None)
    latest = max((hour for hour in told if hour is not None), default=0)
    print(
        f"{alarms} false alarms in {days} days; {missed} of {len(told)} leaks missed, the latest told after {latest} h"
    )
    good = alarms * WANTED_DAYS <= days and not missed and latest <= WANTED_HOURS
    verdict = "reached" if good else "MISSED"
    print(f"wanted: at most one false alarm in {WANTED_DAYS} days, every leak within {WANTED_HOURS} h: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
