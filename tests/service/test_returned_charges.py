"""`once` from cron: what was refunded or disputed between two runs is known before the card is charged again."""

from __future__ import annotations

import pytest

from tests.service.conftest import KEY, TOPUP, Town


@pytest.mark.parametrize("disk", ["a.db", "b.db"], ids=["its own disk", "a fresh one"])
@pytest.mark.parametrize("how", ["dispute", "refund"])
async def test_no_charge_follows_one_that_was_returned(town: Town, disk: str, how: str) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=0)
    town.configure(topup=TOPUP)
    for _ in range(3):
        await town.once()
    [charge] = town.stripe.successes()
    assert town.events_of("topup.credited")
    (town.stripe.books.dispute if how == "dispute" else town.stripe.books.refund)(charge)
    town.clock.advance(3600 * 3)
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="64.24", active_videos=0)
    told = await town.once(town.configure(topup=TOPUP, database=disk))
    assert len(town.stripe.successes()) == 1
    assert "topup.suspended" in told
    assert "topup.succeeded" not in told
