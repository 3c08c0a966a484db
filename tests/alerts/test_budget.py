"""`budget`: steps once a period, one projection, every period from zero, in the configured zone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.model.money import to_micro
from alerts.model.specs import Budget, Period
from tests.helpers_alerts import Watched


def budget(**changes: object) -> Budget:
    given: dict[str, object] = {"id": "budget", "period": Period.MONTH, "limit_microusd": to_micro(100)}
    return Budget(**(given | changes))  # type: ignore[arg-type]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def read_at(account: Watched, when: datetime, **said: object) -> list[str]:
    return account.read(when - account.now, balance=5000, **said)  # type: ignore[arg-type]


def test_a_month_tells_its_steps_and_one_projection_and_the_next_month_starts_at_zero() -> None:
    account = Watched(budget(), start=at("2026-11-01"))
    assert read_at(account, at("2026-11-01"), total=1000) == []
    assert read_at(account, at("2026-11-05"), total=1052) == ["budget.reached", "budget.projected"]
    reached, projected = account.data("budget.reached")[0], account.data("budget.projected")[0]
    assert (reached["spent_usd"], reached["percent"], reached["step_percent"]) == (52, 52, 50)
    assert reached["partial"] is False
    assert (reached["period_start"], reached["period_end"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert projected["projected_usd"] > 100
    assert projected["episode"] == reached["episode"]
    assert read_at(account, at("2026-11-06"), total=1085) == ["budget.reached"]
    assert account.last["step_percent"] == 80
    assert account.last["episode"] == reached["episode"]
    assert read_at(account, at("2026-12-02"), total=1101) == []
    assert account.state.episodes == {}
    assert account.evaluation is not None
    (closed,) = account.evaluation.episodes
    assert (closed.closed_at, closed.closed_why) == (at("2026-12-01"), "the period ended")
    assert read_at(account, at("2026-12-03"), total=1151.1)[0] == "budget.reached"
    assert account.data("budget.reached")[-1]["episode"] != reached["episode"]
    assert account.last["partial"] is True


def test_the_total_that_stood_at_1000_when_the_month_began_gives_50_percent_at_1050() -> None:
    account = Watched(budget(projected=False), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    assert read_at(account, at("2026-11-15"), total="1049.999999") == []
    assert read_at(account, at("2026-11-16"), total=1050) == ["budget.reached"]
    assert account.last["percent"] == 50


def test_a_jump_over_several_steps_tells_the_deepest_only() -> None:
    account = Watched(budget(), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    assert read_at(account, at("2026-11-02"), total=1120) == ["budget.reached"]
    assert account.last["step_percent"] == 100
    assert account.last["percent"] == 120
    assert read_at(account, at("2026-11-03"), total=1121) == []


def test_history_that_begins_inside_the_month_is_partial() -> None:
    account = Watched(budget(projected=False), start=at("2026-11-10T08:00"))
    read_at(account, at("2026-11-10T08:00"), total=1000)
    assert read_at(account, at("2026-11-12"), total=1055) == ["budget.reached"]
    assert account.last["partial"] is True
    assert account.last["counted_since"] == "2026-11-10T08:00:00Z"
    assert account.last["spent_usd"] == 55


def test_the_last_reading_of_yesterday_is_the_value_at_midnight() -> None:
    account = Watched(budget(period=Period.DAY, projected=False), start=at("2026-11-10T22:00"))
    read_at(account, at("2026-11-10T22:00"), total=1000)
    assert read_at(account, at("2026-11-11T02:00"), total=1060) == ["budget.reached"]
    assert account.last["partial"] is False
    assert account.last["spent_usd"] == 60


def test_nothing_is_projected_before_a_twentieth_of_the_period() -> None:
    account = Watched(budget(), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    assert read_at(account, at("2026-11-02T11:00"), total=1040) == []
    assert read_at(account, at("2026-11-02T13:00"), total=1041) == ["budget.projected"]
    assert account.last["step_percent"] is None


def test_a_projection_hardly_above_the_limit_never_reads_as_the_limit() -> None:
    account = Watched(budget(at_percent=(Decimal(100),)), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    assert read_at(account, at("2026-11-16"), total="1050.0004") == ["budget.projected"]
    assert account.last["projected_usd"] == 100.01
    assert account.state.episodes["budget"].why.startswith("$50.00 of $100.00 (50.0 %)")


def test_a_projection_is_notified_once_a_period_even_if_it_comes_and_goes() -> None:
    account = Watched(budget(at_percent=(Decimal(100),)), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    told = []
    total = 1000.0
    for day in range(2, 30):
        total += 30 if day in (3, 20) else 0.3
        told += read_at(account, at(f"2026-11-{day:02}"), total=total)
    assert told == ["budget.projected"]


def test_budgets_are_never_reminded() -> None:
    account = Watched(budget(), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    read_at(account, at("2026-11-02"), total=1120)
    assert account.beats(timedelta(days=4), timedelta(hours=3)) == []


@pytest.mark.parametrize(
    ("zone", "before", "midnight"),
    [
        ("Pacific/Auckland", "2026-10-31T10:59Z", "2026-10-31T11:00Z"),
        ("America/New_York", "2026-11-01T03:59Z", "2026-11-01T04:00Z"),
        ("Europe/Berlin", "2026-10-31T22:59Z", "2026-10-31T23:00Z"),
    ],
)
def test_a_month_begins_at_local_midnight(zone: str, before: str, midnight: str) -> None:
    edge = datetime.fromisoformat(midnight)
    account = Watched(budget(projected=False), zone=zone, start=edge - timedelta(days=30))
    read_at(account, edge - timedelta(days=20), total=1000)
    assert read_at(account, datetime.fromisoformat(before), total=1060) == ["budget.reached"]
    assert read_at(account, edge, total=1060) == []
    assert account.state.episodes == {}
    assert read_at(account, edge + timedelta(days=1), total=1110) == ["budget.reached"]
    assert account.last["period_start"] == midnight.replace("Z", ":00Z")
    assert account.last["spent_usd"] == 50


def test_a_billing_budget_follows_the_providers_own_period() -> None:
    rule = budget(period=Period.BILLING, limit_microusd=None, limit_microgb=to_micro(100), projected=False)
    account = Watched(rule, provider="tornado", start=at("2026-11-10"))
    period: dict[str, Any] = {"period_start_at": at("2026-11-05"), "period_end_at": at("2026-12-05")}
    assert account.read(0, used=500, period_used=49, **period) == []
    assert account.read(60, used=502, period_used=51, **period) == ["budget.reached"]
    data = account.last
    assert (data["spent_gb"], data["limit_gb"], data["percent"], data["partial"]) == (51, 100, 51, False)
    assert data["period_start"] == "2026-11-05T00:00:00Z"
    following: dict[str, Any] = {"period_start_at": at("2026-12-05"), "period_end_at": at("2027-01-05")}
    account.wait(at("2026-12-05T00:05") - account.now)
    assert account.read(0, used=590, period_used=0.5, **following) == []
    assert account.state.episodes == {}
    assert account.read(60, used=650, period_used=60, **following) == ["budget.reached"]
    assert account.last["spent_gb"] == 60


def test_a_providers_period_that_begins_some_minutes_later_at_each_poll_is_the_same_period() -> None:
    rule = budget(period=Period.BILLING, limit_microusd=None, limit_microgb=to_micro(100), projected=False)
    account = Watched(rule, provider="tornado", start=at("2026-11-10"))
    told = []
    for minute in range(0, 600, 5):
        start = at("2026-10-20") + timedelta(minutes=minute)
        told += account.read(used=500, period_used=60, period_start_at=start, period_end_at=start + timedelta(days=31))
    assert told == ["budget.reached"]


def test_a_billing_budget_in_dollars_counts_from_the_providers_date() -> None:
    account = Watched(budget(period=Period.BILLING, projected=False), start=at("2026-11-10"))
    period: dict[str, Any] = {"period_start_at": at("2026-11-05"), "period_end_at": at("2026-12-05")}
    account.read(0, balance=900, total=10, **period)
    assert account.read(60, balance=840, total=70, **period) == ["budget.reached"]
    assert account.last["partial"] is True
    assert account.last["counted_since"] == "2026-11-10T00:00:00Z"


def test_a_month_of_gigabytes_counts_over_the_providers_own_restarts() -> None:
    rule = budget(limit_microusd=None, limit_microgb=to_micro(100), projected=False)
    account = Watched(rule, provider="tornado", start=at("2026-11-01"))
    old: dict[str, Any] = {"period_start_at": at("2026-10-15"), "period_end_at": at("2026-11-15")}
    new: dict[str, Any] = {"period_start_at": at("2026-11-15"), "period_end_at": at("2026-12-15")}
    account.read(0, used=500, period_used=200, **old)
    assert account.read(timedelta(days=14), used=530, period_used=230, **old) == []
    assert account.read(60, used=535, period_used=5, **new) == []
    assert account.read(timedelta(days=2), used=550, period_used=20, **new) == ["budget.reached"]
    assert account.last["spent_gb"] == 50


def test_a_budget_of_gigabytes_without_a_providers_period_counts_what_is_used() -> None:
    rule = budget(limit_microusd=None, limit_microgb=to_micro(10))
    account = Watched(rule, provider="tornado", start=at("2026-11-01"))
    account.read(0, used=500)
    assert account.read(timedelta(days=2), used=506) == ["budget.reached", "budget.projected"]
    assert account.last["projected_gb"] > 10
    assert "spent_usd" not in account.last


def test_a_budget_without_its_numbers_is_unknown() -> None:
    account = Watched(budget(), budget(id="gb", limit_microusd=None, limit_microgb=to_micro(10)))
    assert account.read(client_name="x") == []
    billing = Watched(budget(period=Period.BILLING))
    assert billing.read(balance=1, total=5000) == []


def test_spend_is_seen_in_the_balance_where_the_provider_has_no_total() -> None:
    account = Watched(budget(projected=False), start=at("2026-11-01"))
    for balance in (200, 180, 160, 210):
        account.read(60, balance=balance)
    assert account.read(60, balance=200) == ["budget.reached"]
    assert account.last["spent_usd"] == 50


def test_a_total_that_runs_backwards_never_makes_spend_negative() -> None:
    account = Watched(budget(projected=False), start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    read_at(account, at("2026-11-02"), total=1040)
    assert read_at(account, at("2026-11-03"), total=0) == ["reading.suspect"]
    assert account.last["confirmed"] is True
    assert read_at(account, at("2026-11-04"), total=15) == ["budget.reached"]
    assert account.last["spent_usd"] == 55
    assert read_at(account, at("2026-11-05"), total=16) == []


def test_a_period_that_has_ended_is_not_evaluated_by_a_new_rule() -> None:
    account = Watched(start=at("2026-11-01"))
    read_at(account, at("2026-11-01"), total=1000)
    read_at(account, at("2026-11-30"), total=1500)
    account.rules = (budget(),)
    assert account.beat(timedelta(days=2)) == []


def test_a_weekly_and_a_quarterly_budget_know_their_periods() -> None:
    account = Watched(
        budget(id="week", period=Period.WEEK, projected=False),
        budget(id="quarter", period=Period.QUARTER, projected=False),
        start=at("2026-11-02"),
    )
    read_at(account, at("2026-11-02"), total=1000)
    assert read_at(account, at("2026-11-04"), total=1060) == ["budget.reached", "budget.reached"]
    assert account.data("budget.reached")[0]["period_start"] == "2026-11-02T00:00:00Z"
    assert account.data("budget.reached")[1]["period_start"] == "2026-10-01T00:00:00Z"
    assert account.data("budget.reached")[1]["period_end"] == "2027-01-01T00:00:00Z"
