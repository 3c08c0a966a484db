"""To resume is a person's word: what still stands in the way stops the account again, and is told again."""

from __future__ import annotations

from datetime import timedelta

from daemon.commands import operator
from daemon.store import ledger_notes
from tests.helpers_topups import DOLLAR, Daemon, World


async def unreadable(daemon: Daemon, world: World) -> str:
    """A charge's metadata was spoilt in Stripe, and the disk that knew it is lost. Returns the PaymentIntent."""
    await daemon.run(timedelta(minutes=30))
    [intent] = world.stripe.intents()
    intent.metadata["seq"] = "many"
    world.burn(50 * DOLLAR)
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(minutes=30))
    return intent.id


async def test_metadata_that_is_still_unreadable_is_told_again_after_each_resume(daemon: Daemon, world: World) -> None:
    intent = await unreadable(daemon, world)
    for _ in range(2):
        assert operator.resume(daemon.store, "clips", world.clock.now()) != ()
        await daemon.run(timedelta(minutes=30))
    told = daemon.events_of("topup.needs_review")
    assert [one["reason"] for one in told] == ["metadata"] * 3
    assert all(intent in one["message"] for one in told)
    assert all("metadata right in Stripe" in one["action"] for one in told)
    assert all(one["command"] == "brimful topups resume clips" for one in told)
    assert world.successes == 1


async def test_what_was_put_right_before_the_resume_is_charged(daemon: Daemon, world: World) -> None:
    await unreadable(daemon, world)
    world.stripe.intents()[0].metadata["seq"] = "1"
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert len(daemon.events_of("topup.needs_review")) == 1
    assert world.successes == 2


async def test_a_payment_that_is_taken_out_of_our_hands_stands_in_no_way(daemon: Daemon, world: World) -> None:
    await unreadable(daemon, world)
    del world.stripe.intents()[0].metadata["app"]
    operator.resume(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=2))
    assert len(daemon.events_of("topup.needs_review")) == 1
    assert world.successes == 2


async def test_a_stop_that_lasts_without_a_resume_is_told_once(daemon: Daemon, world: World) -> None:
    await unreadable(daemon, world)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    assert len(daemon.events_of("topup.needs_review")) == 1
    assert [stop.reason for stop in ledger_notes.stops(daemon.store.reader)] == ["metadata"]
