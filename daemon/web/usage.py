"""The last reading in the provider's own field names, so that applications ask the daemon instead of the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from alerts.instants import rfc3339
from alerts.money import to_number
from alerts.readings import Known, Metrics
from daemon.config.model import Provider
from daemon.sources import json as json_source

CONTENTSTATS: Mapping[str, str] = {
    "balance_usd": "balance_microusd",
    "uncharged_usage_usd": "uncharged_microusd",
    "total_charged_usd": "total_charged_microusd",
    "total_snapshots": "total_snapshots",
    "active_videos": "active_videos",
    "cost_per_snapshot": "cost_per_snapshot_microusd",
    "estimated_snapshots_remaining": "estimated_snapshots_remaining",
}
TORNADO: Mapping[str, str] = {
    "client_name": "client_name",
    "usage_count": "usage_count",
    "storage_usage_gb": "used_microgb",
    "storage_reserved_gb": "reserved_microgb",
    "storage_effective_usage_gb": "effective_said_microgb",
    "billing_period_start": "period_start_at",
    "billing_period_end": "period_end_at",
    "current_period_usage_gb": "period_used_microgb",
    "billing_error": "billing_error",
    "storage_limit_gb": "limit_microgb",
    "storage_limit_bytes": "limit_bytes",
    "storage_remaining_gb": "remaining_microgb",
    "max_resolution_limit": "max_resolution",
    "max_duration_limit_seconds": "max_duration_s",
    "max_filesize_limit_bytes": "max_filesize_bytes",
    "max_filesize_limit_mb": "max_filesize_microunits_mb",
}
NAMES: Mapping[Provider, Mapping[str, str]] = {
    Provider.CONTENTSTATS: CONTENTSTATS,
    Provider.TORNADO: TORNADO,
    Provider.JSON: json_source.ATTRIBUTES,  # the names that its account's `fields` table gives
}


def usage(provider: Provider, known: Known, now: datetime) -> dict[str, Any]:
    """Return what the provider said, with `observed_at` (RFC 3339) and `age_s` (whole seconds) beside it.

    A field that it did not say is left out; those that we do not know are as they came.
    """
    return {
        **_unknown(known.metrics),
        **_said(known.metrics, NAMES[provider]),
        "observed_at": rfc3339(known.at),
        "age_s": age_s(known, now),
    }


def age_s(known: Known, now: datetime) -> int:
    """Return how many whole seconds ago the reading was taken, at least none."""
    return max(int((now - known.at).total_seconds()), 0)


def _said(metrics: Metrics, names: Mapping[str, str]) -> dict[str, Any]:
    values = ((name, attribute, getattr(metrics, attribute)) for name, attribute in names.items())
    return {name: _plain(attribute, value) for name, attribute, value in values if value is not None}


def _plain(attribute: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return to_number(value) if "micro" in attribute else value


def _unknown(metrics: Metrics) -> dict[str, Any]:
    fields = json.loads(metrics.extra)
    return fields if isinstance(fields, dict) else {}
