"""A confirm that Stripe refuses however often it is sent: sent once; where the payment waits, a person decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daemon.standins.stripe import Strike
from daemon.store import ledger_reads
from daemon.topups.answers import AnswerKind
from daemon.topups.gateway import Refused
from tests.helpers_topups import Daemon, World
from tests.topups.test_confirming import pay


def refuse(daemon: Daemon, kind: AnswerKind, message: str) -> None:
    """Every confirm from now on is refused before it reaches the books."""

    async def no(intent: str, params: Any, key: str) -> Refused:
        return Refused(kind, message, 400)

    daemon.desk.bench.gateway.confirm = no  # type: ignore[method-assign]  # no strike says this of every send


@pytest.mark.parametrize(
    ("kind", "waits"),
    [(AnswerKind.OTHER_PARAMETERS, timedelta()), (AnswerKind.UNEXPECTED_STATE, timedelta(minutes=10))],
    ids=str,
)
async def test_a_confirm_refused_for_good_is_sent_once_and_a_person_asked_where_the_payment_still_waits(
    daemon: Daemon, world: World, kind: AnswerKind, waits: timedelta
) -> None:
    refuse(daemon, kind, "Not with these parameters.")
    await daemon.poll()
    await daemon.run(waits)
    assert daemon.states() == ["needs_review"]
    [told] = daemon.told("topup.needs_review")
    assert "Not with these parameters." in told["reason"]
    assert told["command"] == "brimful topups ack clips-1"
    await daemon.run(timedelta(hours=30))
    assert daemon.states() == ["needs_review"], "neither abandoned nor planned afresh"
    assert len(ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")) == 1
    assert [intent.status for intent in world.stripe.intents()] == ["requires_confirmation"]
    standing = daemon.desk.standing("clips")
    assert standing is not None
    assert not standing.under_way
    pay(world)
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"], "it is read back all the while"


async def test_a_refused_confirm_that_could_not_be_read_back_asks_a_person_once_it_can(
    daemon: Daemon, world: World
) -> None:
    refuse(daemon, AnswerKind.OTHER_PARAMETERS, "Not with these parameters.")
    world.stripe.fail(Strike.DROP, "payment_intents.retrieve")
    await daemon.poll()
    assert daemon.states() == ["confirming"]
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == ["needs_review"]
    assert len(ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")) == 1
