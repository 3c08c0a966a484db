"""The local page over a real socket, beside the real service: what it shows is what was read, charged and told."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.receiver import Fault
from daemon.demo.standins.usage import Status
from daemon.store import Store
from daemon.topups import operator
from daemon.web import server
from daemon.web.server import bind, serving
from daemon.web.site import site
from tests.service.conftest import KEY, LOW, TOPUP, Town
from tests.web.conftest import Browse, free_port

BUDGET = """
[[rules]]
id = "month"
kind = "budget"
period = "month"
limit_usd = 100.00
"""
STORAGE = """
[accounts.media]
provider = "tornado"
base_url = "{url}"
api_key = "trial_key"
"""


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and label values, in the order of the label names."""
    found: Iterator[tuple[tuple[str, ...], float]] = (
        ((one.name, *(one.labels[name] for name in sorted(one.labels))), one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    )
    return dict(found)


async def test_the_front_page_shows_every_account_with_its_money_alerts_and_top_ups(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=3)
    town.usage.storage("trial_key", used_gb="950", limit_gb="1024")
    town.credit_after = timedelta(hours=1)
    town.configure(LOW + BUDGET + STORAGE.format(url=town.usage_url), topup=TOPUP)
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            answer = await client.get("/")
    page = html.unescape(answer.text)
    assert answer.status_code == 200
    for words in (
        "$4.21",
        "available: $4.96 less $0.75 pending",
        "low (warning) since 2026-11-10 10:00",
        "(Europe/Berlin)",
        "every job is fresh",
        "clips-1",
        "$50.00",
        "quota: 950.00 GB of 1,024.00 GB",
        "92.7 %",
        "month: $0.00 of $100.00 this month",
    ):
        assert words in page, words
    assert KEY not in page
    assert "sk_test" not in page


async def test_what_a_provider_says_is_never_markup(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="50")
    town.usage.fail(KEY, Status(500, "<script>alert(1)</script>"))
    town.configure()
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            for path in ("/", "/accounts/clips"):
                text = (await client.get(path)).text
                assert "&lt;script&gt;alert(1)" in text
                assert "<script" not in text


async def test_an_account_page_draws_its_history_and_lists_its_episodes(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", active_videos=3)
    town.configure(topup=TOPUP)
    for _ in range(3):
        await town.once()
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            page = html.unescape((await client.get("/accounts/clips?days=7")).text)
            longest = await client.get("/accounts/clips?days=365")
            unknown = await client.get("/accounts/<b>")
            wrong = [await client.get(f"/accounts/clips?days={days}") for days in ("x", "0", "-1", "401", "٣", "")]
    assert "Available: between" in page
    assert "Spent a day (UTC)" in page
    assert "The last 7 days" in page
    assert "available $4.96 is below $5.00" in page
    assert "clips-1" in page
    assert longest.status_code == 200
    assert (unknown.status_code, unknown.json()) == (
        404,
        {"error": "there is no such account in the configuration"},
    )
    assert [one.status_code for one in wrong] == [400] * 6


async def test_health_is_good_while_every_job_is_fresh_and_says_why_not(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="50")
    town.configure()
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            fine = await client.get("/healthz")
            head = await client.head("/healthz")
            town.clock.advance(3600)
            stale = await client.get("/healthz")
            text = (await client.get("/metrics")).text
            page = html.unescape((await client.get("/")).text)
    assert (fine.status_code, fine.json()) == (200, {"fresh": True, "reasons": []})
    assert (head.status_code, head.text) == (200, "")
    assert stale.status_code == 503
    assert stale.json()["fresh"] is False
    assert stale.json()["reasons"][0].startswith("poll */5 * * * *: due since 2026-11-10T09:05:00")
    assert samples(text)["brimful_fresh",] == 0
    assert "not every job is fresh" in page


async def test_metrics_say_what_is_known_and_nothing_of_what_is_not(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=0)
    town.usage.storage("trial_key", used_gb="950", limit_gb="1024")
    town.usage.fail("trial_key", Status(500))
    town.receiver.fault = Fault(status=503)
    town.configure(LOW + BUDGET + STORAGE.format(url=town.usage_url), topup=TOPUP)
    async with town.service() as service:
        await service.once()
        operator.pause(service.store, None, town.clock.now())
        town.clock.advance(30)
        async with browse(service) as client:
            answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    assert found["brimful_balance_usd", "clips"] == 4.96
    assert found["brimful_available_usd", "clips"] == 4.21
    assert found["brimful_reading_age_seconds", "clips"] >= 30
    assert found["brimful_reading_ok", "clips"] == 1
    assert found["brimful_reading_ok", "media"] == 0
    assert ("brimful_used_bytes", "media") not in found
    assert ("brimful_available_usd", "media") not in found
    assert found["brimful_alert_open", "clips", "low", "warning"] == 1
    assert found["brimful_budget_limit_usd", "clips", "month", "month"] == 100
    assert found["brimful_charging_stopped", "clips", "pause"] == 1
    assert found["brimful_deliveries_pending", "webhook:app"] > 0
    assert found["brimful_receiver_failures", "webhook:app"] > 0
    assert found["brimful_receiver_failures", "email:ops"] == 0
    assert found["brimful_passes_total", "money"] >= 1
    assert sum(name[0] == "brimful_topups_open" for name in found) == 1


async def test_an_application_asks_here_instead_of_the_provider(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", uncharged_usd="0.75", total_charged_usd="6.75", active_videos=3)
    town.configure(LOW + STORAGE.format(url=town.usage_url))
    town.usage.storage("trial_key", used_gb="950", limit_gb="1024")
    town.usage.fail("trial_key", Status(500))
    async with town.service() as service:
        await service.once()
        asked = town.usage.asked[KEY]
        town.clock.advance(42)
        async with browse(service) as client:
            said = (await client.get("/api/v1/usage/clips")).json()
            never = await client.get("/api/v1/usage/media")
            unknown = await client.get("/api/v1/usage/nobody")
    assert (said["balance_usd"], said["uncharged_usage_usd"], said["active_videos"]) == (12.45, 0.75, 3)
    assert (said["observed_at"], said["age_s"]) == ("2026-11-10T09:00:00Z", 42)
    assert town.usage.asked[KEY] == asked
    assert (never.status_code, unknown.status_code) == (503, 404)
    assert "never read" in never.json()["error"]


@pytest.mark.parametrize("wrong", ["{{ no_such_value }}", "{{ 1 + 'a' }}", "{{ 1 / 0 }}", "{% if %}"])
async def test_a_template_of_the_operators_own_that_is_wrong_hides_nothing(
    town: Town, browse: Browse, wrong: str
) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45")
    own = town.folder / "templates"
    own.mkdir()
    (own / "page.html.j2").write_text(wrong)
    path = town.configure()
    path.write_text(f'templates = "{own}"\n' + path.read_text())
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            answer = await client.get("/")
    assert answer.status_code == 200
    assert "$12.45" in answer.text


async def test_a_database_that_cannot_be_read_is_said_and_no_traceback(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45")
    town.configure()
    async with town.service() as service, browse(service) as client:
        await service.once()
        with Store(service.config.store.path).write(durable=False) as tx:
            tx.execute("ALTER TABLE account_state RENAME TO gone")
        answer = await client.get("/api/v1/usage/clips")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("the database cannot be read just now: ")


async def test_a_port_that_is_taken_stops_nothing_and_is_tried_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PAGE_RETRIED_EVERY_S", 0.05)
    config = load(town.configure())
    port = await free_port()
    other = await bind("127.0.0.1", port)
    other.listen()
    async with open_service(config, clock=town.clock, ids=town.ids) as service:
        async with serving(site(config, service, town.clock), "127.0.0.1", port):
            await asyncio.sleep(0.2)
            other.close()
            answers = b""
            for _ in range(100):
                await asyncio.sleep(0.05)
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    continue
                writer.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
                answers = await reader.read()
                writer.close()
                break
        await service.drain(0.0)
    assert answers.startswith(b"HTTP/1.1 ")


def test_the_page_names_no_machine_and_loads_nothing_from_elsewhere() -> None:
    folder = Path(__file__).parents[2] / "templates"
    for name in ("page.html.j2", "account.html.j2", "page_parts.html.j2", "page_style.j2"):
        text = (folder / name).read_text()
        assert "http://" not in text
        assert "https://" not in text
        assert "<script" not in text
