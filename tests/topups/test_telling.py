"""What is told says what a person must do; and what was told of one outage is told of the next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.events.messages.remedies import REVIEW_REMEDIES, SUSPENDED_REMEDIES
from alerts.model.reasons import SuspendedReason
from daemon.commands import operator
from daemon.demo.standins.stripe import Strike
from daemon.topups.policy import stops
from tests.helpers_topups import CUSTOMER, Daemon, World


def test_nobody_is_told_to_resume_what_goes_on_by_itself() -> None:
    """A notice stops nothing, so there is nothing to resume."""
    suspended = {
        *stops.NOTICES.values(),
        SuspendedReason.STRIPE_LIST,
        SuspendedReason.STRIPE_UNREACHABLE,
        SuspendedReason.PAYMENT_METHOD,
    }
    suspended |= {SuspendedReason.SECOND_READ, SuspendedReason.STRIPE_CREDENTIALS}
    reviewed = {"events_forbidden", "charges_unread", "audit", "missing"}
    for reason, advice in [(one, SUSPENDED_REMEDIES) for one in suspended] + [
        (one, REVIEW_REMEDIES) for one in reviewed
    ]:
        if reason != "clock_behind_ledger":  # there `resume` takes the ledger's latest instant back
            assert "resume" not in advice[reason].command, reason
            assert "resume" not in advice[reason].action, reason


async def test_a_list_that_cannot_be_read_names_what_to_do_and_goes_on_by_itself(daemon: Daemon, world: World) -> None:
    customer = world.stripe.books.customer(CUSTOMER)
    customer.deleted = True
    await daemon.poll()
    [told] = daemon.events_of("topup.suspended")
    assert told["reason"] == "stripe_list"
    assert "customer" in told["action"]
    assert told["command"] == "brimful check --online"
    assert operator.resume(daemon.store, "clips", world.clock.now()) == ()
    customer.deleted = False
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"]


@pytest.mark.long
async def test_charges_that_cannot_be_read_name_what_to_do_without_stopping(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.fail(Strike.DROP, "charges.list", times=10_000)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == "charges_unread"
    assert "refunded or disputed" in told["action"]
    assert told["command"] == "brimful check --online"
    assert operator.resume(daemon.store, "clips", world.clock.now()) == ()


@pytest.mark.long
async def test_charges_that_cannot_be_read_a_second_time_are_told_again(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=2))
    for times in (1, 2):
        outage = world.stripe.fail(Strike.DROP, "charges.list", times=10_000)
        await daemon.run(timedelta(days=5), every=timedelta(hours=1))
        told = daemon.events_of("topup.needs_review")
        assert [one["reason"] for one in told] == ["charges_unread"] * times
        outage.times = 0
        await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert len(daemon.events_of("topup.needs_review")) == 2


@pytest.mark.long
async def test_events_that_are_forbidden_a_second_time_are_told_again(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=2))
    for times in (1, 2):
        outage = world.stripe.fail(Strike.FORBIDDEN, "events.list", times=10_000)
        await daemon.run(timedelta(days=3), every=timedelta(hours=1))
        told = daemon.events_of("topup.needs_review")
        assert [one["reason"] for one in told] == ["events_forbidden"] * times
        outage.times = 0
        await daemon.run(timedelta(days=1), every=timedelta(hours=1))
    assert len(daemon.events_of("topup.needs_review")) == 2
