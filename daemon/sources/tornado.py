"""Tornado: a storage quota and metered billing. `GET /usage` with `x-api-key`; stripe, trial and unlimited keys."""

from __future__ import annotations

from datetime import datetime

from alerts.money import MICRO
from alerts.readings import Metrics, Reading
from daemon.http import Answer
from daemon.sources.payload import BadPayload, Document, count, extra, instant, micro, read, required_micro, text

KEY_HEADER = "x-api-key"
FIELDS = frozenset(
    {
        "client_name",
        "usage_count",
        "storage_usage_gb",
        "storage_reserved_gb",
        "storage_effective_usage_gb",
        "billing_period_start",
        "billing_period_end",
        "current_period_usage_gb",
        "billing_error",
        "storage_limit_gb",
        "storage_limit_bytes",
        "storage_remaining_gb",
        "max_resolution_limit",
        "max_duration_limit_seconds",
        "max_filesize_limit_bytes",
        "max_filesize_limit_mb",
    }
)
_BYTES_PER_GB = 1 << 30
"""Its gigabyte: a 1 TB trial key has a limit of 1024.00 GB."""


def parse(account: str, at: datetime, answer: Answer) -> Reading:
    """Turn one answer into a reading. Only the volume used is always there: what else is said depends on the key."""
    return read(account, at, answer, _metrics)


def _metrics(document: Document) -> Metrics:
    start, end = instant(document, "billing_period_start"), instant(document, "billing_period_end")
    if start is not None and end is not None and end <= start:
        raise BadPayload("billing_period_end is not after billing_period_start")
    limit, limit_bytes = micro(document, "storage_limit_gb"), count(document, "storage_limit_bytes")
    if limit is None and limit_bytes is not None:
        limit = limit_bytes * MICRO // _BYTES_PER_GB
    if limit == 0:
        raise BadPayload("storage_limit_gb is zero")
    return Metrics(
        client_name=text(document, "client_name"),
        usage_count=count(document, "usage_count"),
        used_microgb=required_micro(document, "storage_usage_gb"),
        reserved_microgb=micro(document, "storage_reserved_gb"),
        effective_said_microgb=micro(document, "storage_effective_usage_gb"),
        limit_microgb=limit,
        limit_bytes=limit_bytes,
        remaining_microgb=micro(document, "storage_remaining_gb", negative=True),
        period_start_at=start,
        period_end_at=end,
        period_used_microgb=micro(document, "current_period_usage_gb"),
        billing_error=text(document, "billing_error"),
        max_resolution=text(document, "max_resolution_limit", numbers=True),
        max_duration_s=count(document, "max_duration_limit_seconds"),
        max_filesize_bytes=count(document, "max_filesize_limit_bytes"),
        max_filesize_microunits_mb=micro(document, "max_filesize_limit_mb"),
        extra=extra(document, FIELDS),
    )
