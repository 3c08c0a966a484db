"""Whatever is lost on the way, after repair there is exactly one charge, and it is told and credited."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import pytest

from alerts.model.events import Event, EventDraft
from alerts.model.values import replace
from daemon.demo.standins.stripe import Strike
from daemon.net.http import HttpClient
from daemon.store import ledger_notes
from daemon.store.connection import Transaction
from daemon.stripe.gateway import StripeGateway
from tests.helpers_topups import Daemon, World

EXECUTED = (
    Strike.COMMIT_THEN_DROP,
    Strike.COMMIT_THEN_500,
    Strike.GARBAGE,
    Strike.EMPTY_LIST,
    Strike.TRUNCATED,
    Strike.SLOW,
)
NOT_EXECUTED = (
    Strike.DROP,
    Strike.FAIL_500,
    Strike.PROXY,
    Strike.KEY_IN_USE,
    Strike.LOCK_TIMEOUT,
    Strike.RATE_LIMITED,
    Strike.LATE,
    Strike.ROLL_FORWARD,
    Strike.UNAUTHORIZED,
    Strike.FORBIDDEN,
)
ENDPOINTS = ("payment_intents.create", "payment_intents.confirm", "payment_intents.retrieve", "payment_intents.list")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("strike", EXECUTED + NOT_EXECUTED)
async def test_one_fault_leads_to_exactly_one_charge(
    daemon: Daemon, world: World, strike: Strike, endpoint: str
) -> None:
    world.stripe.fail(strike, endpoint)
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.events().count("topup.succeeded") == 1
    assert daemon.events().count("topup.credited") == 1
    assert daemon.states()[-1] == "credited"
    assert set(daemon.states()[:-1]) <= {"abandoned"}


@pytest.mark.parametrize("endpoint", ENDPOINTS[:2])
@pytest.mark.parametrize("strike", EXECUTED + NOT_EXECUTED)
@pytest.mark.long
async def test_a_fault_that_lasts_an_hour_leads_to_exactly_one_charge(
    daemon: Daemon, world: World, strike: Strike, endpoint: str
) -> None:
    world.stripe.fail(strike, endpoint, times=10_000)
    await daemon.run(timedelta(hours=1))
    world.stripe.faults.clear()
    await daemon.run(timedelta(hours=4))
    assert world.successes == 1
    assert daemon.events().count("topup.succeeded") == 1


@pytest.mark.parametrize("strike", [Strike.COMMIT_THEN_DROP, Strike.DROP, Strike.COMMIT_THEN_500])
@pytest.mark.parametrize("endpoint", ["payment_intents.create", "payment_intents.confirm"])
@pytest.mark.parametrize("wipe", [False, True])
@pytest.mark.parametrize("away_s", [10, 1200, 10_800, 108_000])
async def test_a_process_that_dies_after_a_lost_answer_charges_once(
    daemon: Daemon, world: World, strike: Strike, endpoint: str, wipe: bool, away_s: int
) -> None:
    world.stripe.fail(strike, endpoint)
    await daemon.poll()
    world.clock.advance(away_s)
    await daemon.restart(wipe=wipe)
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.states()[-1] == "credited"


async def test_a_pruned_key_is_never_sent_again(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    [lost] = daemon.topups()
    world.clock.advance(timedelta(hours=25).total_seconds())
    await daemon.restart()
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["abandoned", "credited"]
    confirms = [e for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"]
    assert sum(1 for e in confirms if e.key == f"brimful:{lost.payment_intent}:confirm:1") == 1
    assert world.successes == 1


async def test_a_confirm_that_left_no_trace_is_sent_again_with_its_own_key(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.run(timedelta(minutes=11))
    keys = [e.key for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert world.successes == 1


async def test_a_five_hundred_is_pinned_by_a_cancel_and_watched(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm")
    await daemon.run(timedelta(minutes=14))
    assert world.stripe.intents()[0].status == "requires_confirmation"
    await daemon.run(timedelta(minutes=10))
    assert world.stripe.intents()[0].status == "canceled"
    assert daemon.topups()[0].watch_until is not None
    await daemon.run(timedelta(minutes=50))  # the cooldown since the attempt
    assert world.successes == 1


async def test_the_credit_is_told_as_missing_from_a_fresh_disk_three_hours_later(daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.poll()
    world.clock.advance(timedelta(hours=3).total_seconds())
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1
    assert daemon.events().count("topup.succeeded") == 1
    assert daemon.events().count("topup.not_credited") == 1


async def test_a_disk_deleted_after_the_credit_was_burnt_charges_the_next_need(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.burn(50_000_000)
    world.clock.advance(timedelta(hours=2).total_seconds())
    await daemon.restart(wipe=True)
    await daemon.run(timedelta(hours=1))
    assert world.successes == 2
    assert [topup.seq for topup in daemon.topups()] == [1, 2]
    assert daemon.events() == ["topup.planned", "topup.succeeded", "topup.credited"]


class Missing(httpx.AsyncBaseTransport):
    """Answers confirms with a 404, as where the customer or the payment method is gone."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/confirm"):
            return await self._inner.handle_async_request(request)
        said = {"type": "invalid_request_error", "code": "resource_missing", "message": "No such payment_method"}
        return httpx.Response(404, json={"error": said})


async def test_a_confirm_that_misses_something_else_than_its_payment_intent_is_canceled_and_suspended(
    daemon: Daemon, world: World
) -> None:
    assert daemon.config.stripe is not None
    http = HttpClient(transport=Missing(world.stripe.transport()))
    gateway = StripeGateway(daemon.config.stripe, http, world.clock)
    daemon.service.context = replace(daemon.service.context, gateway=gateway)
    await daemon.run(timedelta(hours=3))
    assert [intent.status for intent in world.stripe.intents()] == ["canceled"]
    assert daemon.events() == ["topup.planned", "topup.suspended"]
    assert "No such payment_method" in str(daemon.events_of("topup.suspended")[0]["message"])
    await http.aclose()


async def test_a_review_outlasts_whatever_its_payment_intent_comes_to_ask(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    [topup] = daemon.topups()
    daemon.review(topup, "a person shall look")
    for status in ("requires_action", "requires_payment_method", "requires_capture", "requires_confirmation", "new"):
        world.stripe.intents()[0].status = status
        await daemon.run(timedelta(hours=1))
        assert daemon.states() == ["needs_review"]
    assert daemon.events().count("topup.needs_review") == 1


async def test_the_breaker_closes_on_any_answer_that_only_a_good_key_meets(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.UNAUTHORIZED, "payment_intents.list")
    await daemon.poll()
    assert daemon.topup_status("clips").state == "suspended"  # type: ignore[union-attr]  # a top-up is configured
    del world.stripe.books.objects["cus_1"]
    await daemon.run(timedelta(minutes=11))
    assert ledger_notes.stops(daemon.store.reader) == ()


async def test_the_first_pass_after_the_key_was_mended_charges(daemon: Daemon, world: World) -> None:
    fault = world.stripe.fail(Strike.UNAUTHORIZED, times=1000)
    await daemon.poll()
    world.stripe.faults.remove(fault)
    world.clock.advance(660)
    await daemon.restart()
    await daemon.poll()
    assert world.successes == 1


class FullDisk:
    """An outbox that cannot write."""

    def append(self, tx: Transaction, draft: EventDraft, now: datetime) -> Event:
        raise OSError("no space left on device")


@pytest.mark.long
async def test_a_top_up_that_cannot_be_taken_up_keeps_nothing_from_starting(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.COMMIT_THEN_DROP, "payment_intents.confirm")
    await daemon.poll()
    healthy = daemon.service.context
    daemon.service.context = replace(healthy, outbox=FullDisk())
    world.clock.advance(60)
    await daemon.service.recover(world.clock.now())
    assert any("could not be taken up" in sentence for sentence in daemon.needs_person())
    with pytest.raises(ExceptionGroup):
        await daemon.run_due()
    assert daemon.states() == ["confirming"]
    daemon.service.context = healthy
    await daemon.run(timedelta(minutes=30))
    assert daemon.states() == ["credited"]
    assert world.successes == 1
