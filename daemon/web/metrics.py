"""`/metrics`: Prometheus text. Labels are names of the configuration, so that their number is bounded by it.

What is not known has no sample: unknown is never zero. Money is in dollars, volume in gigabytes, as in the events.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.config.model import Config
from daemon.jobs import Health
from daemon.store import ledger_notes, ledger_reads
from daemon.store.deliveries import failing_receivers, pending_by_receiver
from daemon.store.topup_rows import EVERYWHERE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(
    config: Config,
    connection: sqlite3.Connection,
    accounts: str,
    health: Mapping[str, Health],
    *,
    fresh: bool,
) -> bytes:
    """Return the whole text: the samples of the accounts, and what one snapshot of the database and the jobs say."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        _Families([*_topups(config, connection), *_deliveries(config, connection), *_jobs(health, fresh)])
    )
    return accounts.encode() + generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(
    name: str,
    says: str,
    samples: Iterable[tuple[tuple[str, ...], int]],
    labels: Iterable[str],
) -> Metric:
    family = GaugeMetricFamily(f"brimful_{name}", says, labels=tuple(labels))
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _topups(config: Config, connection: sqlite3.Connection) -> Iterator[Metric]:
    live = Counter((topup.account, topup.state.value) for topup in ledger_reads.open_topups(connection))
    yield _gauge("topups_open", "Top-ups that hold their account's slot.", live.items(), ("account", "state"))
    stopped = Counter(
        (account, stop.kind.value)
        for stop in ledger_notes.stops(connection)
        for account in (config.accounts if stop.scope == EVERYWHERE else (stop.scope,))
    )
    yield _gauge(
        "charging_stopped",
        "1 or more where an account is not charged: a pause, a suspension, a breaker.",
        stopped.items(),
        ("account", "kind"),
    )


def _deliveries(config: Config, connection: sqlite3.Connection) -> Iterator[Metric]:
    waiting = pending_by_receiver(connection)
    failing = {state.key: state.failures for state in failing_receivers(connection)}
    keys = [receiver.key for receiver in config.receivers.all]
    yield _gauge(
        "deliveries_pending",
        "Deliveries that are not done.",
        [((key,), waiting.get(key, 0)) for key in keys],
        ("receiver",),
    )
    yield _gauge(
        "receiver_failures",
        "Attempts that failed since the last that succeeded.",
        [((key,), failing.get(key, 0)) for key in keys],
        ("receiver",),
    )


def _jobs(health: Mapping[str, Health], fresh: bool) -> Iterator[Metric]:
    passes = CounterMetricFamily("brimful_passes", "Passes of a job.", labels=("job",))
    failures = CounterMetricFamily("brimful_pass_failures", "Passes of a job that failed.", labels=("job",))
    for job, one in health.items():
        passes.add_metric((job,), one.passes)
        failures.add_metric((job,), one.failures)
    yield passes
    yield failures
    yield _gauge("fresh", "1 while every job is fresh, as /healthz says.", [((), int(fresh))], ())
