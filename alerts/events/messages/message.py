"""What a person is told of each event: a title, what happened, the numbers, and what happens next or is to be done.

Every event type has its words in the catalogue; mails and chats lay the same words out. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.events.catalogue import CATALOGUE
from alerts.events.messages.event_fields import EventFields, Figure, show_moment
from alerts.events.messages.sentences import sentence
from alerts.model.events import Event, Severity, Tone


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One event in words. `next` says what follows by itself or what a person does; `command` is what they type."""

    title: str
    sentence: str
    next: str
    command: str
    figures: tuple[Figure, ...]
    tone: Tone
    at: str
    type: str
    account: str
    event_id: str


def render_event(event: Event, zone: ZoneInfo) -> EventMessage:
    """Return the words for an event, times in `zone` with its name."""
    data = json.loads(event.body)["data"]
    figures = EventFields(data, zone)
    account = event.account or ""
    title, said, then, command = CATALOGUE[event.type].message(figures, account)
    if data.get("reminder") is True:
        title = f"Still: {title}"
    typed = data.get("command")
    if isinstance(action := data.get("action"), str) and action:
        then, command = (sentence(action), command) if typed else _split_action(action, command)
    if isinstance(typed, str) and typed:
        command = typed
    return EventMessage(
        title=title,
        sentence=said,
        next=then,
        command=command,
        figures=tuple(figures.rows()),
        tone=_tone(event),
        at=show_moment(event.at, zone),
        type=event.type.value,
        account=account,
        event_id=event.id,
    )


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
