"""What changes something says so as JSON, too: one document on stdout, whatever else is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from daemon.cli import app
from daemon.config.load import load
from tests.service.conftest import KEY, LOW, TOPUP, Town
from tests.service.conftest import town as town


def said(config: Path, *words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["--config", str(config), *words, "--json"])
    document: dict[str, Any] = json.loads(result.stdout)
    return document


async def test_a_mute_and_its_end(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="50")
    path = town.configure(LOW)
    await town.once()
    muted = said(path, "alerts", "mute", "low", "--for", "4h")
    assert muted["rule"] == "low"
    assert muted["muted_until"].endswith("Z")
    assert said(path, "alerts", "unmute", "low") == {"rule": "low", "muted_until": None}


async def test_the_kill_switch_and_a_persons_word(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="50")
    path = town.configure(LOW, topup=TOPUP)
    await town.once()
    paused = {"account": "clips", "paused": True, "daemon_used_database": True, "file": None}
    assert said(path, "topups", "pause", "clips") == {**paused, "already": False}
    assert said(path, "topups", "pause", "clips") == {**paused, "already": True}
    ended = {"account": "clips", "ended": ["pause: paused by a person"], "left": []}
    assert said(path, "topups", "resume", "clips") == ended
    assert said(path, "topups", "resume", "clips") == {"account": "clips", "ended": [], "left": []}


async def test_a_pause_by_file(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="50")
    path = town.configure(LOW, topup=TOPUP)
    async with town.service() as service:
        await service.once()
        database = load(path).store.path
        database.unlink()
        paused = said(path, "topups", "pause")
        assert paused["file"] == f"{database}.paused"
        assert said(path, "topups", "resume") == {"account": None, "ended": ["pause"], "left": []}
