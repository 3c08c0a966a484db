"""The whole program from outside with its store on PostgreSQL: a pass, the commands, and a history copied there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.delivery import notices
from alerts.model.instants import EPOCH
from alerts.model.receivers import Receivers
from alerts.model.values import replace
from daemon.compose import open_service
from daemon.config.load import load
from daemon.fleet.holdings import ACCOUNTS, DUTIES, EVERYTHING, REPORTS, bucket_of
from daemon.places import ServerUrl
from daemon.process.membership import HeldWork
from daemon.store import Store, StoreError, deliveries, ledger_reads, readings
from daemon.store.copying import copy_store
from daemon.store.lock import held
from tests.helpers_store import HeldLane
from tests.postgres import PostgresServer
from tests.service.conftest import KEY, TOPUP, Town, open_town

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(240)]  # both are opened by each test itself; many processes
ROOT = Path(__file__).parents[2]
Run = Callable[..., "asyncio.Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[ServerUrl]:
    url = postgres_server.empty()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def brimful(tmp_path: Path, server: ServerUrl) -> Run:
    async def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "daemon", "--config", str(tmp_path / "config.toml"), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": server.text, "COLUMNS": "200", **environ}
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, env=environment, timeout=50, check=False
        )

    return run  # type: ignore[return-value]  # awaited all the same


def on_server(town: Town, *, topup: str = "") -> None:
    path = town.configure(topup=topup)
    path.write_text(path.read_text().replace(f'path = "{town.folder / "a.db"}"', 'url = "env:DATABASE_URL"'))


async def test_a_pass_reads_and_tells_and_the_commands_say_so(tmp_path: Path, brimful: Run, server: ServerUrl) -> None:
    async with open_town(tmp_path, datetime.now(UTC)) as town:
        town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=0)
        on_server(town)
        for _ in range(2):
            once = await brimful("once")
            assert "Traceback" not in once.stderr
        kinds = [one.payload["type"] for one in town.receiver.accepted]
        assert kinds.count("balance.low") == 1, (kinds, once)
    for command in (("status",), ("deliveries",), ("topups",)):
        said = await brimful(*command, "--json")
        assert said.returncode == 0, (command, said.stderr)
        json.loads(said.stdout)
    paused = await brimful("topups", "pause")
    assert (paused.returncode, paused.stdout) == (0, "all accounts: paused\n"), paused.stderr
    resumed = await brimful("topups", "resume")
    assert "ended the pause" in resumed.stdout
    checked = await brimful("store", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "whole, " in checked.stdout
    refused = await brimful("backup", str(town.folder / "b.db"))
    assert refused.returncode == 1
    assert "pg_dump" in refused.stderr
    with held(server):
        second = await brimful("once")
        assert second.returncode != 0
        assert "holds postgresql://" in second.stderr


async def test_a_server_that_is_not_there_is_a_sentence(town: Town, brimful: Run) -> None:
    on_server(town)
    away = {"DATABASE_URL": "postgresql://me:hidden@127.0.0.1:9/brimful"}
    for command in (("once",), ("status",), ("topups", "pause"), ("store", "check"), ("check",)):
        said = await brimful(*command, **away)
        assert said.returncode != 0, command
        assert "cannot open the database postgresql://127.0.0.1:9/brimful" in said.stderr + said.stdout, (command, said)
        assert "hidden" not in said.stderr + said.stdout
        assert "Traceback" not in said.stderr
    unset = await brimful("status", DATABASE_URL="")
    assert unset.returncode == 2
    assert "store.url" in unset.stderr
    assert "DATABASE_URL" in unset.stderr


async def test_a_history_goes_on_where_it_was(
    town: Town, brimful: Run, server: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=0)
    town.credit_after = timedelta(minutes=12)
    town.configure(topup=TOPUP)
    for _ in range(3):
        await town.once()
    old = Store(town.folder / "a.db", readonly=True)
    asked = "SELECT number, id, body FROM event ORDER BY number"
    events, topups = old.reader.execute(asked).fetchall(), ledger_reads.all_topups(old.reader)
    assert [topup.id for topup in topups] == ["clips-1"]
    with held(town.folder / "a.db"):
        refused = await brimful("store", "copy", "--to", "env:DATABASE_URL")
        assert refused.returncode == 1
        assert "stop it first" in refused.stderr
    copied = await brimful("store", "copy", "--to", "env:DATABASE_URL", "--json")
    assert copied.returncode == 0, copied.stderr
    rows = json.loads(copied.stdout)["rows"]
    assert (rows["event"], rows["topups"]) == (len(events), len(topups))
    again = await brimful("store", "copy", "--to", "env:DATABASE_URL")
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    new = Store(server)
    assert new.reader.execute(asked).fetchall() == events
    assert ledger_reads.all_topups(new.reader) == topups
    assert readings.last(new.reader, "clips") == readings.last(old.reader, "clips")
    assert deliveries.pending_by_receiver(new.reader) == deliveries.pending_by_receiver(old.reader)
    new.close()
    old.close()
    on_server(town, topup=TOPUP)
    monkeypatch.setenv("DATABASE_URL", server.text)
    later = [kind for _ in range(3) for kind in await town.once()]
    assert (later.count("topup.credited"), later.count("balance.recovered"), later.count("balance.low")) == (1, 1, 0)
    assert len(town.stripe.successes()) == 1
    sequences = [one.payload["sequence"] for one in town.receiver.accepted if one.payload.get("sequence")]
    assert sequences == list(range(1, len(sequences) + 1)), "numbers go on where they were"


async def test_what_comes_while_a_pass_over_deliveries_asks_the_server_makes_another_due(
    town: Town, server: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_server(town)
    monkeypatch.setenv("DATABASE_URL", server.text)
    config = load(town.folder / "config.toml")
    app, ops = config.receivers.all

    async with open_service(config, clock=town.clock, overlap=True) as service:
        lane = HeldLane(service.deliverer._queue._store)  # type: ignore[attr-defined]  # the store's own

        async def deliver_and(meanwhile: Callable[[], None]) -> None:
            lane.hold()
            service._due_at[service._delivery] = None  # a step begins the pass
            passing = asyncio.ensure_future(service._deliver())
            await lane.asked()
            meanwhile()
            lane.finish()
            await passing
            assert service._due_at[service._delivery] == EPOCH
            service._due_at[service._delivery] = None
            await service._deliver()
            assert service._due_at[service._delivery] is None

        service.deliverer.look_again()
        await deliver_and(service.outbox.appended)
        with service.store.write(durable=True) as tx:
            for one in (app, ops):
                service.outbox.append(tx, notices.ping(one.key, town.clock.now()), town.clock.now())
        assert deliveries.pending_by_receiver(service.store.reader).keys() == {app.key, ops.key}
        service.take(replace(config, receivers=Receivers((app,))))
        await deliver_and(lambda: service.take(replace(config, receivers=Receivers(()))))
        assert deliveries.pending_by_receiver(service.store.reader) == {}


async def test_an_account_that_time_judges_is_given_to_no_other_daemon_meanwhile(
    town: Town, server: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_server(town)
    monkeypatch.setenv("DATABASE_URL", server.text)
    async with open_service(load(town.folder / "config.toml"), clock=town.clock) as service:
        lane, work = HeldLane(service.evaluator._lane), HeldWork(service, town.clock)
        lane.hold()
        judging = asyncio.ensure_future(service.evaluator.evaluate_time(town.clock.now()))
        await lane.asked()
        while not service.evaluator.under_way():
            lane.finish()
            lane.hold()
            await lane.asked()
        assert work.busy() == {(ACCOUNTS, bucket_of("clips"))}
        lane.finish()
        await judging
        assert work.busy() == set()


async def test_reports_are_given_to_no_other_daemon_while_one_is_sent(
    town: Town, server: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_server(town)
    path = town.folder / "config.toml"
    report = '[[reports]]\nid = "daily"\nperiod = "day"\ncron = "0 8 * * *"\nto = ["ops@example.com"]\n'
    path.write_text(path.read_text() + report)
    monkeypatch.setenv("DATABASE_URL", server.text)
    async with open_service(load(path), clock=town.clock, overlap=True) as service:
        service.holdings, work = EVERYTHING, HeldWork(service, town.clock)
        lane = HeldLane(service.retention._store)
        lane.hold()
        service._reports.start()
        await lane.asked()
        assert work.busy() == {(DUTIES, REPORTS)}
        lane.finish()
        await service._reports.idle()
        assert work.busy() == set()


def test_a_pause_by_a_file_is_not_lost_by_copying(tmp_path: Path, server: ServerUrl) -> None:
    (tmp_path / "a.db.paused").touch()
    with pytest.raises(StoreError, match="pauses every charge"):
        copy_store(tmp_path / "a.db", server)
