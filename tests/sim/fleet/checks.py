"""What holds of a fleet, besides all that holds of one daemon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from daemon.fleet.holdings import ACCOUNTS, RECEIVERS, bucket_of
from tests.sim.checker import Watch, check
from tests.sim.disks import Committed, read_events
from tests.sim.fleet.member import SHARED, FleetLife
from tests.sim.fleet.world import FleetWorld
from tests.sim.swarm import Act

HAND_OVER = timedelta(seconds=15)
SLACK = timedelta(seconds=60)
"""What polling takes, hand-over included: one poll may come early in its period, the next late."""
WOKEN_S = 90.0
"""For so long a process that was stopped may send what it had begun: what was true then is not known to it."""
AGAIN = timedelta(seconds=45)
"""Within it a second look at an account is a second opinion on the first."""


class FleetWatch(Watch):
    """Judges confirms; one that was begun before its daemon was stopped is sent when it wakes up."""

    def __init__(self, world: FleetWorld) -> None:
        super().__init__(world)
        self.fleet = world

    def look(self, intent_id: str, box: str) -> None:
        before = len(self.violations)
        super().look(intent_id, SHARED)
        life = self.fleet.members[box].life
        if isinstance(life, FleetLife) and self.fleet.loop.time() - life.woke_s < WOKEN_S:
            kept = [one for one in self.violations[before:] if "unseen" in one or "processing" in one]
            self.violations[before:] = kept


def check_fleet(world: FleetWorld, watch: FleetWatch) -> list[str]:
    """Return every violation of a run that has ended."""
    world.database.copy_for_checker(world.boxes[0].database)
    found = check(world, watch)
    found += _stale(world)
    found += _unpolled(world)
    found += _shared(world)
    if Act.CLOCK_STEP not in world.swarm.acts:  # schedules, and the order of what was told, go by each one's clock
        found += _polled_twice(world)
        found += _order(world)
    found += _told_twice(world)
    return found


def _date(world: FleetWorld, calendar_s: float) -> datetime:
    return world.truth.start + timedelta(seconds=calendar_s)


def _stale(world: FleetWorld) -> Iterator[str]:
    """Nobody has committed anything about what another one held at that moment."""
    for at, writer, what, key, holder in world.database.ask("SELECT * FROM sim.stale ORDER BY at"):
        yield f"{_date(world, at)}: {writer} wrote {what} of {key}, which {holder or 'nobody'} held"


def _unpolled(world: FleetWorld) -> Iterator[str]:
    """No account is left out for two periods while any daemon could poll it."""
    for account in world.scenario.config.accounts:
        times = [at for at, _ in world.polls[world.purse(account)]]
        for one, other in pairwise([world.truth.start, *times, world.end]):
            unable = sum(
                (min(until, other) - max(since, one) for since, until in world.unable if since < other and until > one),
                timedelta(),
            )
            if other - one - unable > 2 * world.period + HAND_OVER + SLACK + world.most_skew:
                yield f"{account} was not polled from {one} to {other}"


def _hand_overs(world: FleetWorld) -> dict[tuple[str, int], list[datetime]]:
    found: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for at, kind, bucket in world.database.ask("SELECT at, kind, bucket FROM sim.held ORDER BY at"):
        found[kind, bucket].append(_date(world, at))
    return found


def _polled_twice(world: FleetWorld) -> Iterator[str]:
    """No account that is only watched is polled twice in a period, but around a hand-over, or by one that has just
    woken up and does not know yet that others have taken over.
    """
    moved = _hand_overs(world)
    for account in world.plain:
        hand_overs = moved[ACCOUNTS, bucket_of(account)]
        for (one, first), (other, second) in pairwise(world.polls[account]):
            began = one - (one - world.truth.start) % world.period
            if other - one < AGAIN and first == second:
                continue
            if other >= began + world.period - timedelta(seconds=1):
                continue
            reasons = hand_overs + [at for at, role in world.disturbances if role in (first, second)]
            if not any(began - SLACK <= at <= other for at in reasons):
                yield f"{account} was polled at {one} by {first} and again at {other} by {second}"


def _order(world: FleetWorld) -> Iterator[str]:
    """A receiver hears an account's events in order; one that it did not take at once is overtaken."""
    arrived: dict[tuple[str, str], datetime] = {}
    for told in world.receivers.told:
        arrived.setdefault((told.receiver, told.id), told.at)
    events: dict[str, list[Committed]] = defaultdict(list)
    for event in read_events(world.boxes[0], certain=True):
        if event.account is not None:
            events[event.account].append(event)
    for receiver in {receiver for receiver, _ in arrived}:
        for account, ordered in events.items():
            heard = [
                one for one in ordered if (receiver, one.id) in arrived and (receiver, one.id) not in world.unheard
            ]
            for one, other in pairwise(heard):
                if arrived[receiver, other.id] < arrived[receiver, one.id]:
                    yield f"{receiver} heard of {account} {other.type} {other.id} before {one.type} {one.id}"


def _told_twice(world: FleetWorld) -> Iterator[str]:
    """No receiver gets an event twice, but where its answer was not heard, or around a hand-over or a disturbance."""
    moved = _hand_overs(world)
    first: dict[tuple[str, str], datetime] = {}
    for told in world.receivers.told:
        key = (told.receiver, told.id)
        before = first.setdefault(key, told.at)
        if before is told.at or key in world.unheard:
            continue
        moves = moved[RECEIVERS, bucket_of(f"webhook:{told.receiver}")]
        moves = moves + [at for at, _ in world.disturbances]
        if not any(before - SLACK <= at <= told.at for at in moves):
            yield f"{told.receiver} heard of {told.id} at {before} and again at {told.at}"


def _shared(world: FleetWorld) -> Iterator[str]:
    """Once healed, all there is is held, in fair shares."""
    if not world.database.is_shared_by(len(world.members)):
        yield f"at the end the shares are not fair: {world.database.holders()}"
