"""The timeline: events and scripted events of the month, in words, by arrival."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from alerts.events.messages.context import MessageContext
from alerts.events.messages.message import render_event
from alerts.model.events import Event, EventType, Severity, Tone
from daemon.demo.scenario import ZONE, ScriptedEvent
from daemon.demo.standins.mailbox import StoredMail
from daemon.demo.standins.receiver import Received


@dataclass(frozen=True, slots=True)
class Line:
    """One entry. `tone` is empty for a scripted event."""

    at: datetime
    says: str
    tone: str = ""
    type: str = ""
    account: str = ""
    reminder: bool = False

    @property
    def when(self) -> str:
        local = self.at.astimezone(ZONE)
        return f"{local:%a} {local.day:>2} {local:%b %H:%M}"


class Timeline:
    """Collects the webhooks and mails that arrived, and the scripted events."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.payloads: list[tuple[str, EventType, dict[str, object]]] = []
        """Each event once: its id, type and data."""
        self.requests = 0
        self.verified = 0
        self.mails = 0
        self._ids: set[str] = set()

    def add_event(self, received: Received) -> None:
        """Add a webhook; the same event again is only counted."""
        self.requests += 1
        self.verified += received.verified
        if received.id in self._ids or not 200 <= received.status < 300:
            return
        self._ids.add(received.id)
        event = _event(received)
        data = received.payload["data"]
        self.payloads.append((event.id, event.type, data))
        words = render_event(event, MessageContext(ZONE))
        self.lines.append(
            Line(
                event.at,
                words.title,
                words.tone.value,
                event.type.value,
                event.account or "",
                data.get("reminder") is True,
            )
        )

    def add_mail(self, kept: StoredMail) -> None:
        self.mails += 1

    def add_scripted(self, scripted: ScriptedEvent) -> None:
        self.lines.append(Line(scripted.at, scripted.says))


STYLES = {Tone.GOOD.value: "green", Tone.INFO.value: "cyan", Tone.WARNING.value: "yellow", Tone.CRITICAL.value: "red"}


def _event(received: Received) -> Event:
    """Return the event as its receiver reads it, from the body alone."""
    document = json.loads(received.body)
    data = document["data"]
    return Event(
        id=received.id,
        type=EventType(document["type"]),
        at=datetime.fromisoformat(document["timestamp"]),
        account=data.get("account"),
        severity=Severity(data.get("severity", "info")),
        rule=data.get("rule"),
        episode=data.get("episode"),
        sequence=data.get("sequence"),
        body=received.body,
    )
