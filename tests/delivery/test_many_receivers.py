"""The deliverer at many receivers: it looks at those that are named, and customers' that hang hold up nobody else."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from alerts.delivery.policy import ReceiverNotice, is_told
from alerts.model.events import EventDraft, EventType
from alerts.model.limits import DELIVERY_AT_ONCE
from alerts.model.outbox import DeliveryState, ReceiverState
from alerts.model.receivers import EmailReceiver, Receivers, WebhookReceiver, counted_as
from daemon.demo.standins.receiver import Fault, ReceiverStandin
from daemon.store.replays import Filter, replay
from tests.delivery.conftest import START, World, WorldOf, webhook
from tests.helpers_store import file_of


async def run(world: World) -> None:
    """Start what is due, as `brimful run` does, until nothing is."""
    ended: list[None] = [None]
    world.deliverer.idle = lambda: ended.append(None)
    at = None
    while ended or (at is not None and at <= world.clock.now()):
        ended.clear()
        at = await world.deliverer.start_due(world.clock.now())
        await world.deliverer.settle()


def own(standin: ReceiverStandin, number: int, **more: object) -> WebhookReceiver:
    return webhook(standin, f"r{number}", accounts=(f"a{number}",), **more)


@pytest.mark.sqlite
async def test_an_event_for_one_of_many_costs_a_few_queries(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(*(own(receiver, number) for number in range(500)))
    await run(world)
    statements: list[str] = []
    file_of(world.store).set_trace_callback(statements.append)
    await run(world)
    assert statements == [], "a wake at which nothing is due asks nothing"
    event = world.tell(account="a42")
    await run(world)
    assert [one.id for one in receiver.received] == [event.id]
    assert len(statements) < 40
    assert len(world.deliverer._workers) == 0, "a worker lives while it has something to do"


@pytest.mark.sqlite
async def test_customers_that_hang_leave_room_for_the_others_and_all_are_served_in_turn(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as hanging:
        hanging.fault = Fault(delay_s=3)
        customers = [own(hanging, number, untrusted=True) for number in range(DELIVERY_AT_ONCE + 20)]
        world = world_of(*customers, webhook(receiver))
        while await world.deliverer.start_due(world.clock.now()) is not None:
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert hanging.count == DELIVERY_AT_ONCE
        started = time.monotonic()
        world.tell(account="a1")
        await world.deliverer.start_due(world.clock.now())
        while not receiver.received:
            await asyncio.sleep(0.01)
        assert time.monotonic() - started < 0.3
        hanging.fault = None
        while len(world.log(state=DeliveryState.DELIVERED)) < len(customers) + 2:
            await world.deliverer.start_due(world.clock.now())
            await asyncio.sleep(0.02)
    outcomes = world.deliverer.outcomes()
    assert outcomes == {"webhook:*": {"delivered": len(customers) + 1}, "webhook:app": {"delivered": 1}}


async def test_a_receiver_is_looked_at_once_its_event_is_committed(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(own(receiver, 1))
    with world.store.write(durable=True) as tx:
        draft = EventDraft(type=EventType.BALANCE_LOW, at=START, data={}, account="a1")
        world.outbox.append(tx, draft, START)
        assert world.queue.told() == set()
    assert world.queue.told() == {"webhook:r1"}
    assert world.queue.told() == set()


async def test_receivers_come_and_go_while_it_runs(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    first, second = own(receiver, 1), own(receiver, 2)
    world = world_of(first)
    await run(world)
    world.outbox.receivers = Receivers((first, second))
    world.deliverer.take([world._channel(second)])
    told = world.tell(account="a2")
    await run(world)
    assert [one.id for one in receiver.received] == [told.id]

    receiver.fault = Fault(delay_s=0.2, times=1)
    for _ in range(3):
        world.tell(account="a1")
    await world.deliverer.start_due(world.clock.now())
    await asyncio.sleep(0.1)
    world.deliverer.take(removed=[first.key])
    await run(world)
    assert len(receiver.received) == 2, "what is in flight ends, and nothing further is sent"
    assert [row.state for row in world.log(receiver=first.key)] == [
        DeliveryState.DELIVERED,
        DeliveryState.PENDING,
        DeliveryState.PENDING,
    ]
    world.deliverer.take([world._channel(first)])
    await run(world)
    assert {row.state for row in world.log()} == {DeliveryState.DELIVERED}


async def test_a_channel_that_is_replaced_is_used_from_the_next_attempt(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as moved:
        world = world_of(own(receiver, 1))
        receiver.fault = Fault(delay_s=0.2, times=1)
        for _ in range(2):
            world.tell(account="a1")
        await world.deliverer.start_due(world.clock.now())
        await asyncio.sleep(0.1)
        world.deliverer.take([world._channel(own(moved, 1))])
        await run(world)
        assert (len(receiver.received), len(moved.received)) == (1, 1)


async def test_what_a_command_replays_is_sent_after_a_look_at_all(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(own(receiver, 1))
    event = world.tell(account="a1")
    await run(world)
    with world.store.write(durable=True) as tx:
        replay(tx, Filter(event=event.id), world.clock.now())
    await run(world)
    assert receiver.count == 1
    world.deliverer.look_again()
    await run(world)
    assert [one.id for one in receiver.received] == [event.id] * 2


async def test_where_the_clock_goes_back_what_it_postponed_is_due(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(own(receiver, 1))
    receiver.fault = Fault(status=500, times=1)
    world.clock.set(START + timedelta(hours=5))
    world.tell(account="a1")
    await run(world)
    world.clock.set(START)
    await run(world)
    assert [one.status for one in receiver.received] == [500, 200]


async def test_a_receiver_that_fails_is_tried_when_its_time_comes(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(own(receiver, 1), own(receiver, 2))
    receiver.fault = Fault(status=500, times=1)
    world.tell(account="a1")
    await run(world)
    at = await world.deliverer.start_due(world.clock.now())
    assert at is not None
    assert timedelta(seconds=3) < at - START < timedelta(seconds=7)
    world.clock.set(at)
    await run(world)
    assert [one.status for one in receiver.received] == [500, 200]
    assert await world.deliverer.start_due(world.clock.now()) is None


def test_customers_of_a_kind_count_as_one() -> None:
    hook = WebhookReceiver(id="sub_1", url="https://example.com", secrets=(), untrusted=True)
    mail = EmailReceiver(id="account:clips", to=("c@example.com",), untrusted=True)
    mine = EmailReceiver(id="ops", to=("o@example.com",))
    assert [counted_as(one) for one in (hook, mail, mine)] == ["webhook:*", "email:*", "email:ops"]


def test_others_hear_of_a_customers_receiver_only_where_its_events_stop_and_go_on_again() -> None:
    well, paused = ReceiverState("webhook:sub_1"), ReceiverState("webhook:sub_1", paused_since=START)
    told = {notice for notice in ReceiverNotice if is_told(notice, well, customers=True)}
    assert told == {ReceiverNotice.PAUSED, ReceiverNotice.STOPPED}
    assert is_told(ReceiverNotice.RECOVERED, paused, customers=True)
    assert all(is_told(notice, well, customers=False) for notice in ReceiverNotice)


def test_a_type_that_no_customer_hears_is_not_for_a_customers_receiver() -> None:
    from tests.delivery.test_routing import draft, hook

    mine = hook("sub_1", untrusted=True)
    heard = {type for type in EventType if mine.wants(draft(type))}
    assert {EventType.BALANCE_LOW, EventType.LIMITS_CHANGED} <= heard
    assert not {type for type in heard if type.value.startswith(("delivery.", "report.", "billing.", "test."))}
    assert {type for type in heard if type.value.startswith("topup.")} == {
        EventType.TOPUP_SUCCEEDED,
        EventType.TOPUP_CREDITED,
    }
