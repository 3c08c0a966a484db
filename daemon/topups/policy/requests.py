"""Requests: the create, which moves no money, the confirm, which alone does, and what their answers call for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from alerts.model.reasons import SuspendedReason
from daemon.store.topup_rows import SECOND_LISTING, Bookmark, State, Topup
from daemon.stripe import answers
from daemon.stripe.answers import Action, Answered, Refused
from daemon.stripe.declines import Decline, DeclineKind
from daemon.stripe.intents import Listing
from daemon.stripe.objects import PaymentIntent
from daemon.stripe.requests import confirm_key, confirm_params
from daemon.topups.policy import stops
from daemon.topups.policy.builder import Builder
from daemon.topups.policy.gate import GateName
from daemon.topups.policy.settle import mismatch
from daemon.topups.policy.step import Answer, Count, Doing, ListIntents, Need, ReadBack, Request, SetBookmark


def create(b: Builder, fact: Need) -> None:
    """Ask Stripe for the PaymentIntent, which moves no money, if every gate still agrees."""
    verdict = b.snapshot.verdict
    assert verdict is not None, "a plan is judged by readings"
    if verdict.refused is not None:
        b.changes += stops.refusal(b.account, b.now, verdict)
        b.to(State.ABANDONED, f"not created: {verdict.refused.detail}")
        return
    b.to(State.CREATING, "asking Stripe to create it")
    b.create(verdict.encode())


def find_created(b: Builder, fact: Listing) -> None:
    """A create of unknown outcome: found in the list, sent again with its key for 15 minutes, or given up.

    While Stripe refuses the API key for it, it is asked again as often as the breaker closes, for as long as its
    idempotency key protects: no new number is planned for every probe.
    """
    topup, sends = b.topup, b.snapshot.sent("create")
    for one in fact.ours:
        if one.said.seq == topup.seq and mismatch(topup, one.intent) is None:
            _created(b, one.intent)
            b.command = ReadBack(go_on=True) if b.topup.is_open else None
            return
    first_sent_at = sends[0].sent_at if sends else topup.planned_at
    key_refused = bool(sends) and sends[-1].answer in answers.REFUSED_KEY
    if b.now - first_sent_at >= (answers.KEY_LIVES if key_refused else answers.CREATE_FOR):
        b.to(State.ABANDONED, "the outcome of the create stayed unknown: its number is given up")
    elif b.account.may_post and not b.snapshot.stopped:
        b.create()


def _create_answered(b: Builder, outcome: answers.Outcome) -> None:
    topup = b.topup
    if isinstance(outcome, Answered):
        _created(b, outcome.value)
        if b.topup.state is State.CREATED:
            b.command = ReadBack(go_on=True) if outcome.replayed or b.snapshot.readings is None else ListIntents()
        return
    match answers.CREATE[outcome.kind]:
        case Action.LIST_THEN_SAME_KEY:
            b.command = ListIntents() if len(b.snapshot.sent("create")) == 1 else None
        case Action.BREAK:
            return
        case Action.ADOPT_OTHER:
            b.to(State.ABANDONED, f"another daemon owns number {topup.seq}")
        case action:
            b.to(State.DECLINED, f"Stripe refused it: {outcome.message}")
            reason = SuspendedReason.LIVEMODE if action is Action.REVIEW else SuspendedReason.REFUSED_BY_STRIPE
            b.suspend(reason, outcome.message)


def _created(b: Builder, intent: PaymentIntent) -> None:
    """Stripe has the PaymentIntent; one that differs from the plan needs a person."""
    topup = b.topup
    owner = b.snapshot.intents.get(intent.id)
    if owner not in (None, topup.id):
        b.to(State.ABANDONED, f"{intent.id} is {owner}'s")
        return
    b.reached(Doing.CREATING)
    has: dict[str, Any] = {"payment_intent": intent.id, "stripe_created_at": intent.created_at}
    wrong = mismatch(topup, intent)
    if wrong:
        b.set(**has)
        b.review(wrong)
    else:
        b.to(State.CREATED, "Stripe has it", **has)


def second_listing(b: Builder, fact: Listing) -> None:
    """Right before every attempt: if nobody else is charging and every gate agrees, try the card."""
    topup = b.topup
    differs = difference(topup, fact)
    if differs is not None:
        until = b.now + timedelta(seconds=b.snapshot.hold_s)
        b.changes.append(SetBookmark(Bookmark.HOLD.of(b.account.id), until))
        b.give_up(State.ABANDONED, f"{SECOND_LISTING}{differs}")
        return
    listed = fact.find(topup.payment_intent)
    assert listed is not None, "one that is not listed differs"
    if listed.status != "requires_confirmation" and not _shows_known_decline(topup, listed):
        b.command = ReadBack()
        return
    _attempt(b)


def difference(topup: Topup, second: Listing) -> str | None:
    """Return what the second listing shows that the plan did not see, or None: then nobody else is charging."""
    if second.unreadable:
        return "metadata that cannot be read"
    seen = topup.seen_statuses
    for one in second.ours:
        intent = one.intent
        if intent.id == topup.payment_intent:
            continue
        if intent.id not in seen:
            return f"{intent.id} ({intent.status}) appeared"
        if intent.status != seen[intent.id]:
            return f"{intent.id} went from {seen[intent.id]} to {intent.status}"
    own = second.find(topup.payment_intent)
    return f"{topup.payment_intent} is not listed" if own is None else mismatch(topup, own)


def _shows_known_decline(topup: Topup, listed: PaymentIntent) -> bool:
    """Whether it shows the decline that the ledger knows. One that was never confirmed here, or another charge than the
    last one known, is another daemon's attempt with the same number."""
    known = topup.state is not State.CREATED and listed.latest_charge == topup.declined_charge
    return known and listed.status == "requires_payment_method"


def _attempt(b: Builder) -> None:
    """Write the attempt down: the last one again while its outcome is unknown, else the next number."""
    topup, sends, verdict = b.topup, b.snapshot.sent("confirm"), b.snapshot.verdict
    assert topup.payment_intent is not None, "it is listed"
    if verdict is None or topup.cancel_as is not None:
        return
    is_again = topup.state is State.CONFIRMING
    if not is_again and topup.payment_method is None:
        b.review("adopted, and nothing says which payment method it was tried with")
        return
    if verdict.refused is not None:
        if verdict.refused.name is GateName.CARD and not is_again:
            _exhaust_card(b, verdict.refused.detail, verdict.encode())
        else:
            b.changes += stops.refusal(b.account, b.now, verdict)
        return
    if is_again:
        last = sends[-1]
        if b.now - min(send.sent_at for send in sends if send.n == last.n) >= answers.KEY_LIVES:
            return  # an old key protects nothing; the next read-back cancels
        b.command = Request("confirm", last.n, last.key, json.loads(last.params), verdict.encode())
        return
    n = 1 + max([topup.declines, *(send.n for send in sends)])
    params = confirm_params(topup.payment_method or "")
    b.to(State.CONFIRMING, f"attempt {n}")
    b.command = Request("confirm", n, confirm_key(topup.payment_intent, n), params, verdict.encode())


def _exhaust_card(b: Builder, detail: str, gates: str) -> None:
    """The card has had all its attempts: as after the last retry, it is given up, and a person is asked for another."""
    b.changes.append(Count(b.account.id, GateName.CARD, detail, gates))
    decline = Decline(DeclineKind.SOFT, "attempts", detail, b.topup.fingerprint)
    b.changes.append(stops.card_suspension(b.account, b.now, b.topup, decline))
    b.give_up(State.DECLINED, detail)


def answered(b: Builder, fact: Answer) -> None:
    """The answer to a create or confirm; whatever a cancel was answered, the PaymentIntent is read back."""
    if fact.kind == "create":
        _create_answered(b, fact.outcome)
    elif fact.kind == "confirm" and isinstance(fact.outcome, Refused):
        _confirm_refused(b, fact.outcome)
    else:
        b.command = ReadBack()


def _confirm_refused(b: Builder, refused: Refused) -> None:
    """No answer of use: the same key again soon, or read back, or later."""
    sends = b.snapshot.sent("confirm")
    lately = sum(send.n == sends[-1].n and b.now - send.sent_at < answers.SAME_KEY_AFTER for send in sends)
    match answers.CONFIRM[refused.kind]:
        case Action.KEEP_OPEN | Action.BREAK:
            return
        case Action.SAME_KEY_SOON:
            if lately <= answers.KEY_IN_USE_TIMES:
                b.command = ReadBack(go_on=True, again=True, wait_s=answers.KEY_IN_USE_WAIT_S)
        case Action.BACK_OFF if lately <= len(answers.BACK_OFF_S) and refused.should_retry is not False:
            wait_s = answers.BACK_OFF_S[lately - 1]
            b.command = ReadBack(go_on=True, again=True, wait_s=(wait_s, wait_s))
        case _:
            b.command = ReadBack()
