"""The world of a fleet: as of one machine, but for the daemons, which are several and share one database."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from alerts.model.accounts import AccountInfo
from alerts.model.money import MICRO
from alerts.model.values import replace
from daemon.config.model import AccountConfig, Config
from tests.sim.box import MOST_CRASHES, Box
from tests.sim.clocks import SkewedClock
from tests.sim.fleet import swarm
from tests.sim.fleet.database import ROLES, WorldDatabase
from tests.sim.fleet.loop import FleetLoop
from tests.sim.fleet.member import SHARED, Armed, FleetLife, Member
from tests.sim.fleet.swarm import FleetAct, FleetEvent
from tests.sim.swarm import Act, ScriptedEvent
from tests.sim.world import LAST_MOMENT, World

LOOK_EVERY_S = 0.5
QUIET_LOOKS = 4
"""So often in a row nothing was under way: what one has committed the others have seen."""
REST_WITHIN_LOOKS = 120
"""By then everything is held in fair shares: a lease has run out, and some beats have passed."""
TURN_AT_MOST_S, DENSE_AT_MOST_S = 900.0, 300.0
"""A page is turned no further, and no further than the second while a credit is awaited."""
PLAIN = ("plain0", "plain1", "plain2", "plain3")
"""Accounts that are only watched."""
MORE = ("shorts", "trailers")
"""More accounts that are charged for, by the same terms."""


class FleetWorld(World):
    """`database` is the one that all share."""

    peace = timedelta(days=1)

    def __init__(
        self, seed: int, days: float, disks: Path, database: WorldDatabase, focus: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(seed, days, disks, lambda *_: None, focus - frozenset({"api"}))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FleetLoop), "a fleet lives in its own time"
        self.loop = loop
        loop.rng = random.Random(seed + 6)
        self.database = database
        loop.moved = database.set_clock
        rng = random.Random(seed + 7)
        self.api = None
        self.plain = PLAIN
        self._add_accounts(rng)
        self.swarm = swarm.without_disks(self.swarm)
        self.roles = ROLES if rng.random() < 0.7 else ROLES[:2]
        self.befalls = swarm.draw(rng, self.scenario.start, max(days - self.peace.days, 1.0), self.roles, focus)
        if any(one.act is FleetAct.STEP_CLOCK for one in self.befalls):
            self.swarm = dataclasses.replace(self.swarm, acts=self.swarm.acts | {Act.CLOCK_STEP})
        self.stripe_transport = self.stripe.transport(wait=loop.rest)
        self.members: dict[str, Member] = {}
        self.polls: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        """Who asked for each account, and when."""
        self.unheard: set[tuple[str, str]] = set()
        """What a receiver did not take at some attempt, or whose answer its sender did not hear: receiver and id."""
        self.disturbances: list[tuple[datetime, str]] = []
        self.unable: list[tuple[datetime, datetime]] = []
        """When no daemon could do anything."""
        self._unable_since: datetime | None = self.scenario.start
        self._quiet = self._restless = 0
        self._ends = False
        self._lead = random.Random(seed + 8)

    def _add_accounts(self, rng: random.Random) -> None:
        config = self.scenario.config
        poll = rng.choice(["0 * * * *", "0 * * * *", "*/30 * * * *"])
        accounts = {id: replace(one, poll=poll) for id, one in config.accounts.items()}
        for name in MORE[: rng.randrange(3)]:
            accounts[name] = _another(accounts["clips"], name)
        for name in PLAIN:
            accounts[name] = replace(_another(accounts["clips"], name), topup=None)
        more = accounts.keys() - config.accounts.keys()
        self.scenario = replace(
            self.scenario,
            config=replace(config, accounts=accounts),
            balances=self.scenario.balances | {name: rng.randrange(5, 60) * MICRO for name in sorted(more)},
            videos={name: rng.choice([30, 70, 140]) for name in sorted(accounts)},
        )

    @property
    def period(self) -> timedelta:
        """How often an account is polled."""
        return timedelta(hours=0.5 if self.scenario.config.accounts["clips"].poll == "*/30 * * * *" else 1)

    # --- beginning ----------------------------------------------------------------------------------------------

    def add_box(self, name: str, *, other_amount: bool = False) -> Box:
        """Start the fleet, in the place of the one machine."""
        assert name == SHARED
        shared = Box(self, SHARED, self._disks / SHARED, lambda life: None)
        self.boxes.append(shared)
        self.clocks[SHARED] = SkewedClock(self.truth)
        config = self.scenario.config
        self.database.know(config.accounts, [one.key for one in config.receivers.all])
        for role in self.roles:
            self.members[role] = member = Member(self, role, shared.disk)
            self._tasks.append(asyncio.create_task(member.live()))
        self._tasks.append(asyncio.create_task(self._turn_pages()))
        return shared

    def config_of(self, role: str) -> Config:
        config = self.scenario.config
        return replace(config, store=replace(config.store, url=self.database.url(role)))

    def clock_of(self, box: Box) -> SkewedClock:
        return box.clock if isinstance(box, Member) else self.clocks[box.name]

    # --- time ---------------------------------------------------------------------------------------------------

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        self.loop.at_date(self.loop.calendar_s + seconds, do)

    async def _until(self, at: datetime) -> None:
        seconds = (at - self.truth.now()).total_seconds()
        if seconds > 0:
            await self.loop.rest(seconds)

    async def _turn_pages(self) -> None:
        """Turn the calendar to when something happens next, while all that can happen before is a beat."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._quiet = self._quiet + 1 if self._is_quiet() else 0
            if len(self.crashes) > MOST_CRASHES:  # there is nothing more to learn
                self.loop.turn(max(self.loop.next_date() - self.loop.calendar_s, 0.0))
                continue
            if self._quiet < QUIET_LOOKS or self._ends:
                continue
            wait_s = self._next_s() - self._lead.uniform(0.1, 1.5)
            if wait_s > LOOK_EVERY_S and self._comes_to_rest():
                self.loop.turn(wait_s)
                for member in self.members.values():
                    member.wake()

    def _comes_to_rest(self) -> bool:
        """Whether the leases have; where they do not, with nothing under way, that is a finding, and time goes on."""
        if self._is_settled():
            self._restless = 0
            return True
        self._restless += 1
        if self._restless == REST_WITHIN_LOOKS:
            self.crashes.append(f"{self.truth.now()}: the leases do not come to rest: {self.database.holders()}")
        return self._restless >= REST_WITHIN_LOOKS

    def _next_s(self) -> float:
        """Return in how many seconds something happens, by the calendar; what is less than a poll may wait."""
        waits = [self.loop.next_date() - self.loop.calendar_s, TURN_AT_MOST_S]
        for member in self.members.values():
            if (service := member.service) is not None and member.is_able:
                now = member.clock.now()
                dates = [*service._due_polls.for_credit(service._open_polls).values()]
                dates += [at for at in (service._due_polls.next_at(), service._due_at[service._delivery]) if at]
                waits += [(at - now).total_seconds() for at in dates]
                waits += [DENSE_AT_MOST_S] * service.awaits_credit
        return min(waits)

    def _is_quiet(self) -> bool:
        return all(map(_rests, self.members.values()))

    def _is_settled(self) -> bool:
        """Whether those who can hold everything, and nobody else anything: else leases are about to move."""
        able = sum(one.is_able for one in self.members.values())
        if able:
            return self.database.is_shared_by(able)
        services = [one.service for one in self.members.values() if one.service is not None and not _is_stopped(one)]
        return not any(service.holdings.buckets for service in services) and not self.database.alive()

    def note_able(self) -> None:
        """Note since when nobody can do anything, or that somebody can again."""
        able = any(one.is_able for one in self.members.values())
        if able and self._unable_since is not None:
            self.unable.append((self._unable_since, self.truth.now()))
            self._unable_since = None
        elif not able and self._unable_since is None:
            self._unable_since = self.truth.now()

    # --- the far sides ------------------------------------------------------------------------------------------

    async def asked(self, role: str, request: httpx.Request) -> httpx.Response:
        """The usage API."""
        account = next(part for part in reversed(request.url.path.split("/")) if part in self.ledgers)
        await asyncio.sleep(self.latency() / 10)
        self.polls[account].append((self.truth.now(), role))
        return await self.source.answer(request)

    async def told(self, role: str, request: httpx.Request) -> httpx.Response:
        """A receiver."""
        receiver, id = request.url.path.rsplit("/", 1)[-1], request.headers["webhook-id"]
        await asyncio.sleep(self.latency() / 10)
        began_s = self.loop.time()
        try:
            response = await self.receivers.answer(request)
        except httpx.HTTPError:
            self.unheard.add((receiver, id))
            raise
        if response.status_code >= 300 or self.loop.time() - began_s > 4.0:
            self.unheard.add((receiver, id))
        return response

    async def charged(self, role: str, request: httpx.Request) -> httpx.Response:
        """Stripe."""
        await asyncio.sleep(self.latency())
        path = request.url.path
        if path.endswith("/confirm"):
            self.watch(path.split("/")[3], role)
        self.senders.append(f"{SHARED}/0")
        try:
            return await self.stripe_transport.handle_async_request(request)
        finally:
            last = self.stripe.exchanges[-1]
            if request.method == "POST":
                strike = f" [{last.strike}]" if last.strike else ""
                self.note(role, f"{last.endpoint} {last.key} {last.status}{strike}")

    # --- faults -------------------------------------------------------------------------------------------------

    async def befall(self) -> None:
        script: list[ScriptedEvent | FleetEvent] = [*self.swarm.happenings, *self.befalls]
        for happening in sorted(script, key=lambda one: one.at):
            await self._until(happening.at)
            if isinstance(happening, FleetEvent):
                self.note(happening.role, f"{happening.act} {happening.value} {happening.seconds:g}")
                self._act_on(self.members[happening.role], happening)
            else:
                self.note("fault", f"{happening.act} {happening.value} {happening.seconds:.0f}")
                self._act(happening)
        await self._until(self.end - self.peace)
        self.heal()
        await self._until(self.end + LAST_MOMENT)
        self._ends, self._quiet = True, 0
        while (
            self._quiet < QUIET_LOOKS and len(self.crashes) <= MOST_CRASHES
        ):  # what was committed in the last moment is still to be delivered
            await asyncio.sleep(LOOK_EVERY_S)

    def _act_on(self, member: Member, event: FleetEvent) -> None:
        life = member.life if isinstance(member.life, FleetLife) and not member.life.dead else None
        match event.act:
            case FleetAct.KILL_ONE:
                member.kill(event.seconds)
                self.note_able()
            case FleetAct.STOP_ONE if life is not None:
                member.disturb(event.seconds)
                life.stop(event.seconds)
                self.note_able()
            case FleetAct.CUT_ONE:
                member.cut(event.seconds, hangs=event.value == "hangs")
            case FleetAct.LEAVE:
                member.leave(event.seconds)
            case FleetAct.AT_POINT if life is not None:
                deed, point, count = event.value.split("/")
                life.armed.append(Armed(deed, point, int(count), event.seconds))
            case FleetAct.DATABASE_DOWN if not self.database.is_down:
                self._go_down(event.seconds)
            case FleetAct.STEP_CLOCK:
                member.clock.skew += timedelta(seconds=event.seconds)
                self.most_skew = max(self.most_skew, abs(member.clock.skew))
            case _:
                return

    def _go_down(self, seconds: float) -> None:
        for member in self.members.values():
            member.disturb(seconds)
        self.database.go_down()
        self.note_able()
        self.later(seconds, self._come_up)

    def _come_up(self) -> None:
        if self.database.is_down:
            self.database.come_up()
            for member in self.members.values():
                member.disturb()
            self.note_able()

    def heal(self) -> None:
        super().heal()
        self._come_up()
        for member in self.members.values():
            member.mend()
            member.clock.skew = timedelta()
            if isinstance(member.life, FleetLife):
                member.life.armed.clear()
                member.life.wake_up()
        self.note_able()

    async def end_all(self) -> None:
        for member in self.members.values():
            member.stop()
        self._tasks[-1].cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _another(account: AccountConfig, name: str) -> AccountConfig:
    return replace(
        account,
        info=AccountInfo(id=name, provider="contentstats"),
        url=f"http://usage.sim/{name}",
        api_key=SecretStr(f"cs_test_{name}"),
    )


def _is_stopped(member: Member) -> bool:
    return isinstance(member.life, FleetLife) and member.life.stopped


def _rests(member: Member) -> bool:
    """Whether nothing is under way in a daemon, or can be before it goes on or is heard of again."""
    life, service, fleet = member.life, member.service, member.fleet
    if life is None or life.dead:
        return True
    if _is_stopped(member):
        return True  # what others make of it is `_is_settled`
    if service is None or fleet is None:
        return not member.gets_through  # it starts, or ends
    if any(job.busy for job in service.jobs) or service.deliverer.busy():
        return False
    if service.recovery is not None and not service.recovery.done():
        return False
    return bool(fleet.problem) is not member.gets_through
