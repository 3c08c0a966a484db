"""A charge is one mail with its result: its steps are folded, nothing is lost, and what is undecided is sent alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from alerts.channels.content import write_mail
from alerts.events.messages.context import MessageContext
from alerts.events.messages.message import fold_steps
from alerts.model.events import Event, EventType
from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver
from alerts.templating import Templates
from daemon.demo.standins.mailbox import MailboxStandin
from tests.delivery.conftest import BERLIN, World, WorldOf, mailer_of
from tests.helpers_events import example_event, examples

OPS = EmailReceiver(id="ops", to=("ops@example.com",))
CONTEXT = MessageContext(BERLIN)
PLANNED, CHARGED = example_event(EventType.TOPUP_PLANNED), example_event(EventType.TOPUP_SUCCEEDED)
CREDITED, LOW = example_event(EventType.TOPUP_CREDITED), example_event(EventType.BALANCE_LOW)
REFUSED, SUSPENDED = example_event(EventType.TOPUP_ACTION_REQUIRED), example_event(EventType.TOPUP_SUSPENDED)
MISSING = example_event(EventType.TOPUP_NOT_CREDITED)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([PLANNED], {PLANNED: ()}),
        ([PLANNED, CHARGED], {CHARGED: (PLANNED,)}),
        ([CHARGED, PLANNED], {CHARGED: (PLANNED,)}),
        ([PLANNED, CHARGED, CREDITED], {CREDITED: (PLANNED, CHARGED)}),
        ([PLANNED, REFUSED, SUSPENDED], {SUSPENDED: (PLANNED, REFUSED)}),
        ([MISSING, CREDITED], {MISSING: (), CREDITED: ()}),
        ([LOW, CHARGED, PLANNED], {LOW: (), CHARGED: (PLANNED,)}),
        ([example_event(EventType.TOPUP_CAPPED), PLANNED], {example_event(EventType.TOPUP_CAPPED): (), PLANNED: ()}),
        (
            [PLANNED, example_event(EventType.TOPUP_SUCCEEDED, topup="clips-2")],
            {PLANNED: (), example_event(EventType.TOPUP_SUCCEEDED, topup="clips-2"): ()},
        ),
    ],
)
def test_the_earlier_steps_of_a_charge_are_told_with_its_latest(
    events: list[Event], told: dict[Event, tuple[Event, ...]]
) -> None:
    assert fold_steps(events) == list(told.items())


def test_the_mail_of_a_charge_says_its_result_first_and_its_steps() -> None:
    mail = write_mail([PLANNED, CHARGED], Templates(), CONTEXT)
    assert mail.subject == "clips: $50.00 charged"
    assert "is being charged" not in mail.text
    assert "Planned:                       Sun 1 Nov 2026, 09:00 CET" in mail.text


def test_beside_its_charge_a_low_balance_foretells_none() -> None:
    mail = write_mail([LOW, PLANNED, CHARGED], Templates(), CONTEXT)
    assert mail.subject == "clips: balance low, $4.21 left; $50.00 charged"
    assert "What Brimful does: The top-up, and what came of it, is in this message, too." in mail.text
    assert "What Brimful does: Nothing" not in mail.text


def tell(world: World, type: EventType) -> None:
    world.tell(type, episode=None, data=examples()[type.value]["data"])


async def test_plan_and_charge_of_one_pass_are_one_mail_and_both_are_delivered(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    tell(world, EventType.TOPUP_PLANNED)
    tell(world, EventType.TOPUP_SUCCEEDED)
    await world.deliver()
    (kept,) = mailbox.kept
    assert kept.message["subject"] == "clips: $50.00 charged"
    assert world.states() == [DeliveryState.DELIVERED] * 2


async def test_a_plan_that_is_decided_later_is_told_when_it_was_delivered_already(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    tell(world, EventType.TOPUP_PLANNED)
    await world.deliver()
    tell(world, EventType.TOPUP_SUCCEEDED)
    await world.go_on(timedelta(minutes=10))
    assert [kept.message["subject"] for kept in mailbox.kept] == [
        "clips: $50.00 is being charged",
        "clips: $50.00 charged",
    ]


async def test_the_daemon_waits_for_the_result_of_a_charge_that_has_begun(
    world_of: WorldOf, mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.delivery.worker.GATHER_S", 0.05)
    world = world_of(OPS, mailer=mailer_of(mailbox))
    tell(world, EventType.TOPUP_PLANNED)
    await world.deliverer.start_due(world.clock.now())
    await asyncio.sleep(0.5)
    assert mailbox.kept == []
    tell(world, EventType.TOPUP_SUCCEEDED)
    await world.deliverer.start_due(world.clock.now())
    await asyncio.wait_for(world.deliverer.settle(), 5)
    assert [kept.message["subject"] for kept in mailbox.kept] == ["clips: $50.00 charged"]


async def test_the_daemon_tells_of_a_charge_that_stays_undecided(
    world_of: WorldOf, mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.delivery.worker.GATHER_S", 0.05)
    monkeypatch.setattr("alerts.delivery.worker.GATHER_BUSY_S", 0.3)
    world = world_of(OPS, mailer=mailer_of(mailbox))
    tell(world, EventType.TOPUP_PLANNED)
    await world.deliverer.start_due(world.clock.now())
    await asyncio.wait_for(world.deliverer.settle(), 5)
    assert [kept.message["subject"] for kept in mailbox.kept] == ["clips: $50.00 is being charged"]
