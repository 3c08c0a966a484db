from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from daemon.clock import ManualClock
from tests.helpers_events import watch_events
from tests.helpers_topup_shell import Shell
from tests.helpers_topups import START, Daemon, World


@pytest.fixture(autouse=True)
def every_event_is_what_the_catalogue_says(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = watch_events(monkeypatch)
    yield
    assert found == []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(clock)


@pytest.fixture
def shell(tmp_path: Path, daemon: Daemon) -> Shell:
    return Shell(tmp_path, daemon)


@pytest.fixture
async def daemon(world: World, tmp_path: Path) -> AsyncIterator[Daemon]:
    one = Daemon(world, tmp_path / "one")
    yield one
    one.store.close()
