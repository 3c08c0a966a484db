"""The main job from outside: the pages' own examples, a low balance, a trial key, a budget, bad answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.demo.standins.usage import BadJson, Fault, Html, Lie, Missing, OverLong, Redirect, Status
from tests.outside.conftest import Outside
from tests.service.conftest import KEY, MEDIA, TOPUP

BUDGET = '[[rules]]\nid = "budget"\nkind = "budget"\nperiod = "month"\nlimit_usd = 100\nprojected = false\n'
BAD: tuple[Fault, ...] = (
    Status(401), Status(403), Status(402), Status(500), Status(503), Html(), BadJson(),
    Missing(("balance_usd",)), Lie({"balance_usd": "NaN"}), Lie({"balance_usd": []}), Lie({"balance_usd": None}),
    Redirect("http://127.0.0.1:9/"), OverLong(), Status(200, body=b""), Status(200, body=b"[]"),
)  # fmt: skip


pytestmark = pytest.mark.timeout(300)  # many processes


async def test_the_pages_own_examples(outside: Outside) -> None:
    usage = outside.town.usage
    usage.prepaid(KEY, balance_usd="12.45", uncharged_usd="0.75", total_charged_usd="6.75", active_videos=3)
    usage.storage("trn_media", used_gb="45.67", reserved_gb="0.52", limit_gb="1024")
    outside.town.configure(MEDIA.format(url=outside.town.usage_url))
    assert (await outside.passes()).code == 0
    accounts = {one["account"]: one for one in (await outside.brimful("status", "--json")).json["accounts"]}
    clips, media = accounts["clips"], accounts["media"]
    assert (clips["available"], clips["burn_per_day"], clips["days_remaining"]) == (11.7, 1.08, 10.83)
    assert clips["provider_estimate"] == {"snapshots": 830, "days": 11.5}
    assert media["quota"]["effective"] == 46.19


async def test_a_low_balance_is_told_charged_once_and_seen_through_to_its_end(outside: Outside) -> None:
    town = outside.town
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="14.24", active_videos=0)
    town.credit_after = timedelta(minutes=12)
    town.configure(topup=TOPUP)
    assert (await outside.passes()).code == 0
    [low] = outside.told("balance.low")
    assert low["data"]["available_usd"] == 4.21
    assert [charge.amount for charge in town.stripe.successes()] == [5000]
    assert len(outside.told("topup.succeeded")) == 1
    assert outside.told("topup.credited") == []
    assert (await outside.passes(4)).code == 0
    assert len(town.stripe.successes()) == len(town.stripe.intents()) == 1
    for kind in ("balance.low", "topup.succeeded", "topup.credited", "balance.recovered"):
        assert outside.kinds().count(kind) == 1, outside.kinds()


async def test_a_trial_key_at_ninety_two_percent_is_told_once_at_its_deepest_step(outside: Outside) -> None:
    outside.town.usage.prepaid(KEY, balance_usd="100", active_videos=0)
    outside.town.usage.storage("trn_media", used_gb="900", reserved_gb="42.08", limit_gb="1024")
    outside.town.configure(MEDIA.format(url=outside.town.usage_url))
    await outside.passes(2)
    [high] = outside.told("quota.high")
    assert (high["data"]["percent"], high["data"]["step_percent"]) == (92, 90)


async def test_a_month_budget_counts_from_the_total_that_stood_when_the_month_began(outside: Outside) -> None:
    first = outside.clock.now().replace(day=1, hour=0, minute=0, second=0) + timedelta(days=32)
    outside.clock.set(first.replace(day=1) - timedelta(hours=1, minutes=1))  # of Berlin: a minute before the month
    account = outside.town.usage.prepaid(KEY, balance_usd="5000", total_charged_usd="1000", active_videos=0)
    outside.town.configure(BUDGET)
    await outside.passes(every=timedelta(hours=20))
    account.total_charged += 50_000_000
    account.balance -= 50_000_000
    await outside.passes()
    [reached] = outside.told("budget.reached")
    assert (reached["data"]["percent"], reached["data"]["spent_usd"]) == (50, 50)


async def test_a_bad_answer_changes_nothing_that_is_known(outside: Outside) -> None:
    """Each bad answer is one account's; all were read and low before, and one was charged."""
    town = outside.town
    keys = [f"cs_test_{number}" for number in range(len(BAD))]
    accounts = "".join(
        f'[accounts.a{number}]\nprovider = "contentstats"\nbase_url = "{town.usage_url}"\napi_key = "{key}"\n'
        for number, key in enumerate(keys)
    )
    for key in (KEY, *keys):
        town.usage.prepaid(key, balance_usd="4.50", total_charged_usd="15.50", active_videos=0)
    town.credit_after = timedelta(days=9)
    town.configure(f'{accounts}[[rules]]\nid = "low"\nkind = "low_balance"\nbelow_usd = 5\n', topup=TOPUP)
    assert (await outside.passes()).code == 0

    async def known() -> list[object]:
        lows = [one for one in (await outside.brimful("alerts", "--json")).json["open"] if one["rule"] == "low"]
        return [lows, (await outside.brimful("history", "a6", "--json")).json["readings"]]

    before, kinds = await known(), outside.kinds()
    assert kinds.count("balance.low") == len(BAD) + 1
    for key, fault in zip(keys, BAD, strict=True):
        town.usage.fail(key, fault, times=1000)
    assert (await outside.passes()).code == 1
    assert await known() == before
    assert len(town.stripe.successes()) == 1
    assert [kind for kind in outside.kinds()[len(kinds) :] if kind != "reading.unavailable"] == []
