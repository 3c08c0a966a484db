"""The rows of the ledger as values: states, top-ups, requests, stops. Pure data; the store reads and writes them.

Money in micro-dollars, Stripe's amounts in cents, instants aware.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from alerts.model.money import from_cents

EVERYWHERE = "*"
"""The scope of a stop that concerns every account."""
CUSTOMER_GONE = "customer_gone"
"""The reason of a suspension that `topups ack CUSTOMER` ends, not `resume`."""
SECOND_LISTING = "second look: "
"""Prefix of the reason of a top-up that was canceled because another charge appeared."""


class State(StrEnum):
    """The state of a top-up. All but the last three hold the account's slot; `paid` until the credit is seen."""

    PLANNED = "planned"  # decided and written down; nothing was sent
    CREATING = "creating"  # the create was written down and may have been sent
    CREATED = "created"  # Stripe has the PaymentIntent; no confirm was ever sent
    CONFIRMING = "confirming"  # a confirm was written down; its outcome is not known until it is read back
    PROCESSING = "processing"  # the bank has not decided yet
    RETRY_WAIT = "retry_wait"  # softly declined: the same PaymentIntent again, later
    ACTION_REQUIRED = "action_required"  # the bank requires the cardholder: the PaymentIntent is being canceled
    NEEDS_REVIEW = "needs_review"  # a person decides (`topups ack`)
    PAID = "paid"  # read back as succeeded, as planned; the credit is not seen yet
    CREDITED = "credited"  # seen in the balance, or a person said so
    ABANDONED = "abandoned"  # canceled or never created: no money moved
    DECLINED = "declined"  # refused by the bank or by Stripe: no money moved


OPEN = frozenset(
    {
        State.PLANNED,
        State.CREATING,
        State.CREATED,
        State.CONFIRMING,
        State.PROCESSING,
        State.RETRY_WAIT,
        State.ACTION_REQUIRED,
        State.NEEDS_REVIEW,
        State.PAID,
    }
)
"""States that hold the account's slot: no other top-up is planned meanwhile."""

LONGEST_RETRY = timedelta(hours=25)
"""Upper bound of a retry's wait; a longer one was set by a clock that was ahead."""

ENDS_UNSENT = frozenset({State.PLANNED, State.PAID})
"""Open states that end without a request to Stripe; all others may need a cancel."""

CHARGED = frozenset({State.PAID, State.CREDITED})
"""States in which the money has moved."""


class Topup(Struct, frozen=True, gc=False):
    """One row of the ledger: one PaymentIntent, from plan to visible credit."""

    id: str
    account: str
    customer: str
    seq: int
    own: bool
    """Planned by this database; else adopted from Stripe."""
    state: State
    amount_cents: int
    create_key: str
    create_params: str
    """The exact parameters of the create, as JSON."""
    planned_at: datetime
    state_at: datetime
    reason: str = ""
    payment_method: str | None = None
    fingerprint: str | None = None
    probe: bool = False
    """Planned although suspended, because the card is another one."""
    payment_intent: str | None = None
    available_microusd: int | None = None
    threshold_microusd: int | None = None
    funded_before_microusd: int | None = None
    balance_before_microusd: int | None = None
    low_balance_microusd: int | None = None
    """The lowest balance seen since the plan: only where the provider has no running total."""
    reading_at: datetime | None = None
    gates: str = "[]"
    seen: str = "{}"
    """The account's PaymentIntents that the plan saw: status by id, as JSON."""
    next_at: datetime | None = None
    declines: int = 0
    declined_charge: str | None = None
    """The charge of the last decline that was handled: seen again, it is not another decline."""
    untold: bool = False
    """Adopted as charged before any reading: `topup.succeeded` is sent only if the credit is not seen then."""
    cancel_as: State | None = None
    """Set while the PaymentIntent is being canceled: the final state."""
    watch_until: datetime | None = None
    stripe_created_at: datetime | None = None
    charged_at: datetime | None = None
    """Stripe's time of the charge."""
    paid_at: datetime | None = None
    credited_at: datetime | None = None
    credited_microusd: int | None = None
    """`funded` of the reading that showed the credit."""
    warned_at: datetime | None = None
    told_at: datetime | None = None
    """When the missing credit, or the slow bank, was notified; for a late credit kept until a person confirms it."""
    card: str = ""
    """The card that was charged: its brand and last four."""
    receipt: str = ""
    """The address of Stripe's receipt."""

    @property
    def is_late(self) -> bool:
        """Whether the credit came after `topup.not_credited`: until a person confirms it, it may be another's."""
        return self.state is State.CREDITED and self.told_at is not None

    @property
    def amount_microusd(self) -> int:
        return from_cents(self.amount_cents)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def seen_statuses(self) -> Mapping[str, str]:
        statuses: dict[str, str] = json.loads(self.seen)
        return statuses


class Bookmark(StrEnum):
    """What is remembered beside the top-ups, each under a name: an instant, and sometimes a text."""

    LATEST = "latest"  # the latest instant that the ledger has seen
    RESUMED = "released"  # an account: when a person last let it be charged again
    BRAKE_RELEASED = "brake_released"  # an account: when a person released its burn brake
    HOLD = "hold"  # an account: until when nothing is planned, because somebody else is charging
    LISTED = "looked"  # an account, a customer: when all that a list showed stood in the ledger
    CUSTOMER_GONE = "left"  # an account, an earlier customer: when a person said that it is gone from Stripe
    CREDIT_UNREAD = "credit_unread"  # a top-up: since when a reading is awaited that says whether the credit came
    FAILING = "unreachable"  # an account, what is asked: since when it fails; text: when it last did, in ms
    REFUNDED = "refunded"  # a PaymentIntent: when a refund was told last; text: cents refunded by then
    DISPUTED = "disputed"  # a PaymentIntent: when a dispute was told last; text: the disputes

    def of(self, *subjects: str) -> str:
        """Return the name for these subjects."""
        return ":".join((self, *subjects))


class StopKind(StrEnum):
    PAUSE = "pause"  # a person pressed the switch
    SUSPENSION = "suspension"  # an account's charging stopped itself; `topups resume` ends it
    BREAKER = "breaker"  # Stripe refused the key; ends with the next good read


class Stop(Struct, frozen=True, gc=False):
    """A reason why an account, or every account, is not charged."""

    scope: str
    kind: StopKind
    reason: str
    message: str
    since_at: datetime
    topup: str | None = None
    fingerprint: str | None = None
    probe_at: datetime | None = None

    @property
    def is_for_card(self) -> bool:
        """Whether the account is suspended only for its card: another card may be tried once."""
        return self.kind is StopKind.SUSPENSION and self.fingerprint is not None


@dataclass(frozen=True, slots=True)
class Send:
    """One request, recorded before it was sent, and its answer."""

    id: int
    topup: str
    kind: str
    n: int
    send: int
    key: str
    params: str
    fingerprint: str | None
    gates: str
    sent_at: datetime
    answered_at: datetime | None
    answer: str | None
    http_status: int | None
    request_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Spend:
    """What a cap counts: a charge at full amount, or one that may yet happen. Amount in micro-dollars."""

    topup: str
    amount_microusd: int
    local_at: datetime
    stripe_at: datetime | None
    is_open: bool
