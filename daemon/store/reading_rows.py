"""Readings as rows: the columns of the metrics, and the way there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from alerts.instants import from_ms, to_ms
from alerts.readings import Metrics, Reason

PLAIN = (
    "balance_microusd",
    "uncharged_microusd",
    "total_charged_microusd",
    "total_snapshots",
    "active_videos",
    "cost_per_snapshot_microusd",
    "estimated_snapshots_remaining",
    "client_name",
    "usage_count",
    "used_microgb",
    "reserved_microgb",
    "effective_said_microgb",
    "limit_microgb",
    "limit_bytes",
    "remaining_microgb",
    "period_used_microgb",
    "billing_error",
    "max_resolution",
    "max_duration_s",
    "max_filesize_bytes",
    "max_filesize_microunits_mb",
)
"""The metrics that are a column as they are; the two instants of the billing period follow them."""
COLUMNS = (*PLAIN, "period_start_ms", "period_end_ms")

Values = tuple[Any, ...]
_plain_of = attrgetter(*PLAIN)


@dataclass(frozen=True, slots=True)
class Run:
    """Equal consecutive readings. `metrics.extra` is empty here: unknown fields are kept apart."""

    first_at: datetime
    last_at: datetime
    count: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class OutageRun:
    """Consecutive polls without a reading, for one reason."""

    first_at: datetime
    last_at: datetime
    count: int
    reason: Reason
    status: int | None
    detail: str


def values_of(metrics: Metrics) -> Values:
    """Return the metrics as the values of `COLUMNS`."""
    start, end = metrics.period_start_at, metrics.period_end_at
    plain: Values = _plain_of(metrics)
    if start is None and end is None:
        return (*plain, None, None)
    return (*plain, None if start is None else to_ms(start), None if end is None else to_ms(end))


def metrics_of(values: Sequence[Any], extra: str = "{}") -> Metrics:
    """Return the values of `COLUMNS` as metrics."""
    start, end = values[-2:]
    return Metrics(
        **dict(zip(PLAIN, values, strict=False)),
        period_start_at=None if start is None else from_ms(start),
        period_end_at=None if end is None else from_ms(end),
        extra=extra,
    )


def run_of(row: Sequence[Any]) -> Run:
    """Return `first_ms, last_ms, count, *COLUMNS` as a run."""
    return Run(from_ms(row[0]), from_ms(row[1]), row[2], metrics_of(row[3:]))


def outage_of(row: Sequence[Any]) -> OutageRun:
    """Return `first_ms, last_ms, count, reason, status, detail` as an outage."""
    return OutageRun(from_ms(row[0]), from_ms(row[1]), row[2], Reason(row[3]), row[4], row[5])
