"""Of a server the queue is read and written apart from the event loop; nothing that happens meanwhile is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from alerts.delivery import Deliverer
from alerts.model.events import EventType
from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver
from alerts.model.values import replace
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import Fault, ReceiverStandin
from tests.delivery.conftest import World, WorldOf, dead_webhook, mailer_of, webhook
from tests.helpers_events import examples
from tests.helpers_store import HeldLane, watch_event_loop
from tests.postgres import PostgresServer

pytestmark = pytest.mark.sqlite  # opened on a server by each test itself
OPS = EmailReceiver(id="ops", to=("ops@example.com",))
KEY = "webhook:app"


@pytest.fixture
async def world_of(postgres_server: PostgresServer) -> AsyncIterator[WorldOf]:
    """Make a world on a server, where its lane has a thread."""
    url, worlds = postgres_server.database(), list[World]()

    def make(*receivers: object, **more: object) -> World:
        worlds.append(World(url, receivers, **more))  # type: ignore[arg-type]  # as the caller says
        return worlds[-1]

    yield make
    for world in worlds:
        await world.aclose()
    postgres_server.give_back(url)


async def until(happened: Callable[[], object], within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not happened():
            await asyncio.sleep(0.005)


async def attempt(world: World, receiver: ReceiverStandin, seconds: float, account: str = "clips") -> None:
    """Begin an attempt that takes so long."""
    receiver.fault = Fault(delay_s=seconds, times=1)
    world.tell(account=account)
    await world.deliverer.start_due(world.clock.now())
    await until(lambda: receiver.count)


async def test_no_statement_runs_on_the_event_loop(
    world_of: WorldOf, receiver: ReceiverStandin, mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.delivery.worker.GATHER_S", 0.05)
    customer = webhook(receiver, "sub_1", untrusted=True, accounts=("clips",))
    mail = replace(OPS, max_per_hour=5)
    world = world_of(webhook(receiver), dead_webhook("down"), customer, mail, mailer=mailer_of(mailbox))
    seen = watch_event_loop(monkeypatch)
    for _ in range(3):
        await asyncio.to_thread(world.tell)
        await world.deliverer.start_due(world.clock.now())
    await world.deliverer.settle()
    for _ in range(8):  # the one that is down fails until the others are told
        world.clock.advance(1800)
        await world.deliver()
    assert await world.deliverer.failed_in_last_pass() > 0
    world.clock.advance(-7200)
    world.deliverer.look_again()
    await asyncio.to_thread(world.tell, EventType.TOPUP_PLANNED, data=examples()["topup.planned"]["data"])
    await world.deliverer.start_due(world.clock.now())
    await until(lambda: "topup.planned" in [one.payload["type"] for one in receiver.received])
    await world.deliverer.abandon({"webhook:down"}, world.clock.now())
    await world.deliverer.drain(0.1)
    assert seen == []
    world.states()
    assert seen, "it watches"
    types = [one.payload["type"] for one in receiver.received]
    assert {"test.ping", "balance.low", "delivery.failing"} <= {*types}
    assert mailbox.kept
    assert {row.state for row in world.log(receiver="webhook:down")} == {DeliveryState.DEAD}


async def test_an_event_that_is_committed_while_the_queue_is_read_does_not_wait_for_an_attempt_that_hangs(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    lane = HeldLane(world.queue._store)
    await attempt(world, receiver, 5, account="hangs")
    world.deliverer.look_again()
    await world.deliverer.start_due(world.clock.now())
    lane.hold()
    await lane.asked()
    lane.finish()
    event = world.tell(account="other")
    await world.deliverer.start_due(world.clock.now())
    await until(lambda: receiver.count == 2)
    assert receiver.received[1].id == event.id
    await until(lambda: [row.event_id for row in world.log(state=DeliveryState.DELIVERED)] == [event.id])
    await world.deliverer.drain(0.0)


async def test_an_event_that_is_committed_while_results_are_written_is_found(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    lane = HeldLane(world.queue._store)
    await attempt(world, receiver, 0.2)
    lane.hold()
    await lane.asked()
    lane.finish()
    world.clock.advance(1)
    world.tell()
    await world.deliverer.start_due(world.clock.now())
    await until(lambda: len(receiver.received) == 2)
    await world.deliverer.settle()
    assert world.states() == [DeliveryState.DELIVERED] * 2


async def test_the_result_of_a_charge_that_is_committed_while_the_queue_is_read_ends_the_wait_for_it(
    world_of: WorldOf, mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.delivery.worker.GATHER_S", 0.5)
    world = world_of(OPS, mailer=mailer_of(mailbox))
    lane = HeldLane(world.queue._store)
    world.tell(EventType.TOPUP_PLANNED, episode=None, data=examples()["topup.planned"]["data"])
    await world.deliverer.start_due(world.clock.now())
    await asyncio.sleep(0.25)
    lane.hold()
    await lane.asked()
    lane.finish()
    world.tell(EventType.TOPUP_SUCCEEDED, episode=None, data=examples()["topup.succeeded"]["data"])
    await world.deliverer.start_due(world.clock.now())
    await until(lambda: mailbox.kept)
    await world.deliverer.settle()
    assert [kept.message["subject"] for kept in mailbox.kept] == ["clips: $50.00 charged"]


async def test_a_receiver_that_is_removed_or_replaced_while_it_is_looked_at(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as moved:
        world = world_of(webhook(receiver))
        lane = HeldLane(world.queue._store)
        world.tell()

        async def start_and_take(added: tuple[ReceiverStandin, ...], removed: tuple[str, ...]) -> None:
            lane.hold()
            starting = asyncio.ensure_future(world.deliverer.start_due(world.clock.now()))
            await lane.asked()
            assert world.deliverer.busy() == {KEY}, "it is not given to others while it is looked at"
            world.deliverer.take([world._channel(webhook(one)) for one in added], removed)
            lane.finish()
            assert await starting is None
            await world.deliverer.settle()

        await start_and_take((), (KEY,))
        assert world.deliverer.busy() == set()
        assert receiver.count == 0
        world.deliverer.take([world._channel(webhook(receiver))])
        await start_and_take((moved,), ())
        assert (receiver.count, len(moved.accepted)) == (0, 1)


async def test_no_attempt_begins_after_a_stop_that_comes_while_receivers_are_looked_at(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    lane = HeldLane(world.queue._store)
    world.tell()
    lane.hold()
    starting = asyncio.ensure_future(world.deliverer.start_due(world.clock.now()))
    await lane.asked()
    world.deliverer.stop()
    lane.finish()
    assert await starting is None
    assert world.deliverer.busy() == set()
    await world.deliverer.drain(0.0)
    assert receiver.count == 0


async def test_what_a_cancelled_pass_was_about_to_look_at_is_looked_at_by_the_next(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    lane = HeldLane(world.queue._store)

    async def start_twice() -> None:
        lane.hold()
        starting = asyncio.ensure_future(world.deliverer.start_due(world.clock.now()))
        await lane.asked()
        starting.cancel()
        lane.finish()
        with pytest.raises(asyncio.CancelledError):
            await starting
        for _ in range(2):
            await world.deliverer.start_due(world.clock.now())
            await world.deliverer.settle()

    world.tell()
    await start_twice()
    assert await world.deliverer.start_due(world.clock.now()) is None
    assert receiver.count == 1
    world.tell()
    world.queue.told()  # as where a command beside the daemon has made it due
    world.deliverer.look_again()
    await start_twice()
    assert receiver.count == 2


async def test_a_look_at_all_that_is_asked_for_while_one_begins_is_not_lost(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    lane = HeldLane(world.queue._store)
    await world.deliverer.start_due(world.clock.now())
    world.deliverer.look_again()
    lane.hold()
    starting = asyncio.ensure_future(world.deliverer.start_due(world.clock.now()))
    await lane.asked()
    lane.finish()
    world.tell()
    world.queue.told()  # as where a command beside the daemon has made it due
    world.deliverer.look_again()
    assert await starting is None
    await world.deliverer.start_due(world.clock.now())
    await world.deliverer.settle()
    assert world.states() == [DeliveryState.DELIVERED]


@pytest.mark.parametrize("end", [lambda one: one.drain(0.0), Deliverer.let_go])
async def test_a_stop_waits_for_results_that_are_being_written(
    world_of: WorldOf, receiver: ReceiverStandin, end: Callable[[Deliverer], Awaitable[None]]
) -> None:
    world = world_of(webhook(receiver))
    lane = HeldLane(world.queue._store)
    await attempt(world, receiver, 0.2)
    lane.hold()
    await lane.asked()
    ending = asyncio.ensure_future(end(world.deliverer))
    await asyncio.sleep(0.05)
    assert not ending.done()
    assert world.deliverer.busy() == {KEY}
    lane.finish()
    await ending
    assert world.states() == [DeliveryState.DELIVERED]
    assert receiver.count == 1


async def test_a_worker_that_fails_before_its_receiver_is_looked_at_is_heard_of(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    broken: list[str] = []

    def probe(point: str) -> None:
        if point in broken:
            raise sqlite3.OperationalError("disk I/O error")

    world = world_of(webhook(receiver), probe=probe)
    lane = HeldLane(world.queue._store)
    await attempt(world, receiver, 0.2)
    lane.hold()
    await lane.asked()  # to store the result
    world.deliverer.look_again()
    starting = asyncio.ensure_future(world.deliverer.start_due(world.clock.now()))
    await asyncio.sleep(0)
    broken.append("commit")
    lane.finish()
    broken.clear()
    await starting
    with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
        await world.deliverer.settle()
    await world.deliverer.start_due(world.clock.now())
    await world.deliverer.settle()
    assert world.states() == [DeliveryState.DELIVERED]
    assert receiver.count == 2
