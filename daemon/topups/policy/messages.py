"""What is told of top-ups: every end, with what a person must do and the command to type.

Ids derive from the create key, the type and the attempt, so that two daemons which tell of the same charge send the
same `webhook-id`. Receivers credit once for each `payment_intent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from alerts.events import EventDraft, EventType, JsonValue, Severity
from alerts.instants import rfc3339
from alerts.money import from_cents, to_number
from alerts.values import replace
from daemon.store.topup_rows import Topup
from daemon.stripe.declines import Decline
from daemon.topups.policy.gates import Gate

_RESUME = "brimful topups resume {account}"
_ACK = "brimful topups ack {topup}"
_EXPLAIN = "brimful topups explain {topup}"
_EXPLAIN_ACCOUNT = "brimful topups explain {account}"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person must do, in a sentence, and the command to type then.

    `named`: what instead, where the configuration names the payment method: another card of the customer is not used.
    """

    action: str
    command: str
    named: str = ""


_KEY = "`accounts.{account}.topup.payment_method`"
_ANOTHER_CARD = Advice(
    "Save another card for the customer in Stripe and make it the default there, then resume.",
    _RESUME,
    named=f"Save another card for the customer in Stripe, name it in {_KEY} and reload, then resume: none is charged "
    "that is not named there.",
)
_SAVE_AGAIN = Advice(
    "Save the card again for use off session (or another card) and make it the customer's default in Stripe, then "
    "resume.",
    _RESUME,
    named="Save the card again for use off session (or another card) for the customer in Stripe, name the payment "
    f"method which that makes in {_KEY} and reload, then resume.",
)


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
    advice = Advice(
        "The credit came after it was told as missing: see that it is this charge's, and not a purchase by hand; then "
        "acknowledge it.",
        _ACK,
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
        advice = Advice("Nothing yet: the card is tried again. See that it has funds.", _EXPLAIN)
        severity = Severity.WARNING
    else:
        advice, severity = _ANOTHER_CARD, Severity.CRITICAL
    return _of_topup(EventType.TOPUP_DECLINED, topup, provider, at, severity, attempt, advice, more, named=named)


def action_required(
    topup: Topup, provider: str, at: datetime, message: str, attempt: int, *, named: bool = False
) -> EventDraft:
    """The bank wants the cardholder, whom nobody can ask; `named`: the configuration names the method."""
    more: dict[str, JsonValue] = {"message": message, "attempt": attempt}
    type_, severity = EventType.TOPUP_ACTION_REQUIRED, Severity.CRITICAL
    return _of_topup(type_, topup, provider, at, severity, attempt, _SAVE_AGAIN, more, named=named)


def not_credited(topup: Topup, provider: str, at: datetime, *, unread: bool = False) -> EventDraft:
    """No reading shows the credit; `unread`: since it was due, there was none that two reads bear out."""
    if unread:
        seen = (
            "since the credit was due no two reads in a row could say whether it came: see that its usage API answers, "
            "and twice in a row (it may allow too few requests); "
        )
    else:
        seen = "the balance does not show it: "
    advice = Advice(
        f"The card was charged and {seen}ask the provider to credit the payment, or say that it did. No second charge "
        "is made until then.",
        _ACK,
    )
    since = {"paid_at": rfc3339(topup.paid_at)} if topup.paid_at else {}
    return _of_topup(EventType.TOPUP_NOT_CREDITED, topup, provider, at, Severity.CRITICAL, 0, advice, since)


def processing(topup: Topup, provider: str, at: datetime, times: int = 1) -> EventDraft:
    """The bank has been working on a charge for long: nothing to acknowledge yet, but somebody should know.

    `times`: how often the bank has begun to work on it.
    """
    attempt = "processing" if times <= 1 else f"processing:{times}"
    advice = Advice(
        "The bank has not decided for over an hour: look at the PaymentIntent in Stripe. It is read back until it "
        "ends, and nothing else is charged until then.",
        _EXPLAIN,
    )
    more: dict[str, JsonValue] = {"reason": "processing for over an hour; it is read back until it ends"}
    return _of_topup(EventType.TOPUP_NEEDS_REVIEW, topup, provider, at, Severity.CRITICAL, attempt, advice, more)


def needs_review(topup: Topup, provider: str, at: datetime, reason: str, times: int = 1) -> EventDraft:
    """The top-up is frozen until a person acknowledges it; `times`: how often it has been."""
    advice = Advice(
        "Look at the PaymentIntent in Stripe; acknowledging cancels it if it is alive, else closes it.", _ACK
    )
    more: dict[str, JsonValue] = {"reason": reason}
    attempt = 0 if times <= 1 else times
    return _of_topup(EventType.TOPUP_NEEDS_REVIEW, topup, provider, at, Severity.CRITICAL, attempt, advice, more)


def account_needs_review(
    account: str, provider: str, at: datetime, reason: str, message: str, window: str
) -> EventDraft:
    """An account needs a person: mostly its charging has stopped until it is resumed."""
    advice = REVIEW_ADVICE.get(reason.partition(":")[0], Advice("See what happened; when in order, resume.", _RESUME))
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
    advice = SUSPENDED_ADVICE.get(reason, Advice("Put right what Stripe refused, then resume.", _RESUME))
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
    advice = Advice(
        "See in Stripe that no payment of this earlier customer is still open; then acknowledge that it is gone. It is "
        "looked at no more, and charging goes on.",
        f"brimful topups ack {customer}",
    )
    reason = "customer_gone"
    return _of_account(EventType.TOPUP_SUSPENDED, account, provider, at, reason, message, window, advice)


REVIEW_ADVICE = {
    "metadata": Advice(
        "Put the PaymentIntent's metadata right in Stripe (app, account, seq, topup, funded), or take `app` away where "
        "it is not of this account; then resume.",
        _RESUME,
    ),
    "burn_brake": Advice("Find out what used so much; when it is in order, resume.", _RESUME),
    "second_look": Advice("Find the other daemon that charges this account; with one of them left, resume.", _RESUME),
    "charges_unread": Advice(
        "See in Stripe whether one of the charges was refunded or disputed, and that the key may read charges; they "
        "are asked for again every day, and charging goes on meanwhile.",
        "brimful check --online",
    ),
    "missing": Advice(
        "Stripe forgot a payment that is watched: see that the key is of the same Stripe account and mode as before; "
        "charging goes on meanwhile.",
        "brimful check --online",
    ),
    "events_forbidden": Advice("Let the key read events in Stripe; charging goes on meanwhile.", "brimful check"),
    "credits_fell": Advice(
        "The usage API shows less than was ever credited, which usage cannot do: see whether it is right (credits that "
        "expired, a refund); only then accept it. Nothing is charged until then, or until all of it shows again.",
        "brimful topups accept {account}",
    ),
    "audit": Advice("See which of the three is wrong; charging goes on meanwhile.", "brimful topups audit {account}"),
}
"""What a person must do, by the reason; for `audit:pi_…` by what stands before the colon."""

SUSPENDED_ADVICE = {
    "stripe_credentials": Advice(
        "Stripe refuses the key: give it a valid one with write permission. Charging goes on with the next good read.",
        "brimful check --online",
    ),
    "stripe_unreachable": Advice("Stripe cannot be reached: charging goes on when it can.", "brimful check --online"),
    "stripe_list": Advice(
        "What was charged already cannot be listed: see that the customer is in this Stripe account and mode. Where it "
        "has over 50 pages of payments, give the account a customer in Stripe that pays for nothing else; until the "
        "earlier one's last 35 days fit, buy credit by hand. Charging goes on with the next good list.",
        "brimful check --online",
    ),
    "second_read": Advice(
        "An account is read twice before it is charged, and the second read goes wrong: see that its usage API answers "
        "twice in a row (it may allow too few requests), and what. Charging goes on with the next good read.",
        "brimful check --online",
    ),
    "twin": Advice(
        "Another account of the same customer shows the same totals: both may be keys of one provider account, and one "
        "need is charged once. Keep the top-up of one of them; charging goes on when the other's credit is seen.",
        "brimful check --online",
    ),
    "stripe_clock": Advice(
        "The clock of this machine and Stripe's differ by over five minutes: set it (timedatectl). Charging goes on by "
        "itself when they agree.",
        "timedatectl",
    ),
    "database": Advice(
        "The database file was deleted, moved or replaced under the running daemon, and nothing is charged: move it "
        "back, or restart the daemon, which starts with what then lies at its path.",
        "brimful status",
    ),
    "clock_behind_ledger": Advice(
        "The clock is behind what the ledger has seen: set it. If it is right and the ledger is days ahead, resume.",
        _RESUME,
    ),
    "payment_method": Advice(
        f"Save a card for the customer in Stripe and make it the default there, or name one in {_KEY} and reload.",
        "brimful check",
        named=f"What {_KEY} names cannot be charged: name a card or Link of this customer there, and reload.",
    ),
    "card": Advice(
        "The card was refused too often to be tried again: save another for the customer in Stripe and make it the "
        "default there: it is charged.",
        "brimful topups",
        named="The card was refused too often to be tried again: save another for the customer in Stripe, name it in "
        f"{_KEY} and reload: it is charged.",
    ),
    "size": Advice("No amount lies within the bounds: put `max_charge_usd` or the amount right.", "brimful check"),
    "declined": _ANOTHER_CARD,
    "authentication_required": _SAVE_AGAIN,
    "refunded": Advice("A charge was refunded: see why, then resume.", _RESUME),
    "disputed": Advice("A charge is disputed: answer it in Stripe, then resume.", _RESUME),
}


def capped(account: str, provider: str, at: datetime, gate: Gate, customer: str, needed_microusd: int) -> EventDraft:
    """Not even one increment fits under a cap; told once a window, and again where a cap that was raised is reached."""
    advice = Advice("Raise the cap, or buy credit by hand.", _EXPLAIN_ACCOUNT)
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
        "window": gate.numbers["window"],
        "needed_usd": to_number(needed_microusd),
        "cap_usd": to_number(gate.microusd["cap"]),
        "spent_and_open_usd": to_number(gate.microusd["spent_and_open"]),
        "left_usd": to_number(gate.microusd["left"]),
    }
    return EventDraft(draft.type, at, {**draft.data, **more}, account, draft.severity, id=draft.id)


def window_of(gate: Gate) -> str:
    """Return what a cap is told once in: its window at its height. A cap that was raised is another one."""
    return f"{gate.numbers['window']}:{gate.microusd['cap']}"


def _of_topup(
    type_: EventType,
    topup: Topup,
    provider: str,
    at: datetime,
    severity: Severity,
    attempt: int | str = 0,
    advice: Advice | None = None,
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
    advice: Advice,
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


def _action(advice: Advice, account: str, *, named: bool) -> str:
    """Return what a person must do, for the way in which the account's payment method is found."""
    return ((advice.named if named else "") or advice.action).format(account=account)


def day_of(at: datetime) -> str:
    """Return the window of what is told once a day."""
    return f"{at:%Y-%m-%d}"
