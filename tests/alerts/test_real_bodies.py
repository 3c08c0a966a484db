"""From a provider's answer to what is told: text numbers, both kinds of dates, an error field, a limit that goes."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from alerts.judge import judge
from alerts.money import to_micro
from alerts.readings import Known
from alerts.rules.specs import Budget, LowBalance, Period, Quota
from daemon.http import Answer
from daemon.sources import contentstats, tornado
from tests.helpers_alerts import START, Watched

QUOTA = Quota(id="quota", at_percent=(Decimal(80), Decimal(90), Decimal(100)), clear_below_percent=Decimal(78))
BILLING = Budget(id="gb", period=Period.BILLING, limit_microgb=to_micro(100), projected=False)


def answer(body: dict[str, Any]) -> Answer:
    return Answer(
        status=200, headers={"content-type": "application/json"}, body=json.dumps(body).encode(), elapsed_ms=1
    )


def feed(account: Watched, module: Any, body: dict[str, Any]) -> list[str]:
    account.wait(5)
    reading = module.parse("clips", account.now, answer(body))
    assert isinstance(reading, Known), reading
    return account._take(judge(account.state, reading, reading, account.context()))


def test_a_text_limit_without_effective_and_reserved_is_judged() -> None:
    account = Watched(QUOTA, provider="tornado")
    body = {"client_name": "x", "usage_count": 3, "storage_usage_gb": "942.08", "storage_limit_gb": "1024.00"}
    assert feed(account, tornado, body) == ["quota.high"]
    assert (account.last["percent"], account.last["reserved_gb"], account.last["limit_gb"]) == (92, 0, 1024)
    del body["storage_limit_gb"]
    assert feed(account, tornado, body) == ["limits.changed", "quota.recovered"]
    assert account.data("limits.changed")[0]["changes"] == [{"limit": "limit_gb", "old": 1024, "new": None}]


def test_epoch_and_iso_dates_are_the_same_billing_period() -> None:
    account = Watched(BILLING, provider="tornado")
    start, end = START - timedelta(days=3), START + timedelta(days=27)
    epoch = {
        "client_name": "x",
        "usage_count": 3,
        "storage_usage_gb": 500,
        "current_period_usage_gb": 55,
        "billing_period_start": int(start.timestamp()),
        "billing_period_end": int(end.timestamp()),
    }
    iso = epoch | {"billing_period_start": start.isoformat(), "billing_period_end": end.isoformat()}
    assert feed(account, tornado, epoch) == ["budget.reached"]
    assert feed(account, tornado, iso) == []
    assert account.last["period_start"] == "2026-10-31T12:00:00Z"


def test_a_billing_error_comes_and_goes() -> None:
    account = Watched(provider="tornado")
    body: dict[str, Any] = {"client_name": "x", "usage_count": 3, "storage_usage_gb": 5}
    told = [feed(account, tornado, body | error) for error in ({}, {"billing_error": "card declined"}, {})]
    assert told == [[], ["billing.error"], ["billing.restored"]]


def test_the_pages_own_example_of_a_prepaid_balance() -> None:
    rule = LowBalance(id="low", below_microusd=to_micro(20), clear_above_microusd=to_micro(24))
    account = Watched(rule)
    body = {
        "balance_usd": 12.45,
        "uncharged_usage_usd": 0.75,
        "total_charged_usd": 87.55,
        "total_snapshots": 5836,
        "active_videos": 3,
        "cost_per_snapshot": 0.015,
        "estimated_snapshots_remaining": 830,
    }
    assert feed(account, contentstats, body) == ["balance.low"]
    assert account.last["available_usd"] == 11.7
    assert account.last["burn_usd_per_day"] == 1.08
    assert account.last["days_remaining"] == 10.83
