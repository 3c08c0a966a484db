"""One bad recipient never holds up the others: they have the mail, once, and the bad one is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver
from daemon.demo.standins.mailbox import MailboxStandin, StoredMail
from tests.delivery.conftest import World, WorldOf, mailer_of

GOOD, BAD, CFO = "ops@example.com", "jürgen@example.com", "cfo@example.com"


def _alerts(mailbox: MailboxStandin, to: str) -> list[StoredMail]:
    return [kept for kept in mailbox.kept if to in kept.to and "balance low" in kept.message["subject"]]


def _team(world_of: WorldOf, mailbox: MailboxStandin, *to: str, max_per_hour: int = 10) -> World:
    return world_of(EmailReceiver(id="team", to=to, max_per_hour=max_per_hour), mailer=mailer_of(mailbox))


async def test_an_address_that_this_server_cannot_take_is_named_and_the_others_hear_once(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = _team(world_of, mailbox, GOOD, BAD, CFO)
    world.tell()
    await world.go_on(timedelta(days=4))
    (kept,) = mailbox.kept
    assert kept.to == (GOOD, CFO)
    assert kept.message["To"] == f"{GOOD}, {CFO}"
    (row,) = world.log()
    assert row.state is DeliveryState.DEAD
    assert row.last_error.startswith(f"refused: {BAD}: this mail server takes no address with letters beyond ASCII")


async def test_a_server_that_takes_every_letter_gets_them(world_of: WorldOf) -> None:
    async with MailboxStandin(smtputf8=True) as mailbox:
        world = _team(world_of, mailbox, GOOD, BAD)
        world.tell()
        await world.deliver()
        (kept,) = mailbox.kept
        assert kept.to == (GOOD, BAD)
        assert kept.raw.isascii()
        assert world.states() == [DeliveryState.DELIVERED]


async def test_a_table_of_such_an_address_alone_is_a_mail_without_a_name_in_its_to(world_of: WorldOf) -> None:
    async with MailboxStandin(smtputf8=True) as mailbox:
        world = _team(world_of, mailbox, BAD)
        world.tell()
        await world.deliver()
        (kept,) = mailbox.kept
        assert kept.to == (BAD,)
        assert b"\r\nTo: undisclosed-recipients:;\r\n" in kept.raw


@pytest.mark.parametrize("fault", ["refuse", "greylist"])
async def test_a_refusal_and_a_delay_concern_one_address_alone(
    world_of: WorldOf, mailbox: MailboxStandin, fault: str
) -> None:
    world = _team(world_of, mailbox, GOOD, "late@example.com", CFO)
    setattr(mailbox, fault, {"late@example.com"})
    world.tell()
    await world.deliver()
    assert [kept.to for kept in mailbox.kept] == [(GOOD, CFO)]
    assert "late@example.com: " in world.log()[0].last_error

    setattr(mailbox, fault, set())
    await world.go_on(timedelta(hours=1))
    assert [kept.to for kept in _alerts(mailbox, "late@example.com")] == [("late@example.com",)]
    assert len(_alerts(mailbox, GOOD)) == len(_alerts(mailbox, CFO)) == 1
    assert world.states() == [DeliveryState.DELIVERED]


async def test_an_address_written_twice_gets_one_copy(world_of: WorldOf, mailbox: MailboxStandin) -> None:
    world = _team(world_of, mailbox, GOOD, f"Ops, all of them <{GOOD}>")
    world.tell()
    await world.deliver()
    assert [kept.to for kept in mailbox.kept] == [(GOOD,)]


async def test_beside_a_bad_address_the_others_keep_their_thread_and_their_maximum(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = _team(world_of, mailbox, GOOD, "gone@example.com", max_per_hour=3)
    mailbox.refuse = {"gone@example.com"}
    for _ in range(12):
        world.tell()
        await world.go_on(timedelta(minutes=2))
    kept = [one.message for one in mailbox.kept]
    assert len(kept) == 3, "the hourly maximum holds for those who have their mails"
    assert {one["in-reply-to"] for one in kept[1:]} == {kept[0]["message-id"]}
