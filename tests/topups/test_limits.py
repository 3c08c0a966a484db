"""Caps, cooldown, brake, pause, shadow: what Brimful refuses to do, and that it says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from alerts.events.schema import schema
from alerts.model.events import EventType
from alerts.model.readings import Known, Metrics
from alerts.model.values import replace
from daemon.commands import operator
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import declined
from daemon.store import ledger_notes, ledger_reads
from daemon.store.connection import Store
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, START, Daemon, World, topup_config


async def live_with_burn(daemon: Daemon, world: World, hours: int, microusd_per_hour: int) -> None:
    """Burn every five minutes, and live on."""
    for _ in range(hours * 12):
        world.burn(microusd_per_hour // 12)
        await daemon.run(timedelta(minutes=5))


@pytest.mark.long
async def test_a_cap_of_100_a_day_lets_two_charges_of_50_pass_and_is_told_once(daemon: Daemon, world: World) -> None:
    await live_with_burn(daemon, world, 18, 10 * DOLLAR)
    assert world.successes == 2
    assert daemon.events().count("topup.capped") == 1
    [told] = daemon.events_of("topup.capped")
    assert told["cap_usd"] == 100
    assert told["left_usd"] == 0


@pytest.mark.long
async def test_a_cap_that_was_raised_and_is_reached_in_the_same_month_is_told_again(
    daemon: Daemon, world: World
) -> None:
    world.lag = timedelta(minutes=1)
    for usd in (100, 200):
        caps = {"max_per_day_microusd": 1000 * DOLLAR, "max_per_month_microusd": usd * DOLLAR}
        await daemon.restart(topup=topup_config(**caps, cooldown=timedelta(minutes=5)))
        for _ in range(4):
            world.burn(max(world.balance - 4 * DOLLAR, 0))
            await daemon.run(timedelta(hours=1))
        await daemon.run(timedelta(days=1))
    assert world.successes == 4
    told = daemon.events_of("topup.capped")
    assert [one["cap_usd"] for one in told] == [100, 200]
    assert {one["window"] for one in told} == {"month 2026-11"}
    ids = daemon.store.reader.execute("SELECT count(DISTINCT id) FROM event WHERE type = 'topup.capped'").fetchone()
    assert ids == (2,)


@pytest.mark.long
async def test_the_day_rolls_and_the_cap_lets_the_next_charge_pass(daemon: Daemon, world: World) -> None:
    await live_with_burn(daemon, world, 26, 10 * DOLLAR)
    assert world.successes == 3


@pytest.mark.long
async def test_a_cap_survives_a_wiped_disk(daemon: Daemon, world: World) -> None:
    await live_with_burn(daemon, world, 12, 10 * DOLLAR)
    await daemon.restart(wipe=True)
    await live_with_burn(daemon, world, 6, 10 * DOLLAR)
    assert world.successes == 2


async def test_the_cooldown_holds_after_an_attempt(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(minutes=10))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(minutes=40))
    assert world.successes == 1
    await daemon.run(timedelta(minutes=20))
    assert world.successes == 2


async def test_a_pause_by_another_process_takes_effect_before_the_next_confirm(daemon: Daemon, world: World) -> None:
    other = Store(daemon.store.path)
    operator.pause(other, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert world.stripe.intents() == []
    assert daemon.topup_status("clips") is not None
    operator.resume(other, "clips", world.clock.now())
    other.close()
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 1


async def test_a_pause_between_create_and_confirm_leaves_nothing_alive(daemon: Daemon, world: World) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.create

    async def create_then_pause(params: object, key: str) -> object:
        answer = await plain(params, key)  # type: ignore[arg-type]  # passed through
        operator.pause(daemon.store, None, world.clock.now())
        return answer

    gateway.create = create_then_pause  # type: ignore[method-assign,assignment]  # a pause at the worst instant
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 0
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]


async def test_shadow_mode_posts_nothing_and_records_what_it_would_have_charged(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "s", topup_config(mode=TopupMode.SHADOW))
    await daemon.service.recover(world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert [e for e in world.stripe.exchanges if e.endpoint.split(".")[1] in ("create", "confirm", "cancel")] == []
    assert daemon.topups() == ()
    [shadow] = ledger_reads.shadows(daemon.store.reader)
    assert shadow.amount_cents == 5000
    assert shadow.count == 24
    assert daemon.events() == []
    daemon.store.close()


async def test_mode_off_sends_nothing(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "o", topup_config(mode=TopupMode.OFF))
    await daemon.run(timedelta(hours=2))
    assert world.stripe.exchanges == []
    daemon.store.close()


async def test_gates_are_counted_in_one_row_each(daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=10))
    counts = {d.gate: d.count for d in ledger_notes.decisions(daemon.store.reader, "clips")}
    assert set(counts) <= {"slot", "threshold"}
    assert counts["slot"] == 39


async def test_a_burn_far_beyond_the_past_is_braked_until_a_person_resumes(daemon: Daemon, world: World) -> None:
    world.balance, spent = 500 * DOLLAR, 0
    for _ in range(24 * 9):
        world.clock.advance(3600)
        spent += DOLLAR // 10
        daemon.memory = daemon.memory.fold(world.clock.now(), spent)
    world.clock.advance(3600)
    daemon.memory = daemon.memory.fold(world.clock.now(), spent + 400 * DOLLAR)
    world.balance = 5 * DOLLAR
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 0
    assert daemon.events() == ["topup.needs_review"]
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 1


async def test_a_resume_after_a_declined_card_leaves_the_brake_on(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=1))
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    assert operator.resume(daemon.store, "clips", world.clock.now()) == ("suspension: declined",)
    now, spent = world.clock.now() - timedelta(days=9), 0
    for burnt in [DOLLAR // 100] * (9 * 24) + [400 * DOLLAR]:
        spent, now = spent + burnt, now + timedelta(hours=1)
        daemon.memory = daemon.memory.fold(now, spent)
    world.clock.set(now)
    await daemon.run(timedelta(hours=1))
    assert [told["reason"] for told in daemon.events_of("topup.needs_review")] == ["burn_brake"]
    assert world.successes == 0
    assert operator.resume(daemon.store, "clips", world.clock.now()) == ("suspension: burn_brake",)
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 1


async def test_a_clock_behind_the_ledger_charges_nothing_and_is_told(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=2))
    world.burn(50 * DOLLAR)
    world.clock.set(START - timedelta(hours=3))
    await daemon.poll()
    assert world.successes == 1
    assert "topup.suspended" in daemon.events()


@pytest.mark.long
async def test_a_refund_suspends_the_account_and_is_told_once(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.books.refund(world.stripe.successes()[0])
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=30))
    told = [event for event in daemon.events_of("topup.suspended") if event["reason"] == "refunded"]
    assert len(told) == 1


async def test_an_acknowledged_charge_frees_the_slot(daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=3))
    said = await operator.acknowledge(daemon.service.context, "clips-1")
    assert "credited" in said
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 2


async def test_a_review_that_is_acknowledged_cancels_what_is_alive(daemon: Daemon, world: World) -> None:
    from daemon.demo.standins.stripe import Strike

    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    intent = world.stripe.intents()[0]
    intent.status = "requires_capture"
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == ["needs_review"]
    intent.status = "requires_confirmation"
    assert await operator.acknowledge(daemon.service.context, intent.id) == "clips-1: canceled"
    assert intent.status == "canceled"


async def test_a_dead_key_stops_all_charging_and_ends_with_the_next_good_read(daemon: Daemon, world: World) -> None:
    keys = dict(world.stripe.keys)
    world.stripe.keys.clear()
    await daemon.run(timedelta(hours=3))
    assert [event["reason"] for event in daemon.events_of("topup.suspended")] == ["stripe_credentials"]
    world.stripe.keys.update(keys)
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 1
    assert ledger_notes.stops(daemon.store.reader) == ()


async def test_no_default_payment_method_is_told_and_heals_by_itself(world: World, tmp_path: Path) -> None:
    world.stripe.add_customer("cus_2")
    daemon = Daemon(world, tmp_path / "d", topup_config(customer="cus_2", payment_method=None))
    await daemon.run(timedelta(hours=1))
    assert [event["reason"] for event in daemon.events_of("topup.suspended")] == ["payment_method"]
    world.stripe.books.add_method("pm_9", customer="cus_2")
    world.stripe.books.customer("cus_2").default_method = "pm_9"
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 1
    daemon.store.close()


async def test_a_provider_without_totals_sees_the_credit_by_a_rise(world: World, tmp_path: Path) -> None:
    world.totals = False
    daemon = Daemon(world, tmp_path / "n")
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1
    assert daemon.states() == ["credited"]
    daemon.store.close()


@pytest.mark.long
async def test_every_event_of_a_rough_life_keeps_to_its_schema(daemon: Daemon, world: World) -> None:
    import json

    from daemon.demo.standins.stripe import SUCCEED, declined

    world.stripe.method("pm_1").outcome = declined("insufficient_funds")
    await daemon.run(timedelta(hours=40))
    world.stripe.method("pm_1").outcome = SUCCEED
    operator.resume(daemon.store, "clips", world.clock.now())
    await live_with_burn(daemon, world, 18, 10 * DOLLAR)
    world.lost = True
    await live_with_burn(daemon, world, 12, 10 * DOLLAR)
    rows = daemon.store.reader.execute("SELECT type, body FROM event").fetchall()
    assert len({row[0] for row in rows}) >= 6
    for type_, body in rows:
        Draft202012Validator(schema(EventType(type_))).validate(json.loads(body))


def test_the_example_of_the_contract_is_what_the_tests_charge() -> None:
    plain = topup_config()
    assert replace(plain, customer=CUSTOMER) == plain


async def test_a_payment_method_of_the_other_mode_is_told_at_once(daemon: Daemon, world: World) -> None:
    method = world.stripe.method("pm_1")
    method.livemode = True
    await daemon.poll()
    assert world.stripe.intents() == []
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["payment_method"]


async def test_polls_without_a_reading_are_counted_as_the_gate_that_says_no(daemon: Daemon) -> None:
    daemon.service.count_unread("clips", "no reading, no charge: timeout")
    daemon.service.count_unread("clips", "no reading, no charge: timeout")
    daemon.service.count_unread("nobody", "no reading, no charge: timeout")
    await daemon.service.run_due(START)
    [said] = ledger_notes.decisions(daemon.store.reader)
    assert (said.account, said.gate, said.count) == ("clips", "reading", 2)
    assert said.detail == "no reading, no charge: timeout"


async def test_a_reading_that_does_not_say_the_balance_is_counted_too(daemon: Daemon) -> None:
    assert not daemon.service.is_concerned("clips", Known("clips", START, Metrics()))
    await daemon.service.run_due(START)
    assert [said.gate for said in ledger_notes.decisions(daemon.store.reader)] == ["reading"]


@pytest.mark.parametrize("changes", [{"max_per_day_microusd": 40 * DOLLAR}, {"max_charge_microusd": 20 * DOLLAR}])
async def test_a_retry_that_no_bound_allows_any_more_gives_way_to_a_charge_that_fits(
    daemon: Daemon, world: World, changes: dict[str, int]
) -> None:
    world.lag = timedelta(minutes=1)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=20))
    assert daemon.states() == ["retry_wait"]
    await daemon.restart(topup=topup_config(amount_microusd=20 * DOLLAR, **changes))
    await daemon.run(timedelta(hours=3))
    assert [charge.amount for charge in world.stripe.successes()] == [2000]
    assert not {"topup.capped", "topup.suspended"} & set(daemon.events())
