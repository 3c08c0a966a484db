"""Going on with an open payment: read it back, then attempt, wait or give up. Without a reading only time counts."""

from __future__ import annotations

from datetime import timedelta

from alerts.model.reasons import ReviewReason, SuspendedReason
from daemon.config.model import TopupConfig
from daemon.store.topup_rows import LONGEST_RETRY, State
from daemon.stripe import answers
from daemon.stripe.answers import Action, AnswerKind
from daemon.topups.policy import credit, messages, settle, stops
from daemon.topups.policy.amounts import most_at_once
from daemon.topups.policy.builder import OWNER_HAS, Builder, is_pinned_later
from daemon.topups.policy.credit_watch import acknowledge_paid
from daemon.topups.policy.step import Acknowledged, Fact, Intent, ListIntents, NotRead, ReadBack, Reading, Reread

_NOT_MADE_YET = frozenset({State.CREATED, State.CONFIRMING, State.PROCESSING, State.RETRY_WAIT})
"""States in which the charge may not have been made yet."""
_NO_TRACE = frozenset({"requires_confirmation", "requires_payment_method"})
"""What Stripe says where the last attempt has left no trace."""

ALIVE = frozenset({"requires_confirmation", "requires_payment_method", "requires_action", "requires_capture"})
"""What Stripe says of a PaymentIntent that may yet be charged."""


def read_again_or_back(b: Builder, fact: Reading) -> None:
    """Read the payment back; before it the account again, where a credit shows that may be another's."""
    assert b.snapshot.readings is not None, "a reading came"
    before, shows = credit.awaited_from(b.topup), credit.shown(b.topup, b.snapshot.readings.known.metrics)
    is_new = b.topup.state in _NOT_MADE_YET and before is not None and shows is not None and shows > before
    b.command = Reread() if is_new and fact.again is None else ReadBack(go_on=True)


def read_back(b: Builder, fact: Fact) -> None:
    b.command = ReadBack() if b.topup.payment_intent is not None else None


def by_intent(b: Builder, fact: Intent) -> None:
    """Settle; then cancel what was given up, or go on with the attempt."""
    settle.settle(b, fact)
    if fact.adopted:
        b.next_at = b.now if b.topup.cancel_as is not None else None
    elif b.topup.cancel_as is not None:
        b.cancel(fact.intent.status)
    elif b.account.config is None and b.topup.state in _NOT_MADE_YET - {State.PROCESSING}:
        b.give_up(State.ABANDONED, "its account is no longer topped up", watch=True)
    else:
        _proceed(b, fact)


def _proceed(b: Builder, fact: Intent) -> None:
    """Go on with an open payment that was not made: attempt, wait, or give up. Without a reading only time counts."""
    topup, readings, config = b.topup, b.snapshot.readings, b.account.config
    wanted: bool | None = None
    if readings is not None and fact.go_on and config is not None:
        available = readings.known.metrics.available_microusd
        wanted = available is not None and available < config.when_below_microusd
        if not _offset_foreign_credit(b) and wanted:
            return
    match topup.state:
        case State.CREATED:
            _proceed_created(b, wanted)
        case State.RETRY_WAIT:
            _proceed_retry(b, wanted, config)
        case State.CONFIRMING if fact.intent.status in _NO_TRACE:
            _proceed_unknown(b, fact, wanted)


def _offset_foreign_credit(b: Builder) -> bool:
    """Await the charge's credit on top of what shows before the charge is made: that is another's.

    A rise is accepted where a second read shows it too, and the payment, read back after both, is not made yet. Without
    a running total a fall counts as well: it is usage, and the credit is awaited from there. Returns whether it can be
    told whose a credit is: else nothing is tried by this reading.
    """
    topup, readings = b.topup, b.snapshot.readings
    assert readings is not None, "it is judged by a reading"
    before, shows = credit.awaited_from(topup), credit.shown(topup, readings.known.metrics)
    if topup.state not in _NOT_MADE_YET or before is None or shows is None or shows == before:
        return True
    if topup.reading_at is not None and topup.reading_at in [one.at for one in readings.both]:
        return True  # the plan rests on these very readings
    if shows < before and topup.funded_before_microusd is not None:
        return True
    if shows > before:
        again = credit.shown(topup, readings.second.metrics) if readings.second is not None else None
        if again is None or again <= before:
            b.count("second_read", f"{topup.id}: whose a credit is cannot be told: a second read does not show it")
            return False
        shows = min(shows, again)
    if b.moved:
        return True  # else Stripe has just said that it is not made
    if topup.funded_before_microusd is not None:
        b.set(funded_before_microusd=shows)
    else:
        b.set(low_balance_microusd=shows)
    return True


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
        b.suspend(SuspendedReason.REFUSED_BY_STRIPE, last.message)
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


def not_read(b: Builder, fact: NotRead) -> None:
    """Where Stripe does not know the PaymentIntent a person decides. Else it is read again later."""
    refused, topup = fact.refused, b.topup
    if fact.by_list and topup.state is not State.CREATING:
        b.count("second_look", refused.message)
    if fact.by_list or refused.kind not in (AnswerKind.INTENT_MISSING, AnswerKind.WRONG_MODE):
        return
    message = f"Stripe does not know it here: {refused.message}"
    if topup.is_open:
        b.review(message)
        return
    reason = f"{ReviewReason.MISSING}:{topup.payment_intent}"
    b.changes.append(stops.review_notice(b.account, b.now, reason, message))
    b.set(watch_until=None)


def acknowledge_review(b: Builder, fact: Acknowledged) -> None:
    """Cancel the PaymentIntent if it is alive, else close the top-up as it stands in Stripe."""
    intent = fact.intent
    if intent is None:
        b.to(State.ABANDONED, "acknowledged by a person: Stripe does not know its PaymentIntent")
    elif intent.status == "succeeded":
        reason = "charged; acknowledged by a person"  # what was really charged counts, whatever was planned
        shown = {"amount_cents": intent.amount_cents, "charged_at": intent.charged_at, **intent.shown}
        b.to(State.PAID, reason, paid_at=b.now, **shown)
        b.emit(messages.succeeded)
        acknowledge_paid(b, fact)
    elif intent.status in ALIVE:
        b.give_up(State.ABANDONED, "acknowledged by a person")
    else:
        settle.settle(b, Intent(intent))
