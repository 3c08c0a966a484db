"""The state of an account between two evaluations. Its size does not grow with the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field, structs

from alerts.forecast.memory import BurnMemory
from alerts.model.events import EventDraft, EventType, Severity
from alerts.model.readings import Known, Reason
from alerts.model.specs import RuleSpec
from alerts.model.spend import SpendMemory
from alerts.rules.falls import NO_FALL, Falls


@dataclass(frozen=True, slots=True)
class TopupStatus:
    """The account's top-ups as `balance.low` shows them: the state, or why there is none.

    While `under_way`, reminders are not sent; the opening event always is.
    """

    state: str
    under_way: bool
    reason: str = ""
    id: str | None = None


NO_TOPUP = TopupStatus("none", False, "no top-up is configured")


@dataclass(frozen=True, slots=True)
class Episode:
    """One period during which a rule is in breach. `why` is one sentence for a person.

    `notified_at` is None while a mute holds back the first event; `notified_type` is what a reminder repeats.
    """

    id: str
    account: str
    rule: str
    kind: str
    severity: Severity
    opened_at: datetime
    why: str
    notified_at: datetime | None = None
    notified_type: EventType | None = None
    closed_at: datetime | None = None
    closed_why: str = ""


@dataclass(frozen=True, slots=True)
class Notified:
    """What was sent about an episode or period: its start, its highest step, its projection."""

    entered: bool = False
    step: Decimal | None = None
    projected: bool = False
    words: str = ""
    """The text last sent; a change of it sends another event (a billing error's text, an outage's reason)."""


NOTHING_NOTIFIED = Notified()


@dataclass(frozen=True, slots=True)
class RuleMemory:
    """The memory of one rule for one account.

    `rule_fingerprint` identifies the numbers of the last evaluation, so that an edit is noticed. `breaches` counts
    consecutive readings in breach before an episode opens. `notified` is valid until `period_end` (budgets).
    """

    rule_fingerprint: str = ""
    breaches: int = 0
    episode: Episode | None = None
    suspended: Episode | None = None
    """The episode that was open when the rule was removed; it reopens if the rule is back."""
    notified: Notified = NOTHING_NOTIFIED
    period_start: datetime | None = None
    period_end: datetime | None = None
    quiet_until: datetime | None = None
    """The suspect episode ends with the first plausible reading at or after this."""


NEW_RULE = RuleMemory()


@dataclass(frozen=True, slots=True)
class Outage:
    """Consecutive failed polls, with the reason of the latest."""

    since: datetime
    polls: int
    reason: Reason
    detail: str
    last_at: datetime


class Decision(Struct, frozen=True, gc=False):
    """A decision not to send an event, and its reason."""

    account: str
    rule: str
    at: datetime
    reason: str
    episode: str | None = None


class AccountState(Struct, frozen=True, gc=False, eq=False):
    """The whole state of one account. `last` is the last accepted reading."""

    account: str
    last: Known | None = None
    outage: Outage | None = None
    spend: SpendMemory | None = None
    burn: BurnMemory = BurnMemory()
    rules: Mapping[str, RuleMemory] = field(default_factory=dict)
    held: tuple[EventDraft, ...] = ()
    """Events that a mute holds back, oldest first."""
    remind_at: datetime | None = None
    """The earliest instant at which a reminder may be due."""
    falls: Falls = NO_FALL
    evaluated_by: tuple[RuleSpec, ...] | None = None
    """The rules tuple of the last evaluation; another object means that rules may be edited. Not stored."""

    def __eq__(self, other: object) -> bool:
        """Compare all fields but `evaluated_by`."""
        return isinstance(other, AccountState) and structs.astuple(self)[:-1] == structs.astuple(other)[:-1]

    __hash__ = None  # type: ignore[assignment]  # it holds dicts

    @classmethod
    def new(cls, account: str) -> AccountState:
        """Return the empty state of an account without readings."""
        return cls(account)

    @property
    def episodes(self) -> Mapping[str, Episode]:
        """The open episodes by rule."""
        return {rule: memory.episode for rule, memory in self.rules.items() if memory.episode is not None}
