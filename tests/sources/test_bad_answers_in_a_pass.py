"""Whatever a source answers, a pass leaves what was known as it was: no recovery, no charge, no zero."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import ManualClock, SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.usage import (
    BadJson,
    Cut,
    Disconnect,
    Drip,
    Fault,
    Html,
    Lie,
    Missing,
    NotHttp,
    OverLong,
    RateLimited,
    Redirect,
    Silence,
    Status,
    UsageStandin,
)
from daemon.store import Store, readings, states
from daemon.work.service import Service
from tests.helpers_sources import NOW

CONFIG = """
[store]
path = "{store}"

[accounts.clips]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_clips"
poll = "*/5 * * * *"

[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.0

[[rules]]
id = "budget"
kind = "budget"
period = "month"
limit_usd = 100
"""


@dataclass
class Pass:
    clock: ManualClock
    standin: UsageStandin
    service: Service
    path: Path


@pytest.fixture
async def after_one_pass(tmp_path: Path) -> AsyncIterator[Pass]:
    """A service that has seen an account in breach of a rule."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(store=tmp_path / "brimful.db"))
    clock = ManualClock(NOW)
    standin = UsageStandin(clock)
    standin.prepaid("cs_test_clips", balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="6.75")
    transport = standin.transport()
    async with open_service(load(path), clock=clock, ids=SeededIds(1), transport=transport) as service:
        assert (await service.once()).ok
        yield Pass(clock, standin, service, tmp_path / "brimful.db")


def kept(path: Path) -> dict[str, Any]:
    """What a bad answer may not touch."""
    store = Store(path, readonly=True)
    try:
        conn = store.reader
        state = states.load(conn, "clips")
        return {
            "last": readings.last(conn, "clips"),
            "runs": conn.execute("SELECT count(*), max(last_ms) FROM runs").fetchall(),
            "summaries": conn.execute("SELECT samples, spent, available_min FROM latest").fetchall(),
            "believed": state.last,
            "spend": state.spend,
            "episodes": [one for one in states.episodes(conn) if one.rule in ("low", "budget")],
        }
    finally:
        store.close()


FAULTS: list[Fault] = [
    Status(401),
    Status(402),
    Status(403, body=b'{"error":"Storage quota exceeded","limit_gb":"1024.00","used_gb":"1024.00"}'),
    Status(404),
    Status(500),
    Status(502, body=b"<html>Bad gateway</html>"),
    Status(503, headers={"Retry-After": "120"}),
    Status(204, body=b""),
    RateLimited(),
    RateLimited({"Retry-After": "Sun, 01 Nov 2026 12:02:00 GMT"}),
    Html(),
    BadJson(),
    BadJson(b""),
    BadJson(b"[" * 50_000),
    BadJson(b'{"balance_usd": 1e9999999999999999999}'),
    Lie({"balance_usd": float("nan")}),
    Lie({"balance_usd": "lots"}),
    Lie({"balance_usd": None}),
    Lie({"uncharged_usage_usd": -1}),
    Lie({"total_charged_usd": [6.75]}),
    Missing(("balance_usd",)),
    Missing(("uncharged_usage_usd", "total_charged_usd")),
    Redirect("http://169.254.169.254/latest"),
    OverLong(),
    Silence(),
    Drip(),
    Cut(),
    Disconnect(),
    NotHttp(),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault)[:60])
async def test_a_bad_answer_changes_nothing_that_is_known_and_fails_the_pass(
    after_one_pass: Pass, fault: Fault
) -> None:
    before = kept(after_one_pass.path)
    assert [episode.rule for episode in before["episodes"]] == ["low"]
    after_one_pass.standin.fail("cs_test_clips", fault, times=10)
    for _ in range(2):
        after_one_pass.clock.advance(4000)
        outcome = await after_one_pass.service.once()
        assert not outcome.ok
        assert list(outcome.unreadable) == ["clips"]
    assert kept(after_one_pass.path) == before
    after_one_pass.standin.heal("cs_test_clips")
    after_one_pass.clock.advance(4000)
    assert (await after_one_pass.service.once()).ok
