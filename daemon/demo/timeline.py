"""The story: what was told while the month passed, in words, in the order in which it arrived."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from alerts.events.messages.message import render_event
from alerts.model.events import Event, EventType, Severity, Tone
from daemon.demo.scenario import ZONE, ScriptedEvent
from daemon.demo.standins.mailbox import Kept
from daemon.demo.standins.receiver import Received


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened or was told. `tone` is "" for what the world did."""

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


class Story:
    """Gathers what the receiver verified, what the mail server took, and what the world did."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.payloads: list[tuple[str, EventType, dict[str, object]]] = []
        """Each webhook once: its id, type and data."""
        self.requests = 0
        self.verified = 0
        self.mails = 0
        self._ids: set[str] = set()

    def told(self, received: Received) -> None:
        """A webhook arrived; the same event again is counted, not told twice."""
        self.requests += 1
        self.verified += received.verified
        if received.id in self._ids or not 200 <= received.status < 300:
            return
        self._ids.add(received.id)
        event = _event(received)
        data = received.payload["data"]
        self.payloads.append((event.id, event.type, data))
        words = render_event(event, ZONE)
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

    def mailed(self, kept: Kept) -> None:
        self.mails += 1

    def happened(self, happening: ScriptedEvent) -> None:
        self.lines.append(Line(happening.at, happening.says))


STYLES = {Tone.GOOD.value: "green", Tone.INFO.value: "cyan", Tone.WARNING.value: "yellow", Tone.CRITICAL.value: "red"}


def _event(received: Received) -> Event:
    """The event as its receiver knows it, from the bytes of the body alone."""
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
