"""Accounts in any unit: their rules compare in it, their events name it, and no euro is ever a dollar."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.events.catalogue import CATALOGUE
from alerts.events.messages.event_fields import EventFields
from alerts.model.accounts import AccountInfo
from alerts.model.events import EventType
from alerts.model.money import format_amount, show_amount, to_micro
from alerts.model.specs import Budget, LowBalance, Period, Quota, RuleSpec, Runway, Spike
from alerts.rules.kinds import fingerprint
from tests.helpers_alerts import Watched

LOW = LowBalance(id="low", below_microusd=to_micro(500), clear_above_microusd=to_micro(600), unit=None)
LOW_USD = LowBalance(id="low", below_microusd=to_micro(500), clear_above_microusd=to_micro(600))
QUOTA = Quota(id="quota", at_percent=(Decimal(80), Decimal(100)), clear_below_percent=Decimal(78))


def watched(*rules: RuleSpec, unit: str = "USD", quota_unit: str = "GB") -> Watched:
    account = Watched(*rules)
    account.info = AccountInfo("clips", "json", unit=unit, quota_unit=quota_unit)
    return account


def words(account: Watched) -> str:
    """Return all that a person reads of the last event."""
    event = account.events[-1]
    fields = EventFields(event["data"], ZoneInfo("UTC"))
    said = CATALOGUE[EventType(event["type"])].message(fields, "clips")
    return "\n".join([*said, *(f"{one.label}: {one.value}" for one in fields.rows())])


@pytest.mark.parametrize(
    ("unit", "shown"),
    [("EUR", "499.50 EUR"), ("credits", "499.50 credits"), ("GB", "499.50 GB"), ("USD", "$499.50")],
)
def test_a_low_balance_is_told_in_its_unit(unit: str, shown: str) -> None:
    account = watched(LOW, unit=unit)
    assert account.read(balance=700, uncharged=0.5) == []
    assert account.read(balance=500, uncharged=0.5) == ["balance.low"]
    data = account.events[-1]["data"]
    assert (data["unit"], data["balance"], data["available"], data["threshold"]) == (unit, 500, 499.5, 500)
    older = {"balance_usd": 500, "uncharged_usage_usd": 0.5, "available_usd": 499.5, "threshold_usd": 500}
    assert {name: data[name] for name in older if name in data} == (older if unit == "USD" else {})
    assert account.state.episodes["low"].why.startswith(f"available {shown} is below")
    text = words(account)
    assert f"{shown} left" in text
    assert f"Available: {shown}" in text
    assert ("$" in text) is (unit == "USD")
    assert account.read(balance=700) == ["balance.recovered"]


def test_a_rule_in_dollars_says_nothing_of_euros() -> None:
    account = watched(LOW_USD, Budget(id="b", period=Period.MONTH, limit_microusd=to_micro(1)), unit="EUR")
    assert account.read(balance=700, total=0) == []
    assert account.read(balance=1, total=699) == []
    assert account.read(balance=-1, total=701) == ["balance.depleted"]
    assert "-1" in str(account.events[-1]["data"]["available"])
    assert "$" not in words(account)


def test_characters_have_steps_a_forecast_and_no_gigabytes() -> None:
    account = watched(QUOTA, quota_unit="characters", unit="characters")
    assert account.read(used=17231, limit=100000) == []
    assert account.read(used=80000, limit=100000) == ["quota.high"]
    data = account.events[-1]["data"]
    assert (data["unit"], data["used"], data["effective"], data["limit"]) == ("characters", 80000, 80000, 100000)
    assert (data["percent"], data["step_percent"]) == (80, 80)
    assert not [name for name in data if name.endswith(("_gb", "_usd"))]
    text = words(account)
    assert "80,000 characters of 100,000 characters is used" in text
    assert "Limit: 100,000 characters" in text
    assert "GB" not in text
    assert account.read(used=100000, limit=100000) == ["quota.exceeded"]
    assert account.read(used=10, limit=100000) == ["reading.suspect", "quota.recovered"]
    finding = next(one for one in account.events if one["type"] == "reading.suspect")["data"]["findings"][0]
    assert (finding["field"], finding["after"]) == ("used", 10)


def test_a_limit_that_changed_is_gigabytes_only_where_it_was() -> None:
    for unit, name in (("GB", "limit_gb"), ("characters", "limit")):
        account = watched(quota_unit=unit)
        account.read(used=1, limit=10)
        assert account.read(used=1, limit=20) == ["limits.changed"]
        (change,) = account.events[-1]["data"]["changes"]
        assert change == {"limit": name, "old": 10, "new": 20} | ({} if unit == "GB" else {"unit": unit})
        assert f"quota 10 {unit} → 20 {unit}" in words(account)


@pytest.mark.parametrize(
    ("said", "unit"),
    [
        (({"balance": 100, "total": 0}, {"balance": 40, "total": 60}), "credits"),
        (({"balance": 100}, {"balance": 40}), "credits"),
        (({"used": 0, "limit": 100}, {"used": 60, "limit": 100}), "characters"),
        (({"balance": 100, "used": 0}, {"balance": 40, "used": 5}), "credits"),
    ],
)
def test_a_budget_in_the_accounts_unit_counts_what_it_has(said: tuple[dict[str, Any], ...], unit: str) -> None:
    rule = Budget(id="b", period=Period.MONTH, limit_micro=to_micro(100), at_percent=(Decimal(50),), projected=False)
    account = watched(rule, unit="credits", quota_unit="characters")
    assert account.read(**said[0]) == []
    account.wait(60)
    assert account.read(**said[1]) == ["budget.reached"]
    data = account.events[-1]["data"]
    assert (data["unit"], data["spent"], data["limit"], data["percent"]) == (unit, 60, 100, 60)
    assert not [name for name in data if name.endswith(("_gb", "_usd"))]
    assert f"60 {unit} of 100 {unit} is spent" in words(account)


def test_a_budget_in_gigabytes_limits_no_characters() -> None:
    rule = Budget(id="b", period=Period.MONTH, limit_microgb=to_micro(10), projected=False)
    account = watched(rule, quota_unit="characters")
    account.read(used=0, limit=1000)
    assert account.read(used=900, limit=1000) == []


def test_runway_and_spike_are_told_in_the_accounts_unit() -> None:
    runway = Runway(id="runway", below_days=Decimal(200), clear_above_days=Decimal(250))
    account = watched(runway, Spike(id="spike", min_microusd_per_day=0), unit="points")
    left = 100_000
    for _ in range(24 * 5):
        left -= 10
        account.read(balance=left, total=100_000 - left)
        account.wait(60)
    for _ in range(7):
        left -= 2_000
        account.read(balance=left, total=100_000 - left)
        account.wait(60)
    told = {event["type"]: event["data"] for event in account.events}
    assert {"usage.spike", "runway.short"} <= set(told)
    for type in ("usage.spike", "runway.short"):
        assert told[type]["unit"] == "points"
        assert told[type]["burn_per_day"] > 0
        assert not [name for name in told[type] if "usd" in name]


@pytest.mark.parametrize(
    ("micro", "unit", "shown"),
    [
        (17_231_000_000, "characters", "17,231 characters"),
        (633_683, "credits", "0.63 credits"),
        (10_280_000, "EUR", "10.28 EUR"),
        (-5_000_000, "EUR", "−5.00 EUR"),
        (10_000_000, "GB", "10.00 GB"),
        (10_000_000, "USD", "$10.00"),
    ],
)
def test_an_amount_names_its_unit(micro: int, unit: str, shown: str) -> None:
    assert format_amount(micro, unit) == shown


def test_an_amount_never_reads_as_the_line_that_it_is_below() -> None:
    assert show_amount(499_999_999, "credits", 500_000_000) == "499.99 credits"
    assert show_amount(500_000_000, "credits", 499_999_999) == "500 credits"
    assert show_amount(4_999_999, "EUR", 5_000_000) == "4.99 EUR"


def test_a_rule_without_a_unit_of_its_own_has_the_fingerprint_that_it_always_had() -> None:
    assert "unit" not in fingerprint(LOW_USD)
    assert "unit=None" in fingerprint(LOW)
    assert "limit_micro=" not in fingerprint(Budget(id="b", period=Period.MONTH, limit_microusd=1))


def test_an_event_from_before_there_were_units_reads_as_it_did() -> None:
    data = {"available_usd": 4.99, "threshold_usd": 5, "limit_gb": 10, "effective_gb": 9, "spent_gb": 2}
    fields = EventFields(data, ZoneInfo("UTC"))
    assert {one.label: one.value for one in fields.rows()} == {
        "Available": "$4.99",
        "Threshold": "$5.00",
        "Used in the period": "2.00 GB",
        "Used and reserved": "9.00 GB",
        "Limit": "10.00 GB",
    }


def test_a_burn_that_the_provider_says_is_the_scheduled_one() -> None:
    account = watched(Runway(id="runway", below_days=Decimal(3), clear_above_days=Decimal(4)), unit="EUR")
    assert account.read(balance=10, burn_said_microusd_per_day=to_micro(5)) == ["runway.short"]
    data = account.events[-1]["data"]
    assert (data["basis"], data["burn_per_day"], data["days_remaining"]) == ("scheduled", 5, 2)
