"""One daemon's place in a fleet: it says that it is alive, takes its share, gives back what is too much, and stops in
time when it cannot be heard. Whoever was not heard of is out, and joins again with a new number and empty hands.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Protocol, TypeVar

import structlog

from alerts.rules.state import AccountState
from daemon.config.model import Config
from daemon.fleet.holdings import ACCOUNTS, NOTHING, Bucket, Holdings, bucket_of, to_give, to_take
from daemon.store import Store, StoreError, fleet, states
from daemon.store.connection import Connection, Fence, Transaction
from daemon.store.health import StoredHealth, encode
from daemon.store.lock import DatabaseHeldError, refuse_held

log = structlog.get_logger("brimful.fleet")

RENEW_EVERY_S = 2.5
LOOK_EVERY_S = 1.0
"""How often a daemon looks for what others have committed."""
GIVE_UP_AFTER_S = fleet.TTL_MS / 1000 - 2.0
"""When a daemon that cannot renew stops, by its own monotonic clock: before anybody else may begin."""
_OUT_OF_ORDER_S = 10.0
"""Numbers of deliveries may become visible so much later than higher ones."""
DRAW: Callable[[], int] = partial(secrets.randbits, 62)
"""Returns a number that no daemon has, or ever had."""
T = TypeVar("T")


class Work(Protocol):
    """What a daemon does with what it holds."""

    @property
    def config(self) -> Config: ...
    @property
    def takes(self) -> bool:
        """Whether it has begun, and is not ending."""

    def busy(self) -> Collection[Bucket]:
        """Return the buckets in which something is under way."""

    def hold(self, holdings: Holdings, states: Mapping[str, AccountState]) -> None:
        """Do this from now on, and nothing else; `states`: of the accounts that are new."""

    async def let_go(self) -> None:
        """Cancel all that is under way, and return when it has ended."""

    def look(self, *, changed: bool, told: Collection[str]) -> None:
        """Others have committed: changes of what is managed as data, or a command's; deliveries to these receivers."""


def name_of(instance: str = "") -> str:
    """Return a daemon's name: its host's, and its own where several run there."""
    return f"{socket.gethostname()}-{instance}" if instance else socket.gethostname()


class Fleet:
    """The place of this process in the fleet of its store. `problem`: why it does nothing, empty where all is well."""

    def __init__(self, store: Store, work: Work, name: str, *, draw: Callable[[], int] = DRAW) -> None:
        fence = store.dialect.fence
        assert fence is not None, "a store in a file is one daemon's alone"
        self.name = name
        self.problem = ""
        self._health: StoredHealth | None = None
        self._fence: Fence = fence
        self._work = work
        self._draw = draw
        self._lane = store.lane("fleet", keeps_row=True)
        self._mine: frozenset[Bucket] = frozenset()
        self._tried_at = self._renewed_at = 0.0
        self._change = -1
        self._marks: deque[tuple[float, int]] = deque()
        self._pending: dict[str, tuple[int, int]] = {}

    async def join(self) -> None:
        """Become one of the fleet; raises DatabaseHeldError where another of this name is, or a command has all."""
        sent, number = self._now(), self._draw()
        if not await self._write(partial(self._enter, number)):
            raise DatabaseHeldError(
                f"a daemon named {self.name} works with {self._lane.place} already: give each one its own name, "
                "`brimful run --name NAME`; one that was killed is forgotten after ten seconds"
            )
        try:
            await self._read(lambda conn: refuse_held(self._lane.dialect))
        except DatabaseHeldError:
            await self._write(lambda tx: fleet.leave(tx, number))
            raise
        self._renewed_at, self._tried_at = sent, 0.0
        self._fence.number, self._fence.armed, self.problem = number, True, ""
        log.info("fleet", outcome="joined", name=self.name)

    async def run(self) -> None:
        """Beat until cancelled. A beat that hangs does not keep what is held beyond its time."""
        beat: asyncio.Task[None] | None = None
        try:
            while True:
                began = self._now()
                beat = beat or asyncio.ensure_future(self._beat())
                await asyncio.wait([beat], timeout=LOOK_EVERY_S)
                if beat.done():
                    self._note(beat.exception())
                    beat = None
                if self._fence.number is not None and self._now() - self._renewed_at > GIVE_UP_AFTER_S:
                    await self._lose(self.problem or "the database does not answer")
                await asyncio.sleep(max(began + LOOK_EVERY_S - self._now(), 0.05))
        finally:
            if beat is not None:
                beat.cancel()
                await asyncio.wait([beat])

    async def leave(self) -> None:
        """Give back everything: nothing is under way any more."""
        number, self._fence.number = self._fence.number, None
        try:
            if number is not None:
                await self._write(lambda tx: fleet.leave(tx, number))
        except sqlite3.Error as error:
            log.warning("fleet", outcome="left unsaid", problem=str(error))
        finally:
            self._lane.close_lane()

    def judged(self, health: StoredHealth) -> None:
        """Take how this daemon fares: its row says so from the next renewal on."""
        self._health = health

    def held_back(self) -> str:
        """Return why this daemon does nothing, or soon will not; empty where all is well. By its own clock, whether or
        not the beat has come round to it: for whoever asks a process that just woke up.
        """
        if self.problem or self._fence.number is None:
            return self.problem or "this daemon is not one of the fleet"
        silent_s = self._now() - self._renewed_at
        return f"not renewed for {silent_s:.0f} s: others may have taken over" if silent_s > GIVE_UP_AFTER_S else ""

    # ── the beat ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _beat(self) -> None:
        number = self._fence.number
        if number is None:
            await self.join()
        elif self._now() - self._tried_at >= RENEW_EVERY_S:
            self._tried_at = sent = self._now()
            health = encode(self._health)
            if not await self._write(lambda tx: fleet.renew(tx, number, health)):
                await self._lose("others have taken over: this daemon was not heard of for too long")
                return
            self._renewed_at = sent
            if self._work.takes:
                await self._balance(number)
        if self._work.takes and self._fence.number is not None:
            await self._look()

    async def _balance(self, number: int) -> None:
        """Take what is free up to the fair share, and give back what is more, where nothing is under way."""
        gone, daemons, held = await self._write(partial(_balanced, number))
        for name in gone:
            log.warning("fleet", outcome="taken over", name=name)
        mine = frozenset(one for one, holder in held.items() if holder == number)
        if self._fence.number != number:
            return
        if not self._mine <= mine:
            await self._lose("the database has forgotten what this daemon held")
            return
        gained = mine - self._mine
        if gained:
            loaded = await self._read(partial(states.load_some, accounts=self._accounts(gained)))
            if self._fence.number != number:
                return
            self._hold(mine, loaded)
        if given := to_give(held, number, daemons, self._work.busy()):
            self._hold(self._mine - given, {})
            await self._write(lambda tx: fleet.give_back(tx, number, given))

    def _accounts(self, buckets: frozenset[Bucket]) -> list[str]:
        return [id for id in self._work.config.accounts if (ACCOUNTS, bucket_of(id)) in buckets]

    def _hold(self, mine: frozenset[Bucket], loaded: Mapping[str, AccountState]) -> None:
        before, self._mine = len(self._mine), mine
        self._work.hold(Holdings(mine), loaded)
        log.info("fleet", outcome="holds", buckets=len(mine), before=before, accounts=len(loaded))

    async def _look(self) -> None:
        """Look for what others have committed: for receivers that are held here, of what is managed as data, beside."""
        since = self._marks[0][1] if self._marks else None
        found, beside = await self._read(partial(self._news, since))
        told = [key for key, at in found.pending.items() if at > self._pending.get(key, (0, 0))]
        changed = beside or found.change != self._change
        self._change, self._pending = found.change, found.pending
        self._marks.append((self._now(), found.delivery))
        while len(self._marks) > 1 and self._marks[1][0] < self._now() - _OUT_OF_ORDER_S:
            self._marks.popleft()
        if changed or told:
            self._work.look(changed=changed, told=told)

    def _note(self, error: BaseException | None) -> None:
        if error is None:
            self._fence.unreachable = ""
            if self._fence.number is not None:
                self.problem = ""
        elif isinstance(error, (sqlite3.Error, StoreError, DatabaseHeldError)):
            if not self.problem:
                log.error("fleet", outcome="not heard", problem=str(error))
            self.problem = str(error)
        else:
            raise error

    async def _lose(self, why: str) -> None:
        """Drop all that is held: from now on nothing is written, and what is under way comes to nothing."""
        self._fence.number = None
        self._mine, self.problem = frozenset(), why
        log.error("fleet", outcome="lost", problem=why)
        self._work.hold(NOTHING, {})
        await self._work.let_go()

    # ── the database, in a thread ───────────────────────────────────────────────────────────────────────────────

    def _enter(self, number: int, tx: Transaction) -> bool:
        host, pid = socket.gethostname(), os.getpid()
        same = [one for one in fleet.live(tx) if (one.name, one.host) == (self.name, host)]
        ended = [one.number for one in same if one.pid == pid or not _runs(one.pid)]
        return fleet.join(tx, number, self.name, host, pid, dead=ended)

    def _news(self, since: int | None, conn: Connection) -> tuple[fleet.Committed, bool]:
        return fleet.news(conn, since), self._lane.changed_elsewhere()

    async def _write(self, work: Callable[[Transaction], T]) -> T:
        return await self._lane.apart(self._in_transaction, work)

    def _in_transaction(self, work: Callable[[Transaction], T]) -> T:
        with self._lane.write(durable=True) as tx:
            return work(tx)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._lane.apart(work, self._lane.reader)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _balanced(number: int, tx: Transaction) -> tuple[list[str], list[int], dict[Bucket, int]]:
    """Return who was taken out, who is alive, and who holds what now."""
    gone = fleet.expire(tx)
    daemons = sorted({number, *(one.number for one in fleet.live(tx))})
    held = _held(tx)
    if wanted := to_take(held, number, daemons):
        fleet.take(tx, number, wanted)
        held = _held(tx)
    return gone, daemons, held


def _held(conn: Connection) -> dict[Bucket, int]:
    return {(one.kind, one.bucket): one.holder for one in fleet.leases(conn)}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
