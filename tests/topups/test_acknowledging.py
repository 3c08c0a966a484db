"""A person's word for a top-up under review: alive it is canceled, charged it is closed as credited, else closed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daemon.commands import operator
from daemon.commands.operator import NothingToSay
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import Strike
from daemon.demo.standins.stripe.objects import Intent
from daemon.demo.standins.stripe.payments import confirm as confirm_in_stripe
from daemon.reconcile.audit import audit
from daemon.store import ledger, ledger_reads
from daemon.store.topup_rows import State
from daemon.topups.policy.proceeding import ALIVE
from tests.helpers_topups import Daemon, World, topup_config


async def reviewed(daemon: Daemon, world: World) -> Intent:
    """A top-up under review whose confirm never arrived."""
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    [topup] = daemon.topups()
    daemon.review(topup, "a person shall look")
    return world.stripe.intents()[0]


async def ack(daemon: Daemon) -> str:
    return await operator.acknowledge(daemon.service.context, "clips-1")


@pytest.mark.parametrize("status", sorted(ALIVE))
async def test_what_is_alive_is_canceled(daemon: Daemon, world: World, status: str) -> None:
    intent = await reviewed(daemon, world)
    intent.status = status
    assert await ack(daemon) == "clips-1: canceled"
    assert intent.status == "canceled"
    assert daemon.states() == ["abandoned"]
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1


async def test_what_cannot_be_canceled_yet_is_said_and_canceled_by_the_daemon_later(
    daemon: Daemon, world: World
) -> None:
    intent = await reviewed(daemon, world)
    world.stripe.fail(Strike.DROP, "payment_intents.cancel")
    with pytest.raises(NothingToSay, match="could not be canceled yet; it is tried again"):
        await ack(daemon)
    assert intent.status == "requires_confirmation"
    await daemon.run(timedelta(hours=1))
    assert intent.status == "canceled"
    assert daemon.states()[0] == "abandoned"


async def test_shadow_mode_cancels_nothing_and_says_what_to_set(daemon: Daemon, world: World) -> None:
    intent = await reviewed(daemon, world)
    await daemon.restart(topup=topup_config(mode=TopupMode.SHADOW))
    with pytest.raises(NothingToSay, match='set mode = "off" or "charge" for clips, then acknowledge it again'):
        await ack(daemon)
    assert intent.status == "requires_confirmation"
    assert daemon.topups()[0].cancel_as is None
    await daemon.restart(topup=topup_config(mode=TopupMode.OFF))
    assert await ack(daemon) == "clips-1: canceled"
    assert intent.status == "canceled"


async def test_what_was_charged_meanwhile_is_closed_as_credited_by_stripe_s_time_and_amount(
    daemon: Daemon, world: World
) -> None:
    intent = await reviewed(daemon, world)
    intent.amount = 7000
    confirm_in_stripe(world.stripe.books, intent, {})
    charged_at = world.clock.now()
    world.clock.advance(timedelta(hours=5).total_seconds())
    assert await ack(daemon) == "clips-1: it was charged; closed as credited"
    [topup] = daemon.topups()
    assert (topup.state, topup.amount_cents, topup.charged_at) == ("credited", 7000, charged_at)
    assert daemon.events()[-2:] == ["topup.succeeded", "topup.credited"]
    assert daemon.events_of("topup.succeeded")[0]["amount_usd"] == 70
    spends = ledger_reads.spends(daemon.store.reader, "clips", charged_at)
    assert [spend.amount_microusd for spend in spends] == [70_000_000]
    assert [one.stripe for one in (await audit(daemon.service.context, "clips")).findings] == []


async def test_what_the_bank_still_works_on_cannot_be_acknowledged(daemon: Daemon, world: World) -> None:
    (await reviewed(daemon, world)).status = "processing"
    with pytest.raises(NothingToSay, match="the bank is still working on it"):
        await ack(daemon)
    assert daemon.states() == ["needs_review"]


async def test_what_was_canceled_in_stripe_is_closed(daemon: Daemon, world: World) -> None:
    (await reviewed(daemon, world)).status = "canceled"
    assert await ack(daemon) == "clips-1: abandoned"


async def test_what_stripe_does_not_know_is_closed(daemon: Daemon, world: World) -> None:
    intent = await reviewed(daemon, world)
    del world.stripe.books.objects[intent.id]
    assert await ack(daemon) == "clips-1: closed, Stripe does not know its PaymentIntent"
    [topup] = daemon.topups()
    assert topup.reason == "acknowledged by a person: Stripe does not know its PaymentIntent"


async def test_nothing_is_closed_while_stripe_cannot_be_asked(daemon: Daemon, world: World) -> None:
    await reviewed(daemon, world)
    world.stripe.fail(Strike.DROP, "payment_intents.retrieve")
    with pytest.raises(NothingToSay, match="Stripe could not be asked"):
        await ack(daemon)
    assert daemon.states() == ["needs_review"]


async def test_a_daemon_that_settled_it_meanwhile_is_not_overrun(daemon: Daemon, world: World) -> None:
    intent = await reviewed(daemon, world)
    confirm_in_stripe(world.stripe.books, intent, {})
    gateway = daemon.service.context.gateway
    plain = gateway.retrieve

    async def settled_meanwhile(intent: str) -> Any:
        answer = await plain(intent)
        [topup] = daemon.topups()
        now = world.clock.now()
        with daemon.store.write(durable=True) as tx:
            ledger.change(tx, topup, now, state=State.PAID, state_at=now, reason="read back", paid_at=now)
        return answer

    gateway.retrieve = settled_meanwhile  # type: ignore[method-assign]  # the daemon is faster
    with pytest.raises(NothingToSay, match="clips-1 has become paid meanwhile"):
        await ack(daemon)
    assert daemon.states() == ["paid"]


async def test_a_review_that_the_daemon_sees_paid_needs_no_word(daemon: Daemon, world: World) -> None:
    intent = await reviewed(daemon, world)
    confirm_in_stripe(world.stripe.books, intent, {})
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["credited"]
    assert daemon.events().count("topup.succeeded") == 1
