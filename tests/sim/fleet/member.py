"""One daemon of the fleet: killed, stopped as by SIGSTOP, cut off from the database, at an instant or at a point."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.limits import DRAIN_S
from daemon.places import ServerUrl
from daemon.process.membership import in_fleet
from daemon.process.runner import Runner
from daemon.store import StoreError
from daemon.store.lock import DatabaseHeldError
from daemon.work.service import Service
from tests.sim.box import MOST_CRASHES, OWNER, Box, KilledError, Life, Post
from tests.sim.clocks import SkewedClock

if TYPE_CHECKING:
    from daemon.fleet.fleet import Fleet
    from tests.sim.fleet.world import FleetWorld

SHARED = "one"
"""What a world with one store calls it."""
IDLE_S = 5.0
"""For so long the server leaves a stopped process its transaction."""
HANGS_S = 3.0
T = TypeVar("T")


@dataclass(slots=True)
class Armed:
    """What befalls a daemon when it passes a point for the `left`th time."""

    deed: str
    point: str
    left: int
    seconds: float


class FleetLife(Life):
    """One run of one of the fleet. While it is `stopped` nothing of it runs, and what is ready is `parked`."""

    def __init__(self, member: Member) -> None:
        super().__init__(member)
        self.member = member
        self.stopped = False
        self.parked: list[asyncio.Handle] = []
        self.armed: list[Armed] = []
        self.woke_s = float("-inf")
        """When it went on after a stop, by the machines' time."""
        self._beats = False
        self._stops = 0

    def die(self) -> KilledError:
        self._go_on()
        return super().die()

    def probe(self, point: str) -> None:
        super().probe(point)
        if point == "begin" and self.member.hangs and not self.member.gets_through:
            self.stop(HANGS_S)  # the packets of a connection to be go nowhere
        self.reach(f"{'beat ' if self._beats else ''}{point}")

    async def pass_by(self, point: str) -> None:
        """Come to a point between two awaits."""
        if self.dead:
            raise KilledError
        self.reach(point)
        if self.stopped:
            await asyncio.sleep(0)
        if self.dead:
            raise KilledError

    def reach(self, point: str) -> None:
        """Let what is armed for this point happen."""
        for one in self.armed:
            if one.point == point:
                one.left -= 1
        due = [one for one in self.armed if one.left <= 0]
        self.armed = [one for one in self.armed if one.left > 0]
        for one in due:
            self.member.say(f"{one.deed} at {point} {one.seconds:g}")
            self._do(one, inside=point.endswith("commit"))

    def _do(self, one: Armed, *, inside: bool) -> None:
        member = self.member
        if one.deed == "kill":
            member.down_s = one.seconds
            raise self.die()
        member.disturb(one.seconds)
        if one.deed == "stop":
            if inside and one.seconds > IDLE_S:
                member.world.database.drop_connections(member.role)
            self.stop(one.seconds)
        elif one.deed == "cut":
            member.cut(one.seconds, hangs=False)
        elif one.deed == "lose":
            member.world.database.drop_connections(member.role)
            if one.point.endswith("committed"):
                raise sqlite3.OperationalError("the connection was lost before the server's answer came")

    def stop(self, seconds: float) -> None:
        """Stop the process, as SIGSTOP does, for so long by the calendar."""
        self.stopped = True
        self._stops += 1
        self.member.world.later(seconds, partial(self._wake, self._stops))

    def _wake(self, number: int) -> None:
        if self.stopped and number == self._stops:
            self.member.say("goes on")
            self.woke_s = self.member.world.loop.time()
            self.member.disturb()
            self._go_on()

    def _go_on(self) -> None:
        self.stopped = False
        parked, self.parked = self.parked, []
        self.member.world.loop.make_ready(parked)
        self.member.note_able()

    def wake_up(self) -> None:
        """End a stop before its time."""
        self._wake(self._stops)

    @contextmanager
    def in_thread(self, func: Any) -> Iterator[None]:
        """Know whether what runs in a thread is a beat of the fleet's, rather than work."""
        work = func.args[0] if isinstance(func, partial) and func.args else None
        lane = work.func if isinstance(work, partial) else None
        fleet = self.member.fleet
        self._beats = fleet is None or getattr(lane, "__self__", None) is fleet._lane
        try:
            yield
        finally:
            self._beats = False


class FleetWire(httpx.AsyncBaseTransport):
    """The network of one life. What was sent arrives, whatever becomes of who sent it."""

    def __init__(self, life: FleetLife) -> None:
        self._life = life
        self._world = life.member.world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        life, role = self._life, self._life.member.role
        match request.url.host:
            case "usage.sim":
                kind, far = "poll", self._world.asked(role, request)
            case "hook.sim":
                kind, far = "hook", self._world.told(role, request)
            case _:
                kind, far = "stripe", self._world.charged(role, request)
        try:
            await life.pass_by(f"before {kind}")
        except BaseException:
            far.close()
            raise
        response = await asyncio.shield(outside(far))
        await life.pass_by(f"after {kind}")
        return response


def outside(coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that belongs to no machine of the fleet."""
    token = OWNER.set(None)
    try:
        task = asyncio.get_running_loop().create_task(coro)
    finally:
        OWNER.reset(token)
    task.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())  # perhaps nobody waits
    return task


class Member(Box):
    """A machine of the fleet with its clock. It has no disk of its own."""

    world: FleetWorld

    def __init__(self, world: FleetWorld, role: str, disk: Path) -> None:
        super().__init__(world, SHARED, disk, lambda life: None)
        self.role = role
        self.clock = SkewedClock(world.truth)
        self.fleet: Fleet | None = None
        self.hangs = False
        """Whether a connection that is tried while it is cut off hangs, rather than fails at once."""
        self.disturbed_until_s = 0.0
        """By the machines' time: until then an error of the database is no finding."""
        self.born = 0
        self._runner: Runner | None = None

    @property
    def place(self) -> ServerUrl:
        return self.world.database.place

    @property
    def gets_through(self) -> bool:
        return self.world.database.reaches(self.role)

    @property
    def is_able(self) -> bool:
        """Whether it can do its work."""
        life = self.life
        stopped = isinstance(life, FleetLife) and life.stopped
        return self.service is not None and life is not None and not life.dead and not stopped and self.gets_through

    def say(self, what: str) -> None:
        self.world.note(self.role, what)

    def disturb(self, seconds: float = 0.0) -> None:
        """Note that from now on, and for a while after so many seconds, errors of the database are expected."""
        self.disturbed_until_s = max(self.disturbed_until_s, self.world.loop.time() + seconds + 60.0)
        self.world.disturbances.append((self.world.truth.now(), self.role))

    def note_able(self) -> None:
        self.world.note_able()

    def cut(self, seconds: float, *, hangs: bool) -> None:
        """Part it from the database for a while."""
        self.disturb(seconds)
        self.hangs = hangs
        self.world.database.cut(self.role)
        self.note_able()
        self.world.later(seconds, self.mend)

    def mend(self) -> None:
        if not self.world.database.reaches(self.role):
            self.disturb()
        self.world.database.mend(self.role)
        self.note_able()

    def leave(self, down_s: float) -> None:
        """Let it end by itself, as SIGTERM does, and start again after a while."""
        if self._runner is not None:
            self.down_s = down_s
            self._runner._stop()

    def wake(self) -> None:
        if self._runner is not None:
            self._runner._woken.set()

    # ── its lives ───────────────────────────────────────────────────────────────────────────────────────────────

    async def live(self) -> None:
        while not self.is_stopped():
            life = FleetLife(self)
            self.life = life
            task = asyncio.get_running_loop().create_task(self._one_life(life))
            try:
                await task
                self.say("left")
            except (asyncio.CancelledError, KilledError):
                if not life.dead:
                    raise
                self.say("dead")
            except (StoreError, DatabaseHeldError, OSError, sqlite3.Error) as error:
                self.say(f"could not run: {error}")
                if self.gets_through and self.disturbed_until_s < self.world.loop.time():
                    self.world.crashes.append(f"{self.role} could not run: {error!r}")
            except Exception as error:  # noqa: BLE001  (a crash is a finding, not an end)
                self.say(f"CRASHED {error!r}")
                self.world.crashes.append(f"{self.role} crashed: {error!r}")
                if len(self.world.crashes) > MOST_CRASHES:
                    self.stop()
            self.service, self.fleet, self._runner = None, None, None
            life.dead = True
            life._go_on()
            life.reap()
            for _ in range(3):
                await asyncio.sleep(0)
            self.world.database.drop_connections(self.role)
            down_s, self.down_s = self.down_s, 1.0
            if not self.is_stopped():
                await self.world.loop.rest(max(down_s, 0.5))

    async def _serve(self, life: Life) -> None:
        assert isinstance(life, FleetLife), "of a fleet"
        self.born += 1
        rng = random.Random(f"{self.world.seed}/{self.role}/{self.born}")
        config = self.world.config_of(self.role)
        runner = Runner(config, clock=self.clock, instance=self.role)
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(
                open_service(
                    config,
                    clock=self.clock,
                    ids=SeededIds(rng.getrandbits(64)),
                    rng=random.Random(rng.getrandbits(64)),
                    transport=FleetWire(life),
                    mailer=Post(life),
                    probe=life.probe,
                    overlap=True,
                    wake=runner._woken.set,
                )
            )
            draw = partial(rng.getrandbits, 62)
            self.fleet = await stack.enter_async_context(in_fleet(service, self.clock, self.role, draw=draw))
            looking = asyncio.ensure_future(runner._look_for_commands(service))
            stack.callback(looking.cancel)
            self.service, self._runner = service, runner
            self.say("began")
            self.note_able()
            await self._run(life, runner, service)

    async def _run(self, life: FleetLife, runner: Runner, service: Service) -> None:
        try:
            while not runner._stopping:
                await runner._one_step(service)
        finally:
            self.service, self._runner = None, None
            self.note_able()
            if not life.dead:
                await service.drain(DRAIN_S)
