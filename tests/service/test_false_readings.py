"""What a provider may say by mistake, and what no charge is made on; the true need beside it is met, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daemon.commands import operator
from daemon.demo.standins.usage.faults import BadJson, Lie
from daemon.demo.standins.usage.standin import ALWAYS
from daemon.reconcile.audit import audit
from daemon.store import Store, reports
from tests.service.conftest import KEY, LOW, TOPUP, Town

NOTHING = {"balance_usd": 0, "uncharged_usage_usd": 0, "total_charged_usd": 0}


def charges(town: Town) -> list[int]:
    return [charge.amount for charge in town.stripe.successes()]


async def live(town: Town, duration: timedelta) -> list[str]:
    told = []
    for _ in range(duration // timedelta(minutes=5)):
        told += await town.once()
    return told


@pytest.mark.parametrize("said", [{"balance_usd": 0}, NOTHING, {"balance_usd": 9.5}], ids=["zero", "all-zero", "half"])
@pytest.mark.long
async def test_usage_cannot_lower_what_was_ever_credited(town: Town, said: dict[str, Any]) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    town.configure(topup=TOPUP)
    assert await town.once() == []
    town.usage.fail(KEY, Lie(said), times=ALWAYS)
    told = await live(town, timedelta(hours=3))
    assert charges(town) == []
    assert told.count("reading.suspect") == 1
    assert told.count("topup.needs_review") == 1
    [review] = town.events_of("topup.needs_review")
    assert (review["reason"], review["command"]) == ("credits_fell", "brimful topups accept clips")
    town.usage.heal(KEY)
    assert "topup.planned" not in await live(town, timedelta(minutes=10))
    account.balance, account.total_charged = 4_000_000, 136_000_000
    told = await live(town, timedelta(hours=2))
    assert charges(town) == [5000]
    assert told.count("topup.credited") == 1


@pytest.mark.long
async def test_nine_days_of_steady_past_change_nothing(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="900", active_videos=20)
    town.configure(topup=TOPUP)
    for _ in range(9 * 24):
        await town.once()
        town.clock.advance(3300)
    town.usage.fail(KEY, Lie({"balance_usd": 0}), times=ALWAYS)
    await live(town, timedelta(hours=1))
    assert charges(town) == []


async def test_a_fall_that_a_person_accepts_is_charged_on_once(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    path = town.configure(topup=TOPUP)
    await town.once()
    account.balance = 5_000_000  # credits that expired
    await live(town, timedelta(hours=1))
    assert charges(town) == []
    store = Store(town.folder / "a.db")
    said = operator.accept(store, "clips", town.clock.now())
    assert said == "clips: accepted that $45.000000 is all that was ever credited; charged by the next reading again"
    with pytest.raises(operator.NothingToSay, match="already accepted"):
        operator.accept(store, "clips", town.clock.now())
    store.close()
    told = await live(town, timedelta(hours=1))
    assert charges(town) == [5000]
    assert "topup.credited" in told
    store = Store(path.parent / "a.db")
    with pytest.raises(operator.NothingToSay, match="nothing to accept"):
        operator.accept(store, "clips", town.clock.now())
    store.close()


@pytest.mark.long
async def test_a_fall_is_believed_after_as_long_as_is_configured(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    town.configure(topup=TOPUP + 'believe_falls_after = "6h"\n')
    await town.once()
    account.balance = 5_000_000
    await live(town, timedelta(hours=5, minutes=50))
    assert charges(town) == []
    await live(town, timedelta(minutes=30))
    assert charges(town) == [5000]


async def test_a_jump_of_pending_usage_has_to_stand_for_fifteen_minutes(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    town.configure(topup=TOPUP)
    await town.once()
    account.uncharged = 95_000_000
    told = await town.once()
    assert "reading.suspect" in told
    assert charges(town) == []
    account.uncharged = 0
    await live(town, timedelta(minutes=30))
    assert charges(town) == []
    account.uncharged = 95_000_000
    await live(town, timedelta(minutes=15))
    assert charges(town) == []
    await live(town, timedelta(minutes=10))
    assert charges(town) == [5000]


async def test_a_key_that_stands_twice_charges_nothing(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="49.9")
    town.configure(topup=TOPUP)
    await town.once()
    twice = b'{"balance_usd":49.9,"uncharged_usage_usd":0,"total_charged_usd":0,"total_snapshots":0,"balance_usd":0.4}'
    town.usage.fail(KEY, BadJson(twice), times=ALWAYS)
    told = await live(town, timedelta(hours=1))
    assert charges(town) == []
    assert "balance.low" not in told
    [unavailable] = town.events_of("reading.unavailable")
    assert unavailable["reason"] == "bad_payload"
    assert "balance_usd" in str(unavailable["detail"])


async def test_an_account_that_is_not_topped_up_hears_of_no_fall(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    town.configure(LOW)
    await town.once()
    account.balance = 99_500_000
    assert await live(town, timedelta(minutes=30)) == []


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.long
async def test_a_renamed_account_does_not_begin_its_caps_anew(town: Town, renamed: bool) -> None:
    account = town.usage.prepaid(KEY, balance_usd="4", total_charged_usd="40")
    path = town.configure(topup=TOPUP.replace("max_per_day_usd = 100.00", "max_per_day_usd = 50.00"))
    await live(town, timedelta(minutes=15))
    assert charges(town) == [5000]
    account.balance, account.total_charged = 4_000_000, 90_000_000
    if renamed:
        text = path.read_text().replace("[accounts.clips", "[accounts.films")
        path.write_text(text.replace('accounts = ["clips"]', 'accounts = ["films"]'))
    told = await live(town, timedelta(hours=3))
    assert charges(town) == [5000]
    assert told.count("topup.capped") == 1
    await live(town, timedelta(hours=22))
    assert charges(town) == [5000, 5000]


@pytest.mark.long
async def test_a_renamed_account_on_an_empty_disk_does_not_either(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="4", total_charged_usd="40")
    topup = TOPUP.replace("max_per_day_usd = 100.00", "max_per_day_usd = 50.00")
    path = town.configure(topup=topup)
    await live(town, timedelta(minutes=15))
    account.balance, account.total_charged = 4_000_000, 90_000_000
    path.write_text(path.read_text().replace("[accounts.clips", "[accounts.films").replace("a.db", "b.db"))
    path.write_text(path.read_text().replace('accounts = ["clips"]', 'accounts = ["films"]'))
    await live(town, timedelta(hours=3))
    assert charges(town) == [5000]


SECOND = """
[accounts.twin]
provider = "contentstats"
base_url = "{url}"
api_key = "cs_test_twin"
poll = "*/5 * * * *"
"""


@pytest.mark.long
async def test_two_keys_of_one_provider_account_are_one_need(town: Town) -> None:
    purse = town.usage.prepaid(KEY, balance_usd="4", total_charged_usd="40")
    town.usage.share("cs_test_twin", KEY)
    twin = SECOND.format(url=town.usage_url) + TOPUP.replace("clips", "twin")
    town.configure(LOW + twin, topup=TOPUP)
    told = await live(town, timedelta(hours=1))
    assert charges(town) == [5000]
    assert told.count("topup.succeeded") == 1
    [held] = town.events_of("topup.suspended")
    assert held["reason"] == "twin"
    purse.balance, purse.total_charged = 4_000_000, 90_000_000
    await live(town, timedelta(hours=2))
    assert charges(town) == [5000, 5000]


async def test_two_accounts_of_one_customer_with_totals_of_their_own_are_both_charged(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4", total_charged_usd="40")
    town.usage.prepaid("cs_test_twin", balance_usd="5", total_charged_usd="40")
    town.configure(LOW + SECOND.format(url=town.usage_url) + TOPUP.replace("clips", "twin"), topup=TOPUP)
    await live(town, timedelta(minutes=15))
    assert charges(town) == [5000, 5000]


@pytest.mark.long
async def test_a_credit_that_comes_late_is_told_so_and_confirmed_by_a_person(town: Town) -> None:
    town.credit_after = timedelta(days=30)  # it never comes
    town.usage.prepaid(KEY, balance_usd="4", total_charged_usd="40")
    town.configure(topup=TOPUP)
    assert "topup.not_credited" in await live(town, timedelta(hours=3))
    town.usage.credit(KEY, "50")
    told = await town.once()
    assert "topup.credited" in told
    [credited] = town.events_of("topup.credited")
    assert (credited["late"], credited["command"]) == (True, "brimful topups ack clips-1")
    assert any("its credit came late" in one for one in town.passes[-1].needs_person)
    async with town.service() as service:
        assert service.topups is not None
        bench = service.topups.context
        [listed] = reports.stopped(bench.store.reader)
        assert (listed.account, listed.do) == ("clips", "brimful topups ack clips-1")
        [finding] = (await audit(bench, "clips")).findings
        assert finding.history.startswith("credited late")
        assert await operator.acknowledge(bench, "clips-1") == "clips-1: its credit, which came late, is confirmed"
        with pytest.raises(operator.NothingToSay, match="credited"):
            await operator.acknowledge(bench, "clips-1")
        assert reports.stopped(bench.store.reader) == ()
        assert (await audit(bench, "clips")).findings == ()
    await town.once()
    assert not any("came late" in one for one in town.passes[-1].needs_person)
