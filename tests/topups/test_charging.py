"""One need, one charge: the straight way from a low balance to a visible credit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.readings import Known, Reason, Unavailable
from alerts.model.values import replace
from daemon.config.model import TopupMode
from daemon.demo.standins.stripe import Strike
from daemon.store import ledger_notes
from daemon.store.topup_rows import Bookmark, Stop, StopKind
from daemon.topups.policy.step import Doing
from tests.helpers_topups import DOLLAR, Daemon, World, topup_config


async def test_a_low_balance_is_charged_once_and_its_credit_is_told(daemon: Daemon, world: World) -> None:
    await daemon.poll()
    assert daemon.states() == ["paid"]
    [charge] = world.stripe.successes()
    assert charge.amount == 5000
    for _ in range(4):
        world.clock.advance(300)
        await daemon.poll()
    assert world.successes == 1
    assert daemon.states() == ["credited"]
    assert daemon.events() == ["topup.planned", "topup.succeeded", "topup.credited"]


async def test_a_success_carries_all_that_a_service_needs_to_credit_the_account(daemon: Daemon, world: World) -> None:
    await daemon.poll()
    [told] = daemon.events_of("topup.succeeded")
    [intent] = world.stripe.intents()
    assert told["topup"] == "clips-1"
    assert told["payment_intent"] == intent.id
    assert told["amount_usd"] == 50
    assert told["account"] == "clips"
    assert told["funded_before_usd"] == 104.96


async def test_a_second_read_that_fails_charges_nothing(daemon: Daemon, world: World) -> None:
    daemon.failing_reread = True
    await daemon.poll()
    assert world.stripe.intents() == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [("fails", "timeout"), ("falls", "has fallen"), ("no balance", "does not say the balance")],
)
@pytest.mark.long
async def test_a_second_read_that_goes_wrong_for_long_is_told_once_a_day_and_charging_goes_on_when_it_ends(
    daemon: Daemon, world: World, monkeypatch: pytest.MonkeyPatch, wrong: str, why: str
) -> None:
    async def reread() -> Known | Unavailable:
        read = world.read()
        if wrong == "fails":
            return Unavailable("clips", world.clock.now(), Reason.TIMEOUT)
        balance = None if wrong == "no balance" else read.metrics.balance_microusd
        charged = world.charged - (DOLLAR if wrong == "falls" else 0)
        return replace(read, metrics=replace(read.metrics, balance_microusd=balance, total_charged_microusd=charged))

    with monkeypatch.context() as patch:
        patch.setattr(daemon, "reread", reread)
        await daemon.run(timedelta(minutes=29))
        assert daemon.events() == []
        await daemon.run(timedelta(hours=5))
        [told] = daemon.events_of("topup.suspended")
        assert told["reason"] == "second_read"
        assert why in told["message"]
        assert told["command"] == "brimful check --online"
        await daemon.run(timedelta(hours=24))
        assert len(daemon.events_of("topup.suspended")) == 2
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 1
    assert ledger_notes.bookmark(daemon.store.reader, Bookmark.FAILING.of("clips", Doing.READING_AGAIN)) is None


async def test_a_second_read_that_failed_long_ago_is_not_taken_for_one_that_lasts(daemon: Daemon, world: World) -> None:
    daemon.failing_reread = True
    await daemon.poll()
    world.balance += 50 * DOLLAR
    await daemon.run(timedelta(days=2))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(minutes=20))
    assert daemon.events() == []
    daemon.failing_reread = False
    await daemon.poll()
    assert world.successes == 1


@pytest.mark.long
async def test_a_list_that_failed_before_a_long_pause_is_not_taken_for_one_that_lasts(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.list", times=1)
    await daemon.attend(world.read())
    with daemon.store.write(durable=True) as tx:
        ledger_notes.stop(tx, Stop("clips", StopKind.PAUSE, "paused by a person", "", world.clock.now()))
    await daemon.run(timedelta(days=2))
    with daemon.store.write(durable=True) as tx:
        ledger_notes.lift(tx, "clips", StopKind.PAUSE)
    world.stripe.fail(Strike.DROP, "payment_intents.list", times=1)
    await daemon.attend(world.read())
    assert (daemon.states(), daemon.events()) == ([], [])


async def test_a_second_read_that_fails_once_a_day_is_told_on_the_second(daemon: Daemon, world: World) -> None:
    daemon.failing_reread = True
    for _ in range(2):
        await daemon.poll()
        world.clock.advance(timedelta(days=1).total_seconds())
    assert daemon.events() == ["topup.suspended"]


async def test_shadow_mode_tells_nothing_of_a_second_read_that_fails(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "s", topup_config(mode=TopupMode.SHADOW))
    daemon.failing_reread = True
    await daemon.run(timedelta(hours=2))
    assert daemon.events() == []
    daemon.store.close()


async def test_a_credit_that_never_comes_is_told_after_two_hours_and_blocks_the_next_charge(
    daemon: Daemon, world: World
) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=5))
    assert world.successes == 1
    assert daemon.events().count("topup.not_credited") == 1
    [told] = daemon.events_of("topup.not_credited")
    assert told["command"] == "brimful topups ack clips-1"
    assert any("not seen" in sentence for sentence in daemon.needs_person())


async def test_the_key_and_the_parameters_are_committed_before_they_are_sent(daemon: Daemon, world: World) -> None:
    await daemon.poll()
    sent = {e.key: e.params for e in world.stripe.exchanges if e.key}
    rows = daemon.store.reader.execute("SELECT key, params FROM topup_sends").fetchall()
    assert {row[0] for row in rows} == set(sent)


async def test_an_unreachable_stripe_charges_nothing_and_is_told_when_it_lasts(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, times=1000)
    await daemon.run(timedelta(minutes=50))
    assert daemon.events() == ["topup.suspended"]
    world.stripe.faults.clear()
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 1


@pytest.mark.parametrize("endpoint", ["payment_methods.retrieve", "payment_intents.create"])
@pytest.mark.long
async def test_one_call_that_stripe_does_not_answer_for_long_is_told_once_a_day(
    daemon: Daemon, world: World, endpoint: str
) -> None:
    world.stripe.fail(Strike.FAIL_500, endpoint, times=10_000)
    await daemon.run(timedelta(minutes=25))
    assert "topup.suspended" not in daemon.events()
    await daemon.run(timedelta(hours=5))
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["stripe_unreachable"]
    world.stripe.faults.clear()
    await daemon.run(timedelta(hours=2))
    assert world.successes == 1


async def test_confirms_that_end_in_errors_of_stripes_own_are_told_when_that_lasts(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm", times=10_000)
    await daemon.run(timedelta(minutes=50))
    assert "topup.suspended" not in daemon.events()
    await daemon.run(timedelta(hours=3))
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["stripe_unreachable"]


async def test_a_glitch_long_ago_is_not_taken_for_a_failure_that_lasts(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.run(timedelta(hours=2))
    world.burn(50_000_000)
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.run(timedelta(hours=2))
    assert world.successes == 2
    assert "topup.suspended" not in daemon.events()
