"""Stripe's answers: an object, or a refusal of a kind, and the action that follows from each.

Only a PaymentIntent that is read back by its id says what happened; an answer only says what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from daemon.stripe.objects import CardError, PaymentIntent

T = TypeVar("T")


class AnswerKind(StrEnum):
    """The kind of an answer."""

    ANSWERED = "answered"  # 200 and readable
    UNKNOWN = "unknown"  # time-out, reset, TLS or proxy error, a body that does not parse
    KEY_IN_USE = "key_in_use"  # 409: an earlier send of the key is running
    RATE_LIMITED = "rate_limited"  # 429, or lock_timeout
    SERVER_ERROR = "server_error"  # 5xx
    OTHER_PARAMETERS = "other_parameters"  # 400 idempotency_error
    UNEXPECTED_STATE = "unexpected_state"  # 400 payment_intent_unexpected_state
    INTENT_MISSING = "intent_missing"  # 404 resource_missing
    MISSING = "missing"  # 400 resource_missing: the customer or the method is gone
    BAD_REQUEST = "bad_request"  # any other 4xx
    UNAUTHORIZED = "unauthorized"  # 401
    FORBIDDEN = "forbidden"  # 403
    DECLINED = "declined"  # 402 card_error
    WRONG_MODE = "wrong_mode"  # an object of the other livemode


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """Stripe's answer. `replayed`: repeated for the same idempotency key, so its body may be old."""

    value: T
    request_id: str | None
    http_status: int = 200
    replayed: bool = False

    @property
    def kind(self) -> AnswerKind:
        return AnswerKind.ANSWERED

    @property
    def words(self) -> str:
        """What is written down of it."""
        said = self.value.status if isinstance(self.value, PaymentIntent) else ""
        return said + (" (replayed)" if self.replayed else "")


@dataclass(frozen=True, slots=True)
class Refused:
    """No answer, or not the requested object; `kind` decides what to do. `message`: Stripe's, or ours."""

    kind: AnswerKind
    message: str
    http_status: int | None = None
    request_id: str | None = None
    error: CardError | None = None
    should_retry: bool | None = None
    """Stripe's own advice (`Stripe-Should-Retry`)."""
    gone: str | None = None
    """The account's former customer that Stripe no longer knows, if that is the reason."""

    @property
    def words(self) -> str:
        """What is written down of it: the codes, and the message."""
        error = self.error
        codes = (error.decline_code or error.code, error.advice_code) if error else ()
        said = " ".join(code for code in codes if code)
        return f"{said}: {self.message}" if said else self.message


Outcome = Answered[PaymentIntent] | Refused


class Action(StrEnum):
    READ_BACK = "read_back"  # the PaymentIntent's status decides
    KEEP_OPEN = "keep_open"  # unknown: read back on schedule, the same key again, never a new one
    SAME_KEY_SOON = "same_key_soon"  # 2 to 5 s, the same key, at most 5 times; then as unknown
    BACK_OFF = "back_off"  # read back, the same key, 1 to 15 s within a pass, then 3 min; after 5 min wait 10 min
    PIN = "pin"  # read back, wait 15 min, read back, then cancel; watched for 7 days
    REVIEW = "review"  # read back; if it is still open a person decides, and nothing is canceled
    CANCEL_AND_SUSPEND = "cancel_and_suspend"  # notified with Stripe's message
    BREAK = "break"  # no account is charged until a good read; the PaymentIntent stays open
    LIST_THEN_SAME_KEY = "list_then_same_key"  # create only: for 15 min, then the number is given up
    ADOPT_OTHER = "adopt_other"  # create only: another daemon owns the number


CONFIRM: Mapping[AnswerKind, Action] = {
    AnswerKind.ANSWERED: Action.READ_BACK,
    AnswerKind.UNKNOWN: Action.KEEP_OPEN,
    AnswerKind.KEY_IN_USE: Action.SAME_KEY_SOON,
    AnswerKind.RATE_LIMITED: Action.BACK_OFF,
    AnswerKind.SERVER_ERROR: Action.PIN,
    AnswerKind.OTHER_PARAMETERS: Action.REVIEW,  # often it has succeeded; never another key
    AnswerKind.UNEXPECTED_STATE: Action.READ_BACK,  # often it has succeeded
    AnswerKind.INTENT_MISSING: Action.CANCEL_AND_SUSPEND,  # the method, where the PaymentIntent is there
    AnswerKind.MISSING: Action.CANCEL_AND_SUSPEND,
    AnswerKind.BAD_REQUEST: Action.CANCEL_AND_SUSPEND,
    AnswerKind.UNAUTHORIZED: Action.BREAK,
    AnswerKind.FORBIDDEN: Action.BREAK,
    AnswerKind.DECLINED: Action.READ_BACK,
    AnswerKind.WRONG_MODE: Action.REVIEW,
}

CREATE: Mapping[AnswerKind, Action] = {
    AnswerKind.ANSWERED: Action.READ_BACK,
    AnswerKind.UNKNOWN: Action.LIST_THEN_SAME_KEY,
    AnswerKind.KEY_IN_USE: Action.LIST_THEN_SAME_KEY,
    AnswerKind.RATE_LIMITED: Action.LIST_THEN_SAME_KEY,
    AnswerKind.SERVER_ERROR: Action.LIST_THEN_SAME_KEY,
    AnswerKind.OTHER_PARAMETERS: Action.ADOPT_OTHER,
    AnswerKind.UNEXPECTED_STATE: Action.CANCEL_AND_SUSPEND,
    AnswerKind.INTENT_MISSING: Action.CANCEL_AND_SUSPEND,
    AnswerKind.MISSING: Action.CANCEL_AND_SUSPEND,
    AnswerKind.BAD_REQUEST: Action.CANCEL_AND_SUSPEND,
    AnswerKind.UNAUTHORIZED: Action.BREAK,
    AnswerKind.FORBIDDEN: Action.BREAK,
    AnswerKind.DECLINED: Action.CANCEL_AND_SUSPEND,
    AnswerKind.WRONG_MODE: Action.REVIEW,
}

REFUSED_KEY = frozenset({AnswerKind.UNAUTHORIZED, AnswerKind.FORBIDDEN})
"""Answers to an invalid API key, or one without the permission: no account is charged until a good read."""
GONE = frozenset({AnswerKind.MISSING, AnswerKind.INTENT_MISSING})
"""Stripe's answers for a deleted or unknown customer."""
NO_USE_WAITING = frozenset({*GONE, AnswerKind.BAD_REQUEST, AnswerKind.WRONG_MODE})
"""Refusals of a read that waiting does not change."""
NO_ANSWER = frozenset({AnswerKind.UNKNOWN, AnswerKind.SERVER_ERROR, AnswerKind.RATE_LIMITED, AnswerKind.KEY_IN_USE})
"""Answers that say nothing about the request."""

READ_BACK_AFTER = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600))
"""How long after a send an unknown outcome is read back; then every `READ_BACK_EVERY`."""
READ_BACK_EVERY = timedelta(minutes=30)
SAME_KEY_AFTER = timedelta(minutes=3)
"""Wait before a confirm without any trace at Stripe is sent again with its key."""
KEY_LIVES = timedelta(hours=23)
"""Stripe drops idempotency keys after 24 h: an older key no longer protects and is never sent again."""
KEY_IN_USE_TIMES = 5
KEY_IN_USE_WAIT_S = (2.0, 5.0)
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits within one pass after a 429: 30 s in total, the time that `once` may wait for an outcome."""
BACK_OFF_LATER = timedelta(minutes=10)
BACK_OFF_LONGEST = timedelta(minutes=5)
PIN_AFTER = timedelta(minutes=15)
WATCH_FOR = timedelta(days=7)
CREATE_FOR = timedelta(minutes=15)
"""How long a create with an unknown outcome is sent again; then its number is given up."""
CANCEL_AGAIN_AFTER = tuple(timedelta(seconds=s) for s in (20, 120, 600, 1800))
"""Waits before a failed cancel is sent again; the last one repeats."""


def read_back_after(sent_for: timedelta) -> timedelta:
    """Return the time from the send to the next read-back, for an outcome that is unknown since `sent_for`."""
    for after in READ_BACK_AFTER:
        if after > sent_for:
            return after
    later = sent_for - READ_BACK_AFTER[-1]
    return READ_BACK_AFTER[-1] + READ_BACK_EVERY * (later // READ_BACK_EVERY + 1)
