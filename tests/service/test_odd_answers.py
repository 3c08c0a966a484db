"""Answers that can be misread, met by the real process: `brimful once` against a local HTTP server that gives them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from daemon.standins.usage import ALWAYS, BadJson
from tests.service.conftest import KEY, LOW, TOPUP, Town

ROOT = Path(__file__).parents[2]
READ = {"uncharged_usage_usd": 0.75, "total_charged_usd": 6.75}


async def once(path: Path) -> tuple[int, str]:
    """Run `brimful once` as a process of its own; returns its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon", "--config", str(path), "once"),
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
    code, _ = await once(town.configure(LOW, topup=TOPUP))
    assert code == 1
    [told] = town.told("reading.unavailable")
    assert (told["reason"], told["detail"]) == ("bad_payload", "balance_usd stands in the answer twice")
    assert [one.payload["type"] for one in town.receiver.accepted] == ["reading.unavailable"]
    assert town.stripe.intents() == []
