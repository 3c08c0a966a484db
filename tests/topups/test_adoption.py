"""A fresh disk: what Stripe knows is taken over before anything is planned, or nothing is planned at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import AUTHENTICATE, Strike, declined, processing
from daemon.demo.standins.stripe.payments import confirm as confirm_in_stripe
from daemon.store import ledger_notes
from tests.helpers_topups import CARD, Daemon, World, topup_config


async def test_nothing_is_planned_beside_a_charge_whose_attempts_cannot_be_listed(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=2)))
    await daemon.poll()
    world.stripe.fail(Strike.FAIL_500, "charges.list", times=10_000)
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=1))
    assert len(world.stripe.intents()) == 1
    assert daemon.events_of("topup.suspended")[0]["reason"] == "stripe_unreachable"
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


async def test_where_nothing_is_charged_attempts_that_cannot_be_listed_open_no_breaker(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    world.stripe.fail(Strike.UNAUTHORIZED, "charges.list", times=10)
    await daemon.restart(wipe=True, topup=topup_config(mode=TopupMode.OFF))
    assert world.stripe.exchanges[-1].endpoint == "charges.list"
    assert ledger_notes.stops(daemon.store.reader) == ()
    assert daemon.events() == []


@pytest.mark.parametrize("later", ["abandoned", "alive"])
async def test_a_stolen_card_is_remembered_behind_a_later_number_that_was_never_tried(
    daemon: Daemon, world: World, later: str
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    [stolen] = world.stripe.intents()
    gateway = daemon.service.context.gateway
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
    assert daemon.topup_status("clips").state == "suspended"  # type: ignore[union-attr]  # a top-up is configured


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("requires_capture", "it asks to be captured: the Stripe account captures by hand"),
        ("something_new", "its status is something_new"),
    ],
)
async def test_a_payment_that_nobody_asked_for_so_is_told_from_a_fresh_disk_too(
    daemon: Daemon, world: World, status: str, reason: str
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    world.stripe.intents()[0].status = status
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["needs_review"]
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == reason
    assert told["command"] == "brimful topups ack clips-1"
    assert world.successes == 0


async def test_a_bank_that_waits_for_the_cardholder_is_told_and_stops_a_fresh_disk_too(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    world.stripe.method(CARD).outcome = AUTHENTICATE
    confirm_in_stripe(world.stripe.books, world.stripe.intents()[0], {"off_session": False})
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["declined"]
    assert daemon.events() == ["topup.action_required", "topup.suspended"]
    assert len(world.stripe.intents()) == 1


async def test_a_payment_that_was_canceled_unused_holds_no_slot_on_a_fresh_disk(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    world.stripe.intents()[0].status = "canceled"
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["abandoned", "credited"]
    assert world.successes == 1


async def test_an_adopted_charge_that_is_pending_counts_as_no_decline(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(then_fails=True, after=timedelta(minutes=40)))
    await daemon.poll()
    await daemon.restart(wipe=True)
    [adopted] = daemon.topups()
    assert (adopted.state, adopted.declines, adopted.declined_charge) == ("processing", 0, None)
    await daemon.run(timedelta(hours=1))
    [told] = daemon.events_of("topup.declined")
    assert told["attempt"] == 1
    [waiting] = daemon.topups()
    assert waiting.next_at is not None
    assert waiting.next_at - waiting.state_at == timedelta(hours=1)


async def test_what_a_lost_disk_left_alive_is_canceled_where_top_ups_are_off(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert daemon.states() == ["created"]
    await daemon.restart(wipe=True, topup=topup_config(mode=TopupMode.OFF))
    await daemon.run(timedelta(hours=2))
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]


async def test_what_a_lost_disk_left_with_the_bank_is_told_where_top_ups_are_off(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(minutes=30)))
    await daemon.poll()
    await daemon.restart(wipe=True, topup=topup_config(mode=TopupMode.OFF))
    await daemon.run(timedelta(hours=2))
    assert world.successes == 1
    assert "topup.succeeded" in daemon.events()


async def test_a_key_that_is_dead_troubles_nobody_where_top_ups_are_off(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.UNAUTHORIZED, times=1000)
    await daemon.restart(wipe=True, topup=topup_config(mode=TopupMode.OFF))
    await daemon.run(timedelta(hours=2))
    assert daemon.needs_person() == []
    assert daemon.events() == []
