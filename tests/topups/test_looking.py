"""The look: how far a customer's list is read, and that a list which cannot be read through charges nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.accounts import AccountInfo
from alerts.model.values import replace
from alerts.rules.falls import NO_FALL
from daemon.demo.standins.stripe import Strike
from daemon.store import ledger_notes, ledger_reads
from daemon.store.topup_rows import Stop
from daemon.stripe.answers import Refused
from daemon.stripe.intents import Listing
from daemon.topups.adoption import adopt
from daemon.topups.listing import list_intents
from tests.helpers_store import file_of
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config


def strangers(world: World, count: int, days_ago: float) -> None:
    """Payments of the same customer that are not ours."""
    at = world.clock.now() - timedelta(days=days_ago)
    for _ in range(count):
        world.stripe.books.add_past(500, CUSTOMER, CARD, {}, at)


def lists(world: World) -> int:
    return len([e for e in world.stripe.exchanges if e.endpoint == "payment_intents.list"])


async def seen(daemon: Daemon) -> Listing:
    """A look whose charges are all taken in."""
    found = await list_intents(daemon.service.context, "clips")
    assert isinstance(found, Listing)
    assert await adopt(daemon.service.context, "clips", found) is None
    return found


def unseen_charge(world: World, account: str = "clips") -> None:
    """A charge of 40 days ago whose credit never came, behind more than a page of payments that are not ours."""
    funded = str(world.balance + world.charged)
    said = {"app": "brimful", "account": account, "seq": "7", "topup": f"{account}-7", "funded": funded}
    world.stripe.books.add_past(5000, CUSTOMER, CARD, said, world.clock.now() - timedelta(days=40))
    strangers(world, 105, 20)


async def test_the_first_look_reads_on_until_a_payment_of_ours_was_found(daemon: Daemon, world: World) -> None:
    said = {"app": "brimful", "account": "clips", "seq": "7", "topup": "clips-7", "funded": "1000000"}
    at = world.clock.now() - timedelta(days=200)
    strangers(world, 150, 210)
    world.stripe.books.add_past(5000, CUSTOMER, CARD, said, at)
    strangers(world, 350, 100)
    found = await seen(daemon)
    assert lists(world) == 4
    assert ledger_reads.max_seq(daemon.store.reader, "clips") == 7
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
    assert ledger_reads.max_seq(daemon.store.reader, "clips") == 7


async def test_a_list_without_any_payment_of_ours_is_read_to_its_end_once(daemon: Daemon, world: World) -> None:
    strangers(world, 450, 100)
    await seen(daemon)
    assert lists(world) == 5
    await seen(daemon)
    assert lists(world) == 6


async def test_a_look_that_was_not_taken_in_lets_no_later_one_be_shorter(daemon: Daemon, world: World) -> None:
    strangers(world, 450, 100)
    for _ in range(2):
        await list_intents(daemon.service.context, "clips")
    assert lists(world) == 10


async def test_after_a_long_pause_a_look_goes_back_as_far_as_the_first(daemon: Daemon, world: World) -> None:
    strangers(world, 450, 100)
    await seen(daemon)
    for days, pages in ((33, 1), (33, 1), (35, 5), (-400, 5)):
        before = lists(world)
        world.clock.set(world.clock.now() + timedelta(days=days))
        await seen(daemon)
        assert lists(world) - before == pages


def go_back(database: Path, backup: Path) -> None:
    for file in database.parent.glob("*.db*"):
        file.unlink()
    shutil.copy(backup, database)


async def test_what_was_read_for_one_account_of_a_customer_is_not_read_for_the_other(
    world: World, tmp_path: Path
) -> None:
    unseen_charge(world)
    other = Daemon(world, tmp_path / "s", topup_config(), account="other")
    await other.service.recover(world.clock.now())
    other.store.close()
    daemon = Daemon(world, tmp_path / "s", topup_config())
    before = world.successes
    await daemon.run(timedelta(hours=1))
    assert [(topup.id, topup.state) for topup in daemon.topups()] == [("clips-7", "paid")]
    assert world.successes == before
    daemon.store.close()


@pytest.mark.sqlite
@pytest.mark.parametrize("strange", [0, 105])
async def test_a_backup_of_40_days_ago_finds_the_charge_that_it_does_not_know(
    world: World, tmp_path: Path, strange: int
) -> None:
    daemon = Daemon(world, tmp_path / "s", topup_config())
    await daemon.run(timedelta(hours=2))
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        file_of(daemon.store).backup(backup)
    world.lost = True
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["credited", "paid"]
    daemon.store.close()
    world.clock.set(world.clock.now() + timedelta(days=40))
    strangers(world, strange, 20)
    go_back(daemon.store.path, tmp_path / "backup.db")
    daemon.start()
    await daemon.service.recover(world.clock.now())
    before = world.successes
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited", "paid"]
    assert world.successes == before
    daemon.store.close()


async def test_more_than_fifty_pages_charge_nothing_and_are_told(daemon: Daemon, world: World) -> None:
    strangers(world, 5001, 1)
    found = await list_intents(daemon.service.context, "clips")
    assert isinstance(found, Refused)
    assert lists(world) == 50
    await daemon.poll()
    [told] = daemon.events_of("topup.suspended")
    assert (told["reason"], told["message"]) == ("stripe_list", f"over 50 pages of PaymentIntents of {CUSTOMER}")
    assert daemon.topups() == ()


async def test_a_page_that_is_lost_on_the_way_makes_the_whole_look_unknown(daemon: Daemon, world: World) -> None:
    strangers(world, 150, 100)
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert world.stripe.intents()[-1].metadata == {}
    await daemon.poll()
    assert [intent.metadata.get("topup") for intent in world.stripe.intents()][-1] == "clips-1"


@pytest.mark.parametrize(("short_by", "charges"), [(0, 0), (1, 1)])
async def test_a_charge_of_another_key_of_the_same_account_that_another_disk_made_is_met_once(
    daemon: Daemon, world: World, short_by: int, charges: int
) -> None:
    clips = daemon.config.accounts["clips"]
    accounts = {"clips": clips, "media": replace(clips, info=AccountInfo("media", "contentstats"))}
    context = daemon.service.context
    daemon.service.context = replace(context, config=replace(daemon.config, accounts=accounts))
    funded = str(world.balance + world.charged - short_by * DOLLAR)
    said = {"app": "brimful", "account": "media", "seq": "9", "topup": "media-9", "funded": funded}
    world.stripe.books.add_past(5000, CUSTOMER, CARD, said, world.clock.now() - timedelta(minutes=1))
    before = world.successes
    await daemon.poll()
    assert world.successes - before == charges
    assert [one.reason for one in stopped(daemon)] == []
    told = [told["reason"] for told in daemon.events_of("topup.suspended")]
    assert told == ([] if charges else ["twin"])


async def test_another_account_of_the_same_sum_is_not_held_up_by_a_charge_that_the_ledger_knows(
    daemon: Daemon, world: World
) -> None:
    await daemon.run(timedelta(hours=1))
    [paid] = daemon.topups()
    media = replace(daemon.config.accounts["clips"], info=AccountInfo("media", "contentstats"))
    context = daemon.service.context
    accounts = {**daemon.config.accounts, "media": media}
    daemon.service.context = replace(context, config=replace(daemon.config, accounts=accounts))
    daemon.account, daemon.falls = "media", NO_FALL
    world.balance, world.charged = 4 * DOLLAR, (paid.funded_before_microusd or 0) - 4 * DOLLAR
    await daemon.attend(world.read("media"))
    assert world.successes == 2


def stopped(daemon: Daemon) -> tuple[Stop, ...]:
    return ledger_notes.stops(daemon.store.reader)


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
