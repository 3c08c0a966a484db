"""The plan and the create: what stands in its way, each answer to it, and a number that is given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.model.readings import Known
from alerts.model.values import replace
from daemon.clock import ManualClock
from daemon.commands import operator
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import Strike
from daemon.store import ledger_notes, ledger_reads
from daemon.store.connection import Store
from daemon.stripe.answers import CREATE, AnswerKind
from daemon.topups.executor import run
from daemon.topups.policy.step import Answer
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config


def creates(world: World) -> list[str]:
    return [str(e.key) for e in world.stripe.exchanges if e.endpoint == "payment_intents.create"]


def told(daemon: Daemon) -> list[tuple[str, str]]:
    return [(one["reason"], one["message"]) for one in daemon.events_of("topup.suspended")]


# ── before the plan ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_shadow_mode_counts_a_second_read_that_says_no(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "s", topup_config(mode=TopupMode.SHADOW))
    daemon.failing_reread = True
    await daemon.poll()
    assert ledger_reads.shadows(daemon.store.reader) == ()
    assert [said.gate for said in ledger_notes.decisions(daemon.store.reader)] == ["reading"]
    daemon.store.close()


async def test_a_second_read_in_which_money_has_vanished_is_not_taken(daemon: Daemon, world: World) -> None:
    async def vanished() -> Known:
        known = world.read()
        return replace(known, metrics=replace(known.metrics, balance_microusd=0))

    await daemon.attend(world.read(), vanished)
    assert world.stripe.intents() == []
    assert [said.gate for said in ledger_notes.decisions(daemon.store.reader)] == ["reading"]


async def test_a_fall_that_only_the_second_read_shows_buys_nothing(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "s", topup_config(max_per_day_microusd=400 * DOLLAR))

    async def burnt() -> Known:
        known = world.read()
        said = known.metrics
        assert said.balance_microusd is not None
        assert said.total_charged_microusd is not None
        return replace(
            known,
            metrics=replace(
                said,
                balance_microusd=said.balance_microusd - 160 * DOLLAR,
                total_charged_microusd=said.total_charged_microusd + 160 * DOLLAR,
            ),
        )

    low = world.read().metrics.available_microusd
    await daemon.attend(world.read(), burnt)
    assert [charge.amount for charge in world.stripe.successes()] == [5000]
    [topup] = daemon.topups()
    assert topup.available_microusd == low
    daemon.store.close()


async def test_metadata_that_cannot_be_read_is_in_the_sentence_of_once(daemon: Daemon, world: World) -> None:
    world.stripe.books.add_past(5000, CUSTOMER, CARD, {"app": "brimful", "account": "clips"}, world.clock.now())
    await daemon.poll()
    assert any("metadata that cannot be read: pi_" in sentence for sentence in daemon.needs_person())
    assert creates(world) == []


# ── the method ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_customer_whose_default_method_cannot_be_read_is_not_charged(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "d", topup_config(payment_method=None))
    world.stripe.fail(Strike.DROP, "customers.retrieve")
    await daemon.poll()
    assert creates(world) == []
    await daemon.poll()
    assert world.successes == 1
    daemon.store.close()


async def test_a_deleted_customer_has_no_default_method(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "d", topup_config(payment_method=None))
    world.stripe.books.customer(CUSTOMER).deleted = True
    await daemon.run(timedelta(hours=1))
    assert creates(world) == []
    assert [reason for reason, _ in told(daemon)] == ["stripe_list"]
    daemon.store.close()


@pytest.mark.parametrize(
    ("type_", "customer", "why"),
    [
        ("us_bank_account", CUSTOMER, "pm_odd is a us_bank_account: only cards and Link are charged"),
        ("card", "cus_other", f"pm_odd is not saved for {CUSTOMER}"),
        ("card", None, f"pm_odd is not saved for {CUSTOMER}"),
    ],
)
async def test_a_method_that_cannot_be_charged_is_told_once_a_day(
    world: World, tmp_path: Path, type_: str, customer: str | None, why: str
) -> None:
    world.stripe.add_customer("cus_other")
    world.stripe.books.add_method("pm_odd", customer=customer, type=type_)
    daemon = Daemon(world, tmp_path / "d", topup_config(payment_method="pm_odd"))
    await daemon.run(timedelta(hours=2))
    assert told(daemon) == [("payment_method", why)]
    assert any(why in sentence for sentence in daemon.needs_person())
    assert creates(world) == []
    daemon.store.close()


async def test_a_method_that_stripe_does_not_know_is_told_at_once(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "d", topup_config(payment_method="pm_gone"))
    await daemon.poll()
    assert [reason for reason, _ in told(daemon)] == ["payment_method"]
    daemon.store.close()


async def test_link_is_charged_like_a_card(world: World, tmp_path: Path) -> None:
    world.stripe.books.add_method("pm_link", customer=CUSTOMER, type="link")
    daemon = Daemon(world, tmp_path / "d", topup_config(payment_method="pm_link"))
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1
    daemon.store.close()


# ── the create ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_answer_to_a_create_has_its_action() -> None:
    assert set(CREATE) == set(AnswerKind)


class PausingClock(ManualClock):
    """Lets a person press the switch in the instant after the plan was committed."""

    def __init__(self, start: datetime, disk: Path) -> None:
        super().__init__(start)
        self._other = Store(disk)
        self._paused = False

    def now(self) -> datetime:
        at = super().now()
        planned = [one.state for one in ledger_reads.of_account(self._other.reader, "clips")] == ["planned"]
        if planned and not self._paused:
            self._paused = True
            operator.pause(self._other, "clips", at)
        return at


async def test_a_pause_between_plan_and_create_creates_nothing(daemon: Daemon, world: World) -> None:
    clock = PausingClock(world.clock.now(), daemon.store.path)
    daemon.service.context = replace(daemon.service.context, clock=clock)
    await daemon.poll()
    [topup] = daemon.topups()
    assert topup.state == "abandoned"
    assert topup.reason.startswith("not created: paused by a person")
    assert creates(world) == []


async def test_a_create_that_stripe_refuses_is_suspended_and_told_with_its_words(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "d", topup_config(receipt_email="nobody"))
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["declined"]
    assert told(daemon) == [("refused_by_stripe", "Invalid email address: nobody")]
    assert len(creates(world)) == 1
    daemon.store.close()


async def test_a_payment_of_the_other_mode_is_never_confirmed(daemon: Daemon, world: World) -> None:
    world.stripe.books.livemode = True
    await daemon.run(timedelta(minutes=5))
    assert daemon.states() == ["declined"]
    assert [reason for reason, _ in told(daemon)] == ["livemode"]
    assert world.successes == 0


@pytest.mark.parametrize("listed", [True, False])
async def test_a_number_that_another_daemon_owns_is_left_to_it_and_its_payment_adopted(
    daemon: Daemon, world: World, listed: bool
) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.create

    async def other_first(params: Any, key: str) -> Any:
        gateway.create = plain  # type: ignore[method-assign]
        await plain({**params, "amount": 6000}, key)
        if not listed:
            world.stripe.fail(Strike.DROP, "payment_intents.list")
        return await plain(params, key)

    gateway.create = other_first  # type: ignore[method-assign]  # another daemon with another amount is faster
    await daemon.poll()
    [send] = ledger_reads.sends(daemon.store.reader, "clips-1", "create")
    assert send.answer == AnswerKind.OTHER_PARAMETERS
    assert world.successes == 0, "it is left to its owner for ten minutes"
    assert [(one.state, one.own, one.amount_cents) for one in daemon.topups()] == (
        [("created", False, 6000)] if listed else [("abandoned", True, 5000)]
    )
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert [intent.status for intent in world.stripe.intents()] == ["canceled", "succeeded"]


async def test_an_answer_that_is_not_what_was_asked_for_is_a_person_s_business(daemon: Daemon, world: World) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.create

    async def another(params: Any, key: str) -> Any:
        await plain(params, key)
        world.stripe.intents()[-1].amount = 9900
        return await gateway.retrieve(world.stripe.intents()[-1].id)

    gateway.create = another  # type: ignore[method-assign]  # Stripe answers with another amount
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["needs_review"]
    [said] = daemon.events_of("topup.needs_review")
    assert said["reason"] == "its amount is $99.00, planned was $50.00"
    assert world.successes == 0


async def test_a_payment_that_another_top_up_holds_is_not_taken_twice(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.burn(50 * DOLLAR)
    world.clock.advance(3600)
    world.stripe.fail(Strike.DROP, "payment_intents.create", times=10)
    await daemon.poll()
    _, second = daemon.topups()
    context = daemon.service.context
    answer = await context.gateway.retrieve(world.stripe.intents()[0].id)
    after = await run(context, second.id, Answer("create", answer))
    assert after.state == "abandoned"
    assert after.reason.endswith(" is clips-1's")


async def test_a_create_of_unknown_outcome_is_given_up_after_a_quarter_of_an_hour(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.create", times=1000)
    await daemon.run(timedelta(minutes=18))
    assert daemon.topups()[0].reason == "the outcome of the create stayed unknown: its number is given up"
    assert len({key for key in creates(world) if ":1:" in key}) == 1
    world.stripe.faults.clear()
    await daemon.run(timedelta(hours=1))
    assert [topup.seq for topup in daemon.topups()] == [*range(1, len(daemon.topups()) + 1)]
    assert world.successes == 1


async def test_a_create_whose_list_fails_is_asked_for_again_later(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.create")
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert daemon.states() == ["creating"]
    await daemon.run(timedelta(minutes=6))
    assert world.successes == 1
    assert len(world.stripe.intents()) == 1


@pytest.mark.parametrize("mode", [TopupMode.OFF, TopupMode.SHADOW])
async def test_a_create_of_unknown_outcome_is_not_sent_again_once_charging_is_switched_off(
    daemon: Daemon, world: World, mode: TopupMode
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.create", times=2)
    await daemon.poll()
    sent = len(creates(world))
    await daemon.restart(topup=topup_config(mode=mode))
    await daemon.run(timedelta(hours=1))
    assert len(creates(world)) == sent
    assert daemon.states() == ["abandoned"]


async def test_a_create_of_unknown_outcome_is_not_sent_again_while_paused(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.create", times=2)
    await daemon.poll()
    sent = len(creates(world))
    operator.pause(daemon.store, None, world.clock.now())
    await daemon.run(timedelta(minutes=10))
    assert len(creates(world)) == sent
    operator.resume(daemon.store, None, world.clock.now())
    await daemon.run(timedelta(minutes=20))
    assert world.successes == 1


@pytest.mark.long
async def test_a_key_that_may_list_but_not_create_is_asked_again_with_the_same_number(
    daemon: Daemon, world: World
) -> None:
    forbidden = world.stripe.fail(Strike.FORBIDDEN, "payment_intents.create", times=10_000)
    await daemon.run(timedelta(hours=6))
    assert daemon.events() == ["topup.planned", "topup.suspended"]
    assert daemon.states() == ["creating"]
    forbidden.times = 0
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1
    assert daemon.states() == ["abandoned", "credited"]  # the first plan is too old by then to be confirmed


@pytest.mark.long
async def test_a_number_whose_key_protects_no_longer_is_given_up(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.FORBIDDEN, "payment_intents.create", times=10_000)
    await daemon.run(timedelta(hours=30))
    assert daemon.states() == ["abandoned", "creating"]
    assert daemon.events().count("topup.planned") == 2
