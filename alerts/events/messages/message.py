"""What a person is told of each event: a title, what happened, the numbers, what Brimful does and what they do.

Every event type has its words in the catalogue; mails and chats lay the same words out. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alerts.events.catalogue import CATALOGUE
from alerts.events.customers import customers_copy
from alerts.events.messages.context import UNKNOWN, MessageContext
from alerts.events.messages.event_fields import EventFields, Figure, show_moment
from alerts.events.messages.sentences import sentence
from alerts.model.events import Event, EventType, Severity, Tone


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One event in words. `title` is the account's name and the headline.

    `does` is what Brimful did or will do, `next` what a person does, and `command` what they type. `name` is the
    account's label, else its id; both are empty where the event concerns no account.
    """

    title: str
    headline: str
    name: str
    sentence: str
    does: str
    next: str
    command: str
    figures: tuple[Figure, ...]
    tone: Tone
    at: str
    type: str
    account: str
    provider: str
    event_id: str

    @property
    def preheader(self) -> str:
        """What a list of mails shows beside the subject."""
        return f"{self.sentence} {self.does}".strip()


STEPS = {
    EventType.TOPUP_PLANNED: "Planned",
    EventType.TOPUP_SUCCEEDED: "Charged",
    EventType.TOPUP_DECLINED: "Declined",
    EventType.TOPUP_ACTION_REQUIRED: "Card holder needed",
}
"""The steps of a charge: beside what came of it, such an event is a line of that message."""

_OF_TOPUPS = frozenset(type for type in EventType if type.value.startswith("topup."))
_SEE_TOPUP = "The top-up, and what came of it, is in this message, too."


def render_event(
    event: Event, context: MessageContext, steps: Sequence[Event] = (), *, beside_topup: bool = False
) -> EventMessage:
    """Return the words for an event, times in the context's zone with its name.

    `steps` are earlier events of the same top-up, which this message tells too. `beside_topup`: what came of the
    account's top-up is told in the same mail, and need not be foretold.
    """
    data = _data_of(event, context)
    account = event.account or ""
    known = context.account(account) if account else UNKNOWN
    fields = EventFields(data, context.zone, known, context.payments)
    parts = CATALOGUE[event.type].message(fields, account)
    if beside_topup and parts.does and "topup" in data and event.type not in _OF_TOPUPS:
        parts = parts._replace(does=_SEE_TOPUP, next="", command="")
    then, command = parts.next, parts.command
    typed = data.get("command")
    if isinstance(action := data.get("action"), str) and action:
        then, command = (sentence(action), command) if typed else _split_action(action, command)
    if isinstance(typed, str) and typed:
        command = typed
    if context.for_customer:
        parts, then, command = parts._replace(does=""), "", ""
    name = known.label or account
    headline = f"{parts.headline} (reminder)" if data.get("reminder") is True else parts.headline
    past = tuple(Figure(STEPS[step.type], show_moment(step.at, context.zone)) for step in steps)
    return EventMessage(
        title=f"{name}: {headline}" if name else headline[:1].upper() + headline[1:],
        headline=headline,
        name=name,
        sentence=parts.sentence,
        does=parts.does,
        next=then,
        command=command,
        figures=(*fields.rows(), *past),
        tone=_tone(event),
        at=show_moment(event.at, context.zone),
        type=event.type.value,
        account=account,
        provider=str(data.get("provider") or ""),
        event_id=event.id,
    )


def _data_of(event: Event, context: MessageContext) -> dict[str, Any]:
    if not context.for_customer:
        data: dict[str, Any] = json.loads(event.body)["data"]
        return data
    return {name: value for name, value in json.loads(customers_copy(event))["data"].items() if name != "rule"}


def fold_steps(events: Sequence[Event]) -> list[tuple[Event, tuple[Event, ...]]]:
    """Return the events that need a message, in order, each with the earlier steps of its top-up among them.

    A charge that is planned and made is one message, that it was made.
    """
    latest: dict[str, Event] = {}
    topups = {event.id: topup for event in events if (topup := topup_of(event)) is not None}
    for event in sorted((event for event in events if event.id in topups), key=_sequence):
        latest[topups[event.id]] = event
    steps: dict[str, list[Event]] = {}
    told = []
    for event in events:
        last = latest.get(topups.get(event.id, ""), event)
        if last is not event and event.type in STEPS:
            steps.setdefault(last.id, []).append(event)
        else:
            told.append(event)
    return [(event, tuple(sorted(steps.get(event.id, ()), key=_sequence))) for event in told]


def charge_under_way(events: Sequence[Event]) -> bool:
    """Whether a charge among them has begun, and its result is not among them."""
    return any(event.type is EventType.TOPUP_PLANNED for event, _ in fold_steps(events))


def topup_of(event: Event) -> str | None:
    """Return the id of the top-up that an event is a step of, None for other events."""
    if event.type not in _OF_TOPUPS:
        return None
    topup = json.loads(event.body)["data"].get("topup")
    return topup if isinstance(topup, str) else None


def _sequence(event: Event) -> int:
    return event.sequence or 0


def _split_action(action: str, command: str) -> tuple[str, str]:
    """Return the sentence and the command of an action such as ``do this: `command` ``, which names its command alone.

    Where the event names its command apart, what stands in backticks is a word of the sentence.
    """
    before, tick, rest = action.partition("`")
    if not tick:
        return sentence(action), command
    quoted, _, after = rest.partition("`")
    return sentence(before.rstrip(": ") + after), quoted


def _tone(event: Event) -> Tone:
    tone = CATALOGUE[event.type].tone
    return Tone.CRITICAL if tone is Tone.WARNING and event.severity is Severity.CRITICAL else tone
