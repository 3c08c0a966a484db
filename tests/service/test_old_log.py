"""What was told is kept for 400 days: then events, deliveries, attempts and ended episodes go, and nothing else."""

from __future__ import annotations

from datetime import timedelta

from daemon.demo.standins.receiver import Fault
from daemon.store import Store
from daemon.work.retention import LOG_KEPT, Retention
from daemon.work.service import Service
from tests.service.conftest import KEY, LOW, TOPUP, Town

TABLES = ("event", "delivery", "attempt", "episode", "topups")


def counts(store: Store) -> dict[str, int]:
    return {name: store.reader.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


async def fold(town: Town, service: Service) -> None:
    retention, now = Retention(service.config, service.store), town.clock.now()
    while (next_at := await retention.fold(now)) - now < timedelta(hours=1):
        now = next_at


async def test_the_old_log_goes_and_the_ledger_stays(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96")
    town.credit_after = timedelta()
    town.configure(LOW, topup=TOPUP)
    async with town.service() as service:
        for _ in range(4):
            await service.once()
            town.clock.advance(3600)
        before = counts(service.store)
        town.clock.advance((LOG_KEPT - timedelta(days=1)).total_seconds())
        await fold(town, service)
        kept = counts(service.store)
        town.clock.advance(timedelta(days=2).total_seconds())
        await fold(town, service)
        after = counts(service.store)
    assert min(before.values()) > 0
    assert kept == before
    assert after == {**dict.fromkeys(TABLES, 0), "topups": before["topups"]}


async def test_what_is_open_or_still_to_be_delivered_stays(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96")
    town.configure(LOW)
    async with town.service() as service:
        await service.once()
        opened = counts(service.store)
        town.receiver.fault = Fault(status=503)
        town.usage.credit(KEY, 100)
        town.clock.advance(3600)
        await service.once()
        town.clock.advance((LOG_KEPT + timedelta(days=1)).total_seconds())
        with service.store.write(durable=True) as tx:
            tx.execute("UPDATE episode SET closed_at = NULL")
        await fold(town, service)
        assert counts(service.store)["event"] > opened["event"]  # the episode is open: all of its events
        with service.store.write(durable=True) as tx:
            tx.execute("UPDATE episode SET closed_at = opened_at")
        await fold(town, service)
        states = service.store.reader.execute("SELECT DISTINCT state FROM delivery").fetchall()
        left = counts(service.store)
    assert left["event"] == 1
    assert left["episode"] == 0
    assert ("pending",) in states
