"""Readings as rows: the columns of the metrics, and conversion in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from msgspec import Struct

from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Metrics, Reason

_INSTANTS = {"period_start_at": "period_start_ms", "period_end_at": "period_end_ms"}
_FIELDS = tuple(name for name in Metrics.__struct_fields__ if name not in ("extra", "unusable"))
COLUMNS = tuple(_INSTANTS.get(name, name) for name in _FIELDS)
"""One column per metric, in the order of `Metrics`; unknown fields are stored apart, unusable ones not at all."""
_PERIOD = slice(_FIELDS.index("period_start_at"), _FIELDS.index("period_end_at") + 1)

Values = tuple[Any, ...]
_values_of = attrgetter(*_FIELDS)


class Run(Struct, frozen=True, gc=False):
    """Equal consecutive readings. `metrics.extra` is empty: unknown fields are stored apart."""

    first_at: datetime
    last_at: datetime
    count: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class OutageRun:
    """Consecutive failed polls with one reason."""

    first_at: datetime
    last_at: datetime
    count: int
    reason: Reason
    status: int | None
    detail: str


def values_of(metrics: Metrics) -> Values:
    """Return the metrics as the values of `COLUMNS`."""
    values: Values = _values_of(metrics)
    start, end = values[_PERIOD]
    if start is None and end is None:
        return values
    period = [None if instant is None else to_ms(instant) for instant in (start, end)]
    return (*values[: _PERIOD.start], *period, *values[_PERIOD.stop :])


def metrics_of(values: Sequence[Any], extra: str = "{}") -> Metrics:
    """Return the values of `COLUMNS` as metrics."""
    start, end = values[_PERIOD]
    if start is not None or end is not None:
        period = [None if ms is None else from_ms(ms) for ms in (start, end)]
        values = (*values[: _PERIOD.start], *period, *values[_PERIOD.stop :])
    said = (*values, extra)
    return Metrics(*said)


def run_of(row: Sequence[Any]) -> Run:
    """Return `first_ms, last_ms, count, *COLUMNS` as a run."""
    first_at = from_ms(row[0])
    last_at = first_at if row[1] == row[0] else from_ms(row[1])
    return Run(first_at, last_at, row[2], metrics_of(row[3:]))


def outage_of(row: Sequence[Any]) -> OutageRun:
    """Return `first_ms, last_ms, count, reason, status, detail` as an outage."""
    return OutageRun(from_ms(row[0]), from_ms(row[1]), row[2], Reason(row[3]), row[4], row[5])
