"""When a credit is seen: by the running total where there is one, else by a rise of the balance; else not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.readings import Metrics
from daemon.store.ledger import Topup
from daemon.topups.credit import credit_wake, is_seen, see
from daemon.topups.states import State
from tests.helpers_topups import DOLLAR, START, Daemon, World

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
    assert credit_wake(PAID, START) == START + timedelta(minutes=30)
    assert credit_wake(replace(PAID, warned_at=START), START) == START + timedelta(hours=2)
    assert credit_wake(replace(PAID, warned_at=START, told_at=START), START) is None


async def test_the_lowest_balance_since_the_plan_is_what_the_rise_is_counted_from(world: World, tmp_path: Path) -> None:
    world.totals, world.lost = False, True
    daemon = Daemon(world, tmp_path / "n")
    await daemon.poll()
    world.balance -= 3 * DOLLAR
    await daemon.poll()
    [topup] = daemon.topups()
    assert topup.low_balance_microusd == 1_960_000
    world.balance += DOLLAR
    assert see(daemon.desk.bench, topup, world.read(), world.clock.now()) == topup
    world.balance += 45 * DOLLAR
    await daemon.poll()
    assert daemon.states() == ["credited"]
    daemon.store.close()
