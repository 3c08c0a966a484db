"""Random faults, random kills between any two commits, random waits: nothing is lost, nothing is changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from random import Random

import pytest

from alerts.model.events import EventType
from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import Fault, ReceiverStandin
from tests.delivery.conftest import World, WorldOf, mailer_of, webhook


class KilledError(Exception):
    """Where the process would have died."""


class Killer:
    """Raises at some of the store's probe points, while armed."""

    def __init__(self, chance: Random) -> None:
        self.armed = False
        self.kills = 0
        self._chance = chance

    def __call__(self, point: str) -> None:
        if self.armed and self._chance.random() < 0.08:
            self.kills += 1
            raise KilledError(point)


def fault(chance: Random) -> Fault | None:
    return chance.choice(
        [
            None,
            None,
            None,
            Fault(status=500),
            Fault(status=503, times=2),
            Fault(status=429, headers={"retry-after": "30"}, times=1),
            Fault(hang_up=True, times=2),
            Fault(status=302, headers={"location": "http://127.0.0.1:9/"}),
        ]
    )


async def pass_time(world: World, killer: Killer, span: timedelta) -> None:
    """Let time pass; whenever the process is killed, go on with nothing but the store."""
    end = world.clock.now() + span
    while world.clock.now() < end:
        killer.armed = True
        try:
            await world.go_on(end - world.clock.now())
        except KilledError:
            await abandon(world)
        finally:
            killer.armed = False


async def abandon(world: World) -> None:
    """Drop the deliverer as a kill would: what is in flight is never marked."""
    for lane in world.deliverer._workers.values():
        if lane.task is not None:
            lane.task.cancel()
            await asyncio.wait([lane.task])
            lane.take_error()
    world.deliverer = world.new_deliverer()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.long
async def test_whatever_happens_every_event_arrives_unchanged_or_is_visibly_dead(world_of: WorldOf, seed: int) -> None:
    chance = Random(seed)
    killer = Killer(chance)
    async with ReceiverStandin() as first, ReceiverStandin() as second, MailboxStandin() as box:
        ops = EmailReceiver(id="ops", to=("ops@example.com",), max_per_hour=1000)
        hooks = (webhook(first, "first"), webhook(second, "second", events=("balance.*",)))
        world = world_of(*hooks, ops, mailer=mailer_of(box), probe=killer)
        events = {}
        for _ in range(40):
            first.fault, second.fault = fault(chance), fault(chance)
            box.lose_answer = chance.choice([0, 0, 0, 1])
            for _ in range(chance.randint(0, 3)):
                event = world.tell(account=chance.choice(["a", "b", "c"]), episode=None)
                events[event.id] = event
            await pass_time(world, killer, timedelta(seconds=chance.choice([1, 30, 600, 7200])))
        first.fault = second.fault = None
        await pass_time(world, killer, timedelta(days=6))

    assert killer.kills > 5
    rows = [row for row in world.log() if row.type == EventType.BALANCE_LOW.value]
    assert len(rows) == 3 * len(events)
    assert {row.state for row in rows} <= {DeliveryState.DELIVERED, DeliveryState.DEAD}
    for standin, key in ((first, "webhook:first"), (second, "webhook:second")):
        bodies = defaultdict(set)
        for one in standin.received:
            assert one.verified
            bodies[one.id].add(one.body)
        assert all(len(found) == 1 for found in bodies.values())
        assert all(bodies[event.id] == {event.body} for event in events.values() if event.id in bodies)
        accepted = {one.id for one in standin.accepted}
        delivered = {row.event_id for row in rows if row.receiver == key and row.state is DeliveryState.DELIVERED}
        assert delivered <= accepted
        dead = {row.event_id for row in rows if row.receiver == key and row.state is DeliveryState.DEAD}
        assert set(events) == delivered | dead
    mailed = "".join(kept.part("plain") for kept in box.kept)
    assert mailed.count("balance low, $4.21 left") >= len(events)
