"""A fresh disk: what Stripe knows is taken over before anything is planned, or nothing is planned at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.standins.stripe import Strike, declined, processing
from tests.helpers_topups import CARD, Daemon, World


async def test_nothing_is_planned_beside_a_charge_whose_attempts_cannot_be_listed(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=2)))
    await daemon.poll()
    world.stripe.fail(Strike.FAIL_500, "charges.list", times=10_000)
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=1))
    assert len(world.stripe.intents()) == 1
    assert daemon.told("topup.suspended")[0]["reason"] == "stripe_unreachable"
    world.stripe.faults.clear()
    await daemon.run(timedelta(hours=4))
    assert world.successes == 1
    assert daemon.states() == ["credited"]


async def test_a_stolen_card_waits_until_its_attempts_can_be_listed(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    world.stripe.fail(Strike.DROP, "charges.list", times=3)
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=3))
    assert len(world.stripe.books.charges) == 1
    assert daemon.states() == ["declined"]


@pytest.mark.parametrize("later", ["abandoned", "alive"])
async def test_a_stolen_card_is_remembered_behind_a_later_number_that_was_never_tried(
    daemon: Daemon, world: World, later: str
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    [stolen] = world.stripe.intents()
    gateway = daemon.desk.bench.gateway
    [first] = daemon.topups()
    params = {
        "amount": 5000,
        "currency": "usd",
        "customer": first.customer,
        "payment_method": CARD,
        "metadata": {**stolen.metadata, "seq": "2", "topup": "clips-2"},
    }
    await gateway.create(params, "twin")
    if later == "abandoned":
        await gateway.cancel(world.stripe.intents()[-1].id, {}, "twin-cancel")
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=3))
    assert len(world.stripe.books.charges) == 1
    assert daemon.desk.standing("clips").state == "suspended"  # type: ignore[union-attr]  # a top-up is configured
