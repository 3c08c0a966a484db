"""What time alone does: plans that nothing followed, cancels that were lost, what nobody confirmed."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from alerts.model.values import replace
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import Strike, declined, processing
from daemon.store import ledger
from daemon.store.topup_rows import State, Topup
from daemon.stripe.requests import create_key
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, START, Daemon, World, topup_config


def requests(world: World, endpoint: str) -> int:
    return len([e for e in world.stripe.exchanges if e.endpoint == endpoint])


def plan(daemon: Daemon) -> None:
    """A plan was committed, and the process was interrupted before its create."""
    row = Topup(
        id="clips-1",
        account="clips",
        customer=CUSTOMER,
        seq=1,
        own=True,
        state=State.PLANNED,
        amount_cents=5000,
        create_key=create_key(CUSTOMER, "clips", 1),
        create_params="{}",
        planned_at=START,
        state_at=START,
        next_at=START,
    )
    with daemon.store.write(durable=True) as tx:
        ledger.insert(tx, row, START)


async def test_a_plan_that_nothing_followed_is_abandoned_and_the_need_planned_afresh(
    daemon: Daemon, world: World
) -> None:
    plan(daemon)
    await daemon.run_due()
    [topup] = daemon.topups()
    assert (topup.state, topup.reason) == ("abandoned", "nothing was sent")
    await daemon.run(timedelta(hours=1))
    assert [one.seq for one in daemon.topups()] == [1, 2]
    assert world.successes == 1


async def test_a_plan_is_abandoned_at_the_start(daemon: Daemon, world: World) -> None:
    plan(daemon)
    await daemon.restart()
    assert daemon.states() == ["abandoned"]


async def test_a_cancel_whose_answer_was_lost_is_not_sent_again(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.cancel")
    await daemon.run(timedelta(hours=1))
    assert requests(world, "payment_intents.cancel") == 1
    assert daemon.states() == ["declined"]


async def test_a_cancel_that_never_arrived_is_sent_again_but_not_within_twenty_seconds(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    world.stripe.fail(Strike.DROP, "payment_intents.cancel", times=2)
    await daemon.run(timedelta(hours=1))
    at = [e.at for e in world.stripe.exchanges if e.endpoint == "payment_intents.cancel"]
    assert len(at) == 3
    assert all(later - one >= timedelta(seconds=20) for one, later in pairwise(at))
    keys = [e.key for e in world.stripe.exchanges if e.endpoint == "payment_intents.cancel"]
    assert len(set(keys)) == 3
    assert daemon.states() == ["declined"]


async def test_a_cancel_that_does_not_take_is_sent_ever_less_often(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    world.stripe.fail(Strike.DROP, "payment_intents.cancel", times=6)
    await daemon.run(timedelta(hours=5))
    at = [e.at for e in world.stripe.exchanges if e.endpoint == "payment_intents.cancel"]
    gaps = [later - one for one, later in pairwise(at)]
    assert len(gaps) == 6
    least = [timedelta(seconds=s) for s in (20, 120, 600, 1800, 1800, 1800)]
    assert all(gap >= floor for gap, floor in zip(gaps, least, strict=True))
    assert requests(world, "payment_intents.retrieve") < 60
    assert daemon.states() == ["declined"]


async def test_a_bank_that_works_on_it_after_all_is_not_canceled(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    [topup] = daemon.topups()
    with daemon.store.write(durable=True) as tx:
        topup = ledger.change(tx, topup, world.clock.now(), cancel_as=State.ABANDONED, next_at=world.clock.now())
    world.stripe.next_outcome(CARD, processing(after=timedelta(minutes=30)))
    await daemon.service.context.gateway.confirm(world.stripe.intents()[0].id, {"payment_method": CARD}, "late")
    world.clock.advance(60)
    await daemon.resume(topup)
    assert daemon.states() == ["processing"]
    assert requests(world, "payment_intents.cancel") == 0
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["credited"]
    assert world.successes == 1


async def test_what_was_never_confirmed_is_canceled_after_ten_minutes_without_any_reading(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert daemon.states() == ["created"]
    for minutes in (5, 4):
        world.clock.advance(minutes * 60)
        await daemon.run_due()
        assert daemon.states() == ["created"]
    [topup] = daemon.topups()
    await daemon.resume(topup)
    assert daemon.states() == ["created"], "asked before its time it stays"
    world.clock.advance(60)
    await daemon.run_due()
    assert daemon.states() == ["abandoned"]
    assert world.stripe.intents()[0].status == "canceled"


async def test_a_confirm_without_any_trace_is_canceled_when_its_key_is_too_old_without_any_reading(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    for _ in range(46):
        world.clock.advance(1800)
        await daemon.run_due()
    [topup] = daemon.topups()
    assert (topup.state, topup.reason) == ("abandoned", "the confirm left no trace and its key is too old")
    assert topup.watch_until == world.clock.now() + timedelta(days=7)
    assert requests(world, "payment_intents.confirm") == 1


async def test_a_shadow_leaves_what_it_finds_open_to_time_alone(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    await daemon.restart(topup=topup_config(mode=TopupMode.SHADOW))
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["created"]
    assert requests(world, "payment_intents.cancel") == 0


@pytest.mark.long
async def test_mode_off_cancels_a_declined_payment_once_it_is_no_longer_wanted(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    await daemon.poll()
    await daemon.restart(topup=topup_config(mode=TopupMode.OFF))
    await daemon.run(timedelta(hours=6))
    assert daemon.states() == ["retry_wait"]
    world.balance += 50 * DOLLAR  # bought by hand
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["abandoned"]
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]
    assert world.successes == 0


async def test_a_credit_is_watched_by_time_alone_and_only_while_it_is_unseen(daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.poll()
    [paid] = daemon.topups()
    await daemon.resume(paid)
    for _ in range(5):
        world.clock.advance(1800)
        await daemon.run_due()
    assert daemon.events().count("topup.not_credited") == 1
    world.balance += 50 * DOLLAR
    await daemon.poll()
    assert daemon.states() == ["credited"]
    await daemon.resume(paid)
    await daemon.resume(replace(paid, paid_at=None))
    assert daemon.events().count("topup.not_credited") == 1
    [credited] = daemon.topups()
    assert credited.next_at is None


async def test_a_charge_that_was_to_be_canceled_and_that_the_bank_then_refuses_comes_to_its_end(
    daemon: Daemon, world: World
) -> None:
    world.stripe.next_outcome(CARD, processing(then_fails=True, after=timedelta(minutes=20)))
    world.stripe.fail(Strike.LATE, "payment_intents.confirm", delay_s=600)
    await daemon.poll()
    world.balance += 50 * DOLLAR
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["abandoned"]
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=2))
    assert world.successes == 1


async def test_a_stolen_card_is_remembered_though_its_charge_was_to_be_canceled(daemon: Daemon, world: World) -> None:
    refused = processing(then_fails=True, after=timedelta(minutes=20), decline="stolen_card")
    world.stripe.next_outcome(CARD, refused)
    world.stripe.fail(Strike.LATE, "payment_intents.confirm", delay_s=600)
    await daemon.poll()
    world.balance += 50 * DOLLAR
    await daemon.run(timedelta(hours=1))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=3))
    assert len(world.stripe.books.charges) == 1
    assert "topup.suspended" in daemon.events()


@pytest.mark.long
async def test_a_cancel_that_stripe_refuses_for_good_is_told(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.INVALID, "payment_intents.cancel", times=100_000)
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert daemon.states() == ["created"]
    world.clock.advance(3600)
    await daemon.run(timedelta(hours=6))
    [told] = daemon.events_of("topup.suspended")
    assert told["message"].startswith("canceling a PaymentIntent: ")
