"""What each status of a PaymentIntent that is read back means, and that reading it twice means nothing more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daemon.demo.standins.stripe import AUTHENTICATE, Strike, declined, processing
from daemon.demo.standins.stripe.objects import Intent
from daemon.demo.standins.stripe.payments import confirm as confirm_in_stripe
from daemon.store import ledger_notes
from daemon.store.topup_rows import Topup
from tests.helpers_topups import CARD, DOLLAR, Daemon, World


async def lost(daemon: Daemon, world: World) -> Intent:
    """A confirm was written down and never arrived. Returns its PaymentIntent."""
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    assert daemon.states() == ["confirming"]
    return world.stripe.intents()[-1]


def the(daemon: Daemon) -> Topup:
    [topup] = daemon.topups()
    return topup


async def test_a_charge_of_another_amount_than_planned_is_a_person_s_business(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    intent.amount = 7000
    confirm_in_stripe(world.stripe.books, intent, {})
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["needs_review"]
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == "charged, but its amount is $70.00, planned was $50.00"
    assert told["command"] == "brimful topups ack clips-1"
    assert "topup.succeeded" not in daemon.events()
    assert world.successes == 1


async def test_a_payment_that_stripe_does_not_know_is_reviewed_and_nothing_is_canceled(
    daemon: Daemon, world: World
) -> None:
    intent = await lost(daemon, world)
    del world.stripe.books.objects[intent.id]
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["needs_review"]
    assert daemon.events_of("topup.needs_review")[0]["reason"].startswith("Stripe does not know it here: No such")
    assert [e for e in world.stripe.exchanges if e.endpoint == "payment_intents.cancel"] == []


async def test_a_payment_of_the_other_mode_is_reviewed(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    intent.livemode = True
    await daemon.service.run_due(world.clock.now() + timedelta(minutes=1))
    assert daemon.states() == ["needs_review"]


async def test_a_success_that_is_read_twice_is_told_once(daemon: Daemon, world: World) -> None:
    await lost(daemon, world)
    before = the(daemon)
    confirm_in_stripe(world.stripe.books, world.stripe.intents()[0], {})
    assert (await daemon.resume(before)).state == "paid"
    assert (await daemon.resume(before)).state == "paid"
    assert daemon.events().count("topup.succeeded") == 1


async def test_a_cancel_that_is_read_after_the_end_changes_nothing(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    intent.status = "canceled"
    before = the(daemon)
    assert (await daemon.resume(before)).state == "abandoned"
    again = await daemon.resume(before)
    assert (again.state, again.reason, again.next_at) == ("abandoned", "canceled in Stripe", None)


async def test_a_bank_that_wants_the_cardholder_is_canceled_suspended_and_told(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    world.stripe.method(CARD).outcome = AUTHENTICATE
    confirm_in_stripe(world.stripe.books, intent, {"off_session": False})
    assert intent.status == "requires_action"
    await daemon.run(timedelta(hours=3))
    assert intent.status == "canceled"
    assert daemon.states() == ["declined"]
    assert daemon.events() == ["topup.planned", "topup.action_required", "topup.suspended"]
    [asked] = daemon.events_of("topup.action_required")
    assert asked["message"] == "The bank asks the cardholder to authenticate."
    assert daemon.events_of("topup.suspended")[0]["reason"] == "authentication_required"
    [stop] = ledger_notes.stops(daemon.store.reader, "clips")
    assert stop.fingerprint == world.stripe.method(CARD).fingerprint


@pytest.mark.long
async def test_a_bank_that_wants_the_cardholder_is_told_once_while_the_cancel_fails(
    daemon: Daemon, world: World
) -> None:
    intent = await lost(daemon, world)
    world.stripe.method(CARD).outcome = AUTHENTICATE
    confirm_in_stripe(world.stripe.books, intent, {"off_session": False})
    world.stripe.fail(Strike.DROP, "payment_intents.cancel", times=4)
    await daemon.run(timedelta(hours=6))
    assert intent.status == "canceled"
    assert daemon.events().count("topup.action_required") == 1


async def test_a_payment_without_a_method_and_without_an_error_is_reviewed(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    intent.status = "requires_payment_method"
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == ["needs_review"]
    assert daemon.events_of("topup.needs_review")[0]["reason"] == "it asks for a payment method and tells no error"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("requires_capture", "it asks to be captured: the Stripe account captures by hand"),
        ("requires_something_new", "its status is requires_something_new"),
    ],
)
async def test_a_status_that_was_not_asked_for_freezes_and_is_told_once(
    daemon: Daemon, world: World, status: str, reason: str
) -> None:
    intent = await lost(daemon, world)
    intent.status = status
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["needs_review"]
    assert [told["reason"] for told in daemon.events_of("topup.needs_review")] == [reason]
    assert intent.status == status


async def test_a_refused_card_whose_cancel_is_lost_is_told_once_and_canceled_in_the_end(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    world.stripe.fail(Strike.DROP, "payment_intents.cancel", times=3)
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["declined"]
    assert daemon.events() == ["topup.planned", "topup.declined", "topup.suspended"]
    assert world.stripe.intents()[0].status == "canceled"
    assert len(world.stripe.books.charges) == 1


async def test_the_decline_of_an_earlier_attempt_is_not_taken_for_a_further_one(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=58))
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.run(timedelta(hours=2))
    assert daemon.events().count("topup.declined") == 1
    assert len(world.stripe.books.charges) == 2
    assert world.successes == 1
    keys = [e.key for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"]
    assert [str(key).rpartition(":")[2] for key in keys] == ["1", "2", "2"]


async def test_an_attempt_of_unknown_outcome_that_was_declined_meanwhile_is_told(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("insufficient_funds")
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == ["retry_wait"]
    assert daemon.events() == ["topup.planned", "topup.declined"]


@pytest.mark.parametrize(
    ("card", "stopped"),
    [("stolen_card", True), ("insufficient_funds", False)],
)
async def test_a_payment_that_another_daemon_gave_up_tells_what_it_says_of_the_card(
    daemon: Daemon, world: World, card: str, stopped: bool
) -> None:
    intent = await lost(daemon, world)
    world.stripe.next_outcome(CARD, declined(card))
    await decline_and_cancel(daemon, intent)
    await daemon.run(timedelta(minutes=5))
    assert daemon.states()[0] == ("declined" if stopped else "abandoned")
    assert bool(ledger_notes.stops(daemon.store.reader, "clips")) is stopped
    assert bool(daemon.events_of("topup.suspended")) is stopped


async def test_after_four_soft_declines_elsewhere_the_card_is_left_alone_here_too(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    world.stripe.method(CARD).outcome = declined("insufficient_funds")
    await decline_and_cancel(daemon, intent, times=4)
    world.stripe.fail(Strike.DROP, "charges.list")
    before = the(daemon)
    assert (await daemon.resume(before)).state == "confirming", "nobody can say how often it was tried"
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["declined"]
    assert daemon.events_of("topup.suspended")[0]["reason"] == "declined"
    assert (await daemon.resume(before)).state == "declined"
    assert len(daemon.events_of("topup.suspended")) == 1


async def test_while_the_charges_cannot_be_listed_a_canceled_payment_is_asked_for_now_and_then(
    daemon: Daemon, world: World
) -> None:
    intent = await lost(daemon, world)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await decline_and_cancel(daemon, intent)
    world.balance += 100 * DOLLAR  # bought by hand: the charge is wanted no more
    world.stripe.fail(Strike.FAIL_500, "charges.list", times=10**6)
    await daemon.poll()
    before = len(world.stripe.exchanges)
    await daemon.run(timedelta(hours=1))
    assert len(world.stripe.exchanges) - before <= 36  # each poll, and between them ever more seldom
    assert daemon.events_of("topup.suspended")[0]["reason"] == "stripe_unreachable"
    world.stripe.faults.clear()
    await daemon.run(timedelta(minutes=15))
    assert daemon.states() == ["abandoned"]


async def test_a_canceled_payment_that_stripe_forgets_is_told_and_holds_up_nothing(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm")
    await daemon.poll()
    world.lost = True
    await daemon.run(timedelta(minutes=100))
    assert daemon.states() == ["abandoned", "paid"]
    forgotten = daemon.topups()[0]
    del world.stripe.books.objects[forgotten.payment_intent or ""]
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["abandoned", "paid"]
    [told] = daemon.events_of("topup.needs_review")
    assert told["message"].startswith("Stripe does not know it here: No such payment_intent")
    assert daemon.topups()[0].watch_until is None


@pytest.mark.long
async def test_a_failure_of_another_day_is_not_taken_for_one_that_lasts(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm")
    await daemon.poll()
    world.balance += 60 * DOLLAR
    await daemon.run(timedelta(days=10), every=timedelta(hours=1))
    assert daemon.states() == ["abandoned"]
    world.burn(60 * DOLLAR)
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.poll()
    assert daemon.events_of("topup.suspended") == []


async def decline_and_cancel(daemon: Daemon, intent: Intent, times: int = 1) -> None:
    """Another daemon tries the card so often, in vain, and cancels the PaymentIntent."""
    gateway = daemon.service.context.gateway
    for n in range(times):
        await gateway.confirm(intent.id, {"payment_method": CARD, "off_session": True}, f"elsewhere-{n}")
    await gateway.cancel(intent.id, {}, "elsewhere")
    assert intent.status == "canceled"


@pytest.mark.long
async def test_what_a_cancel_has_pinned_is_watched_for_seven_days_and_then_left(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm")
    await daemon.poll()
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(minutes=20))
    topup = the(daemon)
    assert (topup.state, topup.cancel_as) == ("abandoned", None)
    assert topup.watch_until is not None
    assert topup.next_at is not None
    assert timedelta() < topup.next_at - world.clock.now() <= timedelta(hours=1)
    reads = len([e for e in world.stripe.exchanges if e.endpoint == "payment_intents.retrieve"])
    await daemon.run(timedelta(days=8), every=timedelta(hours=6))
    watched = len([e for e in world.stripe.exchanges if e.endpoint == "payment_intents.retrieve"]) - reads
    assert 7 * 24 - 2 <= watched <= 7 * 24 + 2
    assert await daemon.run_due() is None, "nothing is due any more"


async def test_what_turns_up_alive_while_it_is_watched_is_taken_up_and_canceled(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm")
    await daemon.poll()
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(minutes=20))
    intent = world.stripe.intents()[0]
    intent.status = "requires_confirmation"
    await daemon.run(timedelta(hours=2))
    assert intent.status == "canceled"
    assert daemon.states() == ["abandoned"]
    assert world.successes == 0


async def test_a_bank_that_takes_its_time_keeps_the_slot_and_then_pays(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(minutes=30)))
    await daemon.run(timedelta(minutes=25))
    assert daemon.states() == ["processing"]
    await daemon.run(timedelta(minutes=30))
    assert daemon.states() == ["credited"]
    assert world.successes == 1


async def test_what_the_bank_works_on_is_read_back_once_a_poll(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=2)))
    await daemon.poll()
    world.stripe.exchanges.clear()
    for _ in range(6):
        world.clock.advance(300)
        await daemon.run_due()
        world.clock.advance(10)  # the usage API takes its time
        await daemon.attend(world.read())
    assert daemon.states() == ["processing"]
    assert [one.endpoint for one in world.stripe.exchanges].count("payment_intents.retrieve") == 6


@pytest.mark.parametrize("card", ["stolen_card", "insufficient_funds"])
async def test_a_card_that_is_refused_while_its_payment_is_given_up_is_not_forgotten(
    daemon: Daemon, world: World, card: str
) -> None:
    world.stripe.method(CARD).outcome = declined(card)
    world.stripe.fail(Strike.LATE, "payment_intents.confirm", delay_s=600)
    await daemon.poll()
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(hours=1))
    assert world.stripe.intents()[0].status == "canceled"
    assert len(world.stripe.books.charges) == 1
    world.burn(world.balance - DOLLAR)
    await daemon.run(timedelta(hours=1))
    assert len(world.stripe.books.charges) == (1 if card == "stolen_card" else 2)
    assert daemon.events_of("topup.declined")


async def test_a_card_that_is_refused_right_before_the_cancel_is_not_tried_again(daemon: Daemon, world: World) -> None:
    intent = await lost(daemon, world)
    world.stripe.method(CARD).outcome = declined("stolen_card")
    gateway = daemon.service.context.gateway
    plain = gateway.cancel

    async def refused_first(name: str, params: Any, key: str) -> Any:
        gateway.cancel = plain  # type: ignore[method-assign]
        await gateway.confirm(name, {"payment_method": CARD, "off_session": True}, "late")
        return await plain(name, params, key)

    gateway.cancel = refused_first  # type: ignore[method-assign,assignment]  # the confirm arrives at last
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(hours=1))
    assert intent.status == "canceled"
    assert daemon.states() == ["declined"]
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["declined"]
    world.balance = DOLLAR
    await daemon.run(timedelta(hours=3))
    assert len(world.stripe.books.charges) == 1
