"""What begins again on the same top-up is told again, under another id; the same thing has one id on every disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from alerts.model.events import EventType
from daemon.demo.standins.stripe import Strike, declined, processing
from daemon.topups.policy.messages import event_id
from tests.helpers_topups import CARD, Daemon, World

REVIEW = EventType.TOPUP_NEEDS_REVIEW


def ids(daemon: Daemon) -> list[str]:
    """The ids of what asks a person to look, in order."""
    query = "SELECT id FROM event WHERE type = 'topup.needs_review' ORDER BY number"
    return [row[0] for row in daemon.store.reader.execute(query)]


async def test_a_bank_that_takes_long_over_the_retry_too_is_told_twice(daemon: Daemon, world: World) -> None:
    world.stripe.next_outcome(CARD, processing(then_fails=True, after=timedelta(hours=3)))
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=9)))
    await daemon.run(timedelta(hours=8), every=timedelta(minutes=5))
    [topup] = daemon.topups()
    assert topup.told_at is not None
    assert ids(daemon) == [event_id(topup.create_key, REVIEW, one) for one in ("processing", "processing:2")]
    await daemon.run(timedelta(hours=8), every=timedelta(minutes=5))
    assert len(ids(daemon)) == 2


async def test_a_review_that_begins_again_is_told_again(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.UNEXPECTED_STATE, "payment_intents.confirm", times=1)
    await daemon.run(timedelta(minutes=10))
    [topup] = daemon.topups()
    intent = world.stripe.books.intent(topup.payment_intent or "")
    intent.status = "processing"  # a person confirmed it in Stripe
    await daemon.run(timedelta(minutes=40))
    assert daemon.states() == ["processing"]
    intent.status = "requires_capture"
    await daemon.run(timedelta(hours=3))
    assert daemon.states() == ["needs_review"]
    assert ids(daemon) == [event_id(topup.create_key, REVIEW, one) for one in (0, 2)]
    assert "captured" in daemon.events_of("topup.needs_review")[1]["reason"]


async def test_a_disk_that_is_lost_tells_of_the_second_attempt_under_the_id_that_it_has_everywhere(
    world: World, tmp_path: Path
) -> None:
    one, two = Daemon(world, tmp_path / "one"), Daemon(world, tmp_path / "two", seed=8)
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    world.stripe.next_outcome(CARD, processing(after=timedelta(hours=9)))
    await one.run(timedelta(hours=2), every=timedelta(minutes=5))
    assert one.states() == ["processing"]
    await two.poll()  # adopts it in the midst of its second attempt
    for _ in range(24):
        world.clock.advance(300)
        await one.poll()
        await two.poll()
    assert ids(one) == ids(two) == [event_id(one.topups()[0].create_key, REVIEW, "processing:2")]
    one.store.close()
    two.store.close()
