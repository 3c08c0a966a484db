"""One machine: a disk, a clock, and a daemon that may be killed at any commit, request or await, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Generator, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from alerts.mail import Mailed, MailFailed
from alerts.model.readings import Known
from daemon.places import Place

if TYPE_CHECKING:
    from daemon.work.service import Service
    from tests.sim.world import World

OWNER: contextvars.ContextVar[Life | None] = contextvars.ContextVar("owner", default=None)
DENSE = timedelta(minutes=5)
SPARSE = timedelta(hours=1)
MOST_CRASHES = 20
"""A daemon that dies as often as that will not come up any more."""


class KilledError(BaseException):
    """The process is gone: nothing of it runs any further."""


class Life:
    """One run of the daemon, from its start to its death. Tasks that it starts belong to it."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.kill_at_commit: tuple[str, int] | None = None
        self.kill_at_request: tuple[str, int] | None = None

    def die(self) -> KilledError:
        if not self.dead:
            self.dead = True
            asyncio.get_running_loop().call_soon(self.reap)
        return KilledError()

    def reap(self) -> None:
        for task in self.tasks:
            task.cancel()

    def probe(self, point: str) -> None:
        """Called around every transaction."""
        if self.dead:
            raise KilledError
        if self.kill_at_commit is not None and self.kill_at_commit[0] == point:
            left = self.kill_at_commit[1] - 1
            self.kill_at_commit = (point, left)
            if left <= 0:
                self.box.world.note(self.box.name, f"killed at {point}")
                raise self.die()

    def at_request(self, when: str) -> None:
        """Called before and after every request to Stripe."""
        if self.dead:
            raise KilledError
        if self.kill_at_request is not None and self.kill_at_request[0] == when:
            left = self.kill_at_request[1] - 1
            self.kill_at_request = (when, left)
            if left <= 0:
                self.box.world.note(self.box.name, f"killed {when} a request")
                raise self.die()


class Wire(httpx.AsyncBaseTransport):
    """The network of one life: nothing leaves or enters a dead process."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._world = life.box.world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._life.dead:
            raise KilledError
        host = request.url.host
        if host == "usage.sim":
            response = await self._world.source.answer(request)
        elif host == "hook.sim":
            response = await self._world.receivers.answer(request)
        else:
            response = await self._ask_stripe(request)
        if self._life.dead:
            raise KilledError
        return response

    async def _ask_stripe(self, request: httpx.Request) -> httpx.Response:
        self._life.at_request("before")
        if len(self._world.boxes) > 1:  # machines that act in the same second meet one another under way
            await asyncio.sleep(self._world.latency())
        path = request.url.path
        if path.endswith("/confirm"):
            self._world.watch(path.split("/")[3], self._life.box.name)
        if self._world.api is not None:
            await self._change_meanwhile(request)
        self._world.senders.append(f"{self._life.box.name}/{len(self._life.box.lost_at)}")
        try:
            response = await self._world.stripe_transport.handle_async_request(request)
        finally:
            last = self._world.stripe.exchanges[-1]
            if request.method == "POST":
                strike = f" [{last.strike}]" if last.strike else ""
                self._world.note(self._life.box.name, f"{last.endpoint} {last.key} {last.status}{strike}")
        if self._world.api is not None:
            await self._change_meanwhile(request, answered=True)
        self._life.at_request("after")
        return response

    async def _change_meanwhile(self, request: httpx.Request, *, answered: bool = False) -> None:
        """Let what waits for this moment be changed by API while the request is under way."""
        assert self._world.api is not None, "nobody changes anything"
        self._world.api.at_request(self._life.box.name, request, answered=answered)
        for _ in range(4):
            await asyncio.sleep(0)
        if self._life.dead:
            raise KilledError


class Post:
    """The way of one life to the mail server."""

    sender = "Brimful <brimful@example.com>"

    def __init__(self, life: Life) -> None:
        self._life = life

    async def send(self, message: EmailMessage, to: Sequence[str]) -> Mailed | MailFailed:
        if self._life.dead:
            raise KilledError
        mailed = await self._life.box.world.receivers.take(message)
        if self._life.dead:
            raise KilledError
        return mailed


def own_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Let every task know the life that started it."""

    def factory(loop: asyncio.AbstractEventLoop, coro: Generator[Any, None, Any], **named: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **named)
        life = OWNER.get()
        if life is not None:
            if len(life.tasks) > 256:
                life.tasks = [old for old in life.tasks if not old.done()]
            life.tasks.append(task)
        return task

    loop.set_task_factory(factory)  # type: ignore[arg-type]  # the stub's protocol is wider


def of_life(life: Life | None, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task that belongs to a life, and dies with it; None: to another process."""
    token = OWNER.set(life)
    try:
        return asyncio.get_running_loop().create_task(coro)
    finally:
        OWNER.reset(token)


def in_dead_life() -> bool:
    """Whether the caller belongs to a process that was killed: what it meets any more happened to nobody."""
    life = OWNER.get()
    return life is not None and life.dead


class Box:
    """A machine with its disk. `open_service` builds the daemon on it for one life."""

    def __init__(self, world: World, name: str, disk: Path, open_service: Callable[[Life], Any]) -> None:
        self.world = world
        self.name = name
        self.disk = disk
        self.open_service = open_service
        self.life: Life | None = None
        self.service: Service | None = None
        self.down_s = 1.0
        self.restored = False
        """Whether the disk went back to an earlier state: its numbers may repeat."""
        self.lost_at: list[datetime] = []
        self._before_start: Callable[[], None] | None = None
        self._stopped = False
        self._changed = asyncio.Event()

    @property
    def database(self) -> Path:
        return self.disk / "brimful.db"

    @property
    def place(self) -> Place:
        """Where a person's command finds the store."""
        return self.database

    def kill(self, down_s: float, before_start: Callable[[], None] | None = None) -> None:
        """Kill the daemon now; it starts again after `down_s`, once `before_start` has had its way with the disk."""
        self.down_s = down_s
        self._before_start = before_start
        if self.life is not None and not self.life.dead:
            self.life.die()

    def stop(self) -> None:
        """Kill the daemon for good."""
        self._stopped = True
        self.kill(0.0)

    def is_stopped(self) -> bool:
        return self._stopped

    def fill_disk(self) -> None:
        """Let the running daemon's database grow no more: SQLite itself says that the disk is full."""
        if self.service is not None:
            conn = self.service.store.reader
            (pages,) = conn.execute("PRAGMA page_count").fetchone()
            conn.execute(f"PRAGMA max_page_count = {pages}")

    def free_disk(self) -> None:
        """Let it grow again."""
        if self.service is not None:
            self.service.store.reader.execute("PRAGMA max_page_count = 4294967294")

    def back_up(self) -> None:
        """Copy the database while the daemon runs."""
        if not self.database.exists():
            return
        with _connect(self.database) as source, _connect(self.disk / "backup.db") as target:
            source.backup(target)
        source.close()
        target.close()

    def restore(self) -> None:
        """Go back to the last backup, if there is one."""
        if not (self.disk / "backup.db").exists():
            return
        self._erase()
        shutil.copy(self.disk / "backup.db", self.database)
        self.restored = True
        self.lost_at.append(self.world.truth.now())

    def wipe(self) -> None:
        """Lose the disk."""
        self._erase()
        self.lost_at.append(self.world.truth.now())

    def _erase(self) -> None:
        if self.database.exists():
            self.world.bury(self)
        self.world.paused = {(box, scope) for box, scope in self.world.paused if box != self.name}
        for path in self.disk.glob("brimful.db*"):
            path.unlink()

    async def live(self) -> None:
        """Run the daemon, life after life, until it is stopped."""
        while not self.is_stopped():
            life = self.life = Life(self)
            task = asyncio.get_running_loop().create_task(self._one_life(life))
            try:
                await task
            except (asyncio.CancelledError, KilledError):
                self.world.note(self.name, "dead")
            except Exception as error:  # noqa: BLE001  (a crash is a finding, not an end)
                self.world.note(self.name, f"CRASHED {error!r}")
                self.world.crashes.append(f"{self.name} crashed: {error!r}")
                if len(self.world.crashes) > MOST_CRASHES:
                    self.stop()
            life.dead = True
            life.reap()
            for _ in range(3):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0 if self.is_stopped() else max(self.down_s, 0.5))
            self.down_s = 1.0
            before, self._before_start = self._before_start, None
            if before is not None:
                before()

    async def _one_life(self, life: Life) -> None:
        token = OWNER.set(life)
        try:
            await asyncio.get_running_loop().create_task(self._serve(life))
        finally:
            OWNER.reset(token)

    async def _serve(self, life: Life) -> None:
        async with self.open_service(life) as service:
            self.service = service
            self.world.began(self)
            try:
                await self._step_for_ever(life, service)
            finally:
                self.service = None

    async def _step_for_ever(self, life: Life, service: Service) -> None:
        clock = self.world.clock_of(self)
        while not life.dead:
            wake = await service.step(clock.now())
            pause = min(wake - clock.now(), DENSE) if _dense(service) else self.world.until_next(SPARSE)
            await self._pause(max(pause.total_seconds(), 0.05))

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until something is changed by API."""
        if self.world.api is None:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        self._changed.clear()

    def notice_changes(self) -> None:
        """See that another process has committed, as the daemon does within a second."""
        if self.service is not None and self.life is not None and not self.life.dead:
            self.service.changed_elsewhere()
            self._changed.set()

    def wake(self) -> None:
        """Let the daemon look at once: it has changed something itself."""
        self._changed.set()


def _dense(service: Service) -> bool:
    """Whether the machine looks every five minutes: while a top-up, a suspect reading or an outcome is open."""
    if service.awaits_credit:
        return True
    return any(polled.accepted is None and isinstance(polled.reading, Known) for polled in service.polls.last.values())


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)
