"""Jobs that overlap: what is under way is waited for, never asked again in a spin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.receiver import Fault
from daemon.demo.standins.usage import Slow
from tests.service.conftest import KEY, TOPUP, Town


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.long
async def test_a_slow_poll_and_a_slow_receiver_leave_nothing_due_at_once(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    town.receiver.fault = Fault(delay_s=5)
    config = load(town.configure())
    async with open_service(config, clock=town.clock, ids=town.ids, overlap=True) as service:
        await service.step(town.clock.now())
        await _until(lambda: service.evaluator.state("clips").last is not None)
        await service.step(town.clock.now())
        await _until(lambda: town.mailbox.kept)
        assert await service.step(town.clock.now()) - town.clock.now() > timedelta(milliseconds=500)
        town.usage.fail(KEY, Slow(2.0))
        town.clock.advance(300)
        await service.step(town.clock.now())
        await asyncio.sleep(0.2)
        assert await service.step(town.clock.now()) - town.clock.now() > timedelta(milliseconds=500)
        await service.drain(1.0)


async def test_a_pass_that_fails_is_tried_again_after_a_beat_not_in_a_spin(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    config = load(town.configure(topup=TOPUP))
    async with open_service(config, clock=town.clock, ids=town.ids, overlap=True) as service:
        with service.store.write(durable=True) as tx:
            tx.execute("ALTER TABLE delivery RENAME TO gone")
        await service.step(town.clock.now())
        jobs = {job.name: job for job in service.jobs}
        await _until(lambda: jobs["delivery"].health.failures > 0)
        await _until(lambda: not any(job.busy for job in jobs.values()))
        assert await service.step(town.clock.now()) - town.clock.now() > timedelta(seconds=5)
        assert any(reason.startswith("delivery:") for reason in service.stale_jobs(town.clock.now()))
        await service.drain(1.0)


async def test_a_credit_that_came_while_the_machine_was_off_is_seen_and_not_told_as_missing(town: Town) -> None:
    town.credit_after = timedelta(minutes=5)
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure(topup=TOPUP)
    await town.once(path)
    town.clock.advance(8 * 3600)
    town.stripe.settle()
    async with open_service(load(path), clock=town.clock, ids=town.ids, overlap=True) as service:

        def told() -> list[str]:
            return [row[0] for row in service.store.reader.execute("SELECT type FROM event ORDER BY number")]

        await service.step(town.clock.now())
        await _until(lambda: not service._money.busy)
        async with asyncio.timeout(20):
            while "topup.credited" not in told():
                await service.step(town.clock.now())
                await asyncio.sleep(0.01)
        assert "topup.not_credited" not in told()
        await service.drain(1.0)
