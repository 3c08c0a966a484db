"""`/metrics`: Prometheus text. Labels are names of the configuration, so that their number is bounded by it.

What is not known has no sample: unknown is never zero. Money is in dollars, volume in bytes (a gigabyte is 10^9), time
in seconds. Counters count since the start, or the last reload.

In a fleet every daemon says the same of accounts, money, receivers and daemons: it is read from the store. What is
counted (polls, attempts, passes, commits), late or used by a process is its own, and told apart by `instance`.
"""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import metadata

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from alerts.model.money import MICRO
from alerts.model.receivers import counted_as
from daemon.config.model import Config
from daemon.jobs import Health
from daemon.resources.ceiling import bounded
from daemon.store import fleet, ledger_notes, ledger_reads
from daemon.store.connection import Connection
from daemon.store.deliveries import failing_receivers, pending_by_receiver
from daemon.store.topup_rows import EVERYWHERE
from daemon.topups.policy.amounts import caps
from daemon.web.samples import family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Process:
    """What the process counted, as it stood at one instant."""

    now: datetime
    health: Mapping[str, Health]
    delays_s: Mapping[str, float]
    missed: int
    fresh: bool
    readings: Mapping[tuple[str, str], int]
    """Polls by provider and outcome."""
    deliveries: Mapping[str, Mapping[str, int]]
    """Attempts by receiver and outcome."""
    commits: int
    committing_s: float


def exposition(config: Config, connection: Connection, accounts: str, process: Process) -> bytes:
    """Return the whole text: the samples of the accounts, and what one snapshot of the database and the process say."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        _Families(
            [
                *_topups(config, connection),
                *_deliveries(config, connection, process),
                *_jobs(process),
                *_daemons(connection),
                *_store(connection, process),
            ]
        )
    )
    ProcessCollector(registry=registry)
    return (accounts + _caps(config, connection, process.now)).encode() + generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


Samples = Iterable[tuple[tuple[str, ...], float]]
"""The values of the labels, and the value."""


def _gauge(name: str, says: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"brimful_{name}", says, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _counter(name: str, says: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = CounterMetricFamily(f"brimful_{name}", says, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _daemons(connection: Connection) -> Iterator[Metric]:
    if daemons := fleet.live(connection):
        says = "Buckets of accounts, of 256, that each daemon which is alive holds: those that share one PostgreSQL."
        yield _gauge("daemon_buckets", says, ("daemon",), [((one.name,), one.buckets) for one in daemons])
        says = "What brimful_fresh is, of each daemon that is alive, by its own last word."
        yield _gauge("daemon_fresh", says, ("daemon",), [((one.name,), int(one.is_fresh)) for one in daemons])


def _topups(config: Config, connection: Connection) -> Iterator[Metric]:
    live = Counter((topup.account, topup.state.value) for topup in ledger_reads.open_topups(connection))
    says = "Top-ups that hold their account's slot."
    yield _gauge("topups_open", says, ("account", "state"), live.items())
    stopped = Counter(
        (account, stop.kind.value)
        for stop in ledger_notes.stops(connection)
        for account in (config.accounts if stop.scope == EVERYWHERE else (stop.scope,))
    )
    says = "1 or more where an account is not charged: a pause, a suspension, a breaker."
    yield _gauge("charging_stopped", says, ("account", "kind"), stopped.items())


def _caps(config: Config, connection: Connection, now: datetime) -> str:
    """Return what may be charged yet, as text: thousands of accounts at once."""
    spent = ledger_reads.all_spends(connection, ledger_reads.since_for_caps(now))
    lines = []
    for account in config.accounts.values():
        if (topup := bounded(account, config.api)) is None:
            continue
        left = [topup.max_per_day_microusd, topup.max_per_month_microusd]
        if (spends := spent.get(account.id)) is not None:
            left = [cap.left_microusd for cap in caps(topup, spends, now, now, config.timezone, None)]
        for window, microusd in zip(("day", "month"), left, strict=True):
            lines.append(f'brimful_topup_cap_left_usd{{account="{account.id}",window="{window}"}} {microusd / MICRO!r}')
    return family("topup_cap_left_usd", "What may be charged yet in the window.", lines)


def _deliveries(config: Config, connection: Connection, process: Process) -> Iterator[Metric]:
    names = {receiver.key: counted_as(receiver) for receiver in config.receivers.all}
    pending = dict.fromkeys(names.values(), 0)
    oldest: dict[str, float] = {}
    for key, (count, since) in pending_by_receiver(connection).items():
        if (name := names.get(key)) is not None:
            pending[name] += count
            oldest[name] = max(oldest.get(name, 0.0), (process.now - since).total_seconds())
    failures = dict.fromkeys(names.values(), 0)
    for state in failing_receivers(connection):
        if (name := names.get(state.key)) is not None:
            failures[name] = max(failures[name], state.failures)
    yield _gauge("deliveries_pending", "Deliveries that are not done.", ("receiver",), _labelled(pending))
    says = "Age of the oldest delivery that is not done."
    yield _gauge("delivery_oldest_pending_seconds", says, ("receiver",), _labelled(oldest))
    says = "Attempts that failed since the last that succeeded; of customers' receivers, the most of any."
    yield _gauge("receiver_failures", says, ("receiver",), _labelled(failures))
    attempts = [
        ((key, outcome), count) for key, counts in process.deliveries.items() for outcome, count in counts.items()
    ]
    says = "Attempts by what they came to: delivered, pending (to be tried again), dead."
    yield _counter("delivery_attempts", says, ("receiver", "outcome"), attempts)


def _labelled(values: Mapping[str, float]) -> Samples:
    return [((label,), value) for label, value in values.items()]


def _jobs(process: Process) -> Iterator[Metric]:
    says = "Polls by what they came to: ok, suspect, or why there was no reading."
    yield _counter("readings", says, ("provider", "outcome"), process.readings.items())
    jobs = process.health.items()
    yield _counter("passes", "Passes of a job.", ("job",), [((job,), one.passes) for job, one in jobs])
    says = "Passes of a job that failed."
    yield _counter("pass_failures", says, ("job",), [((job,), one.failures) for job, one in jobs])
    delays = [((job,), delay_s) for job, delay_s in process.delays_s.items()]
    yield _gauge("job_delay_seconds", "How long ago a job should have started and has not.", ("job",), delays)
    yield _counter("schedule_misses", "Times that the scheduler could not start a poll.", (), [((), process.missed)])
    yield _gauge("fresh", "1 while every job is fresh, as /healthz says.", (), [((), int(process.fresh))])
    labels = (("version", _version()), ("python", platform.python_version()), ("sqlite", sqlite3.sqlite_version))
    built = [(tuple(value for _, value in labels), 1)]
    yield _gauge("build_info", "Always 1: what runs.", tuple(name for name, _ in labels), built)


def _store(connection: Connection, process: Process) -> Iterator[Metric]:
    commits = SummaryMetricFamily("brimful_commit_seconds", "Commits of the database, and how long they took.")
    commits.add_metric((), process.commits, process.committing_s)
    yield commits
    size = connection.size_bytes()
    yield _gauge("database_bytes", "Size of the database, without its write-ahead log.", (), [((), size)])


@cache
def _version() -> str:
    try:
        return metadata.version("brimful")
    except metadata.PackageNotFoundError:  # a checkout that is on the path without being installed
        return "unknown"
