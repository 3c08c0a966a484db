"""An account in words: what the provider says nothing of is left out, never told as nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from alerts.model.accounts import AccountInfo
from alerts.model.readings import Known, Metrics
from daemon.status.overview import Overview
from daemon.status.text import lines

NOW = datetime(2026, 11, 1, 14, 0, tzinfo=UTC)


def words(metrics: Metrics) -> dict[str, str]:
    one = Overview(
        account=AccountInfo("own", "json"),
        now=NOW,
        known=Known("own", NOW, metrics),
        outage=None,
        burn=None,
        days_remaining=None,
        runway=None,
        estimate=None,
        quota=None,
        month=None,
        budgets=(),
        episodes=(),
        topup=None,
        is_old=False,
    )
    return dict(lines(one, ZoneInfo("UTC")))


def test_a_balance_of_which_nothing_pending_is_said_stands_alone() -> None:
    assert words(Metrics(balance_microusd=12_450_000))["balance"] == "$12.45"
    pending = Metrics(balance_microusd=12_450_000, uncharged_microusd=840_000)
    assert words(pending)["balance"] == "$12.45, $0.84 pending: $11.61 available"


def test_what_cannot_be_used_is_named() -> None:
    unusable = (("limit_microgb", "limit_gb is zero"), ("usage_count", "usage_count is negative"))
    said = words(Metrics(balance_microusd=12_450_000, unusable=unusable))
    assert said["not used"] == "limit_gb is zero; usage_count is negative"
    assert "not used" not in words(Metrics(balance_microusd=12_450_000))
