"""Runs the real daemon, step by step, through the scenario's month."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import Config
from daemon.demo.scenario import CONFIG, END, SCRIPT, START, ScriptedEvent, set_up_world
from daemon.demo.standins.mailbox import StoredMail
from daemon.demo.standins.receiver import Received
from daemon.demo.world import World, open_world
from daemon.places import Place
from daemon.work.service import Service

SEED = 2026


@dataclass(frozen=True, slots=True)
class DemoObserver:
    """Callbacks during the month."""

    on_event: Callable[[Received], None] = lambda received: None
    on_mail: Callable[[StoredMail], None] = lambda kept: None
    on_scripted: Callable[[ScriptedEvent], None] = lambda scripted: None
    on_step: Callable[[datetime, Service, World], None] = lambda now, service, world: None
    on_end: Callable[[datetime, Service, World], None] = lambda now, service, world: None


@dataclass(slots=True)
class Month:
    """The result of a month. The stand-ins are stopped; their records say what really happened."""

    config: Config
    world: World
    end: datetime
    steps: int = 0
    elapsed_s: float = 0.0
    scripted: list[ScriptedEvent] = field(default_factory=list)


async def run_month(
    folder: Path, *, observer: DemoObserver, end: datetime = END, seed: int = SEED, place: Place | None = None
) -> Month:
    """Run the daemon from the scenario's start to `end`, with its files in `folder`. Leaves nothing running.

    Its store is a file there, or the empty database of a server at `place`.
    """
    began = time.monotonic()
    async with open_world(START, seed=seed, on_event=observer.on_event, on_mail=observer.on_mail) as world:
        set_up_world(world)
        config = _configure(folder, world, place or folder / "brimful.db")
        month = Month(config, world, end)
        async with open_service(config, clock=world.clock, ids=SeededIds(seed), rng=random.Random(seed)) as service:
            await _drive(service, month, observer)
            await service.drain(5.0)
    month.elapsed_s = time.monotonic() - began
    return month


def _configure(folder: Path, world: World, place: Place) -> Config:
    """Write the configuration as an operator would, and load it as the daemon does; mode 0600, since it holds keys."""
    path = folder / "config.toml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        where = f"path = {json.dumps(str(place))}" if isinstance(place, Path) else f"url = {json.dumps(place.text)}"
        file.write(CONFIG.format(**world.addresses, store=where))
    return load(path, environ={})


async def _drive(service: Service, month: Month, observer: DemoObserver) -> None:
    world, now = month.world, month.world.clock.now()
    waiting = list(SCRIPT)
    while now < month.end:
        world.clock.set(now)
        while waiting and waiting[0].at <= now:
            event = waiting.pop(0)
            event.do(world)
            month.scripted.append(event)
            observer.on_scripted(event)
        world.settle()
        now = await service.step(now)
        month.steps += 1
        observer.on_step(world.clock.now(), service, world)
    observer.on_end(world.clock.now(), service, world)
