"""Terms that change while the service runs: what is being planned by the old ones is not written down."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.model.readings import Known, Unavailable
from alerts.model.values import replace
from daemon.config.model import TopupMode
from tests.helpers_topups import DOLLAR, Daemon, World, topup_config


def set_terms(daemon: Daemon, **changes: Any) -> None:
    known = daemon.service.context.config.accounts["clips"]
    assert known.topup is not None
    changed = replace(known, topup=replace(known.topup, **changes))
    daemon.service.context.config = replace(daemon.service.context.config, accounts={"clips": changed})


@pytest.mark.parametrize(
    "changes", [{"customer": "cus_other", "payment_method": "pm_other"}, {"amount_microusd": 20 * DOLLAR}]
)
async def test_terms_that_change_while_a_charge_is_planned_are_those_of_the_next_reading(
    daemon: Daemon, world: World, changes: dict[str, Any]
) -> None:
    world.stripe.add_customer("cus_other", card="pm_other")

    async def reread() -> Known | Unavailable:
        set_terms(daemon, **changes)
        return world.read()

    await daemon.attend(world.read(), reread)
    assert world.stripe.intents() == []
    assert daemon.states() == []
    status = daemon.topup_status("clips")
    assert status is not None
    assert status.reason == "its terms have changed: the next reading is judged by them"
    await daemon.attend(world.read())
    [charge] = world.stripe.intents()
    assert charge.customer == changes.get("customer", topup_config().customer)
    assert charge.amount == (2000 if "amount_microusd" in changes else 5000)


async def test_an_account_whose_topup_goes_while_a_charge_is_planned_is_not_charged(
    daemon: Daemon, world: World
) -> None:
    async def reread() -> Known | Unavailable:
        known = daemon.service.context.config.accounts["clips"]
        gone = {"clips": replace(known, topup=None)}
        daemon.service.context.config = replace(daemon.service.context.config, accounts=gone)
        return world.read()

    await daemon.attend(world.read(), reread)
    assert world.stripe.intents() == []
    assert daemon.states() == []


async def test_an_equal_topup_of_an_edited_account_lets_the_charge_go_on(daemon: Daemon, world: World) -> None:
    async def reread() -> Known | Unavailable:
        set_terms(daemon)
        return world.read()

    await daemon.attend(world.read(), reread)
    assert len(world.stripe.intents()) == 1


async def test_shadow_mode_that_is_set_later_records_and_charges_nothing(daemon: Daemon, world: World) -> None:
    set_terms(daemon, mode=TopupMode.SHADOW)
    await daemon.attend(world.read())
    assert world.stripe.intents() == []
    (shadows,) = daemon.store.reader.execute("SELECT COUNT(*) FROM topup_shadows WHERE ended_at IS NULL").fetchone()
    assert shadows == 1
    world.balance += 50 * DOLLAR
    await daemon.attend(world.read())
    (shadows,) = daemon.store.reader.execute("SELECT COUNT(*) FROM topup_shadows WHERE ended_at IS NULL").fetchone()
    assert shadows == 0
