"""From a provider's answer to what is sent: text numbers, both kinds of dates, an error field, a limit that goes."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Known
from alerts.model.specs import Budget, LowBalance, Period, Quota, Runway
from alerts.rules.evaluation import evaluate
from daemon.net.http import HttpAnswer
from daemon.sources.provider import Parser
from tests.helpers_alerts import START, Watched
from tests.helpers_sources import read_mapped, read_prepaid, read_storage

QUOTA = Quota(id="quota", at_percent=(Decimal(80), Decimal(90), Decimal(100)), clear_below_percent=Decimal(78))
BILLING = Budget(id="gb", period=Period.BILLING, limit_microgb=to_micro(100), projected=False)


def answer(body: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(
        status=200, headers={"content-type": "application/json"}, body=json.dumps(body).encode(), elapsed_ms=1
    )


def feed(account: Watched, parse: Parser, body: dict[str, Any]) -> list[str]:
    account.wait(5)
    reading = parse("clips", account.now, answer(body))
    assert isinstance(reading, Known), reading
    return account._take(evaluate(account.state, reading, reading, account.context()))


def test_a_text_limit_without_effective_and_reserved_is_evaluated() -> None:
    account = Watched(QUOTA, provider="tornado")
    body = {"client_name": "x", "usage_count": 3, "storage_usage_gb": "942.08", "storage_limit_gb": "1024.00"}
    assert feed(account, read_storage, body) == ["quota.high"]
    assert (account.last["percent"], account.last["reserved_gb"], account.last["limit_gb"]) == (92, 0, 1024)
    del body["storage_limit_gb"]
    assert feed(account, read_storage, body) == ["limits.changed", "quota.recovered"]
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
    assert feed(account, read_storage, epoch) == ["budget.reached"]
    assert feed(account, read_storage, iso) == []
    assert account.last["period_start"] == "2026-10-31T12:00:00Z"


def test_a_billing_error_comes_and_goes() -> None:
    account = Watched(provider="tornado")
    body: dict[str, Any] = {"client_name": "x", "usage_count": 3, "storage_usage_gb": 5}
    told = [feed(account, read_storage, body | error) for error in ({}, {"billing_error": "card declined"}, {})]
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
    assert feed(account, read_prepaid, body) == ["balance.low"]
    assert account.last["available_usd"] == 11.7
    assert account.last["burn_usd_per_day"] == 1.08
    assert account.last["days_remaining"] == 10.83


TRIAL: dict[str, Any] = {"client_name": "x", "usage_count": 3, "storage_usage_gb": 950, "storage_limit_gb": 1000}


@pytest.mark.parametrize("limit", [0, -1, "NaN", "lots", [], 10**12])
def test_a_limit_that_cannot_be_used_neither_fires_nor_recovers_nor_changed(limit: Any) -> None:
    account = Watched(QUOTA, provider="tornado")
    assert feed(account, read_storage, TRIAL | {"storage_limit_gb": limit}) == []
    assert feed(account, read_storage, TRIAL) == ["quota.high"]
    assert feed(account, read_storage, TRIAL | {"storage_limit_gb": limit}) == []
    assert feed(account, read_storage, TRIAL) == []
    assert feed(account, read_storage, TRIAL | {"storage_limit_gb": 2000}) == ["limits.changed", "quota.recovered"]


def test_a_reservation_that_cannot_be_used_leaves_the_quota_unknown() -> None:
    account = Watched(QUOTA, provider="tornado")
    whole = TRIAL | {"storage_usage_gb": 700, "storage_reserved_gb": 150}
    assert feed(account, read_storage, whole) == ["quota.high"]
    assert feed(account, read_storage, whole | {"storage_reserved_gb": "some"}) == []
    assert feed(account, read_storage, whole) == []


def test_a_period_and_its_usage_that_cannot_be_used_once_move_no_budget() -> None:
    month = Budget(id="month", period=Period.MONTH, limit_microgb=to_micro(100), projected=False)
    account = Watched(BILLING, month, provider="tornado")
    start, end = START - timedelta(days=3), START + timedelta(days=27)
    dates = {"billing_period_start": start.isoformat(), "billing_period_end": end.isoformat()}
    body = {"client_name": "x", "usage_count": 3, "storage_usage_gb": 5000, **dates}
    assert feed(account, read_storage, body | {"current_period_usage_gb": 45}) == []
    for wrong in (
        {"current_period_usage_gb": "lots"},
        {"billing_period_start": "soon", "current_period_usage_gb": 46},
        {"billing_period_end": "never", "current_period_usage_gb": 46.5},
    ):
        assert feed(account, read_storage, body | wrong) == []
    assert feed(account, read_storage, body | {"current_period_usage_gb": 47}) == []
    assert account.state.spend is not None
    assert account.state.spend.volume.value == to_micro(2)
    assert feed(account, read_storage, body | {"current_period_usage_gb": 50}) == ["budget.reached"]


def test_a_schedule_that_cannot_be_used_ends_no_short_runway() -> None:
    account = Watched(Runway(id="runway", below_days=Decimal(3), clear_above_days=Decimal("3.6")))
    body: dict[str, Any] = {
        "balance_usd": 10,
        "uncharged_usage_usd": 0,
        "total_charged_usd": 50,
        "active_videos": 14,
        "cost_per_snapshot": 0.015,
    }
    assert feed(account, read_prepaid, body) == ["runway.short"]
    for field, wrong in (("active_videos", "some"), ("cost_per_snapshot", -1)):
        for _ in range(3):
            assert feed(account, read_prepaid, body | {field: wrong}) == []
    assert feed(account, read_prepaid, body) == []


def test_a_billing_error_that_cannot_be_read_is_not_restored() -> None:
    account = Watched(provider="json")
    parse = read_mapped({"used_gb": "used", "billing_error": "join('', errors)"})

    def told(errors: Any) -> list[str]:
        account.wait(5)
        reading = parse("clips", account.now, answer({"used": 3, "errors": errors}))
        return account._take(evaluate(account.state, reading, None, account.context()))

    assert told(["card declined"]) == ["billing.error"]
    assert told(7) == []
    assert told([]) == ["billing.restored"]
