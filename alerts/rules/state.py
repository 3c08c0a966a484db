"""What the judgement remembers of an account between two readings: fixed in size, however long the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field, structs

from alerts.foresight.memory import BurnMemory
from alerts.model.events import EventDraft, EventType, Severity
from alerts.model.readings import Known, Reason
from alerts.model.specs import RuleSpec
from alerts.model.spend import SpendMemory
from alerts.rules.falls import NO_FALL, Falls


@dataclass(frozen=True, slots=True)
class TopupStatus:
    """What a `balance.low` says of the account's top-ups: the state, or why there is none.

    `under_way` holds back reminders, never the entering event.
    """

    state: str
    under_way: bool
    reason: str = ""
    id: str | None = None


NO_TOPUP = TopupStatus("none", False, "no top-up is configured")


@dataclass(frozen=True, slots=True)
class Episode:
    """One stretch of a rule being in breach. `why` is one sentence for a person.

    `told_at` is None while a mute holds the first event back; `told_type` is what a reminder repeats.
    """

    id: str
    account: str
    rule: str
    kind: str
    severity: Severity
    opened_at: datetime
    why: str
    told_at: datetime | None = None
    told_type: EventType | None = None
    closed_at: datetime | None = None
    closed_why: str = ""


@dataclass(frozen=True, slots=True)
class Notified:
    """What was told of an episode or a period: the deepest step, and whether the projection was."""

    entered: bool = False
    step: Decimal | None = None
    projected: bool = False
    words: str = ""
    """For what is told again when it changes (a billing error's text, an outage's reason)."""


NOTHING_TOLD = Notified()


@dataclass(frozen=True, slots=True)
class RuleMemory:
    """What is remembered of one rule and one account.

    `judged` is the fingerprint of the numbers that it was last judged by, so that an edit is noticed; `breaches` counts
    consecutive readings in breach before the episode opens; `period_end` ends what was told of a budget's period.
    """

    judged: str = ""
    breaches: int = 0
    episode: Episode | None = None
    resting: Episode | None = None
    """The episode that was open when the rule was taken out: it goes on if the rule comes back."""
    told: Notified = NOTHING_TOLD
    period_start: datetime | None = None
    period_end: datetime | None = None
    quiet_until: datetime | None = None
    """Until when a source that was suspect must stay plain before its episode ends."""


NEW_RULE = RuleMemory()


@dataclass(frozen=True, slots=True)
class Outage:
    """Consecutive polls without an answer."""

    since: datetime
    polls: int
    reason: Reason
    detail: str
    last_at: datetime


class Decision(Struct, frozen=True, gc=False):
    """A decision not to tell, and its reason."""

    account: str
    rule: str
    at: datetime
    reason: str
    episode: str | None = None


class AccountState(Struct, frozen=True, gc=False, eq=False):
    """All that is remembered of one account. `last` is the last believed reading."""

    account: str
    last: Known | None = None
    outage: Outage | None = None
    spend: SpendMemory | None = None
    burn: BurnMemory = BurnMemory()
    rules: Mapping[str, RuleMemory] = field(default_factory=dict)
    held: tuple[EventDraft, ...] = ()
    """Events that a mute holds back, in the order in which they happened."""
    remind_at: datetime | None = None
    """The earliest instant at which a reminder may be due."""
    falls: Falls = NO_FALL
    judged_by: tuple[RuleSpec, ...] | None = None
    """The very rules of the last judgement: another tuple means that they may have been edited. Not kept."""

    def __eq__(self, other: object) -> bool:
        """Whether the same is remembered, whatever it was judged by."""
        return isinstance(other, AccountState) and structs.astuple(self)[:-1] == structs.astuple(other)[:-1]

    __hash__ = None  # type: ignore[assignment]  # it holds dicts

    @classmethod
    def new(cls, account: str) -> AccountState:
        """Return what is remembered of an account that was never read: nothing."""
        return cls(account)

    @property
    def episodes(self) -> Mapping[str, Episode]:
        """The open episodes by rule."""
        return {rule: memory.episode for rule, memory in self.rules.items() if memory.episode is not None}
