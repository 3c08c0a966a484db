"""What Prometheus gets: complete, silent in promtool, and known to the alert rules, the dashboard and the documents."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from daemon.demo.standins.receiver import Fault
from daemon.demo.standins.usage import Status
from tests.service.conftest import KEY, LOW, TOPUP, Town
from tests.web.conftest import Browse
from tests.web.test_page import BUDGET, STORAGE, samples

ROOT = Path(__file__).parents[2]
RULES, DASHBOARD = ROOT / "packaging" / "brimful.rules.yml", ROOT / "packaging" / "brimful.dashboard.json"
VOLUME_BUDGET = """
[[rules]]
id = "volume"
kind = "budget"
period = "month"
limit_gb = 500
"""
POINTS = """
[[rules]]
id = "points"
kind = "budget"
period = "month"
limit = 5000
accounts = ["points"]

[accounts.points]
provider = "json"
url = "{url}/api/v1/usage"
unit = "points"
headers = { x-api-key = "points_key" }

[accounts.points.fields]
balance = "balance_usd"
uncharged = "uncharged_usage_usd"
total_charged = "total_charged_usd"
used = "total_charged_usd"
limit = "`10000`"
burn_per_day = "`24`"
"""
OF_A_FLEET = {"brimful_daemon_buckets", "brimful_daemon_fresh"}
"""What one daemon alone does not say."""
TWO_SAY_IT = """
rule_files: [{rules}]
tests:
  - interval: 1m
    input_series:
{series}
    promql_expr_test:
      - expr: 'count by (alertname) (ALERTS{{alertstate="firing", alertname!="BrimfulDown"}})'
        eval_time: 2h
        exp_samples:
{alerts}
"""
PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


def promtool(*words: str, said: str = "") -> tuple[int, str]:
    done = subprocess.run([str(PROMTOOL), *words], input=said, text=True, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


async def scraped(town: Town, browse: Browse) -> str:
    """A scrape in which every family has a sample."""
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=3)
    town.usage.storage("trial_key", used_gb="950", limit_gb="1000")
    town.usage.prepaid("gone_key", balance_usd=1)
    town.usage.fail("gone_key", Status(401), times=1000)
    town.receiver.fault = Fault(status=503)
    town.credit_after = timedelta(hours=1)
    gone = STORAGE.replace("media", "gone").replace("tornado", "contentstats").replace("trial_key", "gone_key")
    town.usage.prepaid("points_key", balance_usd=1200, uncharged_usd=3, total_charged_usd=800)
    accounts = (STORAGE + gone + POINTS).replace("{url}", town.usage_url)
    town.configure(LOW + BUDGET + VOLUME_BUDGET + accounts, topup=TOPUP)
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            return (await client.get("/metrics")).text


async def test_metrics_are_complete(town: Town, browse: Browse) -> None:
    found = samples(await scraped(town, browse))
    assert found["brimful_used_bytes", "media"] == 950_000_000_000
    assert found["brimful_limit_bytes", "media"] == 1_000_000_000_000
    assert found["brimful_quota_ratio", "media"] == 0.95
    assert found["brimful_budget_ratio", "clips", "month", "month"] == 0
    assert found["brimful_balance", "points", "points"] == 1200
    assert found["brimful_available", "points", "points"] == 1197
    assert found["brimful_limit", "points", "points"] == 10_000
    assert found["brimful_burn_per_day", "points", "points"] == 24
    assert found["brimful_budget_limit", "points", "month", "points", "points"] == 5000
    assert ("brimful_balance_usd", "points") not in found
    assert ("brimful_used_bytes", "points") not in found
    assert found["brimful_budget_limit_bytes", "media", "month", "volume"] == 500_000_000_000
    assert found["brimful_remaining_seconds", "clips"] == pytest.approx(4.21 / (3 * 24 * 0.015) * 86400, rel=0.01)
    assert found["brimful_readings_total", "ok", "contentstats"] == 1
    assert found["brimful_readings_total", "ok", "tornado"] == 1
    assert found["brimful_readings_total", "unauthorized", "contentstats"] == 1
    assert found["brimful_topup_cap_left_usd", "clips", "day"] == 50
    assert found["brimful_topup_cap_left_usd", "clips", "month"] == 450
    assert found["brimful_delivery_attempts_total", "pending", "webhook:app"] > 0
    assert found["brimful_delivery_attempts_total", "delivered", "email:ops"] > 0
    assert found["brimful_delivery_oldest_pending_seconds", "webhook:app"] >= 0
    assert ("brimful_delivery_oldest_pending_seconds", "email:ops") not in found
    assert found["brimful_job_delay_seconds", "poll"] == 0
    assert found["brimful_schedule_misses_total",] == 0
    assert found["brimful_commit_seconds_count",] > 0
    assert found["brimful_commit_seconds_sum",] > 0
    assert found["brimful_database_bytes",] > 4096
    assert any(name[0] == "brimful_build_info" for name in found)
    assert found["process_resident_memory_bytes",] > 0


async def test_a_job_that_should_have_started_says_since_when(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="50")
    town.configure()
    async with town.service() as service:
        await service.once()
        town.clock.advance(900)
        async with browse(service) as client:
            found = samples((await client.get("/metrics")).text)
    assert found["brimful_job_delay_seconds", "poll"] == 600


@with_promtool
async def test_promtool_has_nothing_to_say(town: Town, browse: Browse) -> None:
    assert promtool("check", "metrics", said=await scraped(town, browse)) == (0, "")


@with_promtool
def test_promtool_takes_the_alert_rules() -> None:
    code, said = promtool("check", "rules", str(RULES))
    assert code == 0, said


@with_promtool
def test_what_two_daemons_say_rings_once(tmp_path: Path) -> None:
    """A fleet of two, scraped both: each says the same of accounts, money and receivers."""
    said = {
        "BrimfulNotFresh": (("brimful_daemon_fresh", 'daemon="b"'), "0"),
        "BrimfulReadingOld": (("brimful_reading_age_seconds", 'account="clips"'), "7200"),
        "BrimfulNeverRead": (("brimful_reading_ok", 'account="new"'), "0"),
        "BrimfulChargingStopped": (("brimful_charging_stopped", 'account="clips", kind="pause"'), "1"),
        "BrimfulTopupStuck": (("brimful_topups_open", 'account="clips", state="needs_review"'), "1"),
        "BrimfulCapNearlyReached": (("brimful_topup_cap_left_usd", 'account="clips", window="month"'), "0"),
        "BrimfulUndelivered": (("brimful_delivery_oldest_pending_seconds", 'receiver="webhook:app"'), "7200"),
    }
    series = [
        f"      - {{series: '{name}{{job=\"brimful\", instance=\"{instance}\", {labels}}}', values: '{value}x120'}}"
        for (name, labels), value in said.values()
        for instance in ("a:9750", "b:9750")
    ]
    alerts = [f"          - {{labels: '{{alertname=\"{alert}\"}}', value: 1}}" for alert in said]
    path = tmp_path / "two.yml"
    path.write_text(TWO_SAY_IT.format(rules=RULES, series="\n".join(series), alerts="\n".join(alerts)))
    code, told = promtool("test", "rules", str(path))
    assert code == 0, told


async def test_rules_dashboard_and_page_name_metrics_that_there_are(town: Town, browse: Browse) -> None:
    text = await scraped(town, browse)
    there = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    there |= {family.name for family in text_string_to_metric_families(text)}
    names = re.compile(r"\b(?:brimful|process)_[a-z_]+\b")
    for path in (RULES, DASHBOARD):
        assert set(names.findall(path.read_text())) - there - OF_A_FLEET == set(), path
    page = (ROOT / "docs" / "page.md").read_text()
    written = {name for name in there if name.startswith("brimful_")} - {
        "brimful_commit_seconds", "brimful_commit_seconds_sum", "brimful_commit_seconds_count"
    }  # fmt: skip
    assert {name for name in written | OF_A_FLEET if name not in page and f"{name}_total" not in there} == set()


def test_every_alert_has_an_entry_in_the_runbook() -> None:
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert alerts == re.findall(r"^## (\w+)$", runbook, re.MULTILINE)


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"][0]["expr"] and panel["datasource"]["uid"] == "${datasource}" for panel in panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
