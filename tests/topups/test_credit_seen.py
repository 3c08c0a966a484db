"""When a credit is seen: by the running total where there is one, else by a rise of the balance; else not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.readings import Known, Metrics, Reason, Unavailable
from alerts.model.values import replace
from daemon.demo.standins.stripe import Fault, Strike, declined, processing
from daemon.store import ledger_notes, readings, states
from daemon.store.topup_rows import State, Topup
from daemon.topups.policy.credit import is_seen, wake
from tests.helpers_topups import CARD, DOLLAR, START, Daemon, World

PAID = Topup(
    id="clips-1",
    account="clips",
    customer="cus_1",
    seq=1,
    own=True,
    state=State.PAID,
    amount_cents=5000,
    create_key="",
    create_params="{}",
    planned_at=START,
    state_at=START,
    paid_at=START,
    funded_before_microusd=100 * DOLLAR,
)
WITHOUT_TOTAL = replace(PAID, funded_before_microusd=None, low_balance_microusd=5 * DOLLAR)


@pytest.mark.parametrize(
    ("balance", "charged", "seen"),
    [(150, 0, True), (149, 0, False), (50, 100, True), (5, 145, True), (150, None, False), (None, 150, False)],
)
def test_a_total_shows_it_whatever_was_burnt_meanwhile(balance: int | None, charged: int | None, seen: bool) -> None:
    metrics = Metrics(
        balance_microusd=None if balance is None else balance * DOLLAR,
        total_charged_microusd=None if charged is None else charged * DOLLAR,
    )
    assert is_seen(PAID, metrics) is seen


@pytest.mark.parametrize(("balance", "seen"), [(50 * DOLLAR, True), (50 * DOLLAR - 1, False), (None, False)])
def test_without_a_total_nine_tenths_of_the_amount_above_the_lowest_balance_show_it(
    balance: int | None, seen: bool
) -> None:
    assert is_seen(WITHOUT_TOTAL, Metrics(balance_microusd=balance)) is seen
    assert not is_seen(replace(WITHOUT_TOTAL, low_balance_microusd=None), Metrics(balance_microusd=balance))


def test_its_silence_is_looked_at_after_half_an_hour_and_after_two_and_then_no_more() -> None:
    assert wake(PAID) == START + timedelta(minutes=30)
    assert wake(replace(PAID, warned_at=START)) == START + timedelta(hours=2)
    assert wake(replace(PAID, warned_at=START, told_at=START)) is None


async def test_the_lowest_balance_since_the_plan_is_what_the_rise_is_counted_from(world: World, tmp_path: Path) -> None:
    world.totals, world.lost = False, True
    daemon = Daemon(world, tmp_path / "n")
    await daemon.poll()
    world.balance -= 3 * DOLLAR
    await daemon.poll()
    [topup] = daemon.topups()
    assert topup.low_balance_microusd == 1_960_000
    world.balance += DOLLAR
    await daemon.poll()
    assert daemon.topups()[0].low_balance_microusd == 1_960_000
    world.balance += 45 * DOLLAR
    await daemon.poll()
    assert daemon.states() == ["credited"]
    daemon.store.close()


# ── when its silence is told ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_credit_that_came_while_the_machine_was_off_is_never_told_as_missing(
    daemon: Daemon, world: World
) -> None:
    await daemon.poll()
    world.clock.advance(timedelta(hours=8).total_seconds())
    await daemon.restart()
    await daemon.run_due()  # before the first poll
    assert "topup.not_credited" not in daemon.events()
    await daemon.poll()
    assert daemon.events()[-1] == "topup.credited"
    await daemon.run(timedelta(hours=3))
    assert "topup.not_credited" not in daemon.events()


async def test_a_credit_that_is_missing_is_told_with_the_first_reading_after_two_hours(
    daemon: Daemon, world: World
) -> None:
    world.lost = True
    await daemon.poll()
    world.clock.advance(timedelta(hours=8).total_seconds())
    await daemon.restart()
    await daemon.run_due()
    assert "topup.not_credited" not in daemon.events()
    await daemon.poll()
    [told] = daemon.events_of("topup.not_credited")
    assert told["action"].startswith("The card was charged and the balance does not show it")
    await daemon.run(timedelta(hours=3))
    assert len(daemon.events_of("topup.not_credited")) == 1


async def test_a_reading_from_before_the_two_hours_does_not_say_that_the_credit_is_missing(
    daemon: Daemon, world: World
) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=2))
    await daemon.run_due()
    assert "topup.not_credited" not in daemon.events()
    await daemon.run(timedelta(minutes=6))
    assert daemon.events()[-1] == "topup.not_credited"


async def test_without_any_reading_it_is_told_half_an_hour_later_that_nobody_knows(
    daemon: Daemon, world: World
) -> None:
    await daemon.poll()
    for _ in range(29):
        world.clock.advance(300)
        await daemon.run_due()
    assert "topup.not_credited" not in daemon.events()
    world.clock.advance(300)
    await daemon.run_due()
    [told] = daemon.events_of("topup.not_credited")
    assert told["action"].startswith("The card was charged and since the credit was due no two reads")
    await daemon.poll()
    assert daemon.events()[-1] == "topup.credited"
    assert ledger_notes.bookmark(daemon.store.reader, "credit_unread:clips-1") is None


async def test_a_credit_that_only_the_first_of_two_reads_shows_is_told_as_not_confirmed(
    daemon: Daemon, world: World
) -> None:
    world.lag = timedelta(minutes=1)
    await daemon.poll()
    daemon.failing_reread = True
    await daemon.run(timedelta(hours=5))
    [told] = daemon.events_of("topup.not_credited")
    assert "no two reads in a row could say whether it came" in told["action"]
    assert "could not be read" not in told["action"]


async def test_a_machine_that_was_off_while_it_waited_for_a_reading_waits_for_one_again(
    daemon: Daemon, world: World
) -> None:
    await daemon.poll()
    for _ in range(5):
        world.clock.advance(1500)
        await daemon.run_due()
    assert ledger_notes.bookmark(daemon.store.reader, "credit_unread:clips-1") is not None
    world.clock.advance(timedelta(hours=6).total_seconds())
    await daemon.restart()
    await daemon.run_due()
    assert "topup.not_credited" not in daemon.events()
    world.clock.advance(300)
    await daemon.run_due()
    assert daemon.events()[-1] == "topup.not_credited"


async def test_polls_an_hour_apart_that_all_fail_are_told_with_the_second(daemon: Daemon, world: World) -> None:
    await daemon.poll()
    world.clock.advance(timedelta(hours=1).total_seconds())
    for events in (["topup.planned", "topup.succeeded"], ["topup.planned", "topup.succeeded", "topup.not_credited"]):
        world.clock.advance(timedelta(hours=1).total_seconds())
        with daemon.store.write(durable=True) as tx:
            readings.record(tx, [Unavailable("clips", world.clock.now(), Reason.TIMEOUT)])
        await daemon.run_due()
        await daemon.run_due()
        assert daemon.events() == events


@pytest.mark.long
async def test_a_credit_that_came_while_the_bank_took_its_time_is_not_the_charge_s_own(
    daemon: Daemon, world: World
) -> None:
    world.lag = timedelta(hours=1)
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=25)))
    await daemon.run(timedelta(hours=5))
    assert daemon.states() == ["processing"]
    world.balance += 60 * DOLLAR
    await daemon.run(timedelta(hours=5))
    world.burn(60 * DOLLAR)
    await daemon.run(timedelta(hours=15, minutes=50))
    assert daemon.states() == ["paid"]
    assert world.successes == 1
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"]
    [told] = daemon.events_of("topup.succeeded")
    assert told["funded_before_usd"] == pytest.approx(100 + 4.96 + 60)
    assert "topup.not_credited" not in daemon.events()


async def test_another_credit_is_believed_only_where_a_second_read_shows_it_too(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=25)))
    await daemon.run(timedelta(hours=1))
    [before] = daemon.topups()
    world.balance += 60 * DOLLAR
    daemon.failing_reread = True
    await daemon.run(timedelta(hours=1))
    [unread] = daemon.topups()
    assert unread.funded_before_microusd == before.funded_before_microusd
    daemon.failing_reread = False
    await daemon.run(timedelta(hours=1))
    [read] = daemon.topups()
    assert before.funded_before_microusd is not None
    assert read.funded_before_microusd == before.funded_before_microusd + 60 * DOLLAR


async def lives_on_with_another_s_credit(daemon: Daemon, world: World, before: str, ended: Fault | None = None) -> None:
    """60 dollars are bought by hand while the charge is not made, and do not suffice."""
    world.balance -= 100 * DOLLAR
    world.lag = timedelta(hours=1)
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == [before]
    world.balance += 60 * DOLLAR
    await daemon.run(timedelta(minutes=10))
    if ended is not None:
        ended.times = 0
    while daemon.states() == [before]:
        await daemon.run(timedelta(minutes=5))
    assert daemon.states() == ["paid"]
    assert world.successes == 1
    await daemon.run(timedelta(minutes=70))
    assert daemon.states()[0] == "credited"
    [told] = daemon.events_of("topup.succeeded")
    assert told["funded_before_usd"] == pytest.approx(4.96 + 60)


async def test_a_credit_that_came_while_a_decline_waited_for_its_retry_is_not_the_charge_s_own(
    daemon: Daemon, world: World
) -> None:
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await lives_on_with_another_s_credit(daemon, world, "retry_wait")


async def test_a_credit_that_the_reading_of_the_retry_shows_first_is_not_the_charge_s_own(
    daemon: Daemon, world: World
) -> None:
    world.balance -= 100 * DOLLAR
    world.lag = timedelta(hours=1)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["retry_wait"]
    world.balance += 60 * DOLLAR
    await daemon.run(timedelta(minutes=5))
    assert daemon.states() == ["paid"]
    [paid] = daemon.topups()
    assert paid.funded_before_microusd == 4_960_000 + 60 * DOLLAR


async def test_a_credit_that_came_while_the_confirm_was_lost_is_not_the_charge_s_own(
    daemon: Daemon, world: World
) -> None:
    lost = world.stripe.fail(Strike.DROP, "payment_intents.confirm", times=1000)
    await lives_on_with_another_s_credit(daemon, world, "confirming", lost)


async def test_whose_credit_it_is_is_not_judged_while_stripe_cannot_be_asked(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=2)))
    await daemon.run(timedelta(minutes=110))
    assert daemon.states() == ["processing"]
    away = world.stripe.fail(Strike.PROXY, times=1000)
    await daemon.run(timedelta(minutes=40))
    assert world.successes == 1
    assert daemon.states() == ["processing"]
    away.times = 0
    await daemon.run(timedelta(minutes=20))
    assert daemon.states()[0] == "credited"
    await daemon.run(timedelta(hours=3))
    assert "topup.not_credited" not in daemon.events()


async def test_nothing_is_tried_while_nobody_can_tell_whose_a_credit_is(daemon: Daemon, world: World) -> None:
    world.lag = timedelta(minutes=90)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=59))
    assert daemon.states() == ["retry_wait"]
    world.burn(50 * DOLLAR)
    world.balance += 50 * DOLLAR
    world.clock.advance(120)
    daemon.failing_reread = True
    await daemon.poll()
    assert daemon.states() == ["retry_wait"]
    daemon.failing_reread = False
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.states() == ["credited"]
    [told] = daemon.events_of("topup.succeeded")
    assert told["funded_before_usd"] == pytest.approx(104.96 + 50)


async def test_without_a_total_what_is_burnt_before_the_retry_hides_no_credit(daemon: Daemon, world: World) -> None:
    world.totals = False
    world.balance, world.uncharged = 9 * DOLLAR, 0
    world.lag = timedelta(minutes=1)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=30))
    world.balance -= 6 * DOLLAR
    await daemon.run(timedelta(hours=6))
    assert daemon.states() == ["credited"]
    assert "topup.not_credited" not in daemon.events()


async def test_without_a_total_what_is_bought_before_the_retry_is_not_the_charge_s_own(
    daemon: Daemon, world: World
) -> None:
    world.totals = False
    world.balance, world.uncharged = -50 * DOLLAR, 0
    world.lag = timedelta(hours=1)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=30))
    world.balance += 55 * DOLLAR
    await daemon.run(timedelta(minutes=50))
    assert daemon.states() == ["paid"]
    assert world.successes == 1
    await daemon.run(timedelta(minutes=60))
    assert daemon.states() == ["credited"]
    assert world.successes == 1


async def test_an_old_answer_of_before_the_credit_charges_nothing_and_is_told(daemon: Daemon, world: World) -> None:
    world.lag = timedelta(minutes=1)
    before = world.read().metrics
    await daemon.run(timedelta(minutes=30))
    assert daemon.states() == ["credited"]
    for _ in range(20):
        world.clock.advance(300)
        await daemon.attend(Known("clips", world.clock.now(), before), stale(world, before))
    assert world.successes == 1
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == "credits_fell"
    assert str(told["message"]).startswith("$50.000000 of $154.960000 ever credited do not show since ")


@pytest.mark.long
async def test_a_total_that_was_put_back_is_believed_where_a_person_says_so(daemon: Daemon, world: World) -> None:
    world.lag = timedelta(minutes=1)
    await daemon.run(timedelta(minutes=30))
    world.charged = 0
    world.balance = 5 * DOLLAR
    await daemon.run(timedelta(hours=30))
    assert world.successes == 1
    status = daemon.topup_status("clips")
    assert status is not None
    assert status.state == "held_back"
    assert "$149.960000 of $154.960000 ever credited do not show" in status.reason
    assert daemon.events_of("topup.needs_review")[0]["command"] == "brimful topups accept clips"
    with daemon.store.write(durable=True) as tx:
        states.accept(tx, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2


async def test_one_read_that_says_too_much_with_the_credit_holds_nothing_up(daemon: Daemon, world: World) -> None:
    world.lag = timedelta(minutes=1)
    await daemon.poll()
    world.clock.advance(300)
    said = world.read()
    high = replace(said.metrics, total_charged_microusd=world.charged + 100 * DOLLAR)
    await daemon.attend(replace(said, metrics=high), daemon.reread)
    assert daemon.states() == ["credited"]
    world.burn(50 * DOLLAR)
    await daemon.run(timedelta(hours=3))
    assert world.successes == 2


@pytest.mark.parametrize("bought", [2 * DOLLAR, 60 * DOLLAR])
async def test_a_second_read_that_goes_wrong_beside_another_s_credit_is_told_and_gives_up_what_is_not_wanted(
    daemon: Daemon, world: World, bought: int
) -> None:
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=10))
    world.balance += bought
    daemon.failing_reread = True
    await daemon.run(timedelta(hours=2))
    if bought > 10 * DOLLAR:
        assert daemon.states() == ["abandoned"]
    else:
        assert daemon.states() == ["retry_wait"]
        assert daemon.events_of("topup.suspended")[0]["reason"] == "second_read"
    assert world.successes == 0


def stale(world: World, before: Metrics) -> Callable[[], Awaitable[Known]]:
    async def reread() -> Known:
        return Known("clips", world.clock.now(), before)

    return reread
