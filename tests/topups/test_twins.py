"""Two daemons on two disks: one need, one charge, however they interleave and whatever their ledgers have burnt."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.store import ledger
from daemon.store.ledger import Topup
from daemon.topups.plan import create_key
from daemon.topups.states import State
from tests.helpers_topups import DOLLAR, START, Daemon, World, topup_config


async def live_on(first: Daemon, second: Daemon, duration: timedelta) -> None:
    """Both poll in the same seconds; time moves on when both are done."""
    clock = first.world.clock
    end = clock.now() + duration
    while clock.now() < end:
        await asyncio.gather(first.poll(), second.poll())
        wakes = [await one.desk.tend(clock.now()) for one in (first, second)]
        step = min([clock.now() + timedelta(minutes=5), *(wake for wake in wakes if wake is not None)])
        clock.set(max(step, clock.now() + timedelta(seconds=1)))


def burn_numbers(daemon: Daemon, count: int) -> None:
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
        with daemon.store.write(durable=True) as tx:
            ledger.insert(tx, row, START - timedelta(days=2))


@pytest.mark.parametrize("seed", range(12))
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
    burn_numbers(second, burnt)
    await live_on(first, second, timedelta(hours=2))
    assert world.successes == before + 1
    charges = {event["payment_intent"] for one in (first, second) for event in one.told("topup.succeeded")}
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
