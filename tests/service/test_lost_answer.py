"""A server commits, and its answer is lost: what is stored is gone on from, whoever believes that it failed."""

from __future__ import annotations

import sqlite3

import pytest

from daemon.compose import open_service
from daemon.config.load import load
from tests.service.conftest import KEY, Town


@pytest.mark.parametrize("lost", [1, 2])
async def test_what_was_told_in_a_commit_that_seemed_to_fail_is_told_once(town: Town, lost: int) -> None:
    account = town.usage.prepaid(KEY, balance_usd="20.00", total_charged_usd="14.24", active_videos=0)
    left = [0]

    def probe(point: str) -> None:
        if point == "committed" and left[0]:
            left[0] -= 1
            if not left[0]:
                raise sqlite3.OperationalError("server closed the connection unexpectedly")

    config = load(town.configure())
    async with open_service(config, clock=town.clock, ids=town.ids, rng=town.rng, probe=probe) as service:
        await service.step(town.clock.now())
        account.balance -= 16_000_000
        left[0] = lost
        for _ in range(3):
            town.clock.advance(300)
            await service.step(town.clock.now())
        assert not left[0], "the answer was lost"
        await service.drain(0.0)
    told = {one.payload["data"]["episode"] for one in town.receiver.accepted if one.payload["type"] == "balance.low"}
    assert len(told) == 1
