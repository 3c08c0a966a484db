"""Settling: what a PaymentIntent read back by its id means for the top-up. It alone says what happened to the money.

One transaction: the read-back, the step, and the events. `settle` never sends anything; where the PaymentIntent has to
be canceled it says so in `cancel_as`, and the caller does that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Transaction
from daemon.store.ledger import Topup
from daemon.store.ledger_reads import Send
from daemon.topups import breakers, events
from daemon.topups.answers import PIN_AFTER, READ_BACK_AFTER, READ_BACK_EVERY, AnswerKind, read_back_after
from daemon.topups.bench import Bench
from daemon.topups.credit import credit_wake
from daemon.topups.declines import Kind, judge, retry_after
from daemon.topups.gateway import Answered, Refused
from daemon.topups.look import mismatch
from daemon.topups.states import State
from daemon.topups.stripe_objects import PaymentIntent

OWNER_HAS = timedelta(minutes=10)
"""A PaymentIntent that was never confirmed is left alone for so long; then it is canceled."""
PROCESSING_EVERY = timedelta(minutes=5)
WATCH_EVERY = timedelta(hours=1)
LONGEST = timedelta(hours=2)
"""How long nobody looks, whatever a clock that was ahead has written down."""


async def read_back(bench: Bench, topup: Topup) -> Topup:
    """Read the PaymentIntent back by its id and act on what it says."""
    assert topup.payment_intent is not None
    answer = await bench.gateway.retrieve(topup.payment_intent)
    if isinstance(answer, Answered) and answer.value.status == "canceled":
        refused = await _leave_card(bench, topup, answer.value)
        if refused is not None:
            return _put_off(bench, topup, refused)
    return settle(bench, topup, answer)


def _put_off(bench: Bench, topup: Topup, refused: Refused) -> Topup:
    """What the charges would tell is not known yet: read back again a little later."""
    breakers.note_unlisted(bench, topup.account, refused, breakers.LISTING_CHARGES)
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        return ledger.change(tx, current, now, next_at=now + READ_BACK_AFTER[-1]) if current.is_open else current


async def _leave_card(bench: Bench, topup: Topup, intent: PaymentIntent) -> Refused | None:
    """It is canceled, by another daemon or while a confirm was on its way: a card that was refused is left alone.

    Returns why that could not be told, where its charges cannot be listed.
    """
    error = intent.why_declined
    if error is None or not topup.is_open or topup.cancel_as is State.DECLINED:
        return None
    decline = judge(error)
    if decline.kind is Kind.SOFT:
        charges = await bench.gateway.charges(intent.id)
        if isinstance(charges, Refused):
            return charges
        breakers.note_reached(bench, topup.account, breakers.LISTING_CHARGES)
        if retry_after(len(charges.value.items)) is not None:
            return None
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        if current is not None and current.is_open and current.cancel_as is not State.DECLINED:
            reason = f"{decline.code}: {decline.message}"
            current = ledger.change(tx, current, now, cancel_as=State.DECLINED, reason=reason)
            breakers.suspend_for_card(bench, tx, current, now, decline)
    return None


def settle(bench: Bench, topup: Topup, answer: Answered[PaymentIntent] | Refused) -> Topup:
    """Act on what reading back said, by the row as it is now; returns the row as it then is."""
    now = bench.clock.now()
    if isinstance(answer, Refused) and breakers.trips(answer):
        breakers.trip(bench, now, answer)
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        if isinstance(answer, Refused):
            return _unread(bench, tx, current, answer, now)
        intent = answer.value
        ledger.record_readback(tx, topup.id, now, status=intent.status, request_id=answer.request_id)
        act = _ACTS.get(intent.status, _strange)
        after = act(bench, tx, current, intent, now)
        for doing in _DONE.get(intent.status, ()):
            breakers.note_done(tx, topup.account, doing)
        return _wake(tx, after, now)


def _unread(bench: Bench, tx: Transaction, topup: Topup, refused: Refused, now: datetime) -> Topup:
    ledger.record_readback(
        tx, topup.id, now, status=refused.kind.value, request_id=refused.request_id, detail=refused.message
    )
    if refused.kind in (AnswerKind.INTENT_MISSING, AnswerKind.WRONG_MODE):
        message = f"Stripe does not know it here: {refused.message}"
        if topup.is_open:
            return review(bench, tx, topup, now, message)
        breakers.tell_review_once(bench, tx, topup.account, now, f"missing:{topup.payment_intent}", message)
        return ledger.change(tx, topup, now, watch_until=None, next_at=None)
    return _wake(tx, topup, now)


# ── by status ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _succeeded(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    if topup.state in (State.PAID, State.CREDITED):
        return topup
    wrong = mismatch(topup, intent)
    if wrong:
        return review(bench, tx, topup, now, f"charged, but {wrong}")
    charged_at = intent.charge.created_at if intent.charge else intent.created_at
    paid = ledger.move(
        tx,
        topup,
        State.PAID,
        now,
        reason="read back as succeeded",
        paid_at=now,
        charged_at=charged_at,
        cancel_as=None,
        watch_until=None,
        told_at=None,
    )
    if topup.probe:
        ledger_notes.lift_for_card(tx, topup.account)
    bench.tell(tx, [events.succeeded(paid, bench.provider(topup.account), now)], now)
    return paid


def _processing(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    if topup.state is not State.PROCESSING:
        return ledger.move(tx, topup, State.PROCESSING, now, reason="the bank takes its time", told_at=None)
    if topup.told_at is None and now - topup.state_at >= events.PROCESSING_TOLD_AFTER:
        # a disk that did not see the earlier attempts knows them by their declines, which may include this one's charge
        attempt = topup.declines + (intent.latest_charge != topup.declined_charge)
        times = max(attempt, ledger_reads.times_entered(tx, topup.id, State.PROCESSING))
        bench.tell(tx, [events.processing(topup, bench.provider(topup.account), now, times)], now)
        return ledger.change(tx, topup, now, told_at=now)
    return topup


def _requires_confirmation(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    if topup.state in (State.ABANDONED, State.DECLINED):
        return ledger.move(tx, topup, State.CREATED, now, reason="turned up alive", next_at=now, cancel_as=None)
    return topup


def _requires_action(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    if topup.state in (State.ACTION_REQUIRED, State.NEEDS_REVIEW):
        return topup
    after = ledger.move(
        tx, topup, State.ACTION_REQUIRED, now, reason="the bank wants the cardholder", cancel_as=State.DECLINED
    )
    ask_cardholder(bench, tx, after, intent, now)
    return after


def ask_cardholder(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> None:
    """Tell that the bank wants the cardholder, and stop charging the account until a person resumes it."""
    message = intent.error.message if intent.error else "The bank asks the cardholder to authenticate."
    provider, attempt = bench.provider(topup.account), _attempts(tx, topup)
    named = bench.names_method(topup.account)
    bench.tell(tx, [events.action_required(topup, provider, now, message, attempt, named=named)], now)
    breakers.suspend(
        bench,
        tx,
        topup.account,
        now,
        reason="authentication_required",
        message=message,
        window=topup.id,
        topup=topup,
        fingerprint=topup.fingerprint,
    )


def _requires_method(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    error = intent.why_declined
    if error is None:
        return review(bench, tx, topup, now, "it asks for a payment method and tells no error")
    if topup.state in (State.NEEDS_REVIEW, State.ACTION_REQUIRED) or _is_old_decline(tx, topup, intent):
        return topup
    attempt = max(_attempts(tx, topup), topup.declines + 1)
    decline = judge(error)
    if topup.cancel_as is not None and (decline.kind is Kind.SOFT or topup.state is not State.CONFIRMING):
        return topup  # it is being canceled: only a card that must not be tried again is news
    provider, named = bench.provider(topup.account), bench.names_method(topup.account)
    declines = max(topup.declines + 1, attempt)
    wait = retry_after(declines) if decline.kind is Kind.SOFT else None
    reason = f"{decline.code}: {decline.message}"
    if decline.kind is Kind.AUTHENTICATION:
        after = ledger.move(
            tx,
            topup,
            State.ACTION_REQUIRED,
            now,
            reason=reason,
            cancel_as=State.DECLINED,
            declines=declines,
            declined_charge=intent.latest_charge,
        )
        bench.tell(tx, [events.action_required(after, provider, now, reason, attempt, named=named)], now)
        breakers.suspend_for_card(bench, tx, after, now, decline)
        return after
    again_at = now + wait if wait else None
    after = _declined(tx, topup, now, reason, declines, intent.latest_charge, again_at)
    bench.tell(tx, [events.declined(after, provider, now, decline, attempt, again_at, named=named)], now)
    if again_at is None:
        breakers.suspend_for_card(bench, tx, after, now, decline)
    return after


def _is_old_decline(tx: Transaction, topup: Topup, intent: PaymentIntent) -> bool:
    """Whether the error is the one of an earlier attempt, and the last one has left no trace yet.

    Another charge than the one known is another daemon's attempt on the same PaymentIntent.
    """
    if topup.declines == 0 or intent.latest_charge != topup.declined_charge:
        return False
    if topup.state is not State.CONFIRMING:
        return topup.state is State.RETRY_WAIT
    return ledger_reads.sends(tx, topup.id, "confirm")[-1].answer not in (AnswerKind.DECLINED, AnswerKind.ANSWERED)


def _declined(
    tx: Transaction,
    topup: Topup,
    now: datetime,
    reason: str,
    declines: int,
    charge: str | None,
    again_at: datetime | None,
) -> Topup:
    """Wait for the next try, or mark the PaymentIntent for canceling."""
    changes: dict[str, Any] = {
        "reason": reason,
        "declines": declines,
        "declined_charge": charge,
        "next_at": again_at or now,
        "cancel_as": None if again_at else State.DECLINED,
    }
    if topup.state is State.RETRY_WAIT:
        return ledger.change(tx, topup, now, **changes)
    return ledger.move(tx, topup, State.RETRY_WAIT, now, **changes)


def _canceled(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    if not topup.is_open or topup.state is State.PAID:
        return topup
    end = topup.cancel_as or State.ABANDONED
    reason = topup.reason if topup.cancel_as else "canceled in Stripe"
    return ledger.move(tx, topup, end, now, reason=reason, next_at=None, cancel_as=None)


def _requires_capture(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    return review(bench, tx, topup, now, "it asks to be captured: the Stripe account captures by hand")


def _strange(bench: Bench, tx: Transaction, topup: Topup, intent: PaymentIntent, now: datetime) -> Topup:
    return review(bench, tx, topup, now, f"its status is {intent.status}")


_ACTS: Mapping[str, Callable[[Bench, Transaction, Topup, PaymentIntent, datetime], Topup]] = {
    "succeeded": _succeeded,
    "processing": _processing,
    "requires_confirmation": _requires_confirmation,
    "requires_action": _requires_action,
    "requires_payment_method": _requires_method,
    "requires_capture": _requires_capture,
    "canceled": _canceled,
}
"""What each status of a PaymentIntent means. Any other is a person's business."""


_DONE = {
    "succeeded": (breakers.CONFIRMING, breakers.CANCELING),
    "processing": (breakers.CONFIRMING,),
    "requires_payment_method": (breakers.CONFIRMING,),
    "canceled": (breakers.CANCELING,),
}
"""What has come about where a PaymentIntent is read back so, whatever was answered."""


def review(bench: Bench, tx: Transaction, topup: Topup, now: datetime, reason: str) -> Topup:
    """Freeze the top-up until a person acknowledges it, and tell it. Nothing is canceled."""
    if topup.state in (State.NEEDS_REVIEW, State.PAID, State.CREDITED):
        return topup
    after = ledger.move(
        tx, topup, State.NEEDS_REVIEW, now, reason=reason, cancel_as=None, next_at=now + READ_BACK_EVERY
    )
    times = ledger_reads.times_entered(tx, topup.id, State.NEEDS_REVIEW)
    bench.tell(tx, [events.needs_review(after, bench.provider(topup.account), now, reason, times)], now)
    return after


# ── when to look again ──────────────────────────────────────────────────────────────────────────────────────────────


def _wake(tx: Transaction, topup: Topup, now: datetime) -> Topup:
    """Set when the top-up is looked at next."""
    next_at = _next_at(tx, topup, now)
    if next_at is not None and topup.state is not State.RETRY_WAIT:
        next_at = min(next_at, now + LONGEST)
    if next_at == topup.next_at:
        return topup
    return ledger.change(tx, topup, now, next_at=next_at)


def _next_at(tx: Transaction, topup: Topup, now: datetime) -> datetime | None:
    last = ledger_reads.sends(tx, topup.id)
    sent_at = last[-1].sent_at if last else topup.state_at
    if topup.cancel_as is None and is_pinned_later(last) and now < sent_at + PIN_AFTER:
        return min(sent_at + read_back_after(max(now - sent_at, timedelta())), sent_at + PIN_AFTER)
    if topup.cancel_as is not None or topup.state in (State.CREATING, State.CONFIRMING, State.ACTION_REQUIRED):
        return sent_at + read_back_after(max(now - sent_at, timedelta()))
    if topup.state is State.CREATED:
        return max(topup.planned_at + OWNER_HAS, now + timedelta(minutes=1))
    if topup.state is State.PROCESSING:
        return now + PROCESSING_EVERY
    if topup.state is State.RETRY_WAIT:
        return topup.next_at
    if topup.state is State.NEEDS_REVIEW:
        return now + READ_BACK_EVERY
    if topup.state is State.PAID:
        return credit_wake(topup, now)
    if topup.watch_until is not None and now < topup.watch_until:
        return now + WATCH_EVERY
    return None


def is_pinned_later(sends: Sequence[Send]) -> bool:
    """Whether the last send is a confirm that met a 5xx: its key replays that, so it is canceled later."""
    return bool(sends) and sends[-1].kind == "confirm" and sends[-1].answer == AnswerKind.SERVER_ERROR


def _attempts(tx: Transaction, topup: Topup) -> int:
    """Return the number of the last attempt on the card that the ledger knows."""
    return max((send.n for send in ledger_reads.sends(tx, topup.id, "confirm")), default=1)
