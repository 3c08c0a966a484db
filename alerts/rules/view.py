"""What a rule sees of an account, and the verdict that it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.forecast.burn import Burn, burn
from alerts.forecast.runway import days_remaining
from alerts.model.accounts import AccountInfo
from alerts.model.events import EventType, JsonValue
from alerts.model.readings import Known, Metrics
from alerts.model.specs import RuleSpec
from alerts.rules.state import NO_TOPUP, AccountState, Notified, TopupStatus


class Context(Struct, frozen=True, gc=False):
    """The inputs of an evaluation besides the state and the reading.

    `rules`: those that cover the account; pass the same tuple each time, since another one is compared with the last.
    `zone`: of calendar periods. `mutes`: the muted rules and until when. `new_id` draws an id with a prefix.
    `watching_since`: since when the process watches without a gap. `topup` returns the status of an account's top-ups.
    `accepted`: when a person last accepted a fall, by account.
    """

    info: AccountInfo
    rules: tuple[RuleSpec, ...]
    zone: ZoneInfo
    now: datetime
    poll_interval: timedelta | None
    mutes: Mapping[str, datetime]
    topup: Callable[[str], TopupStatus | None]
    new_id: Callable[[str], str]
    watching_since: datetime
    accepted: Mapping[str, datetime] = {}

    def at(self, now: datetime, mutes: Mapping[str, datetime], watching_since: datetime) -> Context:
        """Return the same context at another time."""
        return Context(
            self.info,
            self.rules,
            self.zone,
            now,
            self.poll_interval,
            mutes,
            self.topup,
            self.new_id,
            watching_since,
            self.accepted,
        )


class Condition(Enum):
    BREACH = "breach"
    BETWEEN = "between"  # neither in breach nor beyond the clear line: an open episode stays open
    CLEAR = "clear"
    UNKNOWN = "unknown"  # the reading does not say: nothing changes


class RuleVerdict(Struct, frozen=True, gc=False):
    """What a rule finds: its condition, the highest step reached, and whether a projection exceeds the limit."""

    condition: Condition
    step: Decimal | None = None
    projected: bool = False
    period_start: datetime | None = None
    period_end: datetime | None = None


BREACH = RuleVerdict(Condition.BREACH)
BETWEEN = RuleVerdict(Condition.BETWEEN)
CLEAR = RuleVerdict(Condition.CLEAR)
UNKNOWN = RuleVerdict(Condition.UNKNOWN)


@dataclass(frozen=True, slots=True)
class News:
    """An event to send: its type, and what counts as notified once it is sent."""

    type: EventType
    notified: Notified


class RuleView:
    """One account at one time: its last accepted reading, its state, and the numbers derived from both."""

    __slots__ = ("_burn", "_burn_known", "available_microusd", "context", "known", "metrics", "now", "state")

    def __init__(self, state: AccountState, known: Known, context: Context) -> None:
        self.state = state
        self.known = known
        self.metrics: Metrics = known.metrics
        self.available_microusd = known.metrics.available_microusd
        self.context = context
        self.now = context.now
        self._burn: Burn | None = None
        self._burn_known = False

    def burn(self) -> Burn | None:
        """Return the burn that `days_remaining` uses, computed once."""
        if not self._burn_known:
            self._burn = burn(self.state.burn, self.metrics, self.now)
            self._burn_known = True
        return self._burn

    def days_remaining(self) -> Decimal | None:
        """Return available / burn with two decimals; None if either is unknown or nothing burns."""
        found, available = self.burn(), self.available_microusd
        if found is None or available is None:
            return None
        return days_remaining(available, found.microusd_per_day)

    def topup(self) -> TopupStatus:
        """Return the status of the account's top-ups."""
        return self.context.topup(self.context.info.id) or NO_TOPUP


Payload = dict[str, JsonValue]
