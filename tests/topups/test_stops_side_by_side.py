"""Several reasons that stop one account: each stands, is told, and is ended for itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.forecast.memory import BurnMemory
from daemon.commands import operator
from daemon.demo.standins.stripe import Strike, declined, processing
from daemon.store import ledger_notes
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config
from tests.topups.test_brake import ENOUGH
from tests.topups.test_gone_customer import change_customer


async def card_refused_and_another_saved(daemon: Daemon, world: World) -> int:
    """The account is suspended for its card, and another one may be tried once. Returns how many events there are."""
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=1))
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    world.clock.set(world.clock.now() + timedelta(hours=2))
    return len(daemon.events())


def reasons(daemon: Daemon) -> list[str]:
    return [stop.reason for stop in ledger_notes.stops(daemon.store.reader)]


async def test_to_let_a_customer_go_ends_no_dispute(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    [charge] = world.stripe.successes()
    await daemon.run(timedelta(minutes=10))
    world.stripe.books.dispute(charge)
    await daemon.run(timedelta(hours=1))
    assert reasons(daemon) == ["customer_gone", "disputed"]
    await operator.acknowledge(daemon.service.context, "cus_1")
    await daemon.run(timedelta(hours=2))
    assert reasons(daemon) == ["disputed"]
    assert world.successes == 1
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["customer_gone", "disputed"]


async def test_to_let_a_customer_go_gives_no_stolen_card_another_try(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=2))
    world.stripe.add_customer("cus_new", card="pm_new")
    world.burn(50 * DOLLAR)
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_new"))
    world.stripe.method("pm_new").outcome = declined("stolen_card")
    world.stripe.fail(Strike.LATE, "payment_intents.confirm", delay_s=1200)
    await daemon.poll()
    world.stripe.books.customer("cus_1").deleted = True
    await daemon.run(timedelta(hours=1))
    tried = len(world.stripe.books.charges)
    await operator.acknowledge(daemon.service.context, "cus_1")
    await daemon.run(timedelta(hours=3))
    assert len(world.stripe.books.charges) == tried
    assert reasons(daemon) == ["declined"]


@pytest.mark.long
async def test_a_customer_that_is_gone_is_told_also_where_the_card_was_refused(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=2))
    world.stripe.add_customer("cus_new", card="pm_new")
    world.burn(50 * DOLLAR)
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_new"))
    world.stripe.method("pm_new").outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=2))
    world.stripe.books.customer("cus_1").deleted = True
    world.stripe.books.add_method("pm_2", customer="cus_new")
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_2"))
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["declined", "customer_gone"]
    assert world.successes == 1


async def test_a_leak_holds_another_card_too_until_a_person_resumes(daemon: Daemon, world: World) -> None:
    await card_refused_and_another_saved(daemon, world)
    hourly = [DOLLAR // 100] * ENOUGH + [30 * DOLLAR] + [0] * 8
    at, spent = world.clock.now() - timedelta(hours=ENOUGH + 1), 0
    memory = BurnMemory().fold(at, 0)
    for number, burnt in enumerate(hourly):
        at, spent = at + timedelta(hours=1), spent + burnt
        memory = memory.fold(at, spent)
        if number == ENOUGH:
            daemon.memory = memory
            await daemon.run(timedelta(hours=1))
    daemon.memory = memory
    world.clock.set(max(at, world.clock.now()))
    await daemon.run(timedelta(hours=3))
    assert world.successes == 0
    assert [told["reason"] for told in daemon.events_of("topup.needs_review")] == ["burn_brake"]
    assert reasons(daemon) == ["declined", "burn_brake"]
    operator.resume(daemon.store, "clips", world.clock.now())
    assert reasons(daemon) == []


async def test_metadata_that_cannot_be_read_is_told_also_where_the_card_was_refused(
    daemon: Daemon, world: World
) -> None:
    before = await card_refused_and_another_saved(daemon, world)
    odd = {"app": "brimful", "account": "clips", "seq": "x"}
    world.stripe.books.add_past(5000, CUSTOMER, CARD, odd, world.clock.now())
    await daemon.run(timedelta(hours=30))
    assert daemon.events()[before:] == ["topup.needs_review"]


async def test_another_card_whose_create_is_refused_is_planned_once_and_told(daemon: Daemon, world: World) -> None:
    before = await card_refused_and_another_saved(daemon, world)
    world.stripe.fail(Strike.INVALID, "payment_intents.create", times=1000)
    await daemon.run(timedelta(hours=5))
    assert len(daemon.states()) == 2
    assert daemon.events()[before:] == ["topup.planned", "topup.suspended"]


async def test_another_card_whose_confirm_is_refused_is_tried_once_and_told(daemon: Daemon, world: World) -> None:
    before = await card_refused_and_another_saved(daemon, world)
    world.stripe.fail(Strike.INVALID, "payment_intents.confirm", times=1000)
    await daemon.run(timedelta(hours=6))
    assert len(daemon.states()) == 2
    assert "topup.suspended" in daemon.events()[before:]


async def test_another_card_that_wants_its_holder_is_tried_once(daemon: Daemon, world: World) -> None:
    before = await card_refused_and_another_saved(daemon, world)
    world.stripe.method("pm_2").outcome = declined("authentication_required")
    await daemon.run(timedelta(hours=6))
    assert len(daemon.states()) == 2
    assert daemon.events()[before:] == ["topup.planned", "topup.action_required", "topup.suspended"]


async def test_a_bank_that_took_its_time_takes_nothing_from_the_watch_for_the_credit(
    daemon: Daemon, world: World
) -> None:
    world.lost = True
    world.stripe.next_outcome(CARD, processing(after=timedelta(minutes=90)))
    await daemon.run(timedelta(minutes=100))
    assert daemon.states() == ["paid"]
    assert daemon.needs_person() == []
    await daemon.run(timedelta(hours=28))
    assert daemon.events() == [
        "topup.planned",
        "topup.needs_review",
        "topup.succeeded",
        "topup.not_credited",
    ]


@pytest.mark.long
async def test_a_retry_after_a_bank_that_took_its_time_is_watched_like_any_other(daemon: Daemon, world: World) -> None:
    world.lost = True
    world.stripe.next_outcome(CARD, processing(then_fails=True, after=timedelta(minutes=90)))
    await daemon.run(timedelta(hours=30))
    assert daemon.events()[-2:] == ["topup.succeeded", "topup.not_credited"]
