"""A machine whose clock was ahead for a moment, or behind for weeks: nothing is blinded or left waiting by it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from alerts.model.reasons import ReviewReason
from daemon.clock import ManualClock
from daemon.commands import operator
from daemon.demo.standins.stripe import Strike, processing
from daemon.store import ledger, ledger_notes
from daemon.store.topup_rows import Stop, StopKind
from daemon.stripe.intents import Listing
from daemon.topups.executor import run
from tests.helpers_topups import CARD, DOLLAR, START, Daemon, World, topup_config


class MachinesClock(ManualClock):
    """The world's clock, off by what a person or a battery made of it."""

    def __init__(self, truth: ManualClock) -> None:
        super().__init__(START)
        self.truth = truth
        self.off = timedelta(0)

    def now(self) -> datetime:
        return self.truth.now() + self.off

    def set(self, now: datetime) -> None:
        self.truth.set(now - self.off)

    def advance(self, seconds: float) -> None:
        self.truth.advance(seconds)


async def one_pass(daemon: Daemon, clock: MachinesClock, off: timedelta) -> None:
    """The clock is off while time alone is attended to, and right again after."""
    clock.off = off
    await daemon.run_due()
    clock.off = timedelta(0)


def with_own_clock(world: World, folder: Path, **topup: object) -> tuple[Daemon, MachinesClock]:
    clock = MachinesClock(world.clock)
    world.clock = clock
    return Daemon(world, folder, topup_config(**topup)), clock


async def test_after_a_clock_that_was_ahead_a_dispute_is_read_and_stops_the_account(
    world: World, tmp_path: Path
) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a")
    await daemon.run(timedelta(hours=2))
    [charge] = world.stripe.successes()
    await one_pass(daemon, clock, timedelta(days=60))
    world.stripe.books.dispute(charge)
    await daemon.run(timedelta(minutes=5))
    assert [stop.reason for stop in ledger_notes.stops(daemon.store.reader)] == ["disputed"]
    audited = ledger_notes.bookmark(daemon.store.reader, "audit")
    assert audited is not None
    assert audited[0] <= clock.now()
    daemon.store.close()


async def test_after_a_clock_that_was_ahead_a_payment_under_way_is_read_back(world: World, tmp_path: Path) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a")
    world.stripe.next_outcome(CARD, processing())
    await daemon.poll()
    assert daemon.states() == ["processing"]
    clock.advance(301)
    await one_pass(daemon, clock, timedelta(days=20))
    await daemon.run(timedelta(hours=2), every=timedelta(minutes=10))
    assert world.successes == 1
    assert daemon.states() == ["credited"]
    assert daemon.events().count("topup.succeeded") == 1
    daemon.store.close()


async def test_a_retry_that_a_clock_put_off_for_days_is_given_up_and_planned_afresh(
    world: World, tmp_path: Path
) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a")
    world.stripe.next_outcome(CARD, processing(then_fails=True, after=timedelta(minutes=1)))
    await daemon.poll()
    assert daemon.states() == ["processing"]
    clock.advance(301)
    await one_pass(daemon, clock, timedelta(days=6))
    assert daemon.states() == ["retry_wait"]
    await daemon.run(timedelta(hours=2), every=timedelta(minutes=10))
    assert daemon.states() == ["abandoned"]
    [ended] = operator.resume(daemon.store, "clips", clock.now())
    assert ended.startswith("wait for 2026-11-08T08:")
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["abandoned", "credited"]
    assert world.successes == 1
    daemon.store.close()


async def test_a_person_who_says_that_the_clock_is_right_ends_the_wait_for_one_that_was_days_ahead(
    world: World, tmp_path: Path
) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a", max_per_day_microusd=400 * DOLLAR)
    await daemon.run(timedelta(minutes=20))
    assert daemon.states() == ["credited"]
    with daemon.store.write(durable=True) as tx:
        ledger.advance_latest(tx, clock.now() + timedelta(days=20))
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=3))
    [told] = daemon.events_of("topup.suspended")
    assert (told["reason"], told["command"]) == ("clock_behind_ledger", "brimful topups resume clips")
    [ended] = operator.resume(daemon.store, "clips", clock.now())
    assert ended.startswith("wait for 2026-11-22T08:")
    assert operator.resume(daemon.store, "clips", clock.now()) == ()
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2
    daemon.store.close()


async def test_the_wait_for_a_clock_that_was_ahead_is_not_ended_while_a_top_up_is_open(
    world: World, tmp_path: Path
) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a")
    world.lost = True
    await daemon.run(timedelta(minutes=20))
    with daemon.store.write(durable=True) as tx:
        ledger.advance_latest(tx, clock.now() + timedelta(days=20))
    assert daemon.states() == ["paid"]
    assert operator.resume(daemon.store, "clips", clock.now()) == ()
    daemon.store.close()


@pytest.mark.parametrize("off", [timedelta(hours=25), timedelta(minutes=6), -timedelta(days=40)])
async def test_nothing_is_charged_while_stripes_clock_and_ours_differ_and_then_by_itself(
    world: World, tmp_path: Path, off: timedelta
) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a", max_per_day_microusd=50 * DOLLAR)
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 1
    world.burn(50 * DOLLAR)
    clock.off = off
    await daemon.run(timedelta(hours=2))
    assert world.successes == 1
    told = [event for event in daemon.events_of("topup.suspended") if event["reason"] == "stripe_clock"]
    assert len(told) == (0 if off < timedelta() else 1)  # a clock that is behind the ledger was refused before
    clock.off = timedelta(0)
    world.clock.advance(timedelta(hours=24).total_seconds())
    await daemon.run(timedelta(minutes=30))
    assert world.successes == 2
    daemon.store.close()


@pytest.mark.parametrize("behind_days", [0, 40], ids=["right", "40 days behind"])
async def test_a_charge_made_by_a_clock_that_was_behind_counts_in_todays_cap(
    world: World, tmp_path: Path, behind_days: int
) -> None:
    daemon, clock = with_own_clock(world, tmp_path / "a", max_per_day_microusd=50 * DOLLAR)
    clock.off = -timedelta(days=behind_days)
    await daemon.run(timedelta(minutes=30))
    clock.off = timedelta(0)
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.events().count("topup.capped") == 1
    daemon.store.close()


async def test_a_hold_that_a_clock_far_ahead_wrote_down_holds_nothing_up(daemon: Daemon, world: World) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.advance_bookmark(tx, "hold:clips", START + timedelta(days=30))
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1


async def test_a_probe_that_a_clock_far_ahead_put_off_is_made(daemon: Daemon, world: World) -> None:
    world.clock.set(START + timedelta(days=30))
    world.stripe.fail(Strike.UNAUTHORIZED, "payment_intents.list", times=1)
    await daemon.poll()
    assert daemon.events_of("topup.suspended")[0]["reason"] == "stripe_credentials"
    world.clock.set(START)
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert world.successes == 1


async def test_a_second_read_that_goes_wrong_is_told_though_a_clock_far_ahead_has_met_it_before(
    daemon: Daemon, world: World
) -> None:
    world.clock.set(START + timedelta(days=30))
    daemon.failing_reread = True
    await daemon.poll()
    world.clock.set(START)
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert [told["reason"] for told in daemon.events_of("topup.suspended")] == ["second_read"]


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=60)])
async def test_a_brake_that_was_released_by_a_clock_far_ahead_holds_again(
    daemon: Daemon, world: World, ahead: timedelta
) -> None:
    world.balance, spent = 500 * DOLLAR, 0

    def burn(microusd: int, hours: int) -> int:
        for n in range(1, hours + 1):
            world.clock.advance(3600)
            world.burn(microusd // hours)
            daemon.memory = daemon.memory.fold(world.clock.now(), spent + microusd // hours * n)
        return spent + microusd

    spent = burn(20 * DOLLAR, 24 * 9)
    with daemon.store.write(durable=True) as tx:
        ledger_notes.stop(tx, Stop("clips", StopKind.SUSPENSION, ReviewReason.BURN_BRAKE, "", world.clock.now()))
    operator.resume(daemon.store, "clips", world.clock.now() + ahead)
    spent = burn(4 * DOLLAR, 48)
    world.uncharged = 0
    burn(world.balance - 5 * DOLLAR, 3)
    await daemon.poll()
    assert world.successes == 0
    assert daemon.events() == ["topup.needs_review"]


async def test_a_hold_is_kept_though_a_clock_far_ahead_has_written_one_before(daemon: Daemon, world: World) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.advance_bookmark(tx, "hold:clips", START + timedelta(days=30))
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    [unknown] = daemon.topups()
    await run(daemon.service.context, unknown.id, Listing(()))
    held = ledger_notes.bookmark(daemon.store.reader, "hold:clips")
    assert held is not None
    assert timedelta() < held[0] - world.clock.now() <= timedelta(seconds=300)


async def test_a_resume_by_a_clock_far_ahead_lets_no_old_answer_be_believed(daemon: Daemon, world: World) -> None:
    ahead = START + timedelta(days=3)
    with daemon.store.write(durable=True) as tx:
        ledger_notes.stop(tx, Stop("clips", StopKind.SUSPENSION, "declined", "", ahead))
        ledger.advance_latest(tx, ahead)
    operator.resume(daemon.store, "clips", ahead)
    operator.resume(daemon.store, "clips", START)
    world.lag = timedelta(minutes=1)
    before = world.read().metrics
    await daemon.run(timedelta(minutes=30))
    assert daemon.states() == ["credited"]
    world.charged, world.balance = before.total_charged_microusd or 0, before.balance_microusd or 0
    await daemon.run(timedelta(hours=2))
    assert world.successes == 1
