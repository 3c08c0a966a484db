"""Two daemons on two disks: one need, one charge, however they interleave and whatever their ledgers have burnt."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.readings import Known
from alerts.model.values import replace
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import declined
from daemon.store import Store, ledger
from daemon.store.topup_rows import State, Topup
from daemon.stripe.requests import create_key
from tests.helpers_topups import DOLLAR, START, Daemon, World, topup_config


async def live_on(first: Daemon, second: Daemon, duration: timedelta) -> None:
    """Both poll in the same seconds; time moves on when both are done."""
    every = timedelta(minutes=5 if duration <= timedelta(hours=6) else 15)
    clock = first.world.clock
    end = clock.now() + duration
    while clock.now() < end:
        await asyncio.gather(first.poll(), second.poll())
        wakes = [await one.run_due() for one in (first, second)]
        step = min([clock.now() + every, *(wake for wake in wakes if wake is not None)])
        clock.set(max(step, clock.now() + timedelta(seconds=1)))


def burn_numbers(store: Store, count: int) -> None:
    """Let the ledger have used up numbers that Stripe never saw."""
    for seq in range(1, count + 1):
        row = Topup(
            id=f"clips-{seq}",
            account="clips",
            customer="cus_1",
            seq=seq,
            own=True,
            state=State.ABANDONED,
            amount_cents=5000,
            create_key=create_key("cus_1", "clips", seq),
            create_params="{}",
            planned_at=START - timedelta(days=2),
            state_at=START - timedelta(days=2),
        )
        with store.write(durable=True) as tx:
            ledger.insert(tx, row, START - timedelta(days=2))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
@pytest.mark.parametrize("burnt", [0, 3])
@pytest.mark.parametrize("amount", [50, 60])
@pytest.mark.parametrize("old", [False, True])
async def test_two_daemons_in_the_same_second_make_one_charge(
    world: World, tmp_path: Path, seed: int, burnt: int, amount: int, old: bool
) -> None:
    first = Daemon(world, tmp_path / "a", seed=seed)
    if old:
        await first.run(timedelta(minutes=30))
        world.burn(50 * DOLLAR)
        world.clock.advance(timedelta(days=40).total_seconds())
        await first.restart(wipe=True)
    before = world.successes
    second = Daemon(world, tmp_path / "b", topup_config(amount_microusd=amount * DOLLAR), seed=seed + 100)
    burn_numbers(second.store, burnt)
    await live_on(first, second, timedelta(hours=2))
    assert world.successes == before + 1
    charges = {event["payment_intent"] for one in (first, second) for event in one.events_of("topup.succeeded")}
    assert len(charges - {None}) == 1
    live = [i for i in world.stripe.intents() if i.status not in ("canceled", "succeeded")]
    assert live == []
    for one in (first, second):
        one.store.close()


async def test_twins_that_tell_the_same_charge_send_the_same_id(world: World, tmp_path: Path) -> None:
    first, second = Daemon(world, tmp_path / "a", seed=1), Daemon(world, tmp_path / "b", seed=2)
    world.lost = True
    await live_on(first, second, timedelta(hours=1))
    ids = [
        one.store.reader.execute("SELECT id FROM event WHERE type = 'topup.succeeded'").fetchall()
        for one in (first, second)
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1
    for one in (first, second):
        one.store.close()


async def test_a_payment_intent_with_unreadable_metadata_blocks_the_account(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(minutes=30))
    world.stripe.intents()[0].metadata["seq"] = "many"
    world.burn(50 * DOLLAR)
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 1
    assert daemon.events() == ["topup.needs_review"]


@pytest.mark.long
async def test_twins_that_are_both_declined_softly_share_each_attempt(world: World, tmp_path: Path) -> None:
    first, second = Daemon(world, tmp_path / "a", seed=3), Daemon(world, tmp_path / "b", seed=4)
    world.stripe.method("pm_1").outcome = declined("insufficient_funds")
    await live_on(first, second, timedelta(hours=40))
    assert len(world.stripe.books.charges) == 4
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]
    for one in (first, second):
        assert one.states() == ["declined"]
        one.store.close()


@pytest.mark.long
async def test_a_twin_that_wakes_up_later_shares_the_retries(world: World, tmp_path: Path) -> None:
    first = Daemon(world, tmp_path / "a", seed=3)
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    await first.run(timedelta(minutes=17))
    second = Daemon(world, tmp_path / "b", seed=4)
    await second.restart()
    await live_on(first, second, timedelta(hours=12))
    assert world.successes == 1
    assert len(world.stripe.books.charges) == 3
    for one in (first, second):
        assert one.states() == ["credited"]
        one.store.close()


async def test_a_wiped_disk_with_an_older_charge_goes_on_with_a_retry(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=2))
    world.burn(50 * DOLLAR)
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=20))
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=3))
    assert world.successes == 2
    assert len(world.stripe.intents()) == 2


async def test_shadow_mode_leaves_a_retry_of_before_alone(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=20))
    before = len([e for e in world.stripe.exchanges if e.key])
    await daemon.restart(topup=topup_config(mode=TopupMode.SHADOW))
    await daemon.run(timedelta(hours=3))
    assert len([e for e in world.stripe.exchanges if e.key]) == before


async def test_one_false_second_read_frees_no_slot_of_another_daemon_s_charge(world: World, tmp_path: Path) -> None:
    world.lag = timedelta(minutes=90)
    first, second = (Daemon(world, tmp_path / name, seed=seed) for seed, name in enumerate(("a", "b")))
    await second.service.recover(world.clock.now())
    await first.poll()

    async def false() -> Known:
        known = world.read()
        return replace(known, metrics=replace(known.metrics, total_charged_microusd=2 * world.charged))

    world.clock.advance(300)
    good, second.reread = second.reread, false  # type: ignore[method-assign]  # one lie of the usage API
    await second.poll()
    second.reread = good  # type: ignore[method-assign]
    assert second.states() == ["paid"]
    await second.run(timedelta(hours=3))
    assert world.successes == 1
    assert second.states() == ["credited"]
