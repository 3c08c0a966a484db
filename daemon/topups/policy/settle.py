"""Settling: what a PaymentIntent, as Stripe has it now, means for its top-up. It alone says what happened to the money.

Nothing is sent here: what has to be canceled is marked with `cancel_as`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from alerts.model.money import format_usd, from_cents
from alerts.model.reasons import ReviewReason, SuspendedReason
from daemon.store.topup_rows import SECOND_LISTING, State, Topup
from daemon.stripe.answers import AnswerKind
from daemon.stripe.declines import RETRY_AFTER, Decline, DeclineKind, classify_decline, retry_after
from daemon.stripe.objects import PaymentIntent
from daemon.topups.policy import messages, stops
from daemon.topups.policy.builder import Builder
from daemon.topups.policy.step import Doing, Intent, LiftCardStops

PROCESSING_NOTIFY_AFTER = timedelta(hours=1)
LISTINGS_DIFFERED_WITHIN = timedelta(hours=24)
LISTINGS_DIFFERED_MOST = 3
"""How many top-ups of a day may end because another charge appeared, before a person is asked."""


def settle(b: Builder, fact: Intent) -> None:
    """Act on the PaymentIntent's status, and note which calls are proved done by it."""
    status = fact.intent.status
    act = STATUSES.get(status)
    if act is None:
        b.review(f"its status is {status}")
    else:
        act(b, fact)
    b.reached(*_PROVED.get(status, ()))


def _succeeded(b: Builder, fact: Intent) -> None:
    """Charged. One that the ledger has just learned of is told by the first reading that does not show its credit."""
    intent, topup = fact.intent, b.topup
    wrong = mismatch(topup, intent)
    if wrong:
        b.review(f"charged, but {wrong}")
        return
    charged_at = intent.charged_at
    paid_at = min(charged_at, b.now) if fact.adopted else b.now
    ended = {"cancel_as": None, "watch_until": None, "told_at": None, "untold": fact.adopted}
    reason = "adopted: charged" if fact.adopted else "read back as succeeded"
    b.to(State.PAID, reason, paid_at=paid_at, charged_at=charged_at, **intent.shown, **ended)
    if fact.adopted:
        return
    if topup.probe:
        b.changes.append(LiftCardStops(b.account.id))
    b.emit(messages.succeeded)


def mismatch(topup: Topup, intent: PaymentIntent) -> str | None:
    """Return where the PaymentIntent is not what was planned, or None."""
    for name, planned, found in (
        ("amount", format_usd(topup.amount_microusd), format_usd(from_cents(intent.amount_cents))),
        ("currency", "usd", intent.currency),
        ("customer", topup.customer, intent.customer),
    ):
        if planned != found:
            return f"its {name} is {found}, planned was {planned}"
    return None


def _processing(b: Builder, fact: Intent) -> None:
    topup = b.topup
    if topup.state is not State.PROCESSING:
        b.to(State.PROCESSING, "the bank takes its time", told_at=None)
    elif topup.told_at is None and b.now - topup.state_at >= PROCESSING_NOTIFY_AFTER:
        # a disk that did not see the earlier attempts knows them by their declines, which may include this one's charge
        attempt = topup.declines + (fact.intent.latest_charge != topup.declined_charge)
        times = max(attempt, b.snapshot.entered.get(State.PROCESSING, 0))
        b.emit(messages.processing, times)
        b.set(told_at=b.now)


def _requires_confirmation(b: Builder, fact: Intent) -> None:
    if b.topup.state in (State.ABANDONED, State.DECLINED):
        b.to(State.CREATED, "turned up alive", cancel_as=None)
    elif b.topup.state is State.CREATING:
        b.to(State.CREATED, "Stripe has it")


def _requires_action(b: Builder, fact: Intent) -> None:
    """The bank wants the cardholder, whom nobody can ask: cancel, and charge no more until a person resumes."""
    if b.topup.state in (State.ACTION_REQUIRED, State.NEEDS_REVIEW):
        return
    message = fact.intent.error.message if fact.intent.error else "The bank asks the cardholder to authenticate."
    b.to(State.ACTION_REQUIRED, "the bank wants the cardholder", cancel_as=State.DECLINED)
    b.emit(messages.action_required, message, _attempt(b, fact))
    b.suspend(SuspendedReason.AUTHENTICATION_REQUIRED, message, b.topup.fingerprint)


def _requires_method(b: Builder, fact: Intent) -> None:
    """Declined: tried again later, or canceled and the account suspended, by the kind of the decline."""
    error, topup = fact.intent.why_declined, b.topup
    if error is None:
        b.review("it asks for a payment method and tells no error")
        return
    if topup.state in (State.NEEDS_REVIEW, State.ACTION_REQUIRED) or _is_known(b, fact):
        return
    decline = classify_decline(error)
    if topup.cancel_as is not None and (decline.kind is DeclineKind.SOFT or topup.state is not State.CONFIRMING):
        return  # it is being canceled: only a card that must not be tried again is news
    attempt = _attempt(b, fact) if fact.adopted else max(_attempt(b, fact), topup.declines + 1)
    known: dict[str, Any] = {"declines": attempt, "declined_charge": fact.intent.latest_charge}
    reason = f"{decline.code}: {decline.message}"
    if decline.kind is DeclineKind.AUTHENTICATION:
        b.to(State.ACTION_REQUIRED, reason, cancel_as=State.DECLINED, **known)
        if not fact.adopted:
            b.emit(messages.action_required, reason, attempt)
        _leave_card(b, fact, decline)
        return
    wait = retry_after(attempt) if decline.kind is DeclineKind.SOFT else None
    declined_at = fact.charges[0].created_at if fact.adopted and fact.charges else b.now
    again_at = None if wait is None else declined_at + wait
    known |= {"next_at": again_at or b.now, "cancel_as": None if again_at else State.DECLINED}
    if topup.state is State.RETRY_WAIT:
        b.set(reason=reason, **known)
    else:
        b.to(State.RETRY_WAIT, reason, **known)
    if not fact.adopted:
        b.emit(messages.declined, decline, attempt, again_at)
    if again_at is None:
        _leave_card(b, fact, decline)


def _is_known(b: Builder, fact: Intent) -> bool:
    """Whether the error is the one of an earlier attempt, and the last one has left no trace yet.

    Another charge than the one known is another daemon's attempt on the same PaymentIntent.
    """
    topup = b.topup
    if topup.declines == 0 or fact.intent.latest_charge != topup.declined_charge:
        return False
    if topup.state is not State.CONFIRMING:
        return topup.state is State.RETRY_WAIT
    return b.snapshot.sent("confirm")[-1].answer not in (AnswerKind.DECLINED, AnswerKind.ANSWERED)


def _attempt(b: Builder, fact: Intent) -> int:
    """Return the number of the last attempt on the card: by our requests, or by the charges that Stripe lists."""
    failed = sum(charge.failed for charge in fact.charges)
    return max([1, failed, *(send.n for send in b.snapshot.sent("confirm"))])


def _leave_card(b: Builder, fact: Intent, decline: Decline) -> None:
    """Stop the account for its card, unless a later PaymentIntent was tried since."""
    if not fact.superseded:
        b.changes.append(stops.card_suspension(b.account, b.now, b.topup, decline))


def _canceled(b: Builder, fact: Intent) -> None:
    """The end. A card that was refused meanwhile, on this PaymentIntent, is left alone from now on."""
    topup, error = b.topup, fact.intent.why_declined
    if error is not None and topup.cancel_as is not State.DECLINED and (topup.is_open or fact.adopted):
        decline = classify_decline(error)
        gave_up = len(fact.charges) > len(RETRY_AFTER)
        if decline.kind is not DeclineKind.SOFT or gave_up:
            declines = max(topup.declines, len(fact.charges))
            b.set(cancel_as=State.DECLINED, reason=f"{decline.code}: {decline.message}", declines=declines)
            _leave_card(b, fact, decline)
    if not topup.is_open:
        b.set(cancel_as=None)
        return
    reason = b.topup.reason if b.topup.cancel_as else "canceled in Stripe"
    b.to(b.topup.cancel_as or State.ABANDONED, reason, cancel_as=None)
    differed = b.snapshot.listings_differed + 1
    if reason.startswith(SECOND_LISTING) and differed >= LISTINGS_DIFFERED_MOST:
        said = f"{differed} times in a day another charge appeared; the last time {reason.removeprefix(SECOND_LISTING)}"
        b.changes.append(stops.account_stop(b.account, b.now, ReviewReason.SECOND_LOOK, said, topup.id))


def _requires_capture(b: Builder, fact: Intent) -> None:
    b.review("it asks to be captured: the Stripe account captures by hand")


STATUSES: Mapping[str, Callable[[Builder, Intent], None]] = {
    "succeeded": _succeeded,
    "processing": _processing,
    "requires_confirmation": _requires_confirmation,
    "requires_action": _requires_action,
    "requires_payment_method": _requires_method,
    "requires_capture": _requires_capture,
    "canceled": _canceled,
}
"""What each status of a PaymentIntent means. Any other needs a person."""

_PROVED = {
    "succeeded": (Doing.CONFIRMING, Doing.CANCELING),
    "processing": (Doing.CONFIRMING,),
    "requires_payment_method": (Doing.CONFIRMING,),
    "canceled": (Doing.CANCELING,),
}
"""Calls that are proved done by a status, whatever was answered: their failures begin to count anew."""
