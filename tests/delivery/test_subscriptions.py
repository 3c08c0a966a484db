"""Customers' own receivers: a test.ping first, what they hear, their state, and that the operator is left in peace."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from alerts.events.customers import customers_copy
from alerts.model.events import EventType
from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver, Receivers, WebhookReceiver
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import Fault, Received, ReceiverStandin
from daemon.store.replays import Filter, replay
from daemon.store.subscriptions import SubscriptionPhase, SubscriptionState, subscription_state
from tests.delivery.conftest import START, World, WorldOf, dead_webhook, mailer_of, webhook
from tests.helpers_events import example_event

KEY = "webhook:sub_1"
DAY = timedelta(days=1)


def subscription(standin: ReceiverStandin, id: str = "sub_1", **more: object) -> WebhookReceiver:
    return webhook(standin, id, untrusted=True, **{"accounts": ("clips",), **more})


def types(received: list[Received]) -> list[str]:
    return [one.payload["type"] for one in received]


def state(world: World, receiver: WebhookReceiver) -> SubscriptionState:
    return subscription_state(world.store.reader, receiver)


async def test_a_ping_is_answered_before_the_first_event(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    mine = subscription(receiver)
    world = world_of(mine)
    assert state(world, mine) == SubscriptionState(SubscriptionPhase.PENDING)
    receiver.fault = Fault(status=500, times=2)
    told = [world.tell(), world.tell(EventType.BALANCE_RECOVERED)]
    await world.deliver()
    assert state(world, mine) == SubscriptionState(SubscriptionPhase.PENDING, START, "HTTP 500")
    told.append(world.tell(EventType.QUOTA_HIGH, account="clips"))
    await world.go_on(timedelta(hours=1))
    assert types(receiver.received) == [
        *["test.ping"] * 3,
        *("balance.low", "balance.recovered", "quota.high"),
    ]
    assert len({one.id for one in receiver.received[:3]}) == 1, "the same ping is tried again"
    assert [one.id for one in receiver.received[3:]] == [event.id for event in told]
    assert all(one.verified for one in receiver.received)
    active = state(world, mine)
    assert (active.phase, active.last_error) == (SubscriptionPhase.ACTIVE, "")
    assert active.since is not None
    assert active.since > START

    world.deliverer = world.new_deliverer()
    world.tell()
    await world.deliver()
    assert types(receiver.received)[6:] == ["balance.low"], "a restart asks for no second ping"


async def test_a_subscription_is_asked_even_where_nothing_is_told_yet(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(subscription(receiver))
    await world.deliver()
    assert types(receiver.received) == ["test.ping"]
    await world.deliver()
    assert len(receiver.received) == 1


async def test_one_that_never_answers_is_paused_after_days_and_loses_nothing(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    mine = subscription(receiver)
    async with ReceiverStandin() as operators:
        world = world_of(mine, webhook(operators, events=("delivery.*",)))
        receiver.fault = Fault(status=503)
        first = world.tell()
        await world.go_on(DAY * 4)
        assert state(world, mine).phase is SubscriptionPhase.PENDING
        assert operators.received == [], "a customer's failing receiver is the customer's to see"
        last = world.tell(EventType.BALANCE_RECOVERED)
        await world.go_on(DAY * 4)
        assert state(world, mine).phase is SubscriptionPhase.PAUSED
        assert [one.payload["data"]["state"] for one in operators.received] == ["paused"]
        assert set(types(receiver.received)) == {"test.ping"}
        assert len({one.id for one in receiver.received}) == 2, "a ping that is dead is followed by another"

        receiver.fault = None
        await world.go_on(DAY * 2)
        assert [one.id for one in receiver.accepted[1:]] == [first.id, last.id]
        assert state(world, mine).phase is SubscriptionPhase.ACTIVE
        assert types(operators.received) == ["delivery.failing", "delivery.recovered"]


def swap(world: World, old: WebhookReceiver, new: WebhookReceiver) -> None:
    """Put one receiver in another's place, as a change by API does."""
    kept = tuple(one for one in world.receivers.all if one.key != old.key)
    world.receivers = world.outbox.receivers = Receivers((*kept, new))
    world.deliverer.take([world._channel(new)])


async def test_a_changed_url_answers_first_and_begins_anew(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    async with ReceiverStandin() as moved:
        before, after = subscription(receiver), subscription(moved)
        world = world_of(before)
        await world.deliver()
        receiver.fault = Fault(status=410)
        world.tell()
        await world.deliver()
        assert state(world, before).phase is SubscriptionPhase.STOPPED

        swap(world, before, after)
        assert state(world, after) == SubscriptionState(SubscriptionPhase.PENDING)
        event = world.tell()
        await world.deliver()
        assert types(moved.received) == ["test.ping", "balance.low"]
        assert moved.received[1].id == event.id
        assert state(world, after).phase is SubscriptionPhase.ACTIVE
        receiver.fault = None
        asked = len(receiver.received)
        swap(world, after, before)
        await world.deliver()
        assert types(receiver.received)[asked:] == ["test.ping"]


async def test_what_waits_with_a_failing_url_goes_to_the_one_it_is_changed_to_at_once(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    dead = WebhookReceiver(**{**_fields(dead_webhook("sub_1")), "untrusted": True})
    world = world_of(dead)
    event = world.tell()
    await world.go_on(timedelta(hours=3))
    assert state(world, dead).last_error.startswith("refused")
    swap(world, dead, subscription(receiver))
    await world.deliver()
    assert [one.id for one in receiver.received][-1] == event.id


def _fields(receiver: WebhookReceiver) -> dict[str, Any]:
    return {name: getattr(receiver, name) for name in ("id", "url", "secrets", "allow_http")}


async def test_410_at_the_ping_ends_it_and_a_replay_tries_again(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    mine = subscription(receiver)
    world = world_of(mine)
    receiver.fault = Fault(status=410, times=1)
    event = world.tell()
    await world.deliver()
    assert state(world, mine).phase is SubscriptionPhase.STOPPED
    assert {row.state for row in world.log()} == {DeliveryState.DEAD}
    world.tell()
    await world.deliver()
    assert world.log()[-1].last_error.startswith("the receiver is gone")
    assert len(receiver.received) == 1

    with world.store.write(durable=True) as tx:
        assert replay(tx, Filter(event=event.id), world.clock.now()) == 1
    world.deliverer.look_again()
    await world.deliverer.start_due(world.clock.now())
    await world.deliverer.settle()
    await world.deliver()
    assert types(receiver.received)[1:] == ["test.ping", "balance.low"], "it still has to answer first"


async def test_why_a_private_address_is_refused_stands_in_its_state(world_of: WorldOf) -> None:
    mine = WebhookReceiver(
        **{**_fields(dead_webhook("sub_1")), "url": "http://169.254.169.254/latest?token=x", "untrusted": True}
    )
    world = world_of(mine)
    await world.deliver()
    said = state(world, mine)
    assert said.phase is SubscriptionPhase.PENDING
    assert said.last_error.startswith("forbidden_address")
    assert "token" not in said.last_error


async def test_a_customer_hears_its_own_types_in_a_copy_without_what_is_the_operators(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(subscription(receiver))
    credited = json.loads(example_event(EventType.TOPUP_CREDITED).body)["data"]
    world.tell(EventType.TOPUP_PLANNED, data=credited)
    world.tell(EventType.DELIVERY_FAILING, account=None, episode=None)
    world.tell(EventType.BALANCE_LOW, account="media")
    told = world.tell(EventType.TOPUP_CREDITED, data=credited)
    await world.deliver()
    assert types(receiver.received) == ["test.ping", "topup.credited"]
    assert receiver.received[1].verified
    data = receiver.received[1].payload["data"]
    assert data == {
        **{name: value for name, value in credited.items() if name in data},
        "sequence": told.sequence,
        "store": world.outbox.store_id,
    }
    assert {"amount_usd", "topup", "credited_by", "late"} <= data.keys()
    assert not data.keys() & {"payment_intent", "customer", "funded_before_usd", "action", "command"}


def test_no_copy_is_made_of_what_no_customer_hears() -> None:
    with pytest.raises(ValueError, match="told to no customer"):
        customers_copy(example_event(EventType.TOPUP_DECLINED))
    ping = example_event(EventType.TEST_PING)
    assert customers_copy(ping) == ping.body
    quota = example_event(EventType.QUOTA_HIGH)
    assert customers_copy(quota) == quota.body


async def test_a_customers_mail_says_what_happened_and_nothing_of_the_operators(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    own = EmailReceiver(id="account:clips", to=("c@example.com",), accounts=("clips",), untrusted=True, max_per_hour=2)
    world = world_of(own, mailer=mailer_of(mailbox))
    for type in (EventType.BALANCE_LOW, EventType.TOPUP_DECLINED, EventType.TOPUP_SUCCEEDED):
        world.tell(type, data=json.loads(example_event(type).body)["data"])
    await world.deliver()
    (mail,) = mailbox.kept
    text, html = mail.part("plain"), mail.part("html")
    assert "balance low, $4.21 left" in text
    assert "$50.00 charged" in text
    assert "declined" not in text
    for word in ("brimful ", "stripe", "pi_", "cus_", "top-up", "What you do", "What Brimful does"):
        assert word not in text + html, word
    for _ in range(3):
        world.clock.advance(60)
        world.tell()
        await world.deliver()
    assert len(mailbox.kept) == 2, "two an hour; what is above waits and goes out as one"
