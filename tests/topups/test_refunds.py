"""Refunds and disputes: each suspends its account and is told once, with its amount. Nothing is refunded by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.commands import operator
from daemon.demo.standins.stripe import Charge, Strike, declined
from daemon.reconcile import refunds
from daemon.store import ledger_notes
from daemon.store.topup_rows import StopKind
from tests.helpers_store import file_of
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config


def returned(daemon: Daemon) -> list[tuple[str, Any]]:
    """What was told of refunds and disputes: the reason and the amount."""
    told: list[Mapping[str, Any]] = daemon.events_of("topup.suspended")
    return [(one["reason"], one.get("returned_usd")) for one in told if one["reason"] in ("refunded", "disputed")]


def asked_for_charges(world: World) -> int:
    return len([e for e in world.stripe.exchanges if e.endpoint == "charges.list"])


async def charged(daemon: Daemon, world: World) -> Charge:
    await daemon.run(timedelta(hours=1))
    [charge] = world.stripe.successes()
    return charge


@pytest.mark.long
async def test_each_partial_refund_is_told_once_with_its_amount(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.refund(charge, 1000)
    await daemon.run(timedelta(hours=2))
    world.stripe.books.refund(charge, 1550)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert returned(daemon) == [("refunded", 10), ("refunded", 15.5)]
    first, second = daemon.events_of("topup.suspended")
    assert first["message"].startswith("$10.00 of $50.00 refunded: ch_")
    assert (second["payment_intent"], second["topup"]) == (charge.intent, "clips-1")
    assert second["command"] == "brimful topups resume clips"


async def test_the_events_are_read_however_long_a_pass_has_taken_by_then(daemon: Daemon, world: World) -> None:
    await daemon.attend(world.read())
    began = world.clock.now()
    world.clock.advance(0.005)  # what a database that is not in this process takes
    due = await daemon.reconciler.run_due(began)
    assert [one.endpoint for one in world.stripe.exchanges].count("events.list") == 1
    assert due is not None
    assert due > world.clock.now()


async def test_two_refunds_within_one_reading_of_the_events_are_told_both(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.refund(charge, 1000)
    world.stripe.books.refund(charge, 500)
    await daemon.run(timedelta(hours=1))
    assert returned(daemon) == [("refunded", 10), ("refunded", 5)]


async def test_a_refund_suspends_until_a_person_resumes_and_a_further_one_suspends_again(
    daemon: Daemon, world: World
) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.refund(charge, 1000)
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=2))
    operator.resume(daemon.store, "clips", world.clock.now())
    world.stripe.books.refund(charge, 1000)
    await daemon.run(timedelta(minutes=16), every=timedelta(hours=1))
    assert [stop.reason for stop in ledger_notes.stops(daemon.store.reader)] == ["refunded"]
    assert returned(daemon) == [("refunded", 10), ("refunded", 10)]


@pytest.mark.long
async def test_a_dispute_suspends_and_is_told_once_with_its_amount(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    dispute = world.stripe.books.dispute(charge)
    await daemon.run(timedelta(minutes=30))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert returned(daemon) == [("disputed", 50)]
    [told] = daemon.events_of("topup.suspended")
    assert told["action"] == "A charge is disputed: answer it in Stripe, then resume."
    assert told["message"].startswith(f"$50.00 of $50.00 disputed: {dispute.charge} of {charge.intent}, evt_")
    assert world.successes == 1
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert world.successes == 2


async def test_a_dispute_stops_an_account_that_was_suspended_for_its_card_whatever_card_comes(
    world: World, tmp_path: Path
) -> None:
    daemon = Daemon(world, tmp_path / "s", topup_config(payment_method=None, max_per_day_microusd=400 * DOLLAR))
    charge = await charged(daemon, world)
    world.burn(50 * DOLLAR)
    world.stripe.next_outcome(CARD, declined("stolen_card"))
    await daemon.run(timedelta(hours=2))
    world.stripe.books.dispute(charge)
    await daemon.run(timedelta(hours=1))
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    world.stripe.books.customer(CUSTOMER).default_method = "pm_2"
    await daemon.run(timedelta(hours=2))
    assert [stop.reason for stop in ledger_notes.stops(daemon.store.reader)] == ["declined", "disputed"]
    assert world.successes == 1
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert world.successes == 2
    daemon.store.close()


async def test_a_further_dispute_of_the_same_charge_is_told_too(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.dispute(charge)
    await daemon.run(timedelta(hours=1))
    world.stripe.books.dispute(charge)
    await daemon.run(timedelta(hours=1))
    assert returned(daemon) == [("disputed", 50), ("disputed", 50)]


async def test_a_charge_that_is_disputed_and_refunded_is_told_for_both(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.dispute(charge)
    world.stripe.books.refund(charge)
    await daemon.run(timedelta(hours=1))
    assert returned(daemon) == [("disputed", 50), ("refunded", 50)]


@pytest.mark.long
async def test_without_the_right_to_read_events_the_charges_tell_it_once_a_day(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.FORBIDDEN, "events.list", times=10_000)
    charge = await charged(daemon, world)
    world.stripe.books.refund(charge, 1000)
    await daemon.run(timedelta(days=2), every=timedelta(hours=1))
    world.stripe.books.refund(charge, 500)
    world.stripe.books.dispute(charge)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert returned(daemon) == [("refunded", 10), ("refunded", 5), ("disputed", None)]
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == "events_forbidden"
    assert told["command"] == "brimful check"
    assert ledger_notes.stops(daemon.store.reader)[0].kind is StopKind.SUSPENSION


async def test_a_dispute_that_its_charge_told_first_is_not_told_again_by_its_event(
    daemon: Daemon, world: World
) -> None:
    charge = await charged(daemon, world)
    context = daemon.service.context
    world.stripe.books.dispute(charge)
    assert await refunds.read_charges(context) == 0
    await refunds.read_events(context)
    await refunds.read_events(context)
    assert returned(daemon) == [("disputed", None)]
    world.stripe.books.dispute(charge)
    await refunds.read_charges(context)
    await refunds.read_events(context)
    assert returned(daemon) == [("disputed", None), ("disputed", 50)]


async def test_charges_that_cannot_be_read_are_counted_and_read_the_next_time(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.refund(charge, 1000)
    world.stripe.fail(Strike.DROP, "charges.list")
    assert await refunds.read_charges(daemon.service.context) == 1
    assert returned(daemon) == []
    assert await refunds.read_charges(daemon.service.context) == 0
    assert returned(daemon) == [("refunded", 10)]


@pytest.mark.long
async def test_the_charges_of_a_customer_are_one_list_however_many_they_are(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(days=2), every=timedelta(hours=1))
    for _ in range(3):
        world.burn(50 * DOLLAR)
        await daemon.run(timedelta(days=2), every=timedelta(hours=1))
    first, *_, last = world.stripe.successes()
    assert world.successes == 4
    world.stripe.books.refund(first, 1000)
    world.stripe.books.refund(last, 500)
    before = asked_for_charges(world)
    assert await refunds.read_charges(daemon.service.context) == 0
    assert returned(daemon) == [("refunded", 5), ("refunded", 10)]
    assert asked_for_charges(world) - before == 1


@pytest.mark.parametrize(
    ("others", "requests"), [(150, 2), (1000, 11)], ids=["over two pages", "beyond ten pages: by its own id"]
)
async def test_a_charge_among_many_that_are_not_ours_is_found(
    daemon: Daemon, world: World, others: int, requests: int
) -> None:
    charge = await charged(daemon, world)
    for _ in range(others):
        world.stripe.books.add_past(5000, "cus_1", "pm_1", {}, world.clock.now())
    world.stripe.books.refund(charge, 1000)
    before = asked_for_charges(world)
    assert await refunds.read_charges(daemon.service.context) == 0
    assert returned(daemon) == [("refunded", 10)]
    assert asked_for_charges(world) - before == requests


async def test_the_charges_of_a_deleted_customer_are_asked_for_one_by_one(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.customer("cus_1").deleted = True
    world.stripe.books.refund(charge, 1000)
    assert await refunds.read_charges(daemon.service.context) == 0
    assert returned(daemon) == [("refunded", 10)]
    world.stripe.fail(Strike.DROP, "charges.list", nth=2)
    assert await refunds.read_charges(daemon.service.context) == 1


async def test_an_odd_charge_of_somebody_else_hides_no_refund(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    other = world.stripe.books.add_past(5000, "cus_1", "pm_1", {}, world.clock.now())
    odd = world.stripe.books.objects[other.latest_charge or ""]
    assert isinstance(odd, Charge)
    odd.amount = -0.5  # type: ignore[assignment]  # as no Charge of ours can be
    world.stripe.books.refund(charge, 1000)
    assert await refunds.read_charges(daemon.service.context) == 0
    assert returned(daemon) == [("refunded", 10)]


@pytest.mark.long
async def test_charges_that_cannot_be_read_two_days_running_are_told_once(daemon: Daemon, world: World) -> None:
    await charged(daemon, world)
    world.stripe.fail(Strike.DROP, "charges.list", times=10_000)
    await daemon.run(timedelta(hours=26), every=timedelta(hours=1))
    assert daemon.events_of("topup.needs_review") == []
    await daemon.run(timedelta(days=4), every=timedelta(hours=1))
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == "charges_unread"
    assert told["message"] == "refunds and disputes of 1 charges cannot be seen: Stripe does not list them"


async def test_refunds_of_payments_that_are_not_ours_are_nobodys_business_here(daemon: Daemon, world: World) -> None:
    await charged(daemon, world)
    other = world.stripe.books.add_past(5000, "cus_1", "pm_1", {}, world.clock.now())
    charge = world.stripe.books.objects[other.latest_charge or ""]
    assert isinstance(charge, Charge)
    world.stripe.books.refund(charge)
    world.stripe.books.notify("charge.refunded", world.stripe.books.add_customer("cus_9"))
    await daemon.run(timedelta(hours=1))
    assert returned(daemon) == []


@pytest.mark.parametrize("known", [False, True], ids=["from the newest back", "on from the cursor"])
async def test_every_page_of_the_events_is_read_oldest_first(daemon: Daemon, world: World, known: bool) -> None:
    charge = await charged(daemon, world)
    if known:
        other = world.stripe.books.add_past(5000, "cus_1", "pm_1", {}, world.clock.now())
        foreign = world.stripe.books.objects[other.latest_charge or ""]
        assert isinstance(foreign, Charge)
        world.stripe.books.refund(foreign, 1)
        await refunds.read_events(daemon.service.context)
    for _ in range(250):
        world.stripe.books.refund(charge, 10)
    await refunds.read_events(daemon.service.context)
    assert returned(daemon) == [("refunded", 0.1)] * 250


async def test_an_answer_that_is_lost_between_two_pages_loses_no_refund(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    await refunds.read_events(daemon.service.context)
    for _ in range(150):
        world.stripe.books.refund(charge, 10)
    world.stripe.fail(Strike.DROP, "events.list", nth=2)
    await refunds.read_events(daemon.service.context)
    await refunds.read_events(daemon.service.context)
    assert sum(amount for _, amount in returned(daemon)) == pytest.approx(15)


async def test_a_cursor_that_stripe_has_forgotten_begins_anew(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.refund(charge, 1000)
    await daemon.run(timedelta(minutes=30))
    world.stripe.books.notices.clear()
    await refunds.read_events(daemon.service.context)
    assert ledger_notes.bookmark(daemon.store.reader, "events") == (world.clock.now(), "")
    world.stripe.books.refund(charge, 500)
    await refunds.read_events(daemon.service.context)
    assert returned(daemon) == [("refunded", 10), ("refunded", 5)]


@pytest.mark.sqlite
async def test_a_reading_of_the_events_is_written_down_only_where_it_moved(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    context, reader = daemon.service.context, daemon.store.reader
    written, asked = file_of(daemon.store).total_changes, len(world.stripe.exchanges)
    await refunds.read_events(context)
    assert (file_of(daemon.store).total_changes, len(world.stripe.exchanges)) == (written, asked + 1)
    assert refunds.due_at(context) == world.clock.now() + refunds.EVERY
    world.stripe.books.refund(charge, 1000)
    await refunds.read_events(context)
    assert file_of(daemon.store).total_changes > written
    assert ledger_notes.bookmark(reader, "events") is not None


async def test_nothing_is_read_while_there_is_no_charge_that_could_be_returned(daemon: Daemon, world: World) -> None:
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(hours=2))
    assert [e for e in world.stripe.exchanges if e.endpoint == "events.list"] == []


@pytest.mark.long
async def test_nothing_is_ever_refunded_or_answered_by_itself(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    world.stripe.books.dispute(charge)
    world.stripe.books.refund(charge, 100)
    posts = len([e for e in world.stripe.exchanges if e.key])
    await daemon.run(timedelta(days=2), every=timedelta(hours=1))
    assert len([e for e in world.stripe.exchanges if e.key]) == posts
    assert charge.amount_refunded == 100


@pytest.mark.parametrize("how", ["dispute", "refund"])
async def test_a_fresh_disk_charges_nothing_before_it_knows_what_was_returned(
    daemon: Daemon, world: World, how: str
) -> None:
    charge = await charged(daemon, world)
    await daemon.run(timedelta(hours=1))
    (world.stripe.books.dispute if how == "dispute" else world.stripe.books.refund)(charge)
    world.burn(48 * DOLLAR)
    world.clock.advance(3600)
    await daemon.restart(wipe=True)
    await daemon.poll()
    assert world.successes == 1
    assert [reason for reason, _ in returned(daemon)] == [f"{how.removesuffix('e') if how == 'dispute' else how}ed"]


async def test_a_refund_of_long_ago_holds_up_no_charge_of_a_fresh_disk(daemon: Daemon, world: World) -> None:
    charge = await charged(daemon, world)
    await daemon.run(timedelta(hours=1))
    world.clock.advance(130 * 86_400)
    world.stripe.books.refund(charge)
    world.burn(48 * DOLLAR)
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2
