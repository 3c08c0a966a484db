"""What a person is advised to do leads to a charge by another card, wherever the payment method comes from."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.events.messages.context import MessageContext
from alerts.events.messages.message import EventMessage, render_event
from alerts.events.messages.remedies import REVIEW_REMEDIES, SUSPENDED_REMEDIES
from daemon.commands import operator
from daemon.demo.standins.stripe import AUTHENTICATE, Outcome, declined
from daemon.store.outbox import EVENT_COLUMNS, to_event
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World, topup_config

KEY = "`accounts.clips.topup.payment_method`"


def mail(daemon: Daemon, type_: str) -> EventMessage:
    """The last event of a type as a mail says it."""
    query = f"SELECT {EVENT_COLUMNS} FROM event e WHERE type = ? ORDER BY number DESC"
    return render_event(
        to_event(daemon.store.reader.execute(query, (type_,)).fetchone()), MessageContext(ZoneInfo("UTC"))
    )


def without_name(world: World, folder: Path) -> Daemon:
    return Daemon(world, folder / "default", topup_config(payment_method=None))


async def test_a_stolen_card_that_the_configuration_names_is_to_be_named_anew(daemon: Daemon, world: World) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=1))
    for type_ in ("topup.declined", "topup.suspended"):
        said = mail(daemon, type_)
        assert f"name it in {KEY} and reload, then resume" in said.next
        assert "default" not in said.next
        assert said.command == "brimful topups resume clips"
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    await daemon.restart(topup=topup_config(payment_method="pm_2"))
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["declined", "credited"]
    assert daemon.topups()[1].payment_method == "pm_2"


async def test_a_stolen_card_that_is_the_default_is_to_be_replaced_as_such(world: World, tmp_path: Path) -> None:
    daemon = without_name(world, tmp_path)
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=1))
    for type_ in ("topup.declined", "topup.suspended"):
        assert "make it the default there, then resume" in mail(daemon, type_).next
        assert "payment_method" not in mail(daemon, type_).next
    world.stripe.books.add_method("pm_2", customer=CUSTOMER)
    world.stripe.books.customer(CUSTOMER).default_method = "pm_2"
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["declined", "credited"]
    daemon.store.close()


@pytest.mark.parametrize("outcome", [AUTHENTICATE, declined("authentication_required")])
@pytest.mark.parametrize(
    ("method", "then"),
    [(CARD, f"{KEY} and reload, then resume"), (None, "make it the customer's default there; then resume")],
)
async def test_a_card_that_wants_its_holder_is_to_be_saved_again_and_used(
    world: World, tmp_path: Path, outcome: Outcome, method: str | None, then: str
) -> None:
    daemon = Daemon(world, tmp_path / "a", topup_config(payment_method=method))
    world.stripe.method(CARD).outcome = outcome
    await daemon.run(timedelta(minutes=20))
    for type_ in ("topup.action_required", "topup.suspended"):
        assert "for use off session" in mail(daemon, type_).next
        assert then in mail(daemon, type_).next
    daemon.store.close()


async def test_a_method_that_cannot_be_charged_is_to_be_replaced_where_it_is_named(
    daemon: Daemon, world: World
) -> None:
    world.stripe.books.add_method("pm_bank", customer=CUSTOMER, type="us_bank_account")
    await daemon.restart(topup=topup_config(payment_method="pm_bank"))
    await daemon.poll()
    assert mail(daemon, "topup.suspended").next.startswith(f"What {KEY} names cannot be charged")


async def test_words_in_backticks_stay_in_the_sentence_of_a_mail(world: World, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path / "a", topup_config(max_charge_microusd=20 * DOLLAR))
    await daemon.poll()
    said = mail(daemon, "topup.suspended")
    assert said.next == "No amount lies within the bounds: put `max_charge_usd` or the amount right."
    assert said.command == "brimful check"
    daemon.store.close()


def test_every_advice_is_a_whole_sentence_for_either_way_of_finding_the_method() -> None:
    for reason, advice in (SUSPENDED_REMEDIES | REVIEW_REMEDIES).items():
        for text in (advice.action, advice.named or advice.action):
            said = text.format(account="clips")
            assert not re.search(r"[{}]", said), reason
            assert said.endswith("."), reason
            assert said.count("`") % 2 == 0, reason
