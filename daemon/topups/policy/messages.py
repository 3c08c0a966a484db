"""What is told of top-ups: every end, with what a person must do and the command to type.

Ids derive from the create key, the type and the attempt, so that two daemons which tell of the same charge send the
same `webhook-id`. Receivers credit once for each `payment_intent`.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from alerts.events.messages.remedies import (
    ACK,
    ANOTHER_CARD,
    EXPLAIN,
    EXPLAIN_ACCOUNT,
    RESUME,
    REVIEW_REMEDIES,
    SAVE_AGAIN,
    SUSPENDED_REMEDIES,
    Remedy,
)
from alerts.model.events import EventDraft, EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.money import from_cents, to_number
from alerts.model.values import replace
from daemon.store.topup_rows import Topup
from daemon.stripe.declines import Decline
from daemon.topups.policy.gate import Gate


def event_id(key: str, type_: EventType, attempt: int | str) -> str:
    """Return the id that every daemon derives for the same thing."""
    return "evt_" + sha256(f"{key}\n{type_}\n{attempt}".encode()).hexdigest()[:32]


def planned(topup: Topup, provider: str, at: datetime) -> EventDraft:
    return _of_topup(EventType.TOPUP_PLANNED, topup, provider, at, Severity.INFO)


def succeeded(topup: Topup, provider: str, at: datetime) -> EventDraft:
    """Charged. Carries everything that a service needs to credit the account, once for each `payment_intent`."""
    return _of_topup(EventType.TOPUP_SUCCEEDED, topup, provider, at, Severity.INFO)


def credited(topup: Topup, provider: str, at: datetime, observed_at: datetime | None = None) -> EventDraft:
    """Seen in the balance by the reading of `observed_at`; without one a person said so."""
    by = {"credited_by": "a person" if topup.credited_microusd is None else "the balance"}
    more: dict[str, JsonValue] = {**by, "observed_at": rfc3339(observed_at or at), "late": topup.is_late}
    if not topup.is_late:
        return _of_topup(EventType.TOPUP_CREDITED, topup, provider, at, Severity.INFO, more=more)
    advice = Remedy(
        "The credit came after it was told as missing: see that it is this charge's, and not a purchase by hand; then "
        "acknowledge it.",
        ACK,
    )
    return _of_topup(EventType.TOPUP_CREDITED, topup, provider, at, Severity.WARNING, 0, advice, more)


def declined(
    topup: Topup,
    provider: str,
    at: datetime,
    decline: Decline,
    attempt: int,
    next_try_at: datetime | None,
    *,
    named: bool = False,
) -> EventDraft:
    """A refusal by the bank; soft ones say when the card is tried again. `named`: the configuration names the method.

    `action` then says to name another one there: else the same card would be tried again.
    """
    more: dict[str, JsonValue] = {
        "decline_code": decline.code,
        "message": decline.message,
        "attempt": attempt,
        "next_attempt_at": rfc3339(next_try_at) if next_try_at else None,
    }
    if next_try_at is not None:
        advice = Remedy("Nothing yet: the card is tried again. See that it has funds.", EXPLAIN)
        severity = Severity.WARNING
    else:
        advice, severity = ANOTHER_CARD, Severity.CRITICAL
    return _of_topup(EventType.TOPUP_DECLINED, topup, provider, at, severity, attempt, advice, more, named=named)


def action_required(
    topup: Topup, provider: str, at: datetime, message: str, attempt: int, *, named: bool = False
) -> EventDraft:
    """The bank wants the cardholder, whom nobody can ask; `named`: the configuration names the method."""
    more: dict[str, JsonValue] = {"message": message, "attempt": attempt}
    type_, severity = EventType.TOPUP_ACTION_REQUIRED, Severity.CRITICAL
    return _of_topup(type_, topup, provider, at, severity, attempt, SAVE_AGAIN, more, named=named)


def not_credited(topup: Topup, provider: str, at: datetime, *, unread: bool = False) -> EventDraft:
    """No reading shows the credit; `unread`: since it was due, there was none that two reads bear out."""
    if unread:
        seen = (
            "since the credit was due no two reads in a row could say whether it came: see that its usage API answers, "
            "and twice in a row (it may allow too few requests); "
        )
    else:
        seen = "the balance does not show it: "
    advice = Remedy(
        f"The card was charged and {seen}ask the provider to credit the payment, or say that it did. No second charge "
        "is made until then.",
        ACK,
    )
    since = {"paid_at": rfc3339(topup.paid_at)} if topup.paid_at else {}
    return _of_topup(EventType.TOPUP_NOT_CREDITED, topup, provider, at, Severity.CRITICAL, 0, advice, since)


def processing(topup: Topup, provider: str, at: datetime, times: int = 1) -> EventDraft:
    """The bank has been working on a charge for long: nothing to acknowledge yet, but somebody should know.

    `times`: how often the bank has begun to work on it.
    """
    attempt = "processing" if times <= 1 else f"processing:{times}"
    advice = Remedy(
        "The bank has not decided for over an hour: look at the PaymentIntent in Stripe. It is read back until it "
        "ends, and nothing else is charged until then.",
        EXPLAIN,
    )
    more: dict[str, JsonValue] = {"reason": "processing for over an hour; it is read back until it ends"}
    return _of_topup(EventType.TOPUP_NEEDS_REVIEW, topup, provider, at, Severity.CRITICAL, attempt, advice, more)


def needs_review(topup: Topup, provider: str, at: datetime, reason: str, times: int = 1) -> EventDraft:
    """The top-up is frozen until a person acknowledges it; `times`: how often it has been."""
    advice = Remedy(
        "Look at the PaymentIntent in Stripe; acknowledging cancels it if it is alive, else closes it.", ACK
    )
    more: dict[str, JsonValue] = {"reason": reason}
    attempt = 0 if times <= 1 else times
    return _of_topup(EventType.TOPUP_NEEDS_REVIEW, topup, provider, at, Severity.CRITICAL, attempt, advice, more)


def account_needs_review(
    account: str, provider: str, at: datetime, reason: str, message: str, window: str
) -> EventDraft:
    """An account needs a person: mostly its charging has stopped until it is resumed."""
    advice = REVIEW_REMEDIES.get(reason.partition(":")[0], Remedy("See what happened; when in order, resume.", RESUME))
    return _of_account(EventType.TOPUP_NEEDS_REVIEW, account, provider, at, reason, message, window, advice)


def suspended(
    account: str,
    provider: str,
    at: datetime,
    reason: str,
    message: str,
    window: str,
    topup: Topup | None = None,
    *,
    named: bool = False,
) -> EventDraft:
    """Charging of an account has stopped: until a person resumes it or, where it says so, until Stripe answers.

    `named`: the configuration names the payment method.
    """
    advice = SUSPENDED_REMEDIES.get(reason, Remedy("Put right what Stripe refused, then resume.", RESUME))
    type_ = EventType.TOPUP_SUSPENDED
    return _of_account(type_, account, provider, at, reason, message, window, advice, topup, named=named)


def returned(
    topup: Topup, provider: str, at: datetime, reason: str, message: str, window: str, cents: int | None
) -> EventDraft:
    """A refund or a dispute; `cents` is its own amount, where Stripe says it."""
    draft = suspended(topup.account, provider, at, reason, message, window, topup)
    if cents is None:
        return draft
    return replace(draft, data={**draft.data, "returned_usd": to_number(from_cents(cents))})


def customer_gone(account: str, provider: str, at: datetime, customer: str, message: str, window: str) -> EventDraft:
    """Charging of an account has stopped: what was charged to an earlier customer of it cannot be listed any more."""
    advice = Remedy(
        "See in Stripe that no payment of this earlier customer is still open; then acknowledge that it is gone. It is "
        "looked at no more, and charging goes on.",
        f"brimful topups ack {customer}",
    )
    reason = "customer_gone"
    return _of_account(EventType.TOPUP_SUSPENDED, account, provider, at, reason, message, window, advice)


def capped(account: str, provider: str, at: datetime, gate: Gate, customer: str, needed_microusd: int) -> EventDraft:
    """Not even one increment fits under a cap; told once a window, and again where a cap that was raised is reached."""
    advice = Remedy("Raise the cap, or buy credit by hand.", EXPLAIN_ACCOUNT)
    draft = _of_account(
        EventType.TOPUP_CAPPED,
        account,
        provider,
        at,
        gate.name,
        gate.detail,
        f"{customer}:{window_of(gate)}",
        advice,
    )
    more: dict[str, JsonValue] = {
        "cap": gate.name,
        "window": gate.texts["window"],
        "needed_usd": to_number(needed_microusd),
        "cap_usd": to_number(gate.microusd["cap"]),
        "spent_and_open_usd": to_number(gate.microusd["spent_and_open"]),
        "left_usd": to_number(gate.microusd["left"]),
    }
    return EventDraft(draft.type, at, {**draft.data, **more}, account, draft.severity, id=draft.id)


def window_of(gate: Gate) -> str:
    """Return what a cap is told once in: its window at its height. A cap that was raised is another one."""
    return f"{gate.texts['window']}:{gate.microusd['cap']}"


def _of_topup(
    type_: EventType,
    topup: Topup,
    provider: str,
    at: datetime,
    severity: Severity,
    attempt: int | str = 0,
    advice: Remedy | None = None,
    more: dict[str, JsonValue] | dict[str, str] | None = None,
    *,
    named: bool = False,
) -> EventDraft:
    data: dict[str, JsonValue] = {
        "account": topup.account,
        "provider": provider,
        "observed_at": rfc3339(topup.reading_at or at),
        "topup": topup.id,
        "payment_intent": topup.payment_intent,
        "customer": topup.customer,
        "amount_usd": to_number(topup.amount_microusd),
        "funded_before_usd": None if topup.funded_before_microusd is None else to_number(topup.funded_before_microusd),
        "available_usd": None if topup.available_microusd is None else to_number(topup.available_microusd),
        "severity": severity.value,
        **(more or {}),
    }
    if advice is not None:
        data["action"] = _action(advice, topup.account, named=named)
        data["command"] = advice.command.format(account=topup.account, topup=topup.id)
    return EventDraft(type_, at, data, topup.account, severity, id=event_id(topup.create_key, type_, attempt))


def _of_account(
    type_: EventType,
    account: str,
    provider: str,
    at: datetime,
    reason: str,
    message: str,
    window: str,
    advice: Remedy,
    topup: Topup | None = None,
    *,
    named: bool = False,
) -> EventDraft:
    data: dict[str, JsonValue] = {
        "account": account,
        "provider": provider,
        "observed_at": rfc3339(at),
        "topup": topup.id if topup else None,
        "payment_intent": topup.payment_intent if topup else None,
        "amount_usd": to_number(topup.amount_microusd) if topup else None,
        "severity": Severity.CRITICAL.value,
        "reason": reason,
        "message": message,
        "action": _action(advice, account, named=named),
        "command": advice.command.format(account=account, topup=topup.id if topup else account),
    }
    key = topup.create_key if topup else f"brimful:{account}"
    return EventDraft(type_, at, data, account, Severity.CRITICAL, id=event_id(key, type_, f"{reason}:{window}"))


def _action(advice: Remedy, account: str, *, named: bool) -> str:
    """Return what a person must do, for the way in which the account's payment method is found."""
    return ((advice.named if named else "") or advice.action).format(account=account)


def day_of(at: datetime) -> str:
    """Return the window of what is told once a day."""
    return f"{at:%Y-%m-%d}"
