"""Answers that can be misread, met by the real process: `brimful once` against a local HTTP server that gives them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.clock import SystemClock
from daemon.demo.standins.usage import ALWAYS, BadJson, Lie
from tests.postgres import for_processes
from tests.service.conftest import KEY, LOW, TOPUP, Town

ROOT = Path(__file__).parents[2]
READ = {"uncharged_usage_usd": 0.75, "total_charged_usd": 6.75}


async def run(path: Path, *command: str) -> tuple[int, str]:
    """Run `brimful` as a process of its own; returns its exit code and what it wrote."""
    for_processes(path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon", "--config", str(path), *command),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    said, log = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, (said + log).decode()


async def test_a_balance_that_stands_twice_is_neither_told_as_low_nor_charged(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="49.90", active_videos=0)
    body = f'{json.dumps({"balance_usd": 49.9, **READ})[:-1]}, "balance_usd": 0.4}}'
    town.usage.fail(KEY, BadJson(body.encode()), times=ALWAYS)
    code, _ = await run(town.configure(LOW, topup=TOPUP), "once")
    assert code == 1
    [told] = town.events_of("reading.unavailable")
    assert (told["reason"], told["detail"]) == ("bad_payload", "balance_usd stands in the answer twice")
    assert [one.payload["type"] for one in town.receiver.accepted] == ["reading.unavailable"]
    assert town.stripe.intents() == []


THIRD = """
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
[[rules]]
id = "quota"
kind = "quota"
at_percent = [80, 90, 100]
[accounts.third]
provider = "json"
url = "{url}/api/v1/usage"
poll = "*/5 * * * *"
[accounts.third.headers]
x-api-key = "cs_test_third"
[accounts.third.fields]
balance_usd = "left"
used_gb = "volume.used"
limit_gb = "volume.limit"
"""


async def test_a_limit_of_nothing_beside_a_low_balance_is_told_as_low_and_as_no_quota(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="49.90", active_videos=0)
    town.usage.prepaid("cs_test_third", balance_usd=1)
    body = b'{"left": 4.2, "volume": {"used": 900, "limit": 0}}'
    town.usage.fail("cs_test_third", BadJson(body), times=ALWAYS)
    path = town.configure(THIRD.format(url=town.usage_url))
    code, log = await run(path, "once")
    assert code == 0, log
    assert [one.payload["type"] for one in town.receiver.accepted] == ["balance.low"]
    assert town.events_of("balance.low")[0]["available_usd"] == 4.2
    assert '"why": ["limit_gb is zero"]' in log
    _, status = await run(path, "status", "third")
    assert "limit unknown" in status
    assert "limit_gb is zero" in status
    _, said = await run(path, "check", "--online")
    assert "usage API of third: $4.20 available, 900.00 GB used; not used: limit_gb is zero" in said


async def test_an_error_in_a_good_status_is_told_in_the_apis_words_without_the_key(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="49.90", active_videos=0)
    town.usage.fail(KEY, BadJson(b'{"error": {"message": "invalid api key %s"}}' % KEY.encode()), times=ALWAYS)
    code, log = await run(town.configure(LOW), "once")
    assert code == 1
    [told] = town.events_of("reading.unavailable")
    words = "balance_usd is missing; the API says: invalid api key …"
    assert (told["reason"], told["detail"]) == ("bad_payload", words)
    assert KEY not in log
    assert all(KEY not in mail for mail in map(str, town.mailbox.kept))


METERED = """
[[rules]]
id = "transfer"
kind = "budget"
period = "billing"
limit_gb = 100
at_percent = [90, 100]
projected = false
[accounts.media]
provider = "tornado"
base_url = "{url}"
api_key = "trn_test_media"
poll = "*/5 * * * *"
"""


@pytest.mark.long
async def test_a_window_of_five_hours_is_told_again_after_the_one_before(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="49.90", active_videos=0)
    town.usage.storage("trn_test_media", used_gb=5000, period_start=town.clock.now())
    path = town.configure(METERED.format(url=town.usage_url))
    turns_at = SystemClock().now() + timedelta(seconds=1)
    for number, used in enumerate((90, 95)):
        start, end = (turns_at + timedelta(hours=5 * (number + shift)) for shift in (-1, 0))
        said = {"billing_period_start": start.isoformat(), "billing_period_end": end.isoformat()}
        town.usage.heal("trn_test_media")
        town.usage.fail("trn_test_media", Lie({**said, "current_period_usage_gb": used}), times=ALWAYS)
        code, log = await run(path, "once")
        assert code == 0, log
        await asyncio.sleep(max(0.0, (turns_at - SystemClock().now()).total_seconds()))
    first, second = town.events_of("budget.reached")
    assert (first["percent"], second["percent"]) == (90, 95)
    assert first["period_end"] == second["period_start"]
    assert first["episode"] != second["episode"]
    assert [one.payload["type"] for one in town.receiver.accepted] == ["budget.reached"] * 2
