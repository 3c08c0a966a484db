"""One pass after another over real sockets: what a low balance, a bad answer or a full quota sets going."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.demo.standins.usage import BadJson, Fault, Html, Lie, Missing, OverLong, Redirect, Status
from tests.service.conftest import KEY, MEDIA, TOPUP, Town


async def test_the_pages_own_example_is_reckoned_as_the_page_means_it(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", uncharged_usd="0.75", total_charged_usd="6.75", active_videos=3)
    town.configure()
    async with town.service() as service:
        outcome = await service.once()
        state = service.evaluator.state("clips")
    assert outcome.ok
    assert state.last is not None
    metrics = state.last.metrics
    assert metrics.available_microusd == 11_700_000
    assert metrics.scheduled_burn_microusd_per_day == 1_080_000
    assert metrics.estimated_snapshots_remaining == 830


async def test_a_low_balance_is_told_charged_once_and_seen_through_to_its_end(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=0)
    town.credit_after = timedelta(minutes=12)
    town.configure(topup=TOPUP)
    first = await town.once()
    assert first.count("balance.low") == 1
    assert first.count("topup.succeeded") == 1
    (low,) = town.events_of("balance.low")
    assert (low["available_usd"], low["balance_usd"], low["uncharged_usage_usd"]) == (4.21, 4.96, 0.75)
    assert [charge.amount for charge in town.stripe.successes()] == [5000]
    later = [kind for _ in range(4) for kind in await town.once()]
    assert len(town.stripe.successes()) == 1
    assert len(town.stripe.intents()) == 1
    assert later.count("topup.credited") == 1
    assert later.count("balance.recovered") == 1
    assert all(one.verified for one in town.receiver.accepted)
    assert all(outcome.ok for outcome in town.passes)


BAD: list[tuple[Fault, str]] = [
    (Status(401), "unauthorized"),
    (Status(403), "forbidden"),
    (Status(402), "payment_required"),
    (Status(500), "server_error"),
    (Status(503), "server_error"),
    (Html(), "bad_payload"),
    (BadJson(), "bad_payload"),
    (Missing(("balance_usd",)), "bad_payload"),
    (Lie({"balance_usd": "NaN"}), "bad_payload"),
    (Lie({"balance_usd": []}), "bad_payload"),
    (Redirect("http://127.0.0.1:9/"), "redirected"),
    (OverLong(), "too_large"),
]


@pytest.mark.parametrize(("fault", "reason"), BAD, ids=lambda value: str(value)[:40])
async def test_a_bad_answer_changes_nothing_that_is_known(town: Town, fault: Fault, reason: str) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", uncharged_usd="0", total_charged_usd="15.50", active_videos=0)
    town.configure()
    await town.once()
    async with town.service() as service:
        before = service.evaluator.state("clips")
    town.usage.fail(KEY, fault)
    told = await town.once()
    async with town.service() as service:
        after = service.evaluator.state("clips")
    assert not town.passes[-1].ok
    assert town.passes[-1].unreadable["clips"].startswith(reason)
    assert after.last == before.last
    assert after.episodes["low"] == before.episodes["low"]
    assert not {"balance.low", "balance.recovered", "balance.depleted"} & set(told)


async def test_a_first_answer_that_is_empty_is_no_reading(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=3)
    town.configure()
    town.usage.fail(KEY, Status(200, body=b""))
    await town.once()
    assert town.passes[-1].unreadable["clips"].startswith("bad_payload")


async def test_a_trial_key_at_ninety_two_percent_is_told_once_at_its_deepest_step(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="100", active_videos=0)
    town.usage.storage("trn_media", used_gb="900", reserved_gb="42.08", limit_gb="1024")
    town.configure(MEDIA.format(url=town.usage_url))
    told = await town.once() + await town.once()
    assert told.count("quota.high") == 1
    (high,) = town.events_of("quota.high")
    assert (high["percent"], high["step_percent"], high["effective_gb"]) == (92, 90, 942.08)


async def test_a_month_budget_counts_from_the_total_that_stood_when_the_month_began(town: Town) -> None:
    town.clock.set(town.clock.now().replace(day=31, month=10, hour=22, minute=59))
    account = town.usage.prepaid(KEY, balance_usd="5000", total_charged_usd="1000", active_videos=0)
    town.configure('[[rules]]\nid = "budget"\nkind = "budget"\nperiod = "month"\nlimit_usd = 100\nprojected = false\n')
    await town.once()
    account.total_charged += 50_000_000
    account.balance -= 50_000_000
    town.clock.set(town.clock.now() + timedelta(hours=20))
    told = await town.once()
    assert told.count("budget.reached") == 1
    (reached,) = town.events_of("budget.reached")
    assert (reached["percent"], reached["spent_usd"], reached["step_percent"]) == (50, 50, 50)


async def test_two_daemons_on_one_disk_are_refused(town: Town) -> None:
    from daemon.store.lock import DatabaseHeldError

    town.usage.prepaid(KEY, balance_usd="12.45")
    town.configure()
    async with town.service():
        with pytest.raises(DatabaseHeldError, match="holds"):
            async with town.service():
                pytest.fail("a second service opened the same database")
