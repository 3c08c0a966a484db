"""`status` and `history`, after real passes over stand-ins."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from daemon.clock import ManualClock, SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.usage import ALWAYS, Html, UsageStandin
from daemon.store import StoreError
from daemon.store.reading_rows import Run
from tests.helpers_sources import NOW

CONFIG = """
timezone = "Europe/Berlin"

[store]
path = "{store}"

[accounts.clips]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_clips"
poll = "*/15 * * * *"
label = "Video tracking"

[accounts.media]
provider = "tornado"
base_url = "http://127.0.0.1:9"
api_key = "trn_test_media"
poll = "*/15 * * * *"

[accounts.broken]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_broken"
poll = "*/15 * * * *"

[[rules]]
id = "low"
kind = "low_balance"
below_usd = 12

[[rules]]
id = "quota"
kind = "quota"
at_percent = [80, 90, 100]

[[rules]]
id = "budget"
kind = "budget"
period = "month"
limit_usd = 100
"""

Invoke = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(store=tmp_path / "brimful.db"))
    return path


@pytest.fixture
def invoke(config: Path) -> Invoke:
    return lambda *args: CliRunner().invoke(app, ["--config", str(config), *args])


@pytest.fixture
def lived(config: Path) -> datetime:
    """Three passes an hour apart; returns when the last one was."""
    clock = ManualClock(NOW)
    standin = UsageStandin(clock)
    clips = standin.prepaid(
        "cs_test_clips", balance_usd="12.45", uncharged_usd="0.75", total_charged_usd="6.75", active_videos=3
    )
    clips.snapshots = 450
    standin.storage("trn_test_media", used_gb="942.08", limit_gb=1024)
    standin.prepaid("cs_test_broken", balance_usd=1)
    standin.fail("cs_test_broken", Html(), times=ALWAYS)

    async def live() -> None:
        settled = load(config)
        async with open_service(settled, clock=clock, ids=SeededIds(1), transport=standin.transport()) as service:
            for number in range(3):
                if number:
                    clock.advance(3600)
                await service.once()

    asyncio.run(live())
    return clock.now()


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("lived")
def test_status_says_what_there_is_of_each_account(invoke: Invoke) -> None:
    clips, media, broken = answer(invoke("status", "--json"))["accounts"]
    assert (clips["balance_usd"], clips["uncharged_usage_usd"], clips["available_usd"]) == (12.45, 0.84, 11.61)
    assert (clips["burn_usd_per_day"], clips["basis"], clips["days_remaining"]) == (1.08, "scheduled", 10.75)
    assert clips["provider_estimate"] == {"snapshots": 830, "days": 11.5}
    assert clips["observed_at"] == "2026-11-01T14:00:00Z"
    assert clips["month"]["spent_usd"] == 0.09
    assert clips["budgets"][0]["limit_usd"] == 100
    assert [alert["rule"] for alert in clips["alerts"]] == ["low"]
    assert (media["quota"]["effective_gb"], media["quota"]["limit_gb"], media["quota"]["percent"]) == (942.08, 1024, 92)
    assert media["balance_usd"] is None
    assert (broken["unavailable"]["reason"], broken["unavailable"]["polls"]) == ("bad_payload", 3)
    assert broken["observed_at"] is None


def test_forecasts_on_an_old_reading_begin_at_the_reading_and_are_said_to_be_old(
    invoke: Invoke, lived: datetime
) -> None:
    """The clock of the command is days ahead of the last reading: a daemon that was off, or an API that is down."""
    clips, media, _ = answer(invoke("status", "--json"))["accounts"]
    assert (clips["stale"], media["stale"]) == (True, True)
    likely = datetime.fromisoformat(clips["runs_out_at"]["likely"])
    assert abs(likely - lived - timedelta(days=10.75)) < timedelta(hours=2)
    shown = invoke("status", "clips").stdout
    assert "(old)" in shown
    assert "old        all that follows is of the last reading, 2026-11-01 15:00" in shown


@pytest.mark.usefixtures("lived")
def test_status_reads_well_and_shows_the_providers_estimate_as_such(invoke: Invoke) -> None:
    result = invoke("status")
    assert result.exit_code == 0
    for words in (
        "clips · Video tracking (contentstats)",
        "$12.45, $0.84 pending: $11.61 available",
        "$1.08 a day (scheduled)",
        "the provider's own estimate, of the whole balance: 830 snapshots, 11.5 days",
        "942.08 GB of 1,024.00 GB (92.0 %)",
        "bad_payload (the answer is an HTML page, not JSON), 3 polls",
        "low (warning) since 2026-11-01 13:00",
        "never read",
    ):
        assert words in result.stdout


@pytest.mark.usefixtures("lived")
def test_status_of_one_account_is_of_that_alone(invoke: Invoke) -> None:
    assert [one["account"] for one in answer(invoke("status", "media", "--json"))["accounts"]] == ["media"]


@pytest.mark.parametrize("command", ["status", "history"])
@pytest.mark.usefixtures("lived")
def test_a_misspelt_account_is_wrong_usage_with_a_suggestion(invoke: Invoke, command: str) -> None:
    result = invoke(command, "clisp")
    assert result.exit_code == 2
    assert 'did you mean "clips"?' in result.stderr


@pytest.mark.parametrize("command", [["status"], ["history", "clips"]])
def test_before_the_first_pass_a_sentence_says_so(invoke: Invoke, command: list[str]) -> None:
    error = invoke(*command).exception
    assert isinstance(error, StoreError)
    assert "`brimful run` or `brimful once` makes it" in str(error)


def test_history_has_every_run(invoke: Invoke, lived: datetime) -> None:
    found = answer(invoke("history", "clips", "--since", (lived - timedelta(days=1)).isoformat(), "--json"))
    assert [(one["first_at"], one["available_usd"]) for one in found["readings"]] == [
        ("2026-11-01T12:00:00Z", 11.7),
        ("2026-11-01T13:00:00Z", 11.655),
        ("2026-11-01T14:00:00Z", 11.61),
    ]
    assert found["days"][0]["spent_usd"] == 0.09


def test_history_of_a_broken_source_is_its_outage(invoke: Invoke, lived: datetime) -> None:
    found = answer(invoke("history", "broken", "--since", (lived - timedelta(days=1)).isoformat(), "--json"))
    assert found["readings"] == []
    assert found["outages"][0]["count"] == 3


def test_history_as_csv_is_exact(invoke: Invoke, lived: datetime) -> None:
    result = invoke("history", "clips", "--since", (lived - timedelta(days=1)).isoformat(), "--csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["available_usd"] for row in rows] == ["11.7", "11.655", "11.61"]
    assert rows[0]["unavailable"] == ""


@pytest.mark.parametrize("days", [1, 30])
def test_history_reads_well(invoke: Invoke, lived: datetime, days: int) -> None:
    since = (lived - timedelta(days=days)).isoformat()
    result = invoke("history", "clips", "--since", since, "--until", (lived + timedelta(minutes=1)).isoformat())
    assert result.exit_code == 0
    assert "$11.61" in result.stdout


def test_a_time_that_makes_no_sense_is_wrong_usage(invoke: Invoke, lived: datetime) -> None:
    assert invoke("history", "clips", "--since", "yesterday").exit_code == 2
    assert invoke("history", "clips", "--since", (lived + timedelta(days=9000)).isoformat()).exit_code == 2
    assert invoke("history", "clips", "--csv", "--json").exit_code == 2


def test_the_chart_shows_lows_and_gaps() -> None:
    from alerts.model.readings import Metrics
    from daemon.commands.history_view import sparkline

    at = datetime(2026, 11, 1, tzinfo=UTC)
    hour = timedelta(hours=1)
    points = [
        (Run(at, at + hour, 1, Metrics()), 800),
        (Run(at + 2 * hour, at + 2 * hour, 1, Metrics()), 100),
        (Run(at + 5 * hour, at + 5 * hour, 1, Metrics()), 500),
    ]
    assert sparkline(points, at, at + 6 * hour, 6) == "██▁  ▅"


def test_a_command_that_only_reads_loads_no_client() -> None:
    modules = "daemon.status.overview, daemon.commands.status_view, daemon.commands.history_view"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"stripe", "aiohttp", "httpx", "matplotlib"}.intersection(loaded)
