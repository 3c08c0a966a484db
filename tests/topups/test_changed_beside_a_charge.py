"""What another configuration changes while a charge is under way: limits, mode, customer, or the account is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from alerts.model.readings import Known, Unavailable
from alerts.model.values import replace
from daemon.commands import operator
from daemon.config.model import TopupConfig, TopupMode
from daemon.demo.standins.stripe import Strike, declined, processing
from daemon.topups.second_read import ReadAgain
from tests.helpers_topups import CARD, DOLLAR, Daemon, World, topup_config


def take(daemon: Daemon, topup: TopupConfig | None) -> None:
    """Let the running daemon go on with other terms; None: the account is gone."""
    context = daemon.service.context
    one = replace(daemon.config.accounts["clips"], topup=topup)
    context.config = daemon.config = replace(context.config, accounts={"clips": one} if topup is not None else {})


def then(daemon: Daemon, change: Callable[[], None]) -> ReadAgain:
    """Return a second read that answers after something has changed meanwhile."""

    async def reread() -> Known | Unavailable:
        change()
        return await daemon.reread()

    return reread


def posts(world: World) -> list[str]:
    return [one.endpoint for one in world.stripe.exchanges if one.key is not None]


OTHER_TERMS = [
    topup_config(mode=TopupMode.SHADOW),
    topup_config(mode=TopupMode.OFF),
    topup_config(customer="cus_2", payment_method="pm_2"),
    topup_config(amount_microusd=60 * DOLLAR),
    None,
]


@pytest.mark.parametrize("terms", OTHER_TERMS, ids=["shadow", "off", "customer", "amount", "gone"])
async def test_what_was_being_planned_by_other_terms_is_not_sent(
    daemon: Daemon, world: World, terms: TopupConfig | None
) -> None:
    await daemon.attend(world.read(), then(daemon, lambda: take(daemon, terms)))
    assert posts(world) == []
    assert daemon.topups() == ()


async def test_the_next_reading_charges_by_the_new_terms(daemon: Daemon, world: World) -> None:
    more = topup_config(amount_microusd=60 * DOLLAR)
    await daemon.attend(world.read(), then(daemon, lambda: take(daemon, more)))
    await daemon.poll()
    assert [charge.amount for charge in world.stripe.successes()] == [6000]


async def test_a_cap_that_is_lowered_stops_the_next_attempt_of_what_is_open(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.poll()
    take(daemon, topup_config(max_per_day_microusd=40 * DOLLAR))
    await daemon.run(timedelta(hours=2))
    assert (world.successes, daemon.states()) == (0, ["abandoned"])


async def test_a_cap_that_is_raised_lets_the_next_attempt_pass(daemon: Daemon, world: World) -> None:
    take(daemon, topup_config(max_per_day_microusd=50 * DOLLAR))
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    take(daemon, topup_config(max_per_day_microusd=10 * DOLLAR))
    await daemon.run(timedelta(minutes=20))
    assert (world.successes, daemon.states()) == (0, ["confirming"])
    take(daemon, topup_config())
    await daemon.run(timedelta(minutes=20))
    assert world.successes == 1


async def test_shadow_sends_nothing_more_of_what_is_open_and_charge_goes_on(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    sent = posts(world)
    take(daemon, topup_config(mode=TopupMode.SHADOW))
    await daemon.run(timedelta(hours=1))
    assert posts(world) == sent
    take(daemon, topup_config())
    await daemon.run(timedelta(minutes=20))
    assert world.successes == 1


async def test_another_customer_leaves_what_is_open_to_the_first(daemon: Daemon, world: World) -> None:
    world.stripe.add_customer("cus_2", card="pm_2")
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.poll()
    take(daemon, topup_config(customer="cus_2", payment_method="pm_2"))
    await daemon.run(timedelta(hours=2))
    assert (world.successes, daemon.states()) == (1, ["credited"])
    assert [one["customer"] for one in daemon.events_of("topup.succeeded")] == ["cus_1"]


async def test_nothing_is_planned_or_tried_by_terms_that_another_process_has_changed(
    daemon: Daemon, world: World
) -> None:
    context = daemon.service.context
    context.is_current = lambda conn, config: False
    await daemon.run(timedelta(minutes=30))
    assert (posts(world), daemon.topups()) == ([], ())
    context.is_current = lambda conn, config: True
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    context.is_current = lambda conn, config: False
    await daemon.run(timedelta(minutes=30))
    assert (world.successes, daemon.states()) == (0, ["confirming"])
    context.is_current = lambda conn, config: True
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 1


# ── an account that is gone ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_of_an_account_that_is_gone_is_told_and_followed_to_a_persons_word(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.poll()
    take(daemon, None)
    for _ in range(60):
        world.clock.advance(240)
        await daemon.run_due()
    assert (world.successes, daemon.states()) == (1, ["paid"])
    assert daemon.events() == ["topup.planned", "topup.succeeded", "topup.not_credited"]
    await operator.acknowledge(daemon.service.context, daemon.topups()[0].id)
    assert daemon.states() == ["credited"]


@pytest.mark.parametrize("what", ["lost", "declined", "processing"])
async def test_what_an_account_that_is_gone_left_open_is_canceled_and_never_charged(
    daemon: Daemon, world: World, what: str
) -> None:
    if what == "lost":
        world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    else:
        then_fails = processing(then_fails=True, after=timedelta(minutes=30))
        world.stripe.next_outcome(CARD, declined("insufficient_funds") if what == "declined" else then_fails)
        world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.poll()
    take(daemon, None)
    for _ in range(60):
        world.clock.advance(120)
        await daemon.run_due()
    assert world.successes == 0
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]
    assert daemon.states() == ["abandoned"]


async def test_nothing_is_planned_for_an_account_that_is_gone(daemon: Daemon, world: World) -> None:
    take(daemon, None)
    await daemon.run(timedelta(hours=1))
    assert (world.stripe.exchanges, daemon.topups()) == ([], ())
