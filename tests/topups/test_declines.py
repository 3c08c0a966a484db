"""Declines: soft ones are tried again by plan, others never without a person, and a fresh disk forgets none of it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.commands import operator
from daemon.demo.standins.stripe import AUTHENTICATE, DECLINES, SUCCEED, StripeStandin, declined, processing
from daemon.store import ledger_notes
from daemon.store.topup_rows import StopKind
from daemon.stripe.declines import DeclineKind, classify_decline
from daemon.stripe.objects import CardError
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config


def attempts(stripe: StripeStandin) -> int:
    return len(stripe.books.charges)


def resume(daemon: Daemon) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger_notes.lift(tx, "clips", StopKind.SUSPENSION)
        ledger_notes.forget_cards(tx, "clips")


@pytest.mark.long
async def test_a_stolen_card_is_tried_once_and_told(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=30))
    assert attempts(world.stripe) == 1
    assert daemon.states() == ["declined"]
    assert daemon.events() == ["topup.planned", "topup.declined", "topup.suspended"]
    assert daemon.events_of("topup.suspended")[0]["command"] == "brimful topups resume clips"
    assert world.stripe.intents()[0].status == "canceled"


@pytest.mark.long
async def test_a_stolen_card_is_not_tried_again_from_a_wiped_disk(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(minutes=20))
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=30))
    assert attempts(world.stripe) == 1
    assert daemon.topup_status("clips") is not None
    assert daemon.topup_status("clips").state == "suspended"  # type: ignore[union-attr]  # asserted above


async def test_a_resumed_card_is_tried_again_on_the_same_disk(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(minutes=20))
    world.stripe.method(CARD).outcome = SUCCEED
    await daemon.run(timedelta(hours=3))
    assert world.successes == 0
    resume(daemon)
    await daemon.restart()
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1


async def test_another_card_is_probed_once_without_a_person(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=2))
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1
    assert ledger_notes.stops(daemon.store.reader, "clips") == ()


@pytest.mark.long
async def test_another_card_that_is_refused_too_is_not_probed_again(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=2))
    world.stripe.books.add_method("pm_2", customer=CUSTOMER).outcome = declined("stolen_card")
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    await daemon.run(timedelta(hours=30))
    assert attempts(world.stripe) == 2


@pytest.mark.long
async def test_authentication_required_is_one_attempt_and_asks_a_person(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = AUTHENTICATE
    await daemon.run(timedelta(hours=30))
    assert attempts(world.stripe) <= 1
    assert [e.endpoint for e in world.stripe.exchanges].count("payment_intents.confirm") == 1
    assert daemon.events() == ["topup.planned", "topup.action_required", "topup.suspended"]
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=3))
    assert [e.endpoint for e in world.stripe.exchanges].count("payment_intents.confirm") == 1


@pytest.mark.long
async def test_a_soft_decline_is_tried_again_after_1_h_4_h_and_24_h_then_suspended(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("insufficient_funds")
    await daemon.run(timedelta(hours=40))
    at = [charge.at for charge in world.stripe.books.charges]
    gaps = [round((later - earlier) / timedelta(hours=1)) for earlier, later in pairwise(at)]
    assert gaps == [1, 4, 24]
    assert daemon.states() == ["declined"]
    assert daemon.events() == ["topup.planned", *["topup.declined"] * 4, "topup.suspended"]
    keys = [e.key for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"]
    assert [key.rpartition(":")[2] for key in keys if key] == ["1", "2", "3", "4"]


@pytest.mark.long
async def test_a_card_that_has_had_its_fifteen_attempts_is_given_up_and_another_one_is_charged(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("insufficient_funds")
    for _ in range(4):
        await daemon.run(timedelta(hours=40))
        resume(daemon)
    assert attempts(world.stripe) == 15
    assert daemon.states() == ["declined"] * 4
    assert {intent.status for intent in world.stripe.intents()} == {"canceled"}
    assert "15 attempts on the card" in str(daemon.events_of("topup.suspended")[-1]["message"])
    await daemon.run(timedelta(hours=2))
    assert attempts(world.stripe) == 15
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1


async def test_a_soft_decline_then_success_is_one_charge(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, declined("do_not_honor"))
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.states() == ["credited"]


async def test_a_wiped_disk_goes_on_with_the_retries_of_the_same_payment_intent(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, declined("do_not_honor"))
    await daemon.run(timedelta(minutes=20))
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=2))
    assert world.successes == 1
    assert len(world.stripe.intents()) == 1


async def test_processing_that_fails_later_is_a_decline(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(then_fails=True))
    await daemon.run(timedelta(minutes=5))
    assert daemon.states() == ["processing"]
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.events()[:2] == ["topup.planned", "topup.declined"]


async def test_processing_for_over_an_hour_is_told_once(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=5)))
    await daemon.run(timedelta(hours=6))
    assert world.successes == 1
    assert daemon.events() == ["topup.planned", "topup.needs_review", "topup.succeeded", "topup.credited"]


@pytest.mark.parametrize("name", sorted(DECLINES))
def test_every_decline_of_the_stand_in_has_a_meaning(name: str) -> None:
    one = DECLINES[name]
    said = classify_decline(CardError(one.code, one.decline_code or "", one.advice_code or "", one.message))
    assert said.kind in DeclineKind


def test_advice_outranks_the_decline_code() -> None:
    assert (
        classify_decline(CardError("card_declined", "insufficient_funds", "do_not_try_again", "")).kind
        is DeclineKind.HARD
    )
    assert classify_decline(CardError("card_declined", "stolen_card", "try_again_later", "")).kind is DeclineKind.SOFT
    assert classify_decline(CardError("card_declined", "never_heard_of", "", "")).kind is DeclineKind.SOFT


@pytest.mark.long
async def test_a_stolen_card_is_not_tried_again_after_another_has_paid_and_that_is_told(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=2))
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    world.burn(48 * DOLLAR)
    await daemon.restart(topup=topup_config())
    await daemon.run(timedelta(hours=3))
    tried = [(charge.method, charge.succeeded) for charge in world.stripe.books.charges]
    assert tried == [(CARD, False), ("pm_2", True)]
    assert daemon.events_of("topup.suspended")[-1]["message"] == "the card of pm_1 was refused for good before"
    assert len(daemon.events_of("topup.suspended")) == 2
    resume(daemon)
    world.stripe.method(CARD).outcome = SUCCEED
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2


async def test_a_card_that_a_person_has_replaced_is_not_tried_again(daemon: Daemon, world: World) -> None:
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.poll()
    assert daemon.states() == ["retry_wait"]
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    await daemon.run(timedelta(hours=2))
    assert [(charge.method, charge.succeeded) for charge in world.stripe.books.charges] == [
        (CARD, False),
        ("pm_2", True),
    ]
    assert daemon.states() == ["abandoned", "credited"]


async def test_a_stolen_card_is_not_tried_by_another_account_before_a_person_says_so(
    world: World, tmp_path: Path
) -> None:
    first = Daemon(world, tmp_path / "a")
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await first.run(timedelta(minutes=15))
    assert len(world.stripe.books.charges) == 1
    second = Daemon(world, tmp_path / "a", account="films")
    for _ in range(3):
        await second.attend(world.read("films"))
        world.clock.advance(86400)
    assert len(world.stripe.books.charges) == 1
    [told] = [one for one in second.events_of("topup.suspended") if one["account"] == "films"]
    assert str(told["message"]) == "the card of pm_1 was refused for good before"
    operator.resume(second.store, "films", world.clock.now())
    await second.attend(world.read("films"))
    assert len(world.stripe.books.charges) == 2
    second.store.close()
    first.store.close()


@pytest.mark.long
async def test_a_retry_is_not_made_on_a_card_that_was_refused_for_good_elsewhere_meanwhile(
    daemon: Daemon, world: World
) -> None:
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.poll()
    assert daemon.states() == ["retry_wait"]
    [tried] = world.stripe.books.charges
    with daemon.store.write(durable=True) as tx:
        ledger_notes.remember_card(tx, "films", str(tried.fingerprint), "stolen_card", world.clock.now())
    await daemon.run(timedelta(hours=30))
    assert world.stripe.books.charges == [tried]


@pytest.mark.long
async def test_a_card_without_funds_for_one_account_is_tried_by_another(world: World, tmp_path: Path) -> None:
    first = Daemon(world, tmp_path / "a")
    world.stripe.method(CARD).outcome = declined("insufficient_funds")
    await first.run(timedelta(days=2))
    tried = len(world.stripe.books.charges)
    second = Daemon(world, tmp_path / "a", account="films")
    await second.attend(world.read("films"))
    assert len(world.stripe.books.charges) == tried + 1
    second.store.close()
    first.store.close()
