"""The machine by itself: what a fact does in a state, without a database, a clock or Stripe."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerts.forecast.pace import BurnNow
from alerts.model.readings import Known, Metrics
from alerts.model.values import replace
from daemon.store.topup_rows import Send, State, Topup
from daemon.stripe.objects import (
    CardError,
    Charge,
    PaymentIntent,
    Unreadable,
    read_charge,
    read_event,
    read_intent,
    read_page,
)
from daemon.topups.policy.machine import decide
from daemon.topups.policy.step import (
    Account,
    Acknowledged,
    Emit,
    Intent,
    ListIntents,
    Readings,
    SetStop,
    Snapshot,
    Time,
)
from tests.helpers_topups import DOLLAR, START, topup_config

ROW = Topup(
    id="clips-1",
    account="clips",
    customer="cus_1",
    seq=1,
    own=True,
    state=State.CONFIRMING,
    amount_cents=5000,
    create_key="brimful:cus_1:clips:1:create",
    create_params="{}",
    planned_at=START,
    state_at=START,
    payment_method="pm_1",
    payment_intent="pi_1",
    funded_before_microusd=100 * DOLLAR,
    fingerprint="fp_1",
)
INTENT = PaymentIntent(
    id="pi_1",
    status="requires_confirmation",
    amount_cents=5000,
    currency="usd",
    customer="cus_1",
    created_at=START,
    livemode=False,
    metadata={},
    payment_method="pm_1",
    error=None,
    latest_charge=None,
)
LOST = CardError("card_declined", "lost_card", "", "Your card was declined.", "fp_1")
HOLDER = CardError("authentication_required", "authentication_required", "", "Ask the cardholder.", "fp_1")
SOFT = CardError("card_declined", "insufficient_funds", "", "No funds.", "fp_1")


def sent(kind: str = "confirm", **changes: Any) -> Send:
    plain = Send(
        id=1,
        topup="clips-1",
        kind=kind,
        n=1,
        send=1,
        key="k",
        params='{"payment_method":"pm_1"}',
        fingerprint="fp_1",
        gates="[]",
        sent_at=START,
        answered_at=None,
        answer=None,
        http_status=None,
        request_id=None,
        message="",
    )
    return replace(plain, **changes)


def snapshot(topup: Topup = ROW, **changes: Any) -> Snapshot:
    account = Account("clips", "contentstats", topup_config())
    return replace(Snapshot(topup=topup, account=account, sends=(sent(),)), **changes)


def readings(funded: float, available: float) -> Readings:
    total = round((funded - available) * DOLLAR)
    metrics = Metrics(balance_microusd=round(available * DOLLAR), uncharged_microusd=0, total_charged_microusd=total)
    return Readings(Known("clips", START, metrics), BurnNow())


def declined(error: CardError, charge: str = "ch_1") -> Intent:
    failed = Charge(charge, "pi_1", 5000, START, "failed", 0, disputed=False, livemode=False, error=error,
                    payment_method="pm_1", fingerprint="fp_1")  # fmt: skip
    intent = replace(INTENT, status="requires_payment_method", error=error, latest_charge=charge, charge=failed)
    return Intent(intent, (failed,))


def test_a_fact_that_says_nothing_in_a_state_changes_nothing() -> None:
    paid = replace(ROW, state=State.PAID, paid_at=START)
    step = decide(snapshot(paid), Intent(INTENT), START)
    assert (step.rows, step.changes, step.command) == ((), (), None)


def test_a_create_whose_payment_is_adopted_by_its_number_has_it() -> None:
    creating = replace(ROW, state=State.CREATING)
    step = decide(snapshot(creating, sends=()), Intent(INTENT, adopted=True), START)
    assert step.rows[-1].state is State.CREATED


def test_a_decline_of_a_payment_that_another_one_has_followed_leaves_the_card_alone() -> None:
    fact = replace(declined(LOST), adopted=True)
    assert any(isinstance(one, SetStop) for one in decide(snapshot(), fact, START).changes)
    superseded = decide(snapshot(), replace(fact, superseded=True), START)
    assert not any(isinstance(one, SetStop) for one in superseded.changes)
    assert superseded.rows[-1].cancel_as is State.DECLINED


def test_an_adopted_payment_that_wanted_the_cardholder_suspends_without_asking_again() -> None:
    step = decide(snapshot(), replace(declined(HOLDER), adopted=True), START)
    assert step.rows[-1].state is State.ACTION_REQUIRED
    assert not any(isinstance(one, Emit) for one in step.changes)
    assert [one.stop.reason for one in step.changes if isinstance(one, SetStop)] == ["authentication_required"]


def test_a_total_that_shows_less_than_before_moves_no_sum() -> None:
    fact = Intent(INTENT, go_on=True)
    step = decide(snapshot(readings=readings(funded=90, available=5)), fact, START + timedelta(minutes=1))
    assert all(row.funded_before_microusd == 100 * DOLLAR for row in step.rows)


def test_a_rise_beside_a_decline_that_is_news_moves_no_sum() -> None:
    seen = readings(funded=150, available=5)
    fact = replace(declined(SOFT), go_on=True)
    step = decide(snapshot(readings=replace(seen, second=seen.known)), fact, START + timedelta(minutes=1))
    assert step.rows[-1].state is State.RETRY_WAIT
    assert step.rows[-1].funded_before_microusd == 100 * DOLLAR


@pytest.mark.parametrize("changes", [{"untold": True}, {"paid_at": None}])
def test_the_credit_of_a_charge_that_was_not_told_yet_is_not_watched(changes: dict[str, Any]) -> None:
    paid = replace(ROW, **{"state": State.PAID, "paid_at": START, **changes})
    step = decide(snapshot(paid), Time(), START + timedelta(hours=5))
    assert all(row.told_at is None for row in step.rows)
    assert step.changes == ()


def test_a_reading_that_is_awaited_is_awaited_for_half_an_hour() -> None:
    paid = replace(ROW, state=State.PAID, paid_at=START, warned_at=START)
    now = START + timedelta(hours=3)
    step = decide(snapshot(paid, unread_since=now - timedelta(minutes=10)), Time(), now)
    assert step.rows[-1].next_at == now + timedelta(minutes=20)
    assert step.changes == ()


def test_a_canceled_payment_of_a_number_that_was_given_up_says_that_its_card_is_stolen() -> None:
    """Another daemon confirmed what our create had made, met a stolen card, and canceled it."""
    given_up = replace(ROW, state=State.ABANDONED)
    fact = replace(declined(LOST), adopted=True)
    fact = replace(fact, intent=replace(fact.intent, status="canceled"))
    step = decide(snapshot(given_up), fact, START)
    assert [one.stop.reason for one in step.changes if isinstance(one, SetStop)] == ["declined"]
    assert step.rows[-1].state is State.ABANDONED
    assert step.rows[-1].cancel_as is None


def test_a_soft_decline_behind_an_error_of_stripes_waits_its_hour() -> None:
    step = decide(snapshot(sends=(sent(answer="server_error"),)), declined(SOFT), START)
    assert step.rows[-1].next_at == START + timedelta(hours=1)


def test_without_a_total_the_very_readings_of_the_plan_move_no_sum() -> None:
    seen = readings(funded=100, available=5)
    row = replace(ROW, funded_before_microusd=None, low_balance_microusd=4 * DOLLAR, reading_at=seen.known.at)
    fact = Intent(INTENT, go_on=True, again=True)
    step = decide(snapshot(row, readings=seen, sends=(sent(answer="key_in_use"),)), fact, START)
    assert isinstance(step.command, ListIntents)


def test_nothing_is_acknowledged_of_what_is_under_way() -> None:
    assert decide(snapshot(), Acknowledged(State.CONFIRMING), START).rows == ()


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (read_event, {"object": "event", "data": {}}),
        (lambda data: read_page(data, read_intent), {"object": "list", "data": None, "has_more": False}),
        (lambda data: read_page(data, read_intent), {"object": "list", "data": [None], "has_more": False}),
    ],
)
def test_an_answer_that_is_not_what_stripe_documents_is_no_answer(read: Any, data: Any) -> None:
    with pytest.raises(Unreadable):
        read(data)


def test_a_charge_by_link_has_no_card_to_show() -> None:
    said = {"id": "ch_1", "object": "charge", "created": 1, "amount": 5000, "status": "succeeded", "livemode": False}
    said |= {"payment_method": "pm_1", "payment_method_details": {"type": "link", "link": {"country": "DE"}}}
    charge = read_charge({**said, "payment_intent": "pi_1", "receipt_url": None})
    assert (charge.card, charge.receipt, charge.fingerprint) == ("", "", "pm_1")
