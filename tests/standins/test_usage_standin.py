"""The stand-in for the usage APIs behaves as their pages say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.clock import ManualClock
from daemon.demo.standins.loopback import Reply, StandinRequest
from daemon.demo.standins.usage import UsageStandin

START = datetime(2026, 10, 31, 20, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def standin(clock: ManualClock) -> UsageStandin:
    return UsageStandin(clock)


def ask(standin: UsageStandin, key: str, path: str = "/api/v1/usage") -> Reply:
    return standin.handle(StandinRequest("GET", path, {"x-api-key": key}))


def said(standin: UsageStandin, key: str, path: str = "/api/v1/usage") -> dict[str, Any]:
    reply = ask(standin, key, path)
    assert reply.status == 200, reply
    document: dict[str, Any] = json.loads(reply.body)
    return document


def test_every_active_video_costs_a_snapshot_an_hour(standin: UsageStandin, clock: ManualClock) -> None:
    standin.prepaid("k", balance_usd="12.45", active_videos=3)
    clock.advance(3 * 3600)
    document = said(standin, "k")
    assert (document["total_snapshots"], document["uncharged_usage_usd"]) == (9, 0.135)
    assert (document["balance_usd"], document["estimated_snapshots_remaining"]) == (12.45, 830)


def test_what_is_uncharged_is_deducted_daily_and_funded_stays(standin: UsageStandin, clock: ManualClock) -> None:
    standin.prepaid("k", balance_usd=10, total_charged_usd=5, active_videos=10)
    clock.advance(4 * 3600)  # past midnight
    document = said(standin, "k")
    assert document["total_charged_usd"] == 5.6
    assert document["balance_usd"] == 9.4
    assert document["balance_usd"] + document["total_charged_usd"] == 15


def test_an_empty_account_pauses_and_resumes_when_the_credit_is_seen(standin: UsageStandin, clock: ManualClock) -> None:
    account = standin.prepaid("k", balance_usd="0.05", active_videos=3)
    clock.advance(5 * 3600)
    assert said(standin, "k")["total_snapshots"] == 3
    assert account.paused
    standin.credit("k", "50.00", visible_after=timedelta(minutes=90))
    clock.advance(60 * 60)
    assert said(standin, "k")["balance_usd"] < 1
    clock.advance(60 * 60)
    document = said(standin, "k")
    assert document["balance_usd"] > 49
    assert document["total_snapshots"] > 3


def test_how_often_it_is_asked_changes_nothing(clock: ManualClock) -> None:
    often, seldom = UsageStandin(clock), UsageStandin(clock)
    for one in (often, seldom):
        one.prepaid("k", balance_usd=5, active_videos=7)
    for _ in range(50):
        clock.advance(1700)
        ask(often, "k")
    assert said(often, "k") == said(seldom, "k")


def test_a_trial_key_fills_up_to_its_quota_and_no_further(standin: UsageStandin, clock: ManualClock) -> None:
    standin.storage("t", used_gb=1000, limit_gb=1024, grows_gb_per_hour=10)
    clock.advance(10 * 3600)
    document = said(standin, "t", "/usage")
    assert (document["storage_usage_gb"], document["storage_remaining_gb"]) == (1024, 0)
    assert document["storage_limit_bytes"] == 1 << 40
    assert "billing_period_start" not in document


def test_a_stripe_key_starts_its_period_anew(standin: UsageStandin, clock: ManualClock) -> None:
    began = datetime(2026, 10, 1, tzinfo=UTC)
    standin.storage("s", used_gb=5, period_start=began, period_used=4_000_000, grows_gb_per_hour=1, epoch_dates=True)
    before = said(standin, "s", "/usage")
    clock.advance(4 * 3600)
    after = said(standin, "s", "/usage")
    assert before["current_period_usage_gb"] == 4
    assert after["current_period_usage_gb"] == 1
    assert after["billing_period_start"] == int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    assert "storage_limit_gb" not in after


def test_a_wrong_key_and_a_wrong_path_are_refused(standin: UsageStandin) -> None:
    standin.prepaid("k", balance_usd=5)
    assert ask(standin, "other").status == 401
    assert ask(standin, "", "/usage").body == b'{"error": "Missing x-api-key header"}'
    assert ask(standin, "k", "/usage").status == 401
    assert ask(standin, "k", "/nowhere").status == 404


def test_requests_are_counted_per_key_and_minute(clock: ManualClock) -> None:
    standin = UsageStandin(clock, requests_per_minute=2)
    standin.prepaid("k", balance_usd=5)
    standin.prepaid("other", balance_usd=5)
    assert [ask(standin, "k").status for _ in range(3)] == [200, 200, 429]
    assert ask(standin, "other").headers["X-RateLimit-Remaining"] == "1"
    clock.advance(60)
    assert ask(standin, "k").status == 200
