"""What the catalogue says of one event type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from alerts.events.fields import ACCOUNT, EPISODE, NUMBER_AND_STORE, REMINDER, Field, severity
from alerts.events.messages.event_fields import EventFields
from alerts.events.messages.sentences import MessageParts
from alerts.model.events import EventType, Severity, Tone
from alerts.model.values import replace

ANY = tuple(Severity)
INFO = (Severity.INFO,)
WARNING = (Severity.WARNING,)
CRITICAL = (Severity.CRITICAL,)


class Reader(StrEnum):
    """Who acts on an event: the operator of the daemon, the program that uses the account, or the finance person."""

    OPERATOR = "operator"
    PROGRAM = "program"
    FINANCE = "finance"


OPERATOR = (Reader.OPERATOR,)
BOTH = (Reader.OPERATOR, Reader.PROGRAM)
MONEY = (Reader.OPERATOR, Reader.FINANCE)


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event type: what it means, what its data holds, how it looks, who reads it and what it ends with.

    `says` is one sentence or more, in Markdown. `tone` is how it looks; a warning of critical severity looks critical.
    `ended_by` is the type that ends the episode which this one opens; `in_steps`: an open episode is told further
    (deeper steps). `forms` are fields of which exactly one set is there, besides `fields`.
    """

    type: EventType
    says: str
    tone: Tone
    severities: tuple[Severity, ...]
    readers: tuple[Reader, ...]
    message: Callable[[EventFields, str], MessageParts]
    fields: tuple[Field, ...]
    ended_by: EventType | None = None
    in_steps: bool = False
    forms: tuple[tuple[Field, ...], ...] = ()

    @property
    def summary(self) -> str:
        """The first sentence of what it means, without its full stop."""
        return self.says.split(". ")[0].removesuffix(".")

    def is_whole_with(self, end: EventType) -> bool:
        """Whether this type and `end` are all that is told of an episode, reminders aside."""
        return self.ended_by is end and not self.in_steps

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Every field once, those of the forms after the others."""
        found = {field.name: field for form in self.forms for field in form}
        return (*self.fields, *found.values())


def of_alert(
    severities: tuple[Severity, ...], *own: Field, reminded: bool = False, to_one: bool = False
) -> tuple[Field, ...]:
    """Return the fields of an alert. `reminded`: it is told again while it lasts.

    `to_one`: it may be told to one receiver alone, for its own threshold; it has no number then.
    """
    again = (REMINDER,) if reminded else ()
    numbered = tuple(replace(field, optional=to_one) for field in NUMBER_AND_STORE)
    return (*ACCOUNT, *EPISODE, severity(severities), *again, *own, *numbered)


def of_topup(severities: tuple[Severity, ...], about: Sequence[Field], *own: Field) -> tuple[Field, ...]:
    """Return the fields of what is told of a charge, or of an account's charging (`about`)."""
    return (*ACCOUNT, *about, severity(severities), *own, *NUMBER_AND_STORE)
