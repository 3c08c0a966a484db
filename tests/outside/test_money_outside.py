"""The money table from outside: whatever is lost on the way, and whoever charges beside it, one need is one charge."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.money import MICRO
from daemon.demo.standins.stripe import AUTHENTICATE, Strike, declined
from daemon.demo.standins.usage import PrepaidAccount
from daemon.store import Store
from tests.outside.conftest import Outside
from tests.postgres import place_of
from tests.service.conftest import KEY, TOPUP
from tests.topups.test_twins import burn_numbers

pytestmark = pytest.mark.timeout(300)  # many processes
NEVER = timedelta(days=99)
CONFIRM, CREATE = "payment_intents.confirm", "payment_intents.create"


@pytest.fixture
def account(outside: Outside) -> PrepaidAccount:
    """An account that needs money; its credit is seen minutes after a charge."""
    outside.town.credit_after = timedelta(minutes=7)
    outside.town.configure(topup=TOPUP)
    return outside.town.usage.prepaid(
        KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="100", active_videos=0
    )


def burn(account: PrepaidAccount, usd: int) -> None:
    account.balance -= usd * MICRO
    account.total_charged += usd * MICRO


def wipe(outside: Outside) -> None:
    """Let the database be deleted: the next process finds another, with nothing in it."""
    outside.town.configure(topup=TOPUP, database=f"{outside.clock.now():%d-%H-%M-%S}.db")


def charges(outside: Outside) -> int:
    outside.town.stripe.settle()
    return len(outside.town.stripe.successes())


def sent(outside: Outside, endpoint: str) -> Counter[str | None]:
    """How often each key was sent to an endpoint."""
    return Counter(one.key for one in outside.town.stripe.exchanges if one.endpoint == endpoint)


@pytest.mark.parametrize(
    ("strike", "endpoint"),
    [
        (Strike.COMMIT_THEN_DROP, CONFIRM),
        (Strike.COMMIT_THEN_500, CONFIRM),
        (Strike.DROP, CONFIRM),
        (Strike.COMMIT_THEN_DROP, CREATE),
        (Strike.KEY_IN_USE, CONFIRM),
        (Strike.RATE_LIMITED, CONFIRM),
    ],
    ids=lambda one: str(one).rpartition(".")[2],
)
async def test_one_fault_leads_to_exactly_one_charge(
    outside: Outside, account: PrepaidAccount, strike: Strike, endpoint: str
) -> None:
    fault = outside.town.stripe.fail(strike, endpoint)
    for _ in range(12):
        await outside.passes(every=timedelta(minutes=10))
        if outside.told("topup.credited"):
            break
    assert fault.struck == 1
    assert charges(outside) == 1
    assert (len(outside.told("topup.succeeded")), len(outside.told("topup.credited"))) == (1, 1)


@pytest.mark.long
async def test_a_key_of_the_day_before_is_never_sent_again(outside: Outside, account: PrepaidAccount) -> None:
    outside.town.stripe.fail(Strike.DROP, CONFIRM)
    await outside.passes(every=timedelta(hours=25))
    [lost] = sent(outside, CONFIRM)
    await outside.passes(4, timedelta(minutes=10))
    assert sent(outside, CONFIRM)[lost] == 1
    assert charges(outside) == 1


@pytest.mark.long
async def test_a_database_that_is_deleted_between_charge_and_credit(outside: Outside, account: PrepaidAccount) -> None:
    outside.town.credit_after = NEVER
    await outside.passes(every=timedelta(minutes=2))
    wipe(outside)
    await outside.passes(every=timedelta(hours=3))
    assert outside.told("topup.not_credited") == []
    wipe(outside)
    await outside.passes(3, timedelta(minutes=40))
    assert charges(outside) == 1
    assert len(outside.told("topup.succeeded")) == 1
    [missing] = outside.told("topup.not_credited")
    assert missing["data"]["amount_usd"] == 50


@pytest.mark.long
async def test_a_database_that_is_deleted_after_the_credit_was_burnt(outside: Outside, account: PrepaidAccount) -> None:
    await outside.passes(3, timedelta(minutes=30))
    assert len(outside.told("topup.credited")) == 1
    burn(account, 50)
    outside.clock.advance(timedelta(hours=2).total_seconds())
    wipe(outside)
    await outside.passes(3, timedelta(minutes=20))
    assert charges(outside) == 2
    assert len(outside.told("topup.credited")) == 2


@pytest.mark.long
@pytest.mark.parametrize("different", ["nothing", "numbers", "amounts", "40 days"])
async def test_two_daemons_with_two_databases_make_one_charge(
    outside: Outside, account: PrepaidAccount, different: str
) -> None:
    town = outside.town
    if different == "40 days":
        await outside.passes(3, timedelta(minutes=20))
        burn(account, 50)
        outside.clock.advance(timedelta(days=40).total_seconds())
    before = charges(outside)
    first = town.configure(topup=TOPUP, database="first.db")
    topup = TOPUP.replace("50.00", "60.00") if different == "amounts" else TOPUP
    second = town.configure(topup=topup, name="second.toml", database="second.db")
    if different == "numbers":
        _burn_numbers(town.folder / "second.db")
    for _ in range(3):
        await asyncio.gather(outside.brimful("once", config=first), outside.brimful("once", config=second))
        outside.clock.advance(timedelta(minutes=20).total_seconds())
    assert charges(outside) == before + 1
    assert [one for one in town.stripe.intents() if one.status not in ("succeeded", "canceled")] == []


def _burn_numbers(path: Path) -> None:
    store = Store(place_of(path))
    burn_numbers(store, 3)
    store.close()


@pytest.mark.long
async def test_a_stolen_card_is_tried_once_and_not_from_a_wiped_database_either(
    outside: Outside, account: PrepaidAccount
) -> None:
    outside.town.stripe.method("pm_123").outcome = declined("stolen_card")
    await outside.passes(3, timedelta(hours=10))
    told = [one for one in outside.kinds() if one.startswith("topup.")]
    assert told == ["topup.planned", "topup.declined", "topup.suspended"]
    wipe(outside)
    await outside.passes(3, timedelta(hours=10))
    assert len(outside.town.stripe.books.charges) == 1
    [stop] = (await outside.brimful("topups", "--json")).json["stops"]
    assert (stop["scope"], stop["kind"], stop["reason"]) == ("clips", "suspension", "declined")


@pytest.mark.long
async def test_a_card_that_asks_a_person_is_tried_once(outside: Outside, account: PrepaidAccount) -> None:
    outside.town.stripe.method("pm_123").outcome = AUTHENTICATE
    await outside.passes(3, timedelta(hours=10))
    assert sum(sent(outside, CONFIRM).values()) == 1
    told = [one for one in outside.kinds() if one.startswith("topup.")]
    assert told == ["topup.planned", "topup.action_required", "topup.suspended"]


@pytest.mark.long
async def test_a_cap_of_100_a_day_lets_two_charges_of_50_pass_and_is_told_once(
    outside: Outside, account: PrepaidAccount
) -> None:
    for _ in range(12):
        burn(account, 15)
        await outside.passes(every=timedelta(minutes=90))  # 18 hours
    assert charges(outside) == 2
    [capped] = outside.told("topup.capped")
    assert capped["data"]["cap_usd"] == 100
