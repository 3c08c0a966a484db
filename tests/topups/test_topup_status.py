"""How an account's top-ups stand, in words: for `balance.low`, for the status, and for the exit code of `once`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.model.values import replace
from alerts.rules.state import TopupStatus
from daemon.commands import operator
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import Strike, declined, processing
from daemon.status.topups import is_under_way, topup_status
from daemon.store import ledger, ledger_notes
from daemon.store.topup_rows import State, Topup
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config


def stands(daemon: Daemon) -> TopupStatus:
    said = daemon.topup_status("clips")
    assert said is not None
    return said


def the(daemon: Daemon) -> Topup:
    [topup] = daemon.topups()
    return topup


def put(daemon: Daemon, state: State, topup: str) -> None:
    """Let the row stand in a state, as its PaymentIntent would lead there."""
    with daemon.store.write(durable=True) as tx:
        now = daemon.world.clock.now()
        ledger.change(tx, the(daemon), now, state=state, state_at=now, reason=topup)


async def open_(daemon: Daemon, world: World) -> Topup:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    return the(daemon)


def test_an_account_without_a_top_up_has_no_standing(daemon: Daemon) -> None:
    assert daemon.topup_status("nobody") is None


async def test_nothing_open_says_that_it_is_judged_after_the_reading(daemon: Daemon) -> None:
    assert stands(daemon).state == "none"


@pytest.mark.parametrize("mode", [TopupMode.OFF, TopupMode.SHADOW])
async def test_a_mode_that_charges_nothing_is_named(world: World, tmp_path: Path, mode: TopupMode) -> None:
    daemon = Daemon(world, tmp_path / "m", topup_config(mode=mode))
    assert stands(daemon) == TopupStatus(mode.value, False, f"mode is {mode}")
    daemon.store.close()


async def test_a_cap_that_an_earlier_version_noted_is_still_told(daemon: Daemon, world: World) -> None:
    said = '[{"gate":7,"name":"cap_day","passed":false,"detail":"full","numbers":{"cap":"$100.00"}}]'
    with daemon.store.write(durable=True) as tx:
        ledger_notes.count_decision(tx, "clips", "cap_day", world.clock.now(), detail="full", gates=said)
    assert stands(daemon).state == "capped"


async def test_a_pause_and_a_suspension_are_named_with_since_when(daemon: Daemon, world: World) -> None:
    operator.pause(daemon.store, None, world.clock.now())
    assert stands(daemon) == TopupStatus("paused", False, "paused by a person, since 2026-11-02T08:00:00Z")
    operator.resume(daemon.store, None, world.clock.now())
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    assert stands(daemon).state == "suspended"
    assert stands(daemon).reason.startswith("declined, since ")


async def test_a_cap_that_is_reached_is_named(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "c", topup_config(max_per_day_microusd=50 * DOLLAR))
    await daemon.run(timedelta(hours=1))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=1))
    assert stands(daemon) == TopupStatus("capped", False, "$50.00 spent or open of $50.00 a day")
    daemon.store.close()


async def _capped(world: World, folder: Path, **caps: int) -> Daemon:
    daemon = Daemon(world, folder, topup_config(**caps))
    await daemon.run(timedelta(hours=1))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=1))
    assert stands(daemon).state == "capped"
    world.balance += 60 * DOLLAR  # bought by hand
    return daemon


async def test_a_day_s_cap_is_named_for_a_day_and_no_longer(world: World, tmp_path: Path) -> None:
    daemon = await _capped(world, tmp_path / "d", max_per_day_microusd=50 * DOLLAR)
    world.clock.advance(timedelta(hours=22).total_seconds())
    assert stands(daemon).state == "capped"
    world.clock.advance(timedelta(hours=3).total_seconds())
    assert stands(daemon).state == "none"
    daemon.store.close()


async def test_a_month_s_cap_is_named_until_the_month_ends_in_the_configured_zone(world: World, tmp_path: Path) -> None:
    daemon = await _capped(world, tmp_path / "m", max_per_month_microusd=50 * DOLLAR)
    world.clock.set(datetime(2026, 11, 30, 14, 59, tzinfo=UTC))
    assert stands(daemon).state == "capped"
    tokyo = replace(daemon.service.context.config, timezone=ZoneInfo("Asia/Tokyo"))
    world.clock.set(datetime(2026, 11, 30, 15, 0, tzinfo=UTC))
    assert stands(daemon).state == "capped"
    said = topup_status(tokyo, daemon.store.reader, "clips", world.clock.now())
    assert said is not None
    assert said.state == "none"
    world.clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    assert stands(daemon).state == "none"
    daemon.store.close()


@pytest.mark.parametrize("cap", ["max_per_day_microusd", "max_per_month_microusd"])
async def test_a_cap_is_named_no_more_once_it_was_raised(world: World, tmp_path: Path, cap: str) -> None:
    daemon = await _capped(world, tmp_path / "r", **{cap: 50 * DOLLAR})
    await daemon.restart(topup=topup_config(**{cap: 50 * DOLLAR, "cooldown": timedelta(hours=2)}))
    assert stands(daemon).state == "capped"
    await daemon.restart(topup=topup_config(**{cap: 40 * DOLLAR}))
    assert stands(daemon).state == "capped"
    await daemon.restart(topup=topup_config(**{cap: 1000 * DOLLAR}))
    assert stands(daemon).state == "none"
    daemon.store.close()


@pytest.mark.long
async def test_what_held_a_charge_back_last_is_named_until_it_does_no_more(daemon: Daemon, world: World) -> None:
    await daemon.restart(topup=topup_config(payment_method=None))
    world.stripe.books.customer(CUSTOMER).default_method = None
    await daemon.run(timedelta(days=3), every=timedelta(minutes=30))
    reason = "no payment method can be charged: cus_1 has no default payment method"
    assert stands(daemon) == TopupStatus("held_back", False, reason)
    daemon.service.count_unread("clips", "timeout")  # a reading that fails says nothing of it
    await daemon.run_due()
    assert stands(daemon).state == "held_back"
    world.clock.advance(timedelta(days=2).total_seconds())
    assert stands(daemon).state == "none"
    await daemon.poll()
    assert stands(daemon).state == "held_back"
    world.balance += 60 * DOLLAR  # bought by hand
    await daemon.run(timedelta(hours=2))
    assert stands(daemon).state == "none"


async def test_a_second_read_that_fails_is_named_as_what_holds_a_charge_back(daemon: Daemon, world: World) -> None:
    daemon.failing_reread = True
    await daemon.poll()
    assert stands(daemon) == TopupStatus("held_back", False, "the second read failed")
    daemon.failing_reread = False
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"]
    assert stands(daemon).state == "none"


async def test_a_cap_is_named_no_more_once_the_account_was_charged_again(world: World, tmp_path: Path) -> None:
    daemon = await _capped(world, tmp_path / "a", max_per_day_microusd=50 * DOLLAR)
    world.burn(60 * DOLLAR)
    world.lag = timedelta()
    await daemon.restart(topup=topup_config())
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2
    assert daemon.states() == ["credited", "credited"]
    assert stands(daemon).state == "none"
    daemon.store.close()


async def test_what_is_really_under_way_says_so_and_for_two_hours_after_it_was_paid(
    daemon: Daemon, world: World
) -> None:
    assert is_under_way(await open_(daemon, world), world.clock.now())
    assert stands(daemon) == TopupStatus("confirming", True, "attempt 1", "clips-1")
    world.lost = True
    await daemon.run(timedelta(minutes=10))
    paid = the(daemon)
    assert paid.paid_at is not None
    assert is_under_way(paid, paid.paid_at + timedelta(hours=2) - timedelta(seconds=1))
    assert not is_under_way(paid, paid.paid_at + timedelta(hours=2))


@pytest.mark.parametrize("mode", [TopupMode.OFF, TopupMode.SHADOW])
@pytest.mark.long
async def test_a_mode_that_charges_nothing_holds_back_no_reminder_for_what_it_does_not_send(
    daemon: Daemon, world: World, mode: TopupMode
) -> None:
    await open_(daemon, world)
    await daemon.restart(topup=topup_config(mode=mode))
    assert not stands(daemon).under_way
    await daemon.run(timedelta(days=2), every=timedelta(minutes=30))
    assert not stands(daemon).under_way
    assert world.successes == 0


@pytest.mark.long
async def test_a_stop_lets_reminders_through_for_what_it_keeps_from_being_sent(daemon: Daemon, world: World) -> None:
    await open_(daemon, world)
    assert stands(daemon).under_way
    for account in ("clips", None):
        operator.pause(daemon.store, account, world.clock.now())
        assert stands(daemon) == TopupStatus("confirming", False, "attempt 1", "clips-1")
        operator.resume(daemon.store, account, world.clock.now())
        assert stands(daemon).under_way
    operator.pause(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=22), every=timedelta(minutes=15))
    assert stands(daemon) == TopupStatus("confirming", False, "attempt 1", "clips-1")


@pytest.mark.long
async def test_a_create_whose_outcome_the_revoked_key_hides_lets_reminders_through(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.create", times=2)
    await daemon.poll()
    assert stands(daemon).under_way
    world.stripe.keys.clear()
    await daemon.run(timedelta(hours=1))
    assert stands(daemon).state == "creating"
    assert not stands(daemon).under_way
    await daemon.run(timedelta(days=3), every=timedelta(minutes=30))
    assert not stands(daemon).under_way


async def test_what_was_sent_is_under_way_for_two_hours_by_a_clock_that_is_right(daemon: Daemon, world: World) -> None:
    confirming, now = await open_(daemon, world), world.clock.now()
    for after, expected in ((119, True), (120, False), (-120, False)):
        assert is_under_way(confirming, now + timedelta(minutes=after), sent_at=now) is expected


async def test_a_probe_of_another_card_is_under_way_though_the_account_is_suspended_for_the_one_before(
    daemon: Daemon, world: World
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    world.clock.advance(timedelta(hours=2).total_seconds())
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    assert stands(daemon).state == "confirming"
    assert stands(daemon).under_way
    operator.pause(daemon.store, "clips", world.clock.now())
    assert not stands(daemon).under_way


async def test_what_the_bank_works_on_is_under_way_beside_a_stop_too(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=5)))
    await daemon.poll()
    operator.pause(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=3))
    assert stands(daemon).state == "processing"
    assert stands(daemon).under_way


@pytest.mark.parametrize("mode", [TopupMode.OFF, TopupMode.SHADOW])
async def test_in_every_mode_what_is_open_is_read_back_and_is_under_way_once_it_was_charged(
    daemon: Daemon, world: World, mode: TopupMode
) -> None:
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    world.lag = timedelta(hours=1)
    await daemon.poll()
    assert daemon.states() == ["confirming"]
    await daemon.restart(topup=topup_config(mode=mode))
    await daemon.run(timedelta(minutes=15))
    assert stands(daemon) == TopupStatus("paid", True, "read back as succeeded", "clips-1")
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["credited"]


@pytest.mark.parametrize("mode", [TopupMode.OFF, TopupMode.SHADOW])
async def test_what_the_bank_works_on_is_under_way_in_every_mode(daemon: Daemon, world: World, mode: TopupMode) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=5)))
    await daemon.poll()
    await daemon.restart(topup=topup_config(mode=mode))
    assert stands(daemon).state == "processing"
    assert stands(daemon).under_way


async def test_what_is_being_canceled_or_waits_is_not_under_way(daemon: Daemon, world: World) -> None:
    topup = await open_(daemon, world)
    with daemon.store.write(durable=True) as tx:
        canceling = ledger.change(tx, topup, world.clock.now(), cancel_as=State.ABANDONED)
    assert not is_under_way(canceling, world.clock.now())
    put(daemon, State.RETRY_WAIT, "insufficient_funds")
    assert not stands(daemon).under_way


# ── sentences for a person ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (State.CONFIRMING, "clips-1: its outcome is not known yet; it is read back until it is"),
        (State.NEEDS_REVIEW, "clips-1: needs_review (as told): brimful topups ack clips-1"),
        (State.ACTION_REQUIRED, "clips-1: as told: its PaymentIntent is being canceled"),
        (State.RETRY_WAIT, None),
        (State.PROCESSING, None),
    ],
)
async def test_each_open_top_up_that_needs_somebody_is_a_sentence(
    daemon: Daemon, world: World, state: State, sentence: str | None
) -> None:
    await open_(daemon, world)
    daemon.service.context.last_errors.clear()
    if state is not State.CONFIRMING:
        put(daemon, state, "as told")
    assert daemon.needs_person() == ([sentence] if sentence else [])


@pytest.mark.long
async def test_what_shadow_mode_finds_open_is_a_sentence_that_names_the_mode_which_ends_it(
    daemon: Daemon, world: World
) -> None:
    await open_(daemon, world)
    await daemon.restart(topup=topup_config(mode=TopupMode.SHADOW))
    daemon.service.context.last_errors.clear()
    assert daemon.needs_person() == [
        'clips-1: confirming (attempt 1): shadow mode sends nothing to end it: set mode = "off" until it has'
    ]
    await daemon.restart(topup=topup_config(mode=TopupMode.OFF))
    await daemon.run(timedelta(days=2), every=timedelta(minutes=30))
    assert daemon.states() == ["abandoned"]
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]


async def test_a_bank_that_is_undecided_for_long_is_a_sentence(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=5)))
    await daemon.run(timedelta(hours=2))
    assert daemon.needs_person() == [
        "clips-1: the bank has not decided for over an hour: look at it in Stripe",
    ]


async def test_a_charge_whose_credit_is_not_seen_is_a_sentence_once_it_was_told(daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=1))
    assert daemon.needs_person() == []
    await daemon.run(timedelta(hours=2))
    assert daemon.needs_person() == ["clips-1: charged, but the credit is not seen: brimful topups ack clips-1"]


async def test_a_breaker_is_a_sentence_without_a_command(daemon: Daemon, world: World) -> None:
    world.stripe.keys.clear()
    await daemon.poll()
    sentences = daemon.needs_person()
    assert any(sentence.startswith("all accounts: suspended (stripe_credentials: ") for sentence in sentences)
    assert not any("resume" in sentence for sentence in sentences)


async def test_a_pause_needs_nobody_and_a_suspension_names_its_command(daemon: Daemon, world: World) -> None:
    operator.pause(daemon.store, None, world.clock.now())
    assert daemon.needs_person() == []
    operator.resume(daemon.store, None, world.clock.now())
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    [sentence] = daemon.needs_person()
    assert sentence.endswith(": brimful topups resume clips")


async def test_a_stop_of_an_account_that_is_configured_no_more_is_nobody_s_sentence(
    daemon: Daemon, world: World
) -> None:
    operator.pause(daemon.store, "gone", world.clock.now())
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.poll()
    del daemon.config.accounts["clips"]  # type: ignore[attr-defined]  # a dictionary
    assert daemon.needs_person() == []
