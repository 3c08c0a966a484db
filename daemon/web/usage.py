"""The last reading in the provider's own field names, so that applications ask the daemon instead of the API."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from alerts.model.accounts import AccountInfo
from alerts.model.instants import rfc3339
from alerts.model.money import to_number
from alerts.model.readings import Known, Metrics
from alerts.model.units import GB, USD
from daemon.sources.payload import Table
from daemon.sources.provider import Provider


def usage(provider: Provider, info: AccountInfo, known: Known, now: datetime) -> dict[str, Any]:
    """Return what the provider said, with `observed_at` (RFC 3339) and `age_s` (whole seconds) beside it.

    A field that it did not say is left out; those that we do not know are as they came. Of an account that names its
    fields itself, those in dollars and gigabytes are there only where they are true, and `unit` (`quota_unit`) says
    what the others are in.
    """
    table, units = provider.table, {}
    if provider.by_account:
        table = {name: entry for name, entry in table.items() if _is_true(name, info)}
        units = {"unit": info.unit} | ({"quota_unit": info.quota_unit} if info.quota_unit != info.unit else {})
    return {
        **_unknown(known.metrics),
        **_said(known.metrics, table),
        **units,
        "observed_at": rfc3339(known.at),
        "age_s": age_s(known, now),
    }


def _is_true(name: str, info: AccountInfo) -> bool:
    """Whether a field of any JSON API means this account's unit."""
    if name.endswith("_usd"):
        return info.unit == USD
    return info.quota_unit == GB if name.endswith("_gb") else True


def age_s(known: Known, now: datetime) -> int:
    """Return how many whole seconds ago the reading was taken, at least none."""
    return max(int((now - known.at).total_seconds()), 0)


def _said(metrics: Metrics, table: Table) -> dict[str, Any]:
    values = ((name, metric, getattr(metrics, metric)) for name, (metric, _) in table.items())
    return {name: _plain(metric, value) for name, metric, value in values if value is not None}


def _plain(attribute: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return to_number(value) if "micro" in attribute else value


def _unknown(metrics: Metrics) -> dict[str, Any]:
    fields = json.loads(metrics.extra)
    return fields if isinstance(fields, dict) else {}
