"""Tornado: a storage quota and metered billing. `GET /usage` with `x-api-key`; stripe, trial and unlimited keys.

Only the volume used is always there: what else is said depends on the key.
"""

from __future__ import annotations

from alerts.model.money import MICRO
from alerts.model.readings import Metrics
from alerts.model.values import replace
from daemon.sources.payload import (
    Table,
    to_complaint,
    to_count,
    to_instant,
    to_limit,
    to_millionths,
    to_signed,
    to_text,
    to_word,
)
from daemon.sources.provider import AnswerSpec, Build, Provider, by_name

_BYTES_PER_GB = 1 << 30
"""Its gigabyte: a 1 TB trial key has a limit of 1024.00 GB."""


def _reader(table: Table, spec: AnswerSpec) -> Build:
    build = by_name(table, spec)
    return lambda body: _with_limit(build(body))


def _with_limit(metrics: Metrics) -> Metrics:
    """Take the limit from its bytes where it is said in nothing else."""
    limit_bytes = metrics.limit_bytes
    if metrics.limit_microgb is not None or (limit_bytes is None and not metrics.is_unusable("limit_bytes")):
        return metrics
    if limit := (limit_bytes or 0) * MICRO // _BYTES_PER_GB:
        return replace(metrics, limit_microgb=limit)
    unusable = dict(metrics.unusable)
    unusable.setdefault("limit_microgb", unusable.get("limit_bytes", "storage_limit_bytes is zero"))
    unusable.pop("limit_bytes", None)
    return replace(metrics, unusable=tuple(unusable.items()))


PROVIDER = Provider(
    name="tornado",
    title="Tornado",
    base_url="https://api.tornadoapi.io",
    path="/usage",
    key_header="x-api-key",
    reader=_reader,
    table={
        "client_name": ("client_name", to_text),
        "usage_count": ("usage_count", to_count),
        "storage_usage_gb": ("used_microgb", to_millionths),
        "storage_reserved_gb": ("reserved_microgb", to_millionths),
        "storage_effective_usage_gb": ("effective_said_microgb", to_millionths),
        "billing_period_start": ("period_start_at", to_instant),
        "billing_period_end": ("period_end_at", to_instant),
        "current_period_usage_gb": ("period_used_microgb", to_millionths),
        "billing_error": ("billing_error", to_complaint),
        "storage_limit_gb": ("limit_microgb", to_limit),
        "storage_limit_bytes": ("limit_bytes", to_count),
        "storage_remaining_gb": ("remaining_microgb", to_signed),
        "max_resolution_limit": ("max_resolution", to_word),
        "max_duration_limit_seconds": ("max_duration_s", to_count),
        "max_filesize_limit_bytes": ("max_filesize_bytes", to_count),
        "max_filesize_limit_mb": ("max_filesize_microunits_mb", to_millionths),
    },
)
