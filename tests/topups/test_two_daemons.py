"""Several daemons at one ledger on PostgreSQL: whatever they do at the same instant, one charge holds the slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from alerts.forecast.pace import BurnNow
from daemon.commands import operator
from daemon.store import ledger_notes
from daemon.store.topup_rows import Topup
from daemon.stripe.answers import Refused
from daemon.stripe.intents import Listing
from daemon.stripe.objects import PaymentMethod
from daemon.topups import adoption, planning
from daemon.topups.listing import list_intents
from daemon.topups.policy.step import Intent, Readings
from tests.helpers_topups import Daemon, World

pytestmark = pytest.mark.postgresql
SESSIONS = 16
ROUNDS = 6


async def listed_by(daemon: Daemon) -> Listing:
    listed = await list_intents(daemon.service.context, "clips")
    assert not isinstance(listed, Refused)
    return listed


async def plan_of(daemon: Daemon, world: World, listed: Listing) -> Callable[[], Topup | None]:
    """Return what writes a plan, when called, by what this daemon knows now."""
    context, config = daemon.service.context, daemon.topup
    method = await planning._method(context, config, "clips")
    assert isinstance(method, PaymentMethod)
    readings = Readings(world.read(), BurnNow(), second=world.read())
    return lambda: planning._write(context, config, "clips", readings, listed, method, probe=False)


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run each in a thread of its own, all from the same instant on."""
    barrier = Barrier(len(works))

    def one(work: Callable[[], object]) -> object:
        barrier.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def first_steps(daemon: Daemon) -> list[str]:
    """Return the top-ups in the order in which they were entered."""
    steps = daemon.store.reader.execute("SELECT topup FROM topup_steps_taken ORDER BY id").fetchall()
    return list(dict.fromkeys(topup for (topup,) in steps))


def pause(daemon: Daemon) -> int:
    """Pause every charge; return how many are planned once that is said."""
    operator.pause(daemon.store, None, daemon.world.clock.now())
    return len(daemon.topups())


async def test_of_sixteen_plans_at_once_one_is_written_and_the_gates_refuse_the_others(
    world: World, tmp_path: Path
) -> None:
    daemons = [Daemon(world, tmp_path / "one") for _ in range(SESSIONS)]
    plans = [await plan_of(daemon, world, await listed_by(daemon)) for daemon in daemons]
    written = [plan for plan in await asyncio.to_thread(at_once, *plans) if plan is not None]
    assert [plan.id for plan in written if isinstance(plan, Topup)] == ["clips-1"]
    assert [topup.id for topup in daemons[0].topups()] == ["clips-1"]
    refused = {one.gate: one.count for one in ledger_notes.decisions(daemons[0].store.reader, "clips")}
    assert sum(refused.values()) == SESSIONS - 1, refused
    for daemon in daemons:
        daemon.store.close()


async def test_where_a_charge_was_adopted_no_other_is_planned(world: World, tmp_path: Path) -> None:
    """The plan may come first: then the list that is read before it is confirmed shows what was adopted."""
    stranger = Daemon(world, tmp_path / "stranger")
    pairs = [(Daemon(world, tmp_path / f"{n}"), Daemon(world, tmp_path / f"{n}")) for n in range(ROUNDS)]
    plans = [await plan_of(one, world, await listed_by(one)) for one, _ in pairs]
    world.lost = True
    await stranger.poll()
    for (_, other), plan in zip(pairs, plans, strict=True):
        listed = await listed_by(other)
        (ours,) = listed.ours
        fact = Intent(ours.intent, (), adopted=True)
        await asyncio.to_thread(
            at_once, plan, partial(adoption._enter, other.service.context, "clips", ours, fact, listed)
        )
        assert first_steps(other) in (["clips-1"], ["clips-2", "clips-1"])
    for daemon in (stranger, *(one for pair in pairs for one in pair)):
        daemon.store.close()


async def test_after_a_pause_was_said_nothing_is_planned(world: World, tmp_path: Path) -> None:
    pairs = [(Daemon(world, tmp_path / f"{n}"), Daemon(world, tmp_path / f"{n}")) for n in range(ROUNDS)]
    for one, other in pairs:
        plan = await plan_of(one, world, await listed_by(one))
        _, planned_when_it_was_said = await asyncio.to_thread(at_once, plan, partial(pause, other))
        assert planned_when_it_was_said == len(other.topups())
        one.store.close()
        other.store.close()
