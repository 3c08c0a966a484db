"""A confirm that Stripe refuses however often it is sent: sent once; where the payment waits, a person decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.demo.standins.stripe import Strike
from daemon.store import ledger_reads
from tests.helpers_topups import Daemon, World
from tests.topups.test_confirming import pay


def refuse(world: World, strike: Strike) -> None:
    """Every confirm from now on is refused, whatever it is sent with."""
    world.stripe.fail(strike, "payment_intents.confirm", times=1000)


@pytest.mark.parametrize(
    ("strike", "says", "waits"),
    [
        (Strike.KEY_MISMATCH, "Keys for idempotent requests", timedelta()),
        (Strike.UNEXPECTED_STATE, "Its status allows no such call.", timedelta(minutes=10)),
    ],
    ids=str,
)
@pytest.mark.long
async def test_a_confirm_refused_for_good_is_sent_once_and_a_person_asked_where_the_payment_still_waits(
    daemon: Daemon, world: World, strike: Strike, says: str, waits: timedelta
) -> None:
    refuse(world, strike)
    await daemon.poll()
    await daemon.run(waits)
    assert daemon.states() == ["needs_review"]
    [told] = daemon.events_of("topup.needs_review")
    assert says in told["reason"]
    assert told["command"] == "brimful topups ack clips-1"
    await daemon.run(timedelta(hours=30))
    assert daemon.states() == ["needs_review"], "neither abandoned nor planned afresh"
    assert len(ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")) == 1
    assert [intent.status for intent in world.stripe.intents()] == ["requires_confirmation"]
    status = daemon.topup_status("clips")
    assert status is not None
    assert not status.under_way
    pay(world)
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"], "it is read back all the while"


async def test_a_refused_confirm_that_could_not_be_read_back_asks_a_person_once_it_can(
    daemon: Daemon, world: World
) -> None:
    refuse(world, Strike.KEY_MISMATCH)
    world.stripe.fail(Strike.DROP, "payment_intents.retrieve")
    await daemon.poll()
    assert daemon.states() == ["confirming"]
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == ["needs_review"]
    assert len(ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")) == 1
