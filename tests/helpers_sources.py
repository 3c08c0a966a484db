"""Accounts, answers and clocks for the tests of sources and store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from alerts.model.accounts import AccountInfo
from daemon.config.model import AccountConfig
from daemon.sources.provider import AnswerSpec, JsonMapping, Parser
from daemon.sources.registry import PROVIDERS

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
PATHS = {"contentstats": "/api/v1/usage", "tornado": "/usage", "json": "/v2/credits"}

CONTENTSTATS_PAGE: Mapping[str, Any] = {
    "balance_usd": 12.45,
    "total_snapshots": 450,
    "active_videos": 3,
    "uncharged_usage_usd": 0.75,
    "total_charged_usd": 6.75,
    "estimated_snapshots_remaining": 830,
    "cost_per_snapshot": 0.015,
}
TORNADO_PAGE: Mapping[str, Any] = {
    "client_name": "My Application",
    "usage_count": 1523,
    "storage_usage_gb": 45.67,
    "storage_reserved_gb": 0.52,
    "storage_effective_usage_gb": 46.19,
}


read_prepaid = PROVIDERS["contentstats"].parser()
read_storage = PROVIDERS["tornado"].parser()


def read_mapped(fields: Mapping[str, str], **checks: str) -> Parser:
    """Return what reads an answer by the expressions of an account."""
    return PROVIDERS["json"].parser(AnswerSpec(fields=fields, **checks))


def account(
    id: str = "clips",
    provider: str = "contentstats",
    base_url: str = "http://127.0.0.1:1",
    key: str = "cs_test_clips",
    **more: Any,
) -> AccountConfig:
    """Return one account's configuration."""
    return AccountConfig(
        info=AccountInfo(id, provider),
        provider=PROVIDERS[provider],
        base_url=base_url,
        url=base_url + PATHS[provider],
        api_key=SecretStr(key),
        poll="*/5 * * * *",
        **more,
    )


def json_mapping(fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> JsonMapping:
    """Return a JSON provider's table."""
    said = {name: SecretStr(value) for name, value in (headers or {}).items()}
    return JsonMapping(answer=AnswerSpec(fields=fields), headers=said)
