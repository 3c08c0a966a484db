"""The confirm and its answers: the second listing, each row of the table, what is lost on the way, and giving it up."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from daemon.commands import operator
from daemon.demo.standins.stripe import Strike, declined
from daemon.demo.standins.stripe.errors import ApiError
from daemon.demo.standins.stripe.objects import Intent
from daemon.demo.standins.stripe.payments import confirm as confirm_in_stripe
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.topup_rows import State, Topup
from daemon.stripe.answers import CONFIRM, AnswerKind
from tests.helpers_topups import CARD, CUSTOMER, DOLLAR, Daemon, World


def the(daemon: Daemon) -> Topup:
    [topup] = daemon.topups()
    return topup


def confirms(world: World) -> list[str]:
    return [str(e.key) for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"]


def ours(seq: int) -> dict[str, Any]:
    """The parameters of another daemon's PaymentIntent of the account."""
    said = {"app": "brimful", "account": "clips", "seq": str(seq), "topup": f"clips-{seq}", "funded": "104960000"}
    return {"amount": 5000, "currency": "usd", "customer": CUSTOMER, "payment_method": CARD, "metadata": said}


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


ANSWERS = {
    Strike.KEY_IN_USE: AnswerKind.KEY_IN_USE,
    Strike.LOCK_TIMEOUT: AnswerKind.RATE_LIMITED,
    Strike.RATE_LIMITED: AnswerKind.RATE_LIMITED,
    Strike.FAIL_500: AnswerKind.SERVER_ERROR,
    Strike.COMMIT_THEN_500: AnswerKind.SERVER_ERROR,
    Strike.PROXY: AnswerKind.SERVER_ERROR,
    Strike.DROP: AnswerKind.UNKNOWN,
    Strike.COMMIT_THEN_DROP: AnswerKind.UNKNOWN,
    Strike.GARBAGE: AnswerKind.UNKNOWN,
    Strike.EMPTY_LIST: AnswerKind.UNKNOWN,
    Strike.TRUNCATED: AnswerKind.UNKNOWN,
    Strike.SLOW: AnswerKind.UNKNOWN,
    Strike.LATE: AnswerKind.UNKNOWN,
    Strike.UNAUTHORIZED: AnswerKind.UNAUTHORIZED,
    Strike.FORBIDDEN: AnswerKind.FORBIDDEN,
}


@pytest.mark.parametrize("strike", ANSWERS)
async def test_each_answer_is_written_down_as_what_it_is_and_leads_to_one_charge(
    daemon: Daemon, world: World, strike: Strike
) -> None:
    world.stripe.fail(strike, "payment_intents.confirm")
    await daemon.poll()
    sends = ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")
    assert sends[0].answer == ANSWERS[strike]
    assert ANSWERS[strike] in CONFIRM
    await daemon.run(timedelta(hours=3))
    assert world.successes == 1


async def test_a_key_in_use_is_sent_again_after_seconds_and_at_most_five_times(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.KEY_IN_USE, "payment_intents.confirm", times=100)
    before = world.clock.now()
    await daemon.poll()
    assert len(confirms(world)) == 1 + 5
    assert len(set(confirms(world))) == 1
    assert timedelta(seconds=10) <= world.clock.now() - before <= timedelta(seconds=26)
    assert daemon.states() == ["confirming"]


async def test_a_key_in_use_ends_as_soon_as_the_earlier_send_is_seen_to_have_charged(
    daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.KEY_IN_USE, "payment_intents.confirm", times=100)
    world.stripe.books.after(timedelta(seconds=4), lambda: pay(world))
    await daemon.poll()
    assert daemon.states() == ["paid"]
    assert len(confirms(world)) < 6
    assert daemon.events() == ["topup.planned", "topup.succeeded"]


def pay(world: World) -> None:
    confirm_in_stripe(world.stripe.books, world.stripe.intents()[-1], {})


@pytest.mark.long
async def test_a_rate_limit_backs_off_within_the_pass_and_then_for_ten_minutes(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.RATE_LIMITED, "payment_intents.confirm", times=10_000)
    before = world.clock.now()
    await daemon.poll()
    assert world.clock.now() - before == timedelta(seconds=1 + 2 + 4 + 8 + 15)
    at = [e.at for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"]
    assert len(at) == 6
    await daemon.run(timedelta(hours=1), every=timedelta(minutes=1))
    passes = sorted({e.at for e in world.stripe.exchanges if e.endpoint == "payment_intents.confirm"} - set(at))
    begun = [one for one, last in zip(passes, [at[-1], *passes], strict=False) if one - last > timedelta(minutes=1)]
    assert begun[0] - at[-1] >= timedelta(minutes=3)
    assert all(later - one >= timedelta(minutes=10) for one, later in pairwise(begun[1:]))
    assert len(set(confirms(world))) == 1


async def test_a_parameter_that_stripe_refuses_cancels_and_suspends_with_its_words(
    daemon: Daemon, world: World
) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.create

    async def create_then_detach(params: Any, key: str) -> Any:
        answer = await plain(params, key)
        world.stripe.method(CARD).customer = "cus_other"
        return answer

    gateway.create = create_then_detach  # type: ignore[method-assign]  # the card is taken away at the worst instant
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["declined"]
    [told] = daemon.events_of("topup.suspended")
    assert told["reason"] == "refused_by_stripe"
    assert "does not have a payment method" in told["message"]
    assert world.stripe.intents()[0].status == "canceled"


async def test_a_confirm_that_met_a_payment_which_is_done_already_is_paid(daemon: Daemon, world: World) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.confirm

    async def after_another(intent: str, params: Any, key: str) -> Any:
        pay(world)
        return await plain(intent, params, key)

    gateway.confirm = after_another  # type: ignore[method-assign]  # another daemon is faster
    await daemon.poll()
    [send] = ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")
    assert send.answer == AnswerKind.UNEXPECTED_STATE
    assert daemon.states() == ["paid"]
    assert world.successes == 1


async def test_a_key_that_belongs_to_other_parameters_abandons_nothing(daemon: Daemon, world: World) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.confirm

    async def other_first(intent: str, params: Any, key: str) -> Any:
        gateway.confirm = plain  # type: ignore[method-assign]
        world.stripe.fail(Strike.FAIL_500, "payment_intents.confirm")
        await plain(intent, {"payment_method": CARD}, key)
        return await plain(intent, params, key)

    gateway.confirm = other_first  # type: ignore[method-assign]  # the key was used with other parameters
    await daemon.poll()
    [send] = ledger_reads.sends(daemon.store.reader, "clips-1", "confirm")
    assert send.answer == AnswerKind.OTHER_PARAMETERS
    assert daemon.states() == ["needs_review"]
    assert len(world.stripe.intents()) == 1


# ── the second listing ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_look_that_fails_confirms_nothing_and_is_counted(daemon: Daemon, world: World) -> None:
    world.stripe.fail(Strike.DROP, "payment_intents.list", nth=2)
    await daemon.poll()
    assert confirms(world) == []
    assert daemon.states() == ["created"]
    assert [d.count for d in ledger_notes.decisions(daemon.store.reader, "clips") if d.gate == "second_look"] == [1]
    world.clock.advance(60)
    await daemon.poll()
    assert world.successes == 1


async def test_a_payment_that_appears_gives_way_and_three_times_in_a_day_asks_a_person(
    daemon: Daemon, world: World
) -> None:
    gateway = daemon.service.context.gateway
    plain = gateway.create
    others: list[str] = []

    async def create_beside_another(params: Any, key: str) -> Any:
        answer = await plain(params, key)
        others.append(key)
        await plain(ours(len(others) * 100), f"another-{len(others)}")
        return answer

    gateway.create = create_beside_another  # type: ignore[method-assign]  # another daemon charges at the same time
    await daemon.run(timedelta(hours=6))
    assert len(others) == 3
    assert confirms(world) == []
    assert all(one.status == "canceled" for one in world.stripe.intents() if int(one.metadata["seq"]) % 100)
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"] == "second_look"
    assert told["message"].startswith("3 times in a day another charge appeared; the last time pi_")
    assert told["command"] == "brimful topups resume clips"
    assert daemon.topup_status("clips").state == "suspended"  # type: ignore[union-attr]  # a top-up is configured


async def changed(daemon: Daemon, world: World, change: Any) -> None:
    """Let something happen in Stripe between the create and the second listing."""
    gateway = daemon.service.context.gateway
    plain = gateway.create

    async def create_then_change(params: Any, key: str) -> Any:
        gateway.create = plain  # type: ignore[method-assign]
        answer = await plain(params, key)
        change(world.stripe.intents()[-1])
        return answer

    gateway.create = create_then_change  # type: ignore[method-assign]
    await daemon.poll()


async def test_a_status_that_changes_on_another_payment_gives_way(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.burn(50 * DOLLAR)
    world.clock.advance(3600)

    def cancel_the_first(_: Intent) -> None:
        world.stripe.intents()[0].status = "canceled"

    await changed(daemon, world, cancel_the_first)
    assert daemon.states() == ["credited", "abandoned"]
    assert "went from succeeded to canceled" in daemon.topups()[1].reason
    assert len(confirms(world)) == 1


async def test_a_payment_of_ours_that_is_not_listed_is_not_confirmed(daemon: Daemon, world: World) -> None:
    def hide(intent: Intent) -> None:
        intent.customer = "cus_elsewhere"

    world.stripe.add_customer("cus_elsewhere")
    await changed(daemon, world, hide)
    assert confirms(world) == []
    assert daemon.topups()[0].reason.endswith("is not listed")


async def test_a_payment_of_ours_whose_amount_changed_is_not_confirmed(daemon: Daemon, world: World) -> None:
    def raise_amount(intent: Intent) -> None:
        intent.amount = 6000

    await changed(daemon, world, raise_amount)
    assert confirms(world) == []
    assert "its amount is $60.00, planned was $50.00" in daemon.topups()[0].reason


async def test_a_payment_that_another_daemon_has_confirmed_is_read_back_instead(daemon: Daemon, world: World) -> None:
    await changed(daemon, world, lambda intent: confirm_in_stripe(world.stripe.books, intent, {}))
    assert confirms(world) == []
    assert daemon.states() == ["paid"]
    assert world.successes == 1


async def test_a_payment_whose_metadata_is_spoilt_before_the_confirm_is_not_confirmed(
    daemon: Daemon, world: World
) -> None:
    await daemon.run(timedelta(hours=1))
    world.burn(50 * DOLLAR)
    world.clock.advance(3600)

    def spoil(_: Intent) -> None:
        world.stripe.intents()[0].metadata["seq"] = "many"

    await changed(daemon, world, spoil)
    assert len(confirms(world)) == 1
    assert daemon.topups()[1].reason == "second look: metadata that cannot be read"


# ── retries, and giving it up ───────────────────────────────────────────────────────────────────────────────────────


async def softly_declined(daemon: Daemon, world: World) -> Topup:
    world.stripe.next_outcome(CARD, declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=5))
    assert daemon.states() == ["retry_wait"]
    return the(daemon)


async def test_a_retry_that_is_no_longer_wanted_is_canceled(daemon: Daemon, world: World) -> None:
    await softly_declined(daemon, world)
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(hours=2))
    assert (daemon.states(), the(daemon).reason) == (["abandoned"], "no longer wanted")
    assert world.stripe.intents()[0].status == "canceled"


async def test_a_retry_gives_way_to_an_attempt_that_another_daemon_made_since(daemon: Daemon, world: World) -> None:
    topup = await softly_declined(daemon, world)
    world.clock.advance(3600)
    gateway = daemon.service.context.gateway
    plain = gateway.intents

    async def after_another(customer: str, after: str | None = None, limit: int = 100) -> Any:
        gateway.intents = plain  # type: ignore[method-assign]
        world.stripe.next_outcome(CARD, declined("do_not_honor"))
        with pytest.raises(ApiError):
            confirm_in_stripe(world.stripe.books, world.stripe.intents()[0], {"payment_method": CARD})
        return await plain(customer, after, limit)

    gateway.intents = after_another  # type: ignore[method-assign]  # at the worst instant
    await daemon.poll()
    assert len(confirms(world)) == 1
    after = the(daemon)
    assert (after.state, after.declines) == ("retry_wait", 2)
    assert after.next_at == world.clock.now() + timedelta(hours=4)
    assert topup.next_at is not None


async def test_an_adopted_retry_of_which_nothing_says_the_card_is_reviewed(daemon: Daemon, world: World) -> None:
    await softly_declined(daemon, world)
    with daemon.store.write(durable=True) as tx:
        ledger.change(tx, the(daemon), world.clock.now(), payment_method=None)
    await daemon.run(timedelta(hours=2))
    assert daemon.states() == ["needs_review"]
    assert "nothing says which payment method" in daemon.events_of("topup.needs_review")[0]["reason"]


async def traceless(daemon: Daemon, world: World) -> Topup:
    world.stripe.fail(Strike.DROP, "payment_intents.confirm")
    await daemon.poll()
    assert daemon.states() == ["confirming"]
    return the(daemon)


async def test_a_confirm_that_left_no_trace_and_is_not_wanted_any_more_is_canceled(
    daemon: Daemon, world: World
) -> None:
    await traceless(daemon, world)
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(minutes=11))
    assert daemon.states() == ["abandoned"]
    assert the(daemon).reason == "the confirm left no trace and is no longer wanted"
    assert len(confirms(world)) == 1


async def test_a_confirm_of_which_stripe_cannot_be_asked_stays_open(daemon: Daemon, world: World) -> None:
    await traceless(daemon, world)
    world.clock.advance(240)
    world.stripe.fail(Strike.DROP, "payment_intents.retrieve", times=2)
    await daemon.attend(world.read(), daemon.reread)
    assert daemon.states() == ["confirming"]
    assert len(confirms(world)) == 1


async def test_a_confirm_whose_key_is_too_old_is_canceled_by_the_next_reading(daemon: Daemon, world: World) -> None:
    await traceless(daemon, world)
    world.clock.advance(timedelta(hours=23).total_seconds())
    await daemon.attend(world.read())
    first = daemon.topups()[0]
    assert (first.state, first.reason) == (State.ABANDONED, "the confirm left no trace and its key is too old")
    assert len([key for key in confirms(world) if (first.payment_intent or "?") in key]) == 1


async def test_a_key_that_grows_too_old_during_the_second_look_is_not_sent(daemon: Daemon, world: World) -> None:
    await traceless(daemon, world)
    world.clock.advance(timedelta(hours=22, minutes=58).total_seconds())
    gateway = daemon.service.context.gateway
    plain = gateway.intents

    async def slowly(customer: str, after: str | None = None, limit: int = 100) -> Any:
        world.clock.advance(180)
        return await plain(customer, after, limit)

    gateway.intents = slowly  # type: ignore[method-assign]  # the list takes minutes
    await daemon.attend(world.read())
    assert the(daemon).state == State.CONFIRMING
    assert len(confirms(world)) == 1


async def test_a_confirm_that_was_settled_meanwhile_is_not_sent_again(daemon: Daemon, world: World) -> None:
    topup = await traceless(daemon, world)
    world.clock.advance(240)
    gateway = daemon.service.context.gateway
    plain = gateway.intents

    async def settled_meanwhile(customer: str, after: str | None = None, limit: int = 100) -> Any:
        gateway.intents = plain  # type: ignore[method-assign]
        answer = await plain(customer, after, limit)
        with daemon.store.write(durable=True) as tx:
            ledger.change(tx, topup, world.clock.now(), cancel_as=State.ABANDONED)
        return answer

    gateway.intents = settled_meanwhile  # type: ignore[method-assign]
    await daemon.attend(world.read())
    await daemon.run(timedelta(minutes=1))
    assert (the(daemon).state, the(daemon).cancel_as) == (State.ABANDONED, None)
    assert len(confirms(world)) == 1


async def test_what_is_being_canceled_is_not_gone_on_with(daemon: Daemon, world: World) -> None:
    topup = await traceless(daemon, world)
    with daemon.store.write(durable=True) as tx:
        topup = ledger.change(tx, topup, world.clock.now(), cancel_as=State.ABANDONED)
    world.clock.advance(240)
    await daemon.attend(world.read())
    assert the(daemon).state == State.ABANDONED
    assert len(confirms(world)) == 1


async def test_a_pause_before_a_second_send_of_the_key_holds_it_back(daemon: Daemon, world: World) -> None:
    await traceless(daemon, world)
    operator.pause(daemon.store, "clips", world.clock.now())
    await daemon.run(timedelta(hours=1))
    assert len(confirms(world)) == 1
    assert daemon.states() == ["confirming"]
