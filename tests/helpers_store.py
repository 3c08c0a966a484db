"""What SQLite has to do for a question, what PostgreSQL is asked on the event loop, and a lane that is held up."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from daemon.store import Store
from daemon.store.dialects import postgresql
from daemon.store.dialects.postgresql import PostgresqlConnection

_ROOT = f"{Path(__file__).parents[1]}/"


def file_of(store: Store) -> sqlite3.Connection:
    """Return SQLite's own connection of a store that is a file."""
    assert isinstance(store.reader, sqlite3.Connection)
    return store.reader


def effort(store: Store, work: Callable[[], object]) -> int:
    """How many instructions SQLite runs for `work`."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    file_of(store).set_progress_handler(count, 1)
    try:
        work()
    finally:
        file_of(store).set_progress_handler(None, 0)
    return steps


def watch_event_loop(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets every statement for PostgreSQL that runs, from now on, on the thread of an event loop.

    Each with who asked for it; a connection that is made there is one of them.
    """
    seen: list[str] = []

    def watch(where: Any, name: str) -> None:
        real = getattr(where, name)

        def watched(*args: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                seen.append(f"{name} {args[-1] if where is postgresql else args[1]!r}{_callers(sys._getframe(1))}")
            return real(*args)

        monkeypatch.setattr(where, name, watched)

    for name in ("execute", "executemany", "write_rows", "command"):
        watch(PostgresqlConnection, name)
    watch(postgresql, "_connect")
    return seen


def _callers(frame: FrameType | None) -> str:
    said = ""
    while frame is not None:
        path = frame.f_code.co_filename.removeprefix(_ROOT)
        if path.startswith(("daemon/", "alerts/")):
            said += f"\n  < {path}: {frame.f_code.co_name}"
        frame = frame.f_back
    return said


class HeldLane:
    """The thread of a server's lane: what it is asked waits while it is held up."""

    def __init__(self, lane: Store) -> None:
        assert lane._thread is not None, "a lane of a file has no thread"
        self._thread = lane._thread
        self._go_on = threading.Event()

    def hold(self) -> None:
        held, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            go_on.wait(20)

        self._go_on = go_on
        self._thread.submit(wait)
        held.wait()

    async def asked(self) -> None:
        """Wait until it is asked something."""
        async with asyncio.timeout(10):
            while not self._thread._work_queue.qsize():
                await asyncio.sleep(0.001)

    def finish(self) -> None:
        """Let it do what it was asked, of which the event loop hears afterwards."""
        self._go_on.set()
        self._thread.submit(int).result(20)
