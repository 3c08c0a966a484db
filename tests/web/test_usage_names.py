"""What an application gets in place of the provider's answer: the provider's own names and numbers, with their age."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.model.accounts import AccountInfo
from alerts.model.readings import Known, Metrics
from daemon.net.http import HttpAnswer
from daemon.sources.provider import Provider
from daemon.sources.registry import PROVIDERS
from daemon.web import usage

AT = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
PREPAID = {
    "balance_usd": 12.45,
    "uncharged_usage_usd": 0.75,
    "total_charged_usd": 6.75,
    "total_snapshots": 450,
    "active_videos": 3,
    "cost_per_snapshot": 0.015,
    "estimated_snapshots_remaining": 830,
}
METERED = {
    "client_name": "My Application",
    "usage_count": 1523,
    "storage_usage_gb": 45.67,
    "storage_reserved_gb": 0.52,
    "storage_effective_usage_gb": 46.19,
    "billing_period_start": "2026-11-01T00:00:00Z",
    "billing_period_end": "2026-12-01T00:00:00Z",
    "current_period_usage_gb": 12.5,
    "billing_error": "card declined",
}
TRIAL = {
    "client_name": "Trial",
    "usage_count": 3,
    "storage_usage_gb": 700,
    "storage_limit_gb": 1024,
    "storage_limit_bytes": 1024 << 30,
    "storage_remaining_gb": 324,
    "max_resolution_limit": "1080p",
    "max_duration_limit_seconds": 600,
    "max_filesize_limit_bytes": 1000,
    "max_filesize_limit_mb": 0.5,
}


def answer(said: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(200, {"content-type": "application/json"}, json.dumps(said).encode(), 1)


@pytest.mark.parametrize(
    ("provider", "said"),
    [("contentstats", PREPAID), ("tornado", METERED), ("tornado", TRIAL)],
)
@pytest.mark.parametrize("more", [{}, {"a_new_field": {"deep": [1, 2]}}])
def test_what_the_provider_said_is_given_as_it_said_it(
    provider: str, said: dict[str, Any], more: dict[str, Any]
) -> None:
    known = PROVIDERS[provider].parser()("a", AT, answer({**said, **more}))
    assert isinstance(known, Known)
    given = usage.usage(PROVIDERS[provider], AccountInfo("a", provider), known, AT + timedelta(seconds=90.9))
    assert given == {**said, **more, "observed_at": "2026-11-10T09:00:00Z", "age_s": 90}
    json.dumps(given, allow_nan=False)


def is_older(provider: Provider, name: str) -> bool:
    """Whether this is the name of a field of any JSON API from when all of them were in dollars or gigabytes."""
    return provider.by_account and name.endswith(("_usd", "_gb"))


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_every_name_is_one_metric_of_its_own(provider: Provider) -> None:
    metrics = [metric for name, (metric, _) in provider.table.items() if not is_older(provider, name)]
    assert set(metrics) <= set(Metrics.__struct_fields__)
    assert len(set(metrics)) == len(metrics)


def test_what_was_not_said_is_left_out_and_a_clock_that_went_back_makes_no_age_below_none() -> None:
    known = Known("a", AT, Metrics(balance_microusd=0))
    given = usage.usage(PROVIDERS["json"], AccountInfo("a", "json"), known, AT - timedelta(hours=1))
    said = {"balance": 0, "balance_usd": 0, "unit": "USD", "quota_unit": "GB"}
    assert given == {**said, "observed_at": "2026-11-10T09:00:00Z", "age_s": 0}


def test_the_names_in_dollars_and_gigabytes_are_there_only_where_they_are_true() -> None:
    known = Known("a", AT, Metrics(balance_microusd=5_000_000, used_microgb=7_000_000))
    given = usage.usage(PROVIDERS["json"], AccountInfo("a", "json", unit="EUR", quota_unit="EUR"), known, AT)
    assert given == {"balance": 5, "used": 7, "unit": "EUR", "observed_at": "2026-11-10T09:00:00Z", "age_s": 0}
