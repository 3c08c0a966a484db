"""A leak: a balance that falls far faster than the account's own past is not charged until a person has looked."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.clock import SystemClock
from tests.service.conftest import KEY, TOPUP, Town

HOURS_OF_PAST = 9 * 24
HOURS_OF_LEAK = 4


async def live(town: Town, hours: int, path: Path) -> None:
    """Poll at every hour, over real sockets."""
    async with town.service(path) as service:
        for _ in range(hours):
            town.passes.append(await service.once())
            town.clock.advance(3600)


async def typed(path: Path, *words: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["--config", str(path), "topups", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def brake(gates: list[dict[str, Any]]) -> dict[str, Any]:
    return next(gate for gate in gates if gate["name"] == "brake")


@pytest.mark.long
async def test_a_leak_is_not_charged_and_is_told_with_its_numbers_until_a_person_resumes(town: Town) -> None:
    # who types has the same clock as the daemon
    town.clock.set(SystemClock().now() - timedelta(hours=HOURS_OF_PAST + HOURS_OF_LEAK))
    account = town.usage.prepaid(KEY, balance_usd="500", total_charged_usd="100", active_videos=10)
    path = town.configure(topup=TOPUP)
    await live(town, HOURS_OF_PAST, path)
    assert town.events_of("topup.planned") == []
    account.active_videos = 10_000
    await live(town, HOURS_OF_LEAK, path)

    assert town.stripe.intents() == []
    (told,) = town.events_of("topup.needs_review")
    assert told["reason"] == "burn_brake"
    assert told["message"] == "$468.05 burnt in 6 h; the past's most $0.90"
    assert told["command"] == "brimful topups resume clips"
    subjects = [str(mail.message["Subject"]) for mail in town.mailbox.kept]
    assert [one for one in subjects if "top-ups need you: burn brake" in one], subjects
    assert not town.passes[-1].ok
    assert len(town.events_of("balance.low")) == 1, "a brake holds back no alert"

    listed = json.loads(await typed(path, "--json"))
    assert [(stop["scope"], stop["reason"]) for stop in listed["stops"]] == [("clips", "burn_brake")]
    held = {one["gate"]: one for one in listed["decisions"]}
    said = brake(held["brake"]["gates"])
    assert (said["gate"], said["passed"]) == (8, False)
    assert said["numbers"] == {"last_6_h": "$468.05", "largest_6_h": "$0.90", "mean_6_h": "$0.90"}
    explained = json.loads(await typed(path, "explain", "clips", "--json"))
    assert explained["standing"]["state"] == "suspended"
    assert brake(next(one["gates"] for one in explained["decisions"] if one["gate"] == "brake")) == said
    assert "$468.05 burnt in 6 h" in await typed(path, "explain", "clips")

    account.active_videos = 10
    assert "ended the suspension: burn_brake" in await typed(path, "resume", "clips")
    await live(town, 1, path)
    assert [charge.amount for charge in town.stripe.successes()] == [5000]


@pytest.mark.long
async def test_a_busy_week_that_the_past_has_known_is_charged(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="900", total_charged_usd="100", active_videos=10)
    path = town.configure(topup=TOPUP)
    await live(town, 24, path)
    account.active_videos = 800
    await live(town, 24, path)
    account.active_videos = 10
    await live(town, HOURS_OF_PAST, path)
    account.active_videos = 2000
    await live(town, 24, path)
    assert town.events_of("topup.needs_review") == []
    assert town.stripe.successes()
