"""On PostgreSQL the event loop asks the database nothing: the daemon does all its work, each statement watched."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.model.readings import Known, Metrics
from daemon.clock import RandomIds, SystemClock
from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import Config
from daemon.places import ServerUrl
from daemon.process import runner
from daemon.process.runner import Runner
from daemon.resources.model import Actor, Role
from daemon.resources.registry import Registry
from daemon.store import Store, readings, reports
from daemon.store.outbox import Outbox, store_id
from daemon.work.service import Service
from tests.api.conftest import MASTER_KEY
from tests.commands.test_newcomer import free_port
from tests.helpers_store import watch_event_loop
from tests.postgres import PostgresServer
from tests.service.conftest import KEY, LOW, Town, open_town
from tests.service.test_taking import OTHER, until

pytestmark = pytest.mark.sqlite  # the server is named by the test itself
MORE = """
[api]
enabled = true
master_key = "env:API_MASTER_KEY"
allow_accounts_at = ["127.0.0.0/8"]
allow_subscriptions_at = ["127.0.0.0/8"]
[[reports]]
id = "daily"
period = "day"
cron = "0 0 * * *"
to = ["ops@example.com"]
"""
TOPUP = {
    "when_below_usd": "1.00",
    "amount_usd": "50.00",
    "customer": "cus_123",
    "max_charge_usd": "50.00",
    "max_per_day_usd": "100.00",
    "max_per_month_usd": "500.00",
}


@pytest.fixture
def server(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerUrl]:
    url = postgres_server.database()
    monkeypatch.setenv("DATABASE_URL", url.text)
    monkeypatch.setenv("API_MASTER_KEY", MASTER_KEY)
    yield url
    postgres_server.drop(url)


def prepare(town: Town, port: int) -> tuple[Config, str]:
    """Write the configuration, a reading of days ago for the report to be of, and a token."""
    path = town.configure(f"{LOW}{MORE}", topup="\n")
    text = path.read_text().replace(f'path = "{town.folder / "a.db"}"', 'url = "env:DATABASE_URL"')
    path.write_text(text.replace('listen = ""', f'listen = "127.0.0.1:{port}"'))
    config, ids = load(path), RandomIds()
    with closing(Store(config.store.place)) as store:
        with store.write(durable=True) as tx:
            outbox = Outbox(store_id(tx, ids), config.receivers, ids)
            readings.record(tx, [Known("clips", datetime.now(UTC) - timedelta(days=3), Metrics())])
        registry = Registry(config, store=store, outbox=outbox, clock=SystemClock(), ids=ids)
        return config, registry.new_token(Actor(name="cli:test", source="cli", role=Role.ADMIN), role=Role.ADMIN)[1]


@asynccontextmanager
async def unattended(config: Config, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Service, list[str]]]:
    """The process, here, and what it asks on the loop from when it is composed."""
    opened: list[tuple[Service, list[str]]] = []

    @asynccontextmanager
    async def watched(config: Config, **options: Any) -> AsyncIterator[Service]:
        async with open_service(config, **options) as service:
            opened.append((service, watch_event_loop(monkeypatch)))
            yield service

    monkeypatch.setattr(runner, "open_service", watched)
    running = asyncio.ensure_future(Runner(config).run())
    try:
        await until(lambda: opened or running.done())
        yield opened[0]
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 20)


async def ask_all(client: httpx.AsyncClient, town: Town) -> None:
    """Ask what the API can be asked: each read, and each kind of change."""

    async def ask(method: str, path: str, status: int = 200, **more: Any) -> Any:
        answer = await client.request(method, path, **more)
        assert answer.status_code == status, (method, path, answer.text)
        return answer.json() if answer.content else None

    body = {"provider": "contentstats", "base_url": town.usage_url, "api_key": OTHER, "owner": "acme", "poll": "auto"}
    await ask("PUT", "/accounts/late", 201, json=body)
    await ask("PUT", "/accounts/late", 200, json=body, headers={"if-match": "*"})
    await ask("PATCH", "/accounts/late", json={"label": "Late"}, headers={"if-match": '"1"'})
    await ask("PUT", "/accounts/late/topup", 201, json=TOPUP)
    batch = [{"id": f"b{number}", **body, "api_key": f"cs_test_{number}"} for number in range(30)]
    for _ in range(2):
        await ask("POST", "/accounts:batch", json={"accounts": batch}, headers={"idempotency-key": "batch"})
    await ask("PUT", "/rules/late", 201, json={"kind": "low_balance", "below_usd": "5.00", "accounts": ["late"]})
    made = await ask(
        "POST", "/subscriptions", 201, json={"event": "*", "account": "late", "url": town.receiver.url},
        headers={"idempotency-key": "made"},
    )  # fmt: skip
    subscription, once = f"/subscriptions/{made['id']}", {"idempotency-key": "once"}
    sent = [await ask("POST", f"{subscription}/test", 202, headers=once) for _ in range(2)]
    assert sent[0] == sent[1]
    await ask("POST", f"{subscription}/rotate", json={}, headers={"idempotency-key": "rotated"})
    await ask("PATCH", subscription, json={"label": "Mine"})
    await ask("POST", f"/deliveries/{sent[0]['delivery']}/replay", 202, headers={"idempotency-key": "again"})
    token = await ask("POST", "/tokens", 201, json={"role": "read"}, headers={"idempotency-key": "token"})
    for scope in ("clips", "*"):
        await ask("PUT", f"/pauses/{scope}")
        await ask("DELETE", f"/pauses/{scope}")
    paths = ["/accounts", "/accounts?q=late", "/accounts/late", "/accounts/late/topup", "/rules", "/rules/late"]
    paths += ["/subscriptions", subscription, "/events", "/deliveries", "/pauses", "/tokens", f"/tokens/{token['id']}"]
    paths += ["/audit", "/config:export", "/accounts/clips/readings", "/accounts/clips/episodes"]
    found = {path: await ask("GET", path) for path in paths}
    document = found["/config:export"]
    assert await ask("POST", "/config:plan", json=document) == {"dry_run": True, "changes": []}
    document["accounts"]["late"]["label"] = "Later"
    assert len((await ask("POST", "/config:apply", json=document))["changes"]) == 1
    await ask("DELETE", "/rules/late", 204)
    await ask("DELETE", subscription, 204)
    await ask("DELETE", "/accounts/late", 204)
    await ask("GET", "/accounts/late", 404)
    await ask("GET", "/accounts/late/readings")
    await ask("DELETE", f"/tokens/{token['id']}", 204)


def change_beside(place: ServerUrl) -> object:
    """Commit something, as a command does; return which reports were sent by then."""
    with closing(Store(place)) as store, store.write(durable=True) as tx:
        (told,) = tx.execute("SELECT value FROM meta WHERE key = 'beside'").fetchone()
        assert told.isdigit(), "a daemon, and no command, has told the others of what was changed last"
        return reports.sendings(tx, "daily")


async def test_the_loop_asks_the_database_nothing(
    tmp_path: Path, server: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    async with open_town(tmp_path, datetime.now(UTC)) as town:
        town.usage.prepaid(KEY, balance_usd="4.96", total_charged_usd="14.24", active_videos=0)
        town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
        config, bearer = prepare(town, port)
        async with unattended(config, monkeypatch) as (service, seen):
            passes = {job.name: job.health for job in service.jobs}
            await until(lambda: town.events_of("balance.low") and passes["reports"].passes)
            await until(lambda: passes["retention"].passes)
            headers = {"authorization": f"Bearer {bearer}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers) as client:
                await ask_all(client, town)
                for path in ("/", "/accounts/clips", "/healthz", "/metrics"):
                    await client.get(f"http://127.0.0.1:{port}{path}")
            before = passes["changes"].passes
            assert await asyncio.to_thread(change_beside, server)
            await until(lambda: passes["changes"].passes > before)
            assert [one.last_error for one in passes.values()] == [""] * len(passes)
    at_the_start = "daemon/fleet/fleet.py: __init__"  # while nothing else runs
    left = [one for one in dict.fromkeys(seen) if at_the_start not in one]
    assert not left, "\n".join(left)
    assert seen, "it watches"
