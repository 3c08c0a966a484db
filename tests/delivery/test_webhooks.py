"""What is promised to the receivers of webhooks, over real sockets and a real store."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import pytest
from jsonschema import Draft202012Validator

from alerts.events.schema import schema
from alerts.model.events import EventType
from alerts.model.outbox import DeliveryState, ReceiverState
from alerts.model.receivers import EmailReceiver
from daemon.commands.test import ping
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import Fault, ReceiverStandin
from daemon.store.replays import Filter, attempts, replay
from tests.delivery.conftest import START, WorldOf, mailer_of, webhook
from tests.helpers_store import file_of


async def test_503_for_three_hours_ends_in_one_2xx_with_the_same_id_and_bytes(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=503)
    event = world.tell()

    await world.go_on(timedelta(hours=3))
    assert len(receiver.received) >= 5
    assert receiver.accepted == []
    receiver.fault = None
    await world.go_on(timedelta(days=4))

    assert len(receiver.accepted) == 1
    assert {(one.id, one.body) for one in receiver.received} == {(event.id, event.body)}
    assert all(one.verified for one in receiver.received)
    assert world.states() == [DeliveryState.DELIVERED]


async def test_a_replay_sends_the_same_id_and_bytes_again(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver))
    event = world.tell()
    await world.deliver()

    with world.store.write(durable=True) as tx:
        assert replay(tx, Filter(event=event.id), world.clock.now()) == 1
    await world.deliver()

    assert [(one.id, one.body, one.verified) for one in receiver.received] == [(event.id, event.body, True)] * 2
    assert [one.attempts for one in world.log()] == [2]


async def test_an_exhausted_event_is_dead_listed_told_and_replayable(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as other:
        world = world_of(webhook(receiver), webhook(other, "other", events=("delivery.*",)))
        receiver.fault = Fault(status=500)
        event = world.tell()
        await world.go_on(timedelta(days=4))

        (row,) = world.log(state=DeliveryState.DEAD)
        assert (row.attempts, row.last_error, row.receiver) == (10, "HTTP 500", "webhook:app")
        told = [(one.payload["data"]["state"], one.payload["data"]["event_id"]) for one in other.received]
        assert told == [("failing", event.id), ("dead", event.id)]

        receiver.fault = None
        with world.store.write(durable=True) as tx:
            assert replay(tx, Filter(state=DeliveryState.DEAD), world.clock.now()) == 1
        await world.deliver()
        assert receiver.accepted[-1].id == event.id
        assert [one.payload["type"] for one in other.received][-1] == "delivery.recovered"


async def test_a_failing_receiver_is_told_after_the_fourth_failure_by_mail_and_to_the_others_never_to_itself(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as other, MailboxStandin() as box:
        ops = EmailReceiver(id="ops", to=("ops@example.com",), events=("topup.*",))
        world = world_of(webhook(receiver), webhook(other, "other"), ops, mailer=mailer_of(box))
        receiver.fault = Fault(status=503, times=5)
        world.tell()
        await world.go_on(timedelta(minutes=20))
        assert len(receiver.received) == 3
        assert box.kept == []
        await world.go_on(timedelta(minutes=40))
        assert len(receiver.received) == 4
        assert [one.message["subject"] for one in box.kept] == ["Receiver webhook:app is not reached, 1 event waits"]
        assert [one.payload["type"] for one in other.received] == ["balance.low", "delivery.failing"]
        await world.go_on(timedelta(days=1))

        assert [one.payload["type"] for one in other.received][2:] == ["delivery.recovered"]
        assert {one.payload["type"] for one in receiver.received} == {"balance.low"}


async def test_410_stops_the_receiver_and_a_replay_starts_it_again(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as other:
        world = world_of(webhook(receiver), webhook(other, "other", events=("delivery.*",)))
        receiver.fault = Fault(status=410, times=1)
        first = world.tell()
        await world.deliver()
        world.tell()
        assert await world.deliver() is None

        assert len(receiver.received) == 1
        assert [row.state for row in world.log(receiver="webhook:app")] == [DeliveryState.DEAD] * 2
        assert [one.payload["data"]["state"] for one in other.received] == ["stopped"]

        with world.store.write(durable=True) as tx:
            replay(tx, Filter(receiver="webhook:app", state=DeliveryState.DEAD), world.clock.now())
        await world.deliver()
        assert [row.state for row in world.log(receiver="webhook:app")] == [DeliveryState.DELIVERED] * 2
        assert receiver.received[1].id == first.id


async def test_what_a_pass_causes_while_time_goes_by_is_delivered_in_it(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as other, ReceiverStandin() as third:
        world = world_of(webhook(receiver), webhook(other, "other"), webhook(third, "third"))
        world.deliverer = world.new_deliverer(observe=lambda attempted: world.clock.advance(10))
        receiver.fault, third.fault = Fault(status=410), Fault(status=500)
        world.tell()
        await world.deliver()

        assert [one.payload["type"] for one in other.received] == ["balance.low", "delivery.failing"]
        assert len(third.received) == 1, "one that fails is not tried again in the same pass"


@pytest.mark.parametrize(("header", "least_s", "most_s"), [("120", 120, 150), ("999999999", 3600, 3600)])
async def test_retry_after_is_honoured_and_clamped(
    world_of: WorldOf, receiver: ReceiverStandin, header: str, least_s: int, most_s: int
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=429, headers={"retry-after": header}, times=1)
    world.tell(account="a")
    due = await world.deliver()
    world.tell(account="b")

    assert due is not None
    assert timedelta(seconds=least_s) <= due - START <= timedelta(seconds=most_s)
    assert await world.deliver() == due, "the receiver's other events wait, too"
    world.clock.set(due)
    await world.deliver()
    assert len(receiver.accepted) == 2


async def test_an_overloaded_receiver_is_left_alone_as_long_as_its_event(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=504, times=1)
    world.tell(account="a")
    due = await world.deliver()
    world.tell(account="b")
    assert await world.deliver() == due
    assert len(receiver.received) == 1


async def test_an_accounts_events_keep_their_order_over_one_failure(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=500, times=1)
    events = [world.tell() for _ in range(3)]
    other = world.tell(account="other")
    await world.go_on(timedelta(seconds=30))

    ids = [one.id for one in receiver.accepted]
    assert ids == [other.id, *(event.id for event in events)]


async def test_an_event_that_fails_twice_is_overtaken(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=500, times=2)
    first, second = world.tell(), world.tell()
    await world.go_on(timedelta(seconds=30))
    assert [one.id for one in receiver.accepted] == [second.id]
    await world.go_on(timedelta(minutes=10))
    assert [one.id for one in receiver.accepted] == [second.id, first.id]


async def test_five_days_of_failure_pause_it_queue_on_probe_daily_and_resume_by_itself(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as other:
        world = world_of(webhook(receiver), webhook(other, "other", events=("delivery.*",)))
        receiver.fault = Fault(status=503)
        for day in range(6):
            world.tell(account=f"day{day}")
            await world.go_on(timedelta(days=1))
        assert "paused" in [one.payload["data"]["state"] for one in other.received]

        before = len(receiver.received)
        kept = [world.tell(account=f"later{number}").id for number in range(20)]
        await world.go_on(timedelta(days=10))
        assert 9 <= len(receiver.received) - before <= 11
        pending = {row.event_id for row in world.log(receiver="webhook:app", state=DeliveryState.PENDING)}
        assert set(kept) <= pending

        receiver.fault = None
        await world.go_on(timedelta(days=2))
        assert set(kept) <= {one.id for one in receiver.accepted}
        assert world.log(receiver="webhook:app", state=DeliveryState.PENDING) == []
        assert [one.payload["type"] for one in other.received][-1] == "delivery.recovered"


async def test_recovery_is_found_by_a_probe_and_all_that_waits_goes_out(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=503)
    for number in range(50):
        world.tell(account=f"a{number}")
    await world.go_on(timedelta(hours=2))
    receiver.fault = None
    await world.go_on(timedelta(minutes=20))
    assert len({one.id for one in receiver.accepted}) == 50


async def test_what_a_recovery_brings_forward_uses_up_no_attempt(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    """A receiver that comes and goes: others get through, and for each of those the one that waits is tried again."""
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=503)
    world.tell()
    await world.go_on(timedelta(hours=3))
    for _ in range(12):
        world.queue.settle([], ReceiverState("webhook:app"), [], world.clock.now(), reschedule_now=True)
        await world.deliver()
    assert world.states() == [DeliveryState.PENDING]
    receiver.fault = None
    await world.go_on(timedelta(hours=6))
    assert world.states() == [DeliveryState.DELIVERED]


async def test_an_acknowledgement_that_is_lost_repeats_the_same_id(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(hang_up=True, times=1)
    event = world.tell()
    await world.go_on(timedelta(seconds=10))
    assert [one.id for one in receiver.received] == [event.id, event.id]
    assert receiver.received[0].body == receiver.received[1].body
    assert world.states() == [DeliveryState.DELIVERED]


async def test_a_restart_goes_on_where_the_last_one_was(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=500, times=2)
    event = world.tell()
    await world.go_on(timedelta(seconds=10))
    world.deliverer = world.new_deliverer()
    due = await world.deliver()
    assert due is not None
    assert due > world.clock.now() + timedelta(minutes=3)
    await world.go_on(timedelta(minutes=10))
    assert [one.id for one in receiver.accepted] == [event.id]


async def test_the_log_keeps_time_status_duration_and_first_bytes_of_the_answer(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=422, body=b"no\x00such\nhook" + b"!" * 2000)
    world.tell()
    await world.deliver()
    (attempt,) = attempts(world.store.reader, world.log()[0].number)
    assert (attempt.at, attempt.status, attempt.error) == (START, 422, "HTTP 422")
    assert attempt.answer.startswith("no such hook!!!")
    assert len(attempt.answer) == 512


@pytest.mark.sqlite
async def test_a_key_that_a_receiver_echoes_is_kept_nowhere(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    keys = ("sk_live_51Habcdef", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZI", "cs_test_clips", "eyJhbGciOiJIUzI1NiJ9.e30")
    world = world_of(webhook(receiver))
    body = f"denied: {keys[0]}, {keys[1]}, {keys[2]}, Authorization: Bearer {keys[3]}"
    receiver.fault = Fault(status=401, body=body.encode())
    world.tell()
    await world.deliver()
    (attempt,) = attempts(world.store.reader, world.log()[0].number)
    assert attempt.answer == "denied: …, …, …, Authorization: Bearer …"
    kept = "\n".join(file_of(world.store).iterdump())
    assert [key for key in keys if key in kept] == []


async def test_drain_cuts_attempts_in_flight_and_they_are_sent_again(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(delay_s=60, times=1)
    event = world.tell()
    await world.deliverer.start_due(world.clock.now())
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await world.deliverer.drain(0.2)
    assert time.monotonic() - started < 1
    assert world.states() == [DeliveryState.PENDING]
    (attempt,) = attempts(world.store.reader, 1)
    assert attempt.error == "cut: the service stopped"

    world.deliverer = world.new_deliverer()
    await world.deliver()
    assert [one.id for one in receiver.received] == [event.id, event.id]
    assert world.states() == [DeliveryState.DELIVERED]


async def test_the_same_draft_twice_is_one_event(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver))
    first = world.tell(EventType.TOPUP_SUCCEEDED, id="evt_topup_1_succeeded")
    assert world.tell(EventType.TOPUP_SUCCEEDED, id="evt_topup_1_succeeded") == first
    await world.deliver()
    assert len(receiver.received) == 1


async def test_sequences_grow_by_one_per_account_within_the_store(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver))
    for account in ("a", "b", "a", "a"):
        world.tell(account=account)
    world.tell(EventType.TEST_PING, account=None, episode=None, data={"message": "hello"})
    await world.deliver()
    data = [one.payload["data"] for one in receiver.received]
    numbers = sorted((one["account"], one["sequence"]) for one in data if "sequence" in one)
    assert numbers == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]
    assert len({one["store"] for one in data if "store" in one}) == 1


async def test_what_waits_for_a_receiver_that_is_no_longer_configured_becomes_dead(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    world.tell()
    assert world.queue.abandon_unconfigured(["webhook:other"], world.clock.now()) == 1
    assert world.states() == [DeliveryState.DEAD]
    assert world.log()[0].last_error == "the receiver is no longer configured"


async def test_a_second_attempt_that_is_under_way_when_its_delivery_is_given_up_changes_nothing(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=500)
    world.tell()
    await world.deliver()
    receiver.fault = Fault(status=500, delay_s=0.2)
    world.clock.advance(10)
    await world.deliverer.start_due(world.clock.now())
    await asyncio.sleep(0.1)
    await world.deliverer.abandon({"webhook:app"}, world.clock.now())
    await world.deliverer.settle()
    assert world.states() == [DeliveryState.DEAD]
    assert len(attempts(world.store.reader, 1)) == world.log()[0].attempts == 1


@pytest.mark.long
async def test_every_notice_of_a_receiver_fits_its_schema(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    async with ReceiverStandin() as other, MailboxStandin() as box:
        ops = EmailReceiver(id="ops", to=("ops@example.com",), events=("balance.*",))
        watcher = webhook(other, "other", events=("delivery.*",))
        world = world_of(webhook(receiver), watcher, ops, mailer=mailer_of(box))
        box.refuse = {"ops@example.com"}
        receiver.fault = Fault(status=503)
        for day in range(7):
            world.tell(account=f"day{day}")
            await world.go_on(timedelta(days=1))
        receiver.fault = None
        await world.go_on(timedelta(days=2))
        receiver.fault = Fault(status=410)
        world.tell()
        await world.deliver()

        states = set()
        for one in other.received:
            type = EventType(one.payload["type"])
            Draft202012Validator(schema(type)).validate(one.payload)
            states.add(one.payload["data"].get("state", type.value))
        assert states >= {"failing", "paused", "stopped", "refused", "dead", "delivery.recovered"}
        assert "webhook:app" not in {one.payload["data"].get("receiver") for one in receiver.received}
        assert all("sequence" not in one.payload["data"] for one in other.received)


def test_a_ping_fits_its_schema() -> None:
    Draft202012Validator(schema(EventType.TEST_PING)).validate(json.loads(ping("webhook:app", START).body))


async def test_a_pass_counts_what_failed_and_what_waits_for_a_failing_receiver(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=503)
    world.tell()
    await world.deliver()
    assert await world.deliverer.failed_in_last_pass() == 1
    await world.go_on(timedelta(hours=1))
    await world.deliver()
    assert await world.deliverer.failed_in_last_pass() == 1, "nothing was tried, but a person is needed"
    receiver.fault = None
    await world.go_on(timedelta(hours=3))
    await world.deliver()
    assert await world.deliverer.failed_in_last_pass() == 0


@pytest.mark.parametrize("ahead", [timedelta(hours=9), timedelta(days=4)])
async def test_what_a_clock_that_was_ahead_put_off_is_sent_when_the_clock_is_right(
    world_of: WorldOf, receiver: ReceiverStandin, ahead: timedelta
) -> None:
    world = world_of(webhook(receiver))
    right = world.clock.now()
    world.clock.set(right + ahead)
    receiver.fault = Fault(status=500, times=5)
    first = world.tell()
    await world.go_on(timedelta(minutes=40))
    world.clock.set(right + timedelta(hours=1))
    second = world.tell()
    await world.go_on(timedelta(hours=1))
    assert {one.id for one in receiver.accepted} == {first.id, second.id}
