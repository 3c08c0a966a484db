"""An earlier customer that was deleted in Stripe: what it was charged cannot be listed, until a person says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.commands import operator
from daemon.commands.operator import NothingToSay
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import Strike
from daemon.reconcile.audit import audit
from daemon.store import ledger, ledger_notes
from daemon.store.topup_rows import State, Stop, StopKind
from tests.helpers_topups import DOLLAR, Daemon, World, topup_config


async def change_customer(daemon: Daemon, world: World) -> None:
    """The account is charged, gets another customer, the earlier one is deleted, and the balance is low again."""
    await daemon.run(timedelta(hours=1))
    world.stripe.add_customer("cus_new", card="pm_new")
    world.stripe.books.customer("cus_1").deleted = True
    world.burn(50 * DOLLAR)
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_new"))


@pytest.mark.long
async def test_an_earlier_customer_that_is_gone_stops_charging_and_is_told_once_with_the_way_out(
    daemon: Daemon, world: World
) -> None:
    await change_customer(daemon, world)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert world.successes == 1
    [told] = daemon.events_of("topup.suspended")
    assert told["reason"] == "customer_gone"
    assert told["command"] == "brimful topups ack cus_1"
    assert "cus_1, an earlier customer, cannot be listed any more" in told["message"]
    assert [sentence for sentence in daemon.needs_person() if "brimful topups ack cus_1" in sentence]


async def test_it_is_told_at_the_start_before_any_charge_is_wanted(daemon: Daemon, world: World) -> None:
    world.stripe.add_customer("cus_new", card="pm_new")
    await daemon.run(timedelta(hours=1))
    world.stripe.books.customer("cus_1").deleted = True
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_new"))
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["customer_gone"]


async def test_it_troubles_nobody_where_top_ups_are_off(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    events = daemon.events()
    world.stripe.add_customer("cus_new", card="pm_new")
    world.stripe.books.customer("cus_1").deleted = True
    off = topup_config(customer="cus_new", payment_method="pm_new", mode=TopupMode.OFF)
    await daemon.restart(topup=off)
    assert daemon.events() == events
    assert daemon.needs_person() == []


async def test_a_person_who_acknowledges_it_lets_the_next_need_be_charged(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    said = await operator.acknowledge(daemon.service.context, "cus_1")
    assert said == "cus_1: gone from Stripe, looked at no more for clips"
    await daemon.run(timedelta(hours=2))
    assert world.successes == 2
    assert [topup.customer for topup in daemon.topups()] == ["cus_1", "cus_new"]
    assert [topup.seq for topup in daemon.topups()] == [1, 2]
    with pytest.raises(NothingToSay, match="there is no top-up cus_1"):
        await operator.acknowledge(daemon.service.context, "cus_1")


async def test_to_resume_without_acknowledging_it_stops_again_and_is_told_again(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["customer_gone", "customer_gone"]


async def test_the_audit_says_which_customer_it_could_not_list(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    said = await audit(daemon.service.context, "clips")
    assert said.failure is not None
    assert said.failure.endswith("brimful topups ack cus_1")
    await operator.acknowledge(daemon.service.context, "cus_1")
    assert (await audit(daemon.service.context, "clips")).failure is None


async def test_a_word_for_a_customer_that_stripe_still_lists_changes_nothing(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    world.stripe.books.objects["cus_1"].deleted = False  # type: ignore[union-attr]  # a customer
    with pytest.raises(NothingToSay, match="Stripe lists cus_1"):
        await operator.acknowledge(daemon.service.context, "cus_1")
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2


async def test_the_configured_customer_is_not_let_go(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    with pytest.raises(NothingToSay, match="there is no top-up cus_new"):
        await operator.acknowledge(daemon.service.context, "cus_new")


async def test_a_customer_is_not_let_go_while_stripe_cannot_be_asked(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    world.stripe.fail(Strike.DROP, "payment_intents.list")
    with pytest.raises(NothingToSay, match="could not be asked"):
        await operator.acknowledge(daemon.service.context, "cus_1")


async def test_a_customer_is_not_let_go_by_a_key_that_does_not_list_the_configured_one_either(
    daemon: Daemon, world: World
) -> None:
    await change_customer(daemon, world)
    world.stripe.books.customer("cus_new").deleted = True
    with pytest.raises(NothingToSay, match="does not list the configured customer cus_new either"):
        await operator.acknowledge(daemon.service.context, "cus_1")


async def test_a_customer_is_not_let_go_while_money_of_it_may_still_move(daemon: Daemon, world: World) -> None:
    world.lost = True
    await change_customer(daemon, world)
    with pytest.raises(NothingToSay, match="clips-1 of cus_1 is paid: it has to end first"):
        await operator.acknowledge(daemon.service.context, "cus_1")
    await operator.acknowledge(daemon.service.context, "clips-1")
    await operator.acknowledge(daemon.service.context, "cus_1")


async def test_a_key_of_another_stripe_account_is_no_customer_that_is_gone(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    await operator.acknowledge(daemon.service.context, "cus_1")
    world.stripe.books.customer("cus_new").deleted = True
    await daemon.run(timedelta(hours=1))
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["customer_gone", "stripe_list"]
    assert ledger_notes.stops(daemon.store.reader) == ()


async def test_a_create_of_unknown_outcome_ends_once_its_customer_is_let_go(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.create", times=10)
    await daemon.poll()
    assert daemon.states() == ["creating"]
    world.stripe.faults.clear()
    await change_customer_of_an_open_one(daemon, world)
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["creating"]
    await operator.acknowledge(daemon.service.context, "cus_1")
    await daemon.run(timedelta(hours=1))
    assert daemon.states()[0] == State.ABANDONED
    assert world.successes == 1


async def change_customer_of_an_open_one(daemon: Daemon, world: World) -> None:
    world.stripe.add_customer("cus_new", card="pm_new")
    world.stripe.books.customer("cus_1").deleted = True
    world.clock.advance(timedelta(minutes=20).total_seconds())
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_new"))


async def test_a_stop_for_another_reason_outlasts_the_word_for_a_customer(daemon: Daemon, world: World) -> None:
    await change_customer(daemon, world)
    operator.resume(daemon.store, "clips", world.clock.now())
    with daemon.store.write(durable=True) as tx:
        stop = Stop("clips", StopKind.SUSPENSION, "refunded", "", world.clock.now())
        ledger_notes.stop(tx, stop)
        ledger.remember_customer(tx, "clips", "cus_older", world.clock.now())
    await operator.acknowledge(daemon.service.context, "cus_1")
    assert [stop.reason for stop in ledger_notes.stops(daemon.store.reader)] == ["refunded"]
