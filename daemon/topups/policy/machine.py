"""The machine: `decide` is the only place where a top-up's state changes. Pure: a table of states and facts.

Nothing is sent that was not committed before, and nothing is believed but the PaymentIntent as it is read back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from alerts.events.reasons import ReviewReason, SuspendedReason
from alerts.readings import Known
from daemon.config.model import TopupConfig
from daemon.store.topup_rows import LONGEST_RETRY, SECOND_LOOK, State, Topup
from daemon.topups.policy import credit, messages, settle, stops
from daemon.topups.policy.builder import OWNER_HAS, Builder, is_pinned_later
from daemon.topups.policy.gates import GateName, most_at_once
from daemon.topups.policy.intents import Listing, difference, mismatch
from daemon.topups.policy.plan import confirm_key, confirm_params
from daemon.topups.policy.step import (
    Acknowledged,
    Answer,
    ClearBookmark,
    Count,
    Doing,
    Fact,
    Intent,
    ListIntents,
    Need,
    NotListed,
    NotRead,
    Reached,
    ReadBack,
    Reading,
    Request,
    Reread,
    SetBookmark,
    Snapshot,
    Step,
    Time,
)
from daemon.topups.stripe import answers
from daemon.topups.stripe.answers import Action, Answered, AnswerKind, Refused
from daemon.topups.stripe.declines import Decline, Kind
from daemon.topups.stripe.objects import PaymentIntent

_NOT_MADE_YET = frozenset({State.CREATED, State.CONFIRMING, State.PROCESSING, State.RETRY_WAIT})
"""States in which the charge may not have been made yet."""
_NOT_MADE = frozenset({"requires_confirmation", "requires_payment_method", "processing"})
"""What Stripe says then: no credit that was read before it said so can be the charge's own."""
_NO_TRACE = frozenset({"requires_confirmation", "requires_payment_method"})
"""What Stripe says where the last attempt has left no trace."""


# ── a reading of this pass ──────────────────────────────────────────────────────────────────────────────────────────


def _read_again_or_back(b: Builder, fact: Reading) -> None:
    """Read the payment back; before it the account again, where a credit shows that may be another's."""
    assert b.snapshot.readings is not None, "a reading came"
    before, shows = credit.awaited_from(b.topup), credit.shown(b.topup, b.snapshot.readings.known.metrics)
    is_new = b.topup.state in _NOT_MADE_YET and before is not None and shows is not None and shows > before
    b.command = Reread() if is_new and fact.again is None else ReadBack(go_on=True)


def _credit_by_reading(b: Builder, fact: Reading) -> None:
    """Judge the credit by a believed reading; seen in two reads, the slot is free again and that is told."""
    assert b.snapshot.readings is not None, "a reading came"
    topup, known = b.topup, b.snapshot.readings.known
    b.next_at = topup.next_at  # a reading that says nothing new moves no date
    if credit.is_seen(topup, known.metrics):
        if fact.again is None:
            b.command = Reread()
        elif isinstance(fact.again, Known) and credit.is_seen(topup, fact.again.metrics):
            _credited(b, known)
        return  # one false reading must not free the slot
    if topup.untold:
        b.next_at = None
        b.set(untold=False, reading_at=known.at)
        b.emit(messages.succeeded(topup, b.account.provider, b.now))
        return
    balance, low = known.metrics.balance_microusd, topup.low_balance_microusd
    if topup.funded_before_microusd is None and balance is not None and (low is None or balance < low):
        b.set(low_balance_microusd=balance)
    if credit.is_missing(topup, known.at):
        _not_credited(b)


def _credited(b: Builder, known: Known) -> None:
    """The credit is seen. One that the ledger has just learned of, and that was there already, is no news."""
    quiet, b.next_at = b.topup.untold, None
    seen = known.metrics.funded_microusd or known.metrics.balance_microusd
    reason = "the credit was seen already" if quiet else "the credit is seen"
    b.to(State.CREDITED, reason, credited_at=known.at, credited_microusd=seen, untold=False)
    if not quiet:
        b.emit(messages.credited(b.topup, b.account.provider, b.now, observed_at=known.at))
        b.changes.append(ClearBookmark(unread_mark(b.topup)))


# ── the need of a plan ──────────────────────────────────────────────────────────────────────────────────────────────


def _create(b: Builder, fact: Need) -> None:
    """Ask Stripe for the PaymentIntent, which moves no money, if every gate still agrees."""
    topup, verdict = b.topup, b.snapshot.verdict
    assert verdict is not None, "a plan is judged by readings"
    if verdict.refused is not None:
        b.changes += stops.refusal(b.account, b.now, verdict)
        b.to(State.ABANDONED, f"not created: {verdict.refused.detail}")
        return
    b.to(State.CREATING, "asking Stripe to create it")
    b.command = Request("create", 1, topup.create_key, json.loads(topup.create_params), verdict.encode())


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _nothing_was_sent(b: Builder, fact: Time) -> None:
    b.to(State.ABANDONED, "nothing was sent")


def _list(b: Builder, fact: Time) -> None:
    b.command = ListIntents()


def _read_back(b: Builder, fact: Fact) -> None:
    b.command = ReadBack() if b.topup.payment_intent is not None else None


def _watch_credit(b: Builder, fact: Time) -> None:
    """Warn when the credit is 30 minutes late; after two hours wait for a reading that says whether it came.

    The first one that shows none tells it. Without any for 30 minutes it is told that nobody knows.
    """
    topup, now, since = b.topup, b.now, b.snapshot.unread_since
    if topup.paid_at is None or topup.untold:
        return
    if not credit.is_missing(topup, now):
        if now - topup.paid_at >= credit.WARN_AFTER and topup.warned_at is None:
            b.set(warned_at=now)
        return
    if since is None:
        b.changes.append(SetBookmark(unread_mark(topup), now))
        b.next_at = now + credit.AWAIT_READING
    elif now - since < credit.AWAIT_READING:
        b.next_at = since + credit.AWAIT_READING
    elif _was_away(b):
        b.next_at = now + credit.POLLED_WITHIN
    else:
        _not_credited(b, unread=True)


def _was_away(b: Builder) -> bool:
    """Whether nobody looked for a while, and nobody has tried to read the account since."""
    if b.topup.next_at is None or b.now - b.topup.next_at <= credit.POLLED_WITHIN:
        return False
    outage_at = b.snapshot.outage_at
    return outage_at is None or b.now - outage_at > credit.POLLED_WITHIN


def _not_credited(b: Builder, *, unread: bool = False) -> None:
    b.next_at = None
    b.set(told_at=b.now, warned_at=b.topup.warned_at or b.now)
    b.emit(messages.not_credited(b.topup, b.account.provider, b.now, unread=unread))
    b.changes.append(ClearBookmark(unread_mark(b.topup)))


def unread_mark(topup: Topup) -> str:
    """Return the name under which it is remembered since when a reading is waited for."""
    return f"credit_unread:{topup.id}"


# ── the PaymentIntent, read back ────────────────────────────────────────────────────────────────────────────────────


def _by_intent(b: Builder, fact: Intent) -> None:
    """Settle; then cancel what was given up, or go on with the attempt."""
    settle.settle(b, fact)
    if fact.adopted:
        b.next_at = b.now if b.topup.cancel_as is not None else None
    elif b.topup.cancel_as is not None:
        b.cancel(fact.intent.status)
    else:
        _proceed(b, fact)


def _proceed(b: Builder, fact: Intent) -> None:
    """Go on with an open payment that was not made: attempt, wait, or give up. Without a reading only time counts."""
    topup, readings, config = b.topup, b.snapshot.readings, b.account.config
    wanted: bool | None = None
    if readings is not None and fact.go_on and config is not None:
        available = readings.known.metrics.available_microusd
        wanted = available is not None and available < config.when_below_microusd
        if not _set_off(b, fact.intent) and wanted:
            return
    match topup.state:
        case State.CREATED:
            _proceed_created(b, wanted)
        case State.RETRY_WAIT:
            _proceed_retry(b, wanted, config)
        case State.CONFIRMING if fact.intent.status in _NO_TRACE:
            _proceed_unknown(b, fact, wanted)


def _set_off(b: Builder, intent: PaymentIntent) -> bool:
    """Await the charge's credit on top of what shows before the charge is made: that is another's.

    A rise is believed where a second read shows it too, and the payment, read back after both, is not made yet. Without
    a running total a fall counts as well: it is usage, and the credit is awaited from there. Returns whether it can be
    told whose a credit is: else nothing is tried by this reading.
    """
    topup, readings = b.topup, b.snapshot.readings
    assert readings is not None, "it is judged by a reading"
    before, shows = credit.awaited_from(topup), credit.shown(topup, readings.known.metrics)
    if topup.state not in _NOT_MADE_YET or before is None or shows is None or shows == before:
        return True
    if shows < before and topup.funded_before_microusd is not None:
        return True
    if shows > before:
        again = credit.shown(topup, readings.second.metrics) if readings.second is not None else None
        if again is None or again <= before:
            return _undecided(b, "a second read does not show the credit that the first one shows")
        shows = min(shows, again)
    if b.moved:
        return True
    if intent.status not in _NOT_MADE:
        return _undecided(b, "Stripe does not say whether the payment is made")
    if topup.funded_before_microusd is not None:
        b.set(funded_before_microusd=shows)
    else:
        b.set(low_balance_microusd=shows)
    return True


def _undecided(b: Builder, why: str) -> bool:
    b.count("second_read", f"{b.topup.id}: nobody can tell whose a credit is: {why}")
    return False


def _proceed_created(b: Builder, wanted: bool | None) -> None:
    """What was never confirmed is confirmed within ten minutes, or canceled: another daemon's too."""
    is_old = b.now - b.topup.planned_at >= OWNER_HAS
    if is_old or (wanted is False and b.topup.own):
        b.give_up(State.ABANDONED, "not confirmed within ten minutes" if wanted is not False else "no longer wanted")
    elif wanted and b.topup.own:
        b.command = ListIntents()


def _proceed_retry(b: Builder, wanted: bool | None, config: TopupConfig | None) -> None:
    topup = b.topup
    next_at = topup.next_at or b.now
    if next_at - b.now > LONGEST_RETRY:
        b.give_up(State.ABANDONED, "put off by a clock that was ahead")
        return
    if wanted is None or config is None:
        return
    if topup.own and topup.payment_method is not None and config.payment_method not in (None, topup.payment_method):
        b.give_up(State.ABANDONED, "another payment method is configured")
    elif b.now < next_at:
        return
    elif not wanted:
        b.give_up(State.ABANDONED, "no longer wanted")
    elif topup.amount_microusd > most_at_once(config):
        b.give_up(State.ABANDONED, "more than the configuration still allows at once")
    else:
        b.command = ListIntents()


def _proceed_unknown(b: Builder, fact: Intent, wanted: bool | None) -> None:
    """A confirm that has left no trace: the same key again, never another one, or cancel. Its answer says which."""
    sends = b.snapshot.sent("confirm")
    last, waited = sends[-1], b.now - sends[-1].sent_at
    first_sent_at = min(send.sent_at for send in sends if send.n == last.n)
    action = answers.CONFIRM[AnswerKind(last.answer or "unknown")]
    if fact.again:
        b.command = ListIntents()
    elif action is Action.CANCEL_AND_SUSPEND:
        b.changes += stops.suspension(
            b.account, b.now, SuspendedReason.REFUSED_BY_STRIPE, last.message, b.topup.id, b.topup
        )
        b.give_up(State.DECLINED, f"Stripe refused it: {last.message}")
    elif action is Action.REVIEW or (last.answer == AnswerKind.UNEXPECTED_STATE and waited >= answers.SAME_KEY_AFTER):
        b.review(f"Stripe refused the confirm, and it still waits: {last.message}")
    elif is_pinned_later(sends):
        if waited >= answers.PIN_AFTER:
            b.give_up(State.ABANDONED, "Stripe answered with an error of its own", watch=True)
    elif b.now - first_sent_at >= answers.KEY_LIVES:
        b.give_up(State.ABANDONED, "the confirm left no trace and its key is too old", watch=True)
    elif wanted is None or waited < _same_key_after(last.answer, last.sent_at - first_sent_at):
        return
    elif not wanted:
        b.give_up(State.ABANDONED, "the confirm left no trace and is no longer wanted")
    else:
        b.command = ListIntents()


def _same_key_after(answer: str | None, backed_off_for: timedelta) -> timedelta:
    is_long = answer == AnswerKind.RATE_LIMITED and backed_off_for >= answers.BACK_OFF_LONGEST
    return answers.BACK_OFF_LATER if is_long else answers.SAME_KEY_AFTER


def _not_read(b: Builder, fact: NotRead) -> None:
    """Stripe does not know it: a person decides. Else it is read back again later."""
    refused, topup = fact.refused, b.topup
    if refused.kind not in (AnswerKind.INTENT_MISSING, AnswerKind.WRONG_MODE):
        return
    message = f"Stripe does not know it here: {refused.message}"
    if topup.is_open:
        b.review(message)
        return
    reason = f"{ReviewReason.MISSING}:{topup.payment_intent}"
    b.changes.append(stops.review_notice(b.account, b.now, reason, message))
    b.set(watch_until=None)


# ── what Stripe lists ───────────────────────────────────────────────────────────────────────────────────────────────


def _second_look(b: Builder, fact: Listing) -> None:
    """Right before every attempt: if nobody else is charging and every gate agrees, try the card."""
    topup = b.topup
    differs = difference(topup, fact)
    if differs is not None:
        until = b.now + timedelta(seconds=fact.hold_s)
        b.changes.append(SetBookmark(hold_mark(b.account.id), until))
        b.give_up(State.ABANDONED, f"{SECOND_LOOK}{differs}")
        return
    listed = fact.find(topup.payment_intent)
    assert listed is not None, "one that is not listed differs"
    if listed.status != "requires_confirmation" and not _shows_known_decline(topup, listed):
        b.command = ReadBack()
        return
    _attempt(b)


def hold_mark(account: str) -> str:
    """Return the name under which it is remembered until when nothing is planned: somebody else is charging."""
    return f"hold:{account}"


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
            _wear_out(b, verdict.refused.detail, verdict.encode())
        else:
            b.changes += stops.refusal(b.account, b.now, verdict)
        return
    if is_again:
        last = sends[-1]
        if b.now - min(send.sent_at for send in sends if send.n == last.n) >= answers.KEY_LIVES:
            return  # an old key protects nothing; the next look cancels
        b.command = Request("confirm", last.n, last.key, json.loads(last.params), verdict.encode())
        return
    n = 1 + max([topup.declines, *(send.n for send in sends)])
    params = confirm_params(topup.payment_method or "")
    b.to(State.CONFIRMING, f"attempt {n}")
    b.command = Request("confirm", n, confirm_key(topup.payment_intent, n), params, verdict.encode())


def _wear_out(b: Builder, detail: str, gates: str) -> None:
    """The card has had all its attempts: as after the last retry, it is given up, and a person is asked for another."""
    b.changes.append(Count(b.account.id, GateName.CARD, detail, gates))
    decline = Decline(Kind.SOFT, "attempts", detail, b.topup.fingerprint)
    b.changes += stops.card_suspension(b.account, b.now, b.topup, decline)
    b.give_up(State.DECLINED, detail)


def _not_listed(b: Builder, fact: NotListed) -> None:
    if b.topup.state is not State.CREATING:
        b.count("second_look", fact.refused.message)


def _find_created(b: Builder, fact: Listing) -> None:
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
        b.command = Request("create", 1, topup.create_key, json.loads(topup.create_params))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _answered(b: Builder, fact: Answer) -> None:
    """The answer to a create or confirm; whatever a cancel was answered, the PaymentIntent is read back."""
    if fact.kind == "create":
        _create_answered(b, fact.outcome)
    elif fact.kind == "confirm" and isinstance(fact.outcome, Refused):
        _confirm_refused(b, fact.outcome)
    else:
        b.command = ReadBack()


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
            b.changes += stops.suspension(b.account, b.now, reason, outcome.message, topup.id, b.topup)


def _created(b: Builder, intent: PaymentIntent) -> None:
    """Stripe has the PaymentIntent; one that differs from the plan needs a person."""
    topup = b.topup
    owner = b.snapshot.intents.get(intent.id)
    if owner not in (None, topup.id):
        b.to(State.ABANDONED, f"{intent.id} is {owner}'s")
        return
    b.changes.append(Reached(b.account.id, Doing.CREATING))
    has: dict[str, Any] = {"payment_intent": intent.id, "stripe_created_at": intent.created_at}
    wrong = mismatch(topup, intent)
    if wrong:
        b.set(**has)
        b.review(wrong)
    else:
        b.to(State.CREATED, "Stripe has it", **has)


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


# ── a person's word ─────────────────────────────────────────────────────────────────────────────────────────────────


def _acknowledge_paid(b: Builder, fact: Acknowledged) -> None:
    """A person says that it is credited."""
    b.to(State.CREDITED, "acknowledged by a person", credited_at=b.now, told_at=None)
    b.emit(messages.credited(b.topup, b.account.provider, b.now))


def _acknowledge_late(b: Builder, fact: Acknowledged) -> None:
    """A person has seen that the credit which came late is this charge's, and not another's."""
    b.set(reason="the credit that came late is confirmed by a person", told_at=None)


def _acknowledge_review(b: Builder, fact: Acknowledged) -> None:
    """Cancel the PaymentIntent if it is alive, else close the top-up as it stands in Stripe."""
    intent = fact.intent
    if intent is None:
        b.to(State.ABANDONED, "acknowledged by a person: Stripe does not know its PaymentIntent")
    elif intent.status == "succeeded":
        charged_at = intent.charge.created_at if intent.charge else intent.created_at
        reason = "charged; acknowledged by a person"  # what was really charged counts, whatever was planned
        b.to(State.PAID, reason, amount_cents=intent.amount_cents, paid_at=b.now, charged_at=charged_at)
        b.emit(messages.succeeded(b.topup, b.account.provider, b.now))
        _acknowledge_paid(b, fact)
    elif intent.status in ALIVE:
        b.give_up(State.ABANDONED, "acknowledged by a person")
    else:
        settle.settle(b, Intent(intent))


ALIVE = frozenset({"requires_confirmation", "requires_payment_method", "requires_action", "requires_capture"})
"""What Stripe says of a PaymentIntent that may yet be charged."""


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rule:
    """What a fact does in a state, and the states that it may lead to."""

    act: Callable[[Builder, Any], None]
    leads_to: frozenset[State] = frozenset()


def _rule(act: Callable[[Builder, Any], None], *leads_to: State) -> Rule:
    return Rule(act, frozenset(leads_to))


_S = State
_LIVE = (_S.PAID, _S.PROCESSING, _S.RETRY_WAIT, _S.ACTION_REQUIRED, _S.NEEDS_REVIEW)
_ENDS = (_S.ABANDONED, _S.DECLINED)
_UNKNOWN = _rule(_not_read, _S.NEEDS_REVIEW)
_OPEN: Mapping[type[Any], Rule] = {
    Reading: _rule(_read_again_or_back),
    Time: _rule(_read_back),
    Intent: _rule(_by_intent, *_LIVE, *_ENDS),
    NotRead: _UNKNOWN,
    NotListed: _rule(_not_listed),
    Answer: _rule(_answered),
}
_TRIED = {**_OPEN, Listing: _rule(_second_look, _S.CONFIRMING, _S.NEEDS_REVIEW)}
_ENDED: Mapping[type[Any], Rule] = {
    Time: _rule(_read_back),
    Intent: _rule(_by_intent, _S.CREATED, *_LIVE),
    NotRead: _rule(_not_read),
}

TABLE: Mapping[State, Mapping[type[Any], Rule]] = {
    _S.PLANNED: {Need: _rule(_create, _S.CREATING, _S.ABANDONED), Time: _rule(_nothing_was_sent, _S.ABANDONED)},
    _S.CREATING: {
        Time: _rule(_list),
        Listing: _rule(_find_created, _S.CREATED, _S.NEEDS_REVIEW, _S.ABANDONED),
        NotListed: _rule(_not_listed),
        Answer: _rule(_answered, _S.CREATED, _S.NEEDS_REVIEW, *_ENDS),
        Intent: _rule(_by_intent, _S.CREATED, *_LIVE, *_ENDS),
    },
    _S.CREATED: _TRIED,
    _S.CONFIRMING: _TRIED,
    _S.PROCESSING: _OPEN,
    _S.RETRY_WAIT: _TRIED,
    _S.ACTION_REQUIRED: {**_OPEN, Intent: _rule(_by_intent, _S.PAID, _S.PROCESSING, _S.NEEDS_REVIEW, *_ENDS)},
    _S.NEEDS_REVIEW: {
        **_OPEN,
        Intent: _rule(_by_intent, _S.PAID, _S.PROCESSING, *_ENDS),
        Acknowledged: _rule(_acknowledge_review, _S.PAID, *_ENDS),
    },
    _S.PAID: {
        Reading: _rule(_credit_by_reading, _S.CREDITED),
        Time: _rule(_watch_credit),
        Acknowledged: _rule(_acknowledge_paid, _S.CREDITED),
    },
    _S.CREDITED: {Acknowledged: _rule(_acknowledge_late)},
    _S.ABANDONED: _ENDED,
    _S.DECLINED: _ENDED,
}
"""What each fact does in each state. A fact that is not here changes nothing."""


def decide(snapshot: Snapshot, fact: Fact, now: datetime) -> Step:
    """Return what follows from a fact: the row's next versions, changes and events, and what to send then."""
    rule = TABLE[snapshot.topup.state].get(type(fact))
    if rule is None:
        return Step(())
    builder = Builder(snapshot, now)
    rule.act(builder, fact)
    step = builder.step()
    for before, after in pairwise((snapshot.topup, *step.rows)):
        stays = after.state is before.state
        assert stays or after.state in _STEPS[before.state], (
            f"{after.id}: {before.state} does not lead to {after.state}"
        )
    return step


def steps() -> dict[State, dict[State, list[str]]]:
    """Return from each state the states that may follow, with the facts that lead there."""
    found: dict[State, dict[State, list[str]]] = {state: {} for state in TABLE}
    for before, rules in TABLE.items():
        for fact, rule in rules.items():
            for after in State:
                if after in rule.leads_to - {before}:
                    found[before].setdefault(after, []).append(_words(fact.__name__))
    return found


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


_STEPS = steps()


def diagram() -> str:
    """Return the table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNED}: need", f"    [*] --> {State.CONFIRMING}: adopted"]
    for before, following in steps().items():
        lines += [f"    {before} --> {after}: {', '.join(facts)}" for after, facts in following.items()]
    lines.append(f"    {State.CREDITED} --> [*]")
    return "\n".join(lines)
