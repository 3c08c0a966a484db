"""The events of top-ups: every end, with what a person must do and the command to type.

Ids derive from the create key, the type and the attempt, so that two daemons which tell of the same charge send the
same `webhook-id`. Receivers credit once for each `payment_intent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from alerts.events.messages import remedies
from alerts.events.messages.remedies import REVIEW_REMEDIES, SUSPENDED_REMEDIES, Remedy
from alerts.model.events import EventDraft, EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.money import to_number
from daemon.store.topup_rows import Topup
from daemon.stripe.declines import Decline
from daemon.topups.policy.gate import Gate
from daemon.topups.policy.step import Account

Fields = Mapping[str, JsonValue]
NO_MORE: Fields = {}


def event_id(key: str, type_: EventType, attempt: int | str) -> str:
    """Return the id that every daemon derives for the same thing."""
    return "evt_" + sha256(f"{key}\n{type_}\n{attempt}".encode()).hexdigest()[:32]


# ── of a top-up ─────────────────────────────────────────────────────────────────────────────────────────────────────


def planned(topup: Topup, account: Account, at: datetime) -> EventDraft:
    return _of_topup(EventType.TOPUP_PLANNED, topup, account, at)


def succeeded(topup: Topup, account: Account, at: datetime) -> EventDraft:
    """Charged. Carries everything that a service needs to credit the account, once for each `payment_intent`."""
    return _of_topup(EventType.TOPUP_SUCCEEDED, topup, account, at)


def credited(topup: Topup, account: Account, at: datetime, observed_at: datetime | None = None) -> EventDraft:
    """Seen in the balance by the reading of `observed_at`; without one a person said so."""
    more: Fields = {
        "credited_by": "a person" if topup.credited_microusd is None else "the balance",
        "observed_at": rfc3339(observed_at or at),
        "late": topup.is_late,
    }
    severity, remedy = (Severity.WARNING, remedies.CREDITED_LATE) if topup.is_late else (Severity.INFO, None)
    return _of_topup(EventType.TOPUP_CREDITED, topup, account, at, severity, remedy, more=more)


def declined(
    topup: Topup, account: Account, at: datetime, decline: Decline, attempt: int, next_try_at: datetime | None
) -> EventDraft:
    """A refusal by the bank; soft ones say when the card is tried again."""
    severity, remedy = Severity.WARNING, remedies.TRIED_AGAIN
    if next_try_at is None:
        severity, remedy = Severity.CRITICAL, remedies.ANOTHER_CARD
    more: Fields = {
        "decline_code": decline.code,
        "message": decline.message,
        "attempt": attempt,
        "next_attempt_at": rfc3339(next_try_at) if next_try_at else None,
    }
    return _of_topup(EventType.TOPUP_DECLINED, topup, account, at, severity, remedy, key=attempt, more=more)


def action_required(topup: Topup, account: Account, at: datetime, message: str, attempt: int) -> EventDraft:
    """The bank wants the cardholder, whom nobody can ask."""
    type_, remedy = EventType.TOPUP_ACTION_REQUIRED, remedies.SAVE_AGAIN
    more: Fields = {"message": message, "attempt": attempt}
    return _of_topup(type_, topup, account, at, Severity.CRITICAL, remedy, key=attempt, more=more)


def not_credited(topup: Topup, account: Account, at: datetime, *, unread: bool = False) -> EventDraft:
    """No reading shows the credit; `unread`: since it was due, there was none that two reads bear out."""
    remedy = remedies.CREDIT_UNREAD if unread else remedies.NOT_CREDITED
    more: Fields = {"paid_at": rfc3339(topup.paid_at)} if topup.paid_at else {}
    return _of_topup(EventType.TOPUP_NOT_CREDITED, topup, account, at, Severity.CRITICAL, remedy, more=more)


def processing(topup: Topup, account: Account, at: datetime, times: int) -> EventDraft:
    """The bank has been working on a charge for long: nothing to acknowledge yet, but somebody should know.

    `times`: how often the bank has begun to work on it.
    """
    type_, remedy = EventType.TOPUP_NEEDS_REVIEW, remedies.LONG_PROCESSING
    reason, key = "processing for over an hour; it is read back until it ends", "processing"
    key = key if times <= 1 else f"{key}:{times}"
    return _of_topup(type_, topup, account, at, Severity.CRITICAL, remedy, key=key, more={"reason": reason})


def needs_review(topup: Topup, account: Account, at: datetime, reason: str, times: int = 1) -> EventDraft:
    """The top-up is frozen until a person acknowledges it; `times`: how often it has been."""
    type_, key = EventType.TOPUP_NEEDS_REVIEW, 0 if times <= 1 else times
    return _of_topup(type_, topup, account, at, Severity.CRITICAL, remedies.REVIEW, key=key, more={"reason": reason})


def _of_topup(
    type_: EventType,
    topup: Topup,
    account: Account,
    at: datetime,
    severity: Severity = Severity.INFO,
    remedy: Remedy | None = None,
    *,
    key: int | str = 0,
    more: Fields = NO_MORE,
) -> EventDraft:
    data: dict[str, JsonValue] = {
        "account": topup.account,
        "provider": account.provider,
        "observed_at": rfc3339(topup.reading_at or at),
        "topup": topup.id,
        "payment_intent": topup.payment_intent,
        "customer": topup.customer,
        "amount_usd": to_number(topup.amount_microusd),
        "funded_before_usd": None if topup.funded_before_microusd is None else to_number(topup.funded_before_microusd),
        "available_usd": None if topup.available_microusd is None else to_number(topup.available_microusd),
        "severity": severity.value,
        **more,
    }
    data |= _remedy(remedy, account, topup.id) if remedy is not None else {}
    return EventDraft(type_, at, data, topup.account, severity, id=event_id(topup.create_key, type_, key))


# ── of an account ───────────────────────────────────────────────────────────────────────────────────────────────────


def account_stopped(
    account: Account,
    at: datetime,
    reason: str,
    message: str,
    window: str,
    topup: Topup | None = None,
    *,
    subject: str | None = None,
    more: Fields = NO_MORE,
) -> EventDraft:
    """An account is not charged, or needs a person: which of both, and what to do, follows from the reason.

    Told once in a `window`. `subject`: what is acknowledged, where it is not the top-up.
    """
    kind = reason.partition(":")[0]
    remedy, type_ = REVIEW_REMEDIES.get(kind), EventType.TOPUP_NEEDS_REVIEW
    if remedy is None:
        remedy, type_ = SUSPENDED_REMEDIES.get(kind, remedies.PUT_RIGHT), EventType.TOPUP_SUSPENDED
    subject = subject or (topup.id if topup else account.id)
    more = {**_remedy(remedy, account, subject), **more}
    return _of_account(type_, account, at, reason, message, window, topup, more)


def capped(account: Account, at: datetime, gate: Gate, customer: str, needed_microusd: int) -> EventDraft:
    """Not even one increment fits under a cap; told once a window, and again where a cap that was raised is reached."""
    more: Fields = {
        **_remedy(remedies.RAISE_CAP, account, account.id),
        "cap": gate.name,
        "window": gate.texts["window"],
        "needed_usd": to_number(needed_microusd),
        "cap_usd": to_number(gate.microusd["cap"]),
        "spent_and_open_usd": to_number(gate.microusd["spent_and_open"]),
        "left_usd": to_number(gate.microusd["left"]),
    }
    window = f"{customer}:{window_of(gate)}"
    return _of_account(EventType.TOPUP_CAPPED, account, at, gate.name, gate.detail, window, None, more)


def window_of(gate: Gate) -> str:
    """Return what a cap is told once in: its window at its height. A cap that was raised is another one."""
    return f"{gate.texts['window']}:{gate.microusd['cap']}"


def _of_account(
    type_: EventType,
    account: Account,
    at: datetime,
    reason: str,
    message: str,
    window: str,
    topup: Topup | None,
    more: Fields,
) -> EventDraft:
    data: dict[str, JsonValue] = {
        "account": account.id,
        "provider": account.provider,
        "observed_at": rfc3339(at),
        "topup": topup.id if topup else None,
        "payment_intent": topup.payment_intent if topup else None,
        "amount_usd": to_number(topup.amount_microusd) if topup else None,
        "severity": Severity.CRITICAL.value,
        "reason": reason,
        "message": message,
        **more,
    }
    key = topup.create_key if topup else f"brimful:{account.id}"
    return EventDraft(type_, at, data, account.id, Severity.CRITICAL, id=event_id(key, type_, f"{reason}:{window}"))


def _remedy(remedy: Remedy, account: Account, subject: str) -> dict[str, JsonValue]:
    """Return what a person must do, for the way in which the account's payment method is found."""
    action = (account.names_method and remedy.named) or remedy.action
    return {
        "action": action.format(account=account.id),
        "command": remedy.command.format(account=account.id, topup=subject),
    }
