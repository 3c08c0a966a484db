"""The look: how far a customer's list is read, and that a list which cannot be read through charges nothing."""

from __future__ import annotations

from datetime import timedelta

from daemon.standins.stripe import Strike
from daemon.topups import look
from daemon.topups.gateway import Refused
from daemon.topups.look import Look
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World


def strangers(world: World, count: int, days_ago: float) -> None:
    """Payments of the same customer that are not ours."""
    at = world.clock.now() - timedelta(days=days_ago)
    for _ in range(count):
        world.stripe.books.add_past(500, CUSTOMER, CARD, {}, at)


def lists(world: World) -> int:
    return len([e for e in world.stripe.exchanges if e.endpoint == "payment_intents.list"])


async def seen(daemon: Daemon) -> Look:
    found = await look.look(daemon.desk.bench, "clips")
    assert isinstance(found, Look)
    return found


async def test_the_first_look_reads_on_until_a_payment_of_ours_was_found(daemon: Daemon, world: World) -> None:
    said = {"app": "brimful", "account": "clips", "seq": "7", "topup": "clips-7", "funded": "1000000"}
    at = world.clock.now() - timedelta(days=200)
    strangers(world, 150, 210)
    world.stripe.books.add_past(5000, CUSTOMER, CARD, said, at)
    strangers(world, 350, 100)
    found = await seen(daemon)
    assert lists(world) == 4
    assert found.max_seq == 7
    assert [one.said.seq for one in found.ours] == [7]


async def test_a_later_look_reads_thirty_five_days_and_keeps_the_highest_number(daemon: Daemon, world: World) -> None:
    said = {"app": "brimful", "account": "clips", "seq": "7", "topup": "clips-7", "funded": "1000000"}
    world.stripe.books.add_past(5000, CUSTOMER, CARD, said, world.clock.now() - timedelta(days=200))
    strangers(world, 250, 100)
    strangers(world, 150, 10)
    await seen(daemon)
    before = lists(world)
    found = await seen(daemon)
    assert lists(world) - before == 2
    assert found.ours == ()
    assert found.max_seq == 7


async def test_a_list_without_any_payment_of_ours_is_read_to_its_end_once(daemon: Daemon, world: World) -> None:
    strangers(world, 450, 100)
    await seen(daemon)
    assert lists(world) == 5
    await seen(daemon)
    assert lists(world) == 6


async def test_more_than_fifty_pages_charge_nothing_and_are_told(daemon: Daemon, world: World) -> None:
    strangers(world, 5001, 1)
    found = await look.look(daemon.desk.bench, "clips")
    assert isinstance(found, Refused)
    assert lists(world) == 50
    await daemon.poll()
    [told] = daemon.told("topup.suspended")
    assert (told["reason"], told["message"]) == ("stripe_list", f"over 50 pages of PaymentIntents of {CUSTOMER}")
    assert daemon.topups() == ()


async def test_a_page_that_is_lost_on_the_way_makes_the_whole_look_unknown(daemon: Daemon, world: World) -> None:
    strangers(world, 150, 100)
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert world.stripe.intents()[-1].metadata == {}
    await daemon.poll()
    assert [intent.metadata.get("topup") for intent in world.stripe.intents()][-1] == "clips-1"


async def test_payments_of_other_accounts_of_the_same_customer_are_not_ours(daemon: Daemon, world: World) -> None:
    other = {"app": "brimful", "account": "media", "seq": "9", "topup": "media-9", "funded": "1"}
    spoilt = {"app": "brimful", "account": "media", "seq": "many"}
    for metadata in (other, spoilt):
        world.stripe.books.add_past(5000, CUSTOMER, CARD, metadata, world.clock.now() - timedelta(days=1))
    await daemon.run(timedelta(hours=1))
    assert [topup.id for topup in daemon.topups()] == ["clips-1"]
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=1))
    assert [topup.id for topup in daemon.topups()] == ["clips-1", "clips-2"]
