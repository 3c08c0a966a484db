"""What a report says, and all that it rests on. Pure values: the process gathers and stores them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.model.spans import Span
from alerts.reports.statements import Statement


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An episode that was open in the period. `until`: when it ended, None where it was open at the period's end."""

    account: str
    rule: str
    severity: str
    since: datetime
    says: str
    """The event it told last, in its wire name."""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A top-up that a person must know of: capped, suspended, not credited, to be reviewed."""

    account: str
    at: datetime
    says: str
    do: str = ""
    """The command to type, where there is one."""


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """An event that its receiver never took, after all attempts."""

    receiver: str
    event_type: str
    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a report says, and all that it rests on: stored once the period has ended, and the same from then on."""

    report: str
    span: Span
    zone: ZoneInfo
    made_at: datetime
    statements: tuple[Statement, ...]
    alerts: tuple[OpenAlert, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    dead: tuple[DeadDelivery, ...] = ()
    preview: bool = False
    title_before: str = ""
    """The period before, as a person reads it."""
