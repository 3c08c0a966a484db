"""The values of the machine: what it knows (`Snapshot`), what it learns (facts), what follows (`Step`).

A step is committed as one transaction before its command is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from alerts.forecast.pace import BurnNow
from alerts.model.events import EventDraft
from alerts.model.readings import Known, Unavailable
from alerts.rules.falls import NO_FALL, Falls
from daemon.config.model import TopupConfig, TopupMode
from daemon.store.topup_rows import Send, State, Stop, Topup
from daemon.stripe.answers import Outcome, Refused
from daemon.stripe.intents import Listing
from daemon.stripe.objects import Charge, PaymentIntent
from daemon.topups.policy.gate import Verdict

# ── what is known ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Readings:
    """An accepted reading of this pass, the second read where it bears the first out, and the account's past."""

    known: Known
    burn: BurnNow
    falls: Falls = NO_FALL
    second: Known | None = None

    @property
    def both(self) -> list[Known]:
        """Both reads, or the one that there is."""
        return [self.known] if self.second is None else [self.known, self.second]


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the configuration has it; `config` is None where it has no top-up (any more)."""

    id: str
    provider: str
    config: TopupConfig | None
    resumed_at: datetime | None = None
    """When a person last let it go on."""

    @property
    def may_post(self) -> bool:
        """Whether anything may be sent for the account: never in shadow mode. For one that is gone it is a cancel."""
        return self.config is None or self.config.mode is not TopupMode.SHADOW

    @property
    def charges(self) -> bool:
        """Whether the account is charged at all."""
        return self.config is not None and self.config.mode is TopupMode.CHARGE

    @property
    def names_method(self) -> bool:
        """Whether the configuration names the payment method; else the customer's default is charged."""
        return self.config is not None and self.config.payment_method is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a decision about a top-up rests on, read in the transaction that writes it."""

    topup: Topup
    account: Account
    sends: Sequence[Send]
    readings: Readings | None = None
    """The readings of this pass; None where only time has passed."""
    verdict: Verdict | None = None
    """What the gates say of an attempt by these readings."""
    stopped: bool = False
    """Whether a pause, suspension or breaker stands in the way."""
    entered: Mapping[State, int] = field(default_factory=dict)
    """How often it has entered each state."""
    intents: Mapping[str, str] = field(default_factory=dict)
    """The account's PaymentIntents that the ledger knows: top-up by id."""
    listings_differed: int = 0
    """How many top-ups of the account ended in 24 hours because another charge appeared."""
    unread_since: datetime | None = None
    """Since when a reading is awaited that says whether the credit came."""
    outage_at: datetime | None = None
    """When the account was last polled in vain, while it cannot be read."""
    hold_s: float = 0.0
    """How long to wait, drawn at random, where somebody else is seen to charge."""

    def sent(self, kind: str) -> list[Send]:
        """Return the requests of a kind, in order."""
        return [send for send in self.sends if send.kind == kind]


# ── facts: what was learned ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reading:
    """An accepted reading came (`Snapshot.readings`). `again` is the second read, once one was asked for."""

    again: Known | Unavailable | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What was planned is needed now: the account is low, and nothing else is under way."""


@dataclass(frozen=True, slots=True)
class Time:
    """Its time has come: nothing else happened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the last request, which moves or may move money. `send`: where the request is written down."""

    kind: str
    outcome: Outcome
    send: int | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """The PaymentIntent as Stripe has it now: the only authority on what happened.

    `charges` are its attempts, listed where it was declined. `go_on`: whether an attempt may follow in this pass;
    `again`: whether the last one is to be sent again now. `adopted`: the ledger has just learned of it; `superseded`:
    a later PaymentIntent of the account was tried since, so it says nothing of the card any more.
    """

    intent: PaymentIntent
    charges: tuple[Charge, ...] = ()
    go_on: bool = False
    again: bool = False
    adopted: bool = False
    superseded: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotRead:
    """The PaymentIntent or its attempts could not be read, or not listed (`by_list`): nothing is tried on a guess."""

    refused: Refused
    by_list: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person's word of a top-up in `state`. `intent` is what Stripe says of one under review, where it knows it."""

    state: State
    intent: PaymentIntent | None = None


Fact = Reading | Need | Time | Answer | Intent | NotRead | Listing | Acknowledged

# ── commands: what may be sent ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reread:
    """Read the account's usage API again."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Read the PaymentIntent back by its id, after waiting between two bounds of seconds; flags as in `Intent`."""

    go_on: bool = False
    again: bool = False
    wait_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ListIntents:
    """List the account's PaymentIntents."""


@dataclass(frozen=True, slots=True)
class Request:
    """A POST: committed with its key and exact parameters before it is sent. `kind`: create, confirm or cancel."""

    kind: str
    n: int
    key: str
    params: Mapping[str, Any]
    gates: str = "[]"


Command = Reread | ReadBack | ListIntents | Request

# ── changes beside the row ──────────────────────────────────────────────────────────────────────────────────────────


class Doing(StrEnum):
    """What is asked before money moves. Failures count for each of them by itself, and are told once they last."""

    LISTING = "listing PaymentIntents"
    LISTING_CHARGES = "listing charges"
    READING_METHOD = "reading the payment method"
    READING_BACK = "reading a PaymentIntent"
    CREATING = "creating a PaymentIntent"
    CONFIRMING = "confirming a PaymentIntent"
    CANCELING = "canceling a PaymentIntent"
    READING_AGAIN = "the second read before a charge"


@dataclass(frozen=True, slots=True)
class Emit:
    draft: EventDraft


@dataclass(frozen=True, slots=True)
class SetStop:
    """Stop charging; the event goes out where the stop is new, or `always`.

    The card of the stop, if it has one, is remembered as refused for good, with the bank's `code`.
    """

    stop: Stop
    draft: EventDraft
    always: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True)
class NotifyOnce:
    """An event of an account that goes out once in its window."""

    what: str
    window: str
    draft: EventDraft


@dataclass(frozen=True, slots=True)
class Count:
    """Count that nothing was charged, and why. `is_error`: `once` exits 1 for it."""

    account: str
    gate: str
    detail: str
    gates: str = "[]"
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class LiftCardStops:
    """Another card paid: suspensions for a card alone end."""

    account: str


@dataclass(frozen=True, slots=True)
class SetBookmark:
    name: str
    at: datetime
    text: str = ""


@dataclass(frozen=True, slots=True)
class ClearBookmark:
    name: str


Change = Emit | SetStop | NotifyOnce | Count | LiftCardStops | SetBookmark | ClearBookmark


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a fact: the row's next versions, the changes and events beside it, and what to send then."""

    rows: tuple[Topup, ...]
    changes: tuple[Change, ...] = ()
    command: Command | None = None
