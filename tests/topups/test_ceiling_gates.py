"""The ceiling at work: the day's total over all accounts, and a ceiling that was lowered below what the API made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.values import replace
from daemon.config.model import ApiConfig, ManagedBy
from daemon.demo.standins.stripe import Strike, declined
from daemon.status.explain import explain_account
from daemon.store import ledger_reads
from daemon.store.connection import Store
from daemon.store.migrations import migrate
from daemon.web.metrics import _caps
from tests.helpers_store import file_of
from tests.helpers_topups import DOLLAR, START, Daemon, World, topup_config

API = ApiConfig(
    max_charge_microusd=200 * DOLLAR,
    max_per_day_microusd=200 * DOLLAR,
    max_per_month_microusd=1000 * DOLLAR,
    max_per_day_total_microusd=80 * DOLLAR,
)


@pytest.fixture
def both(world: World, tmp_path: Path) -> Iterator[tuple[Daemon, Daemon]]:
    """Two accounts, each with a customer of its own, one ledger, and 80 dollars a day for both together."""
    world.stripe.add_customer("cus_2", card="pm_2")
    first = Daemon(world, tmp_path / "one", api=API)
    reels = topup_config(customer="cus_2", payment_method="pm_2")
    second = Daemon(world, tmp_path / "one", reels, seed=8, account="reels", api=API)
    yield first, second
    for one in (first, second):
        one.store.close()


async def poll(daemon: Daemon) -> None:
    """A low reading of the daemon's own account."""
    known = replace(daemon.world.read(), account=daemon.account)
    await daemon.attend(known)
    await daemon.run_due()


def burn(world: World) -> None:
    world.burn(max(world.balance - 4 * DOLLAR, 0))


async def test_what_one_account_was_charged_leaves_less_for_all(both: tuple[Daemon, Daemon], world: World) -> None:
    first, second = both
    await poll(first)
    assert world.successes == 1
    burn(world)
    await poll(second)
    assert world.successes == 1
    [told] = second.events_of("topup.capped")
    assert told["account"] == "reels"
    assert (told["cap"], told["cap_usd"], told["spent_and_open_usd"], told["left_usd"]) == ("cap_day_total", 80, 50, 30)
    stand = second.topup_status("reels")
    assert stand is not None
    assert stand.state == "capped"
    assert stand.reason == "$50.00 spent or open of $80.00 a day over all accounts"


async def test_the_total_is_told_once_a_day_and_rolls_on(both: tuple[Daemon, Daemon], world: World) -> None:
    first, second = both
    await poll(first)
    for _ in range(23):
        world.clock.advance(3600)
        burn(world)
        await poll(second)
    assert world.successes == 1
    assert [one["window"][:14] for one in second.events_of("topup.capped")] == ["day 2026-11-02", "day 2026-11-03"]
    world.clock.advance(3601)
    burn(world)
    await poll(second)
    assert world.successes == 2


async def test_an_open_top_up_of_unknown_outcome_counts_for_all(both: tuple[Daemon, Daemon], world: World) -> None:
    first, second = both
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await poll(first)
    assert first.states() == ["confirming"]
    world.clock.advance(30 * 86400)
    now = world.clock.now()
    spent = ledger_reads.spent_in_all(second.store.reader, now - timedelta(hours=24), now - timedelta(hours=24), None)
    assert spent == 50 * DOLLAR


async def test_an_attempt_is_judged_by_the_total_of_its_moment(both: tuple[Daemon, Daemon], world: World) -> None:
    """What was planned when there was room is not tried again where there is none, and is once there is again."""
    first, second = both
    first.api = second.api = replace(API, max_per_day_total_microusd=100 * DOLLAR)
    await first.restart()
    await second.restart()
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    await poll(first)
    await poll(second)
    assert (first.states(), world.successes) == (["retry_wait"], 1)
    for usd, charged in ((90, 1), (100, 2)):
        first.api = replace(API, max_per_day_total_microusd=usd * DOLLAR)
        await first.restart()
        world.clock.advance(3601)
        for _ in range(3):
            burn(world)
            world.clock.advance(60)
            await poll(first)
        assert world.successes == charged
    [told] = first.events_of("topup.capped")
    assert (told["cap"], told["cap_usd"], told["spent_and_open_usd"]) == ("cap_day_total", 90, 50)


async def test_a_total_that_is_raised_charges_again(both: tuple[Daemon, Daemon], world: World) -> None:
    first, second = both
    await poll(first)
    burn(world)
    await poll(second)
    second.api = replace(API, max_per_day_total_microusd=100 * DOLLAR)
    await second.restart()
    world.clock.advance(300)
    await poll(second)
    assert world.successes == 2


async def test_a_lost_disk_knows_the_day_again(both: tuple[Daemon, Daemon], world: World) -> None:
    first, second = both
    await poll(first)
    await first.restart(wipe=True)
    await second.restart(wipe=True)
    burn(world)
    world.clock.advance(300)
    await poll(second)
    assert world.successes == 1


async def test_a_ceiling_that_was_lowered_is_never_exceeded(world: World, tmp_path: Path) -> None:
    daemon = Daemon(
        world, tmp_path / "one", api=replace(API, max_charge_microusd=40 * DOLLAR), managed_by=ManagedBy.API
    )
    await daemon.run(timedelta(hours=1))
    assert world.successes == 0
    [told] = daemon.events_of("topup.suspended")
    assert told["reason"] == "size"
    assert told["message"] == "$0.00 of $40.00 a charge"
    said = explain_account(daemon.config, daemon.store.reader, "clips", world.clock.now())
    assert said["rule"]["max_charge_usd"] == 40
    daemon.store.close()


async def test_a_lower_day_of_the_ceiling_bounds_what_the_api_made(world: World, tmp_path: Path) -> None:
    low = replace(API, max_per_day_microusd=50 * DOLLAR, max_per_day_total_microusd=5000 * DOLLAR)
    daemon = Daemon(world, tmp_path / "one", api=low, managed_by=ManagedBy.API)
    for _ in range(10):
        burn(world)
        await daemon.run(timedelta(hours=1))
    assert world.successes == 1
    assert daemon.events_of("topup.capped")[0]["cap_usd"] == 50
    assert 'window="day"} 0.0' in _caps(daemon.config, daemon.store.reader, world.clock.now())
    daemon.store.close()


async def test_what_the_api_made_charges_nothing_where_the_api_is_switched_off(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "one", managed_by=ManagedBy.API)
    await daemon.run(timedelta(hours=1))
    assert world.successes == 0
    stand = daemon.topup_status("clips")
    assert stand is not None
    assert stand.reason == "mode is off"
    daemon.store.close()


@pytest.mark.sqlite
def test_the_total_is_counted_by_indexes_alone(tmp_path: Path) -> None:
    """What it costs follows a day's charges: no part of it walks through the ledger."""
    store = Store(tmp_path / "a.db")
    migrate(store)
    asked: list[str] = []
    file_of(store).set_trace_callback(asked.append)
    ledger_reads.spent_in_all(store.reader, START, START, "clips-1")
    file_of(store).set_trace_callback(None)
    [sql] = [one for one in asked if "amount_cents" in one]
    plan = [row[3] for row in store.reader.execute(f"EXPLAIN QUERY PLAN {sql}")]
    reads = [step for step in plan if "topups" in step]
    assert len(reads) == 3
    assert all("USING INDEX" in step for step in reads), plan
    store.close()
