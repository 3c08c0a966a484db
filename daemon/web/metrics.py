"""`/metrics`: Prometheus text. Labels are names of the configuration, so that their number is bounded by it.

What is not known has no sample: unknown is never zero. Money is in dollars, volume in gigabytes, as in the events.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerts.money import MICRO
from daemon.config.model import Config
from daemon.lanes import Health
from daemon.overview import Overview, overview
from daemon.store import ledger_notes, ledger_reads
from daemon.store.deliveries import failing_receivers, pending_by_receiver
from daemon.store.ledger_notes import EVERYWHERE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(
    config: Config, connection: sqlite3.Connection, now: datetime, health: Mapping[str, Health], *, fresh: bool
) -> bytes:
    """Return the whole text, by one snapshot of the database and of the lanes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(_all(config, connection, now, health, fresh)))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _all(
    config: Config, connection: sqlite3.Connection, now: datetime, health: Mapping[str, Health], fresh: bool
) -> Iterator[Metric]:
    found = overview(config, connection, now)
    yield from _readings(found)
    yield from _rules(found)
    yield from _topups(config, connection)
    yield from _deliveries(config, connection)
    yield from _lanes(health, fresh)


def _gauge(
    name: str,
    says: str,
    samples: Iterable[tuple[tuple[str, ...], int | Decimal | None]],
    labels: Iterable[str],
    *,
    micro: bool = False,
) -> Metric:
    family = GaugeMetricFamily(f"brimful_{name}", says, labels=tuple(labels))
    for values, value in samples:
        if value is not None:
            family.add_metric(values, float(value) / MICRO if micro else float(value))
    return family


def _readings(found: Iterable[Overview]) -> Iterator[Metric]:
    found = list(found)

    def of(name: str, says: str, read: str) -> Metric:
        samples = [((o.account.id,), None if o.known is None else getattr(o.known.metrics, read)) for o in found]
        return _gauge(name, says, samples, ("account",), micro=True)

    yield of("balance_usd", "Balance by the last believed reading.", "balance_microusd")
    yield of("uncharged_usd", "Accrued and not yet deducted.", "uncharged_microusd")
    yield of("available_usd", "Balance less what is accrued and not yet deducted.", "available_microusd")
    yield of("used_gb", "Volume used.", "used_microgb")
    yield of("effective_gb", "Volume used and reserved: what the quota is enforced on.", "effective_microgb")
    yield of("limit_gb", "The quota.", "limit_microgb")
    yield _gauge(
        "burn_usd_per_day",
        "What a day costs, by the basis that `status` names.",
        [((o.account.id,), None if o.burn is None else o.burn.microusd_per_day) for o in found],
        ("account",),
        micro=True,
    )
    yield _gauge(
        "days_remaining",
        "How many days the available balance lasts.",
        [((o.account.id,), o.days_remaining) for o in found],
        ("account",),
    )
    yield _gauge(
        "reading_age_seconds",
        "Age of the last believed reading.",
        [((o.account.id,), None if o.age is None else int(o.age.total_seconds())) for o in found],
        ("account",),
    )
    yield _gauge(
        "reading_ok",
        "1 where the last poll brought a reading that is believed, 0 where it did not.",
        [((o.account.id,), None if o.known is None and o.outage is None else int(o.outage is None)) for o in found],
        ("account",),
    )


def _rules(found: Iterable[Overview]) -> Iterator[Metric]:
    found = list(found)
    yield _gauge(
        "alert_open",
        "1 for each open episode.",
        [((o.account.id, e.rule, e.severity.value), 1) for o in found for e in o.episodes],
        ("account", "rule", "severity"),
    )
    for volume, unit in ((False, "usd"), (True, "gb")):
        lines = [(o.account.id, line) for o in found for line in o.budgets if line.volume is volume]
        labels = ("account", "rule", "period")
        for name, says in (("spent", "Spent of a budget in its period."), ("limit", "A budget's limit.")):
            samples = [((account, one.rule, one.period.value), getattr(one, name)) for account, one in lines]
            yield _gauge(f"budget_{name}_{unit}", says, samples, labels, micro=True)


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


def _lanes(health: Mapping[str, Health], fresh: bool) -> Iterator[Metric]:
    passes = CounterMetricFamily("brimful_passes", "Passes of a job.", labels=("job",))
    failures = CounterMetricFamily("brimful_pass_failures", "Passes of a job that failed.", labels=("job",))
    for job, one in health.items():
        passes.add_metric((job,), one.passes)
        failures.add_metric((job,), one.failures)
    yield passes
    yield failures
    yield _gauge("fresh", "1 while every job is fresh, as /healthz says.", [((), int(fresh))], ())
