"""One event, or several, as the text of a mail or a chat message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.events.messages.message import EventMessage, render_event
from alerts.model.events import Event, Tone
from alerts.templating import Templates

_GRAVITY = (Tone.CRITICAL, Tone.WARNING, Tone.GOOD, Tone.INFO)
"""What is said first. What went well tells more than what is only under way."""
FEW = 3
NOTE_LINES = 20


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str
    html: str


def write_letter(events: Sequence[Event], templates: Templates, zone: ZoneInfo) -> Letter:
    """Return the subject and both texts: one event in full, several as a digest, the gravest first.

    Raises jinja2.TemplateError where a template is wrong.
    """
    wordings = [render_event(event, zone) for event in events]
    if len(wordings) == 1:
        values = {"it": wordings[0], "zone": zone.key}
        return Letter(
            wordings[0].title, templates.text("event.txt.j2", values), templates.mail_html("event.html.j2", values)
        )
    subject = _digest_subject(wordings)
    ordered = sorted(wordings, key=lambda wording: _GRAVITY.index(wording.tone))
    values = {"subject": subject, "items": ordered, "counts": _counts(wordings), "zone": zone.key}
    return Letter(subject, templates.text("digest.txt.j2", values), templates.mail_html("digest.html.j2", values))


def write_note(events: Sequence[Event], zone: ZoneInfo) -> tuple[str, str]:
    """Return the title and the body of a chat message, plain text."""
    wordings = [render_event(event, zone) for event in events]
    if len(wordings) == 1:
        one = wordings[0]
        return one.title, "\n".join(part for part in (one.sentence, one.next, one.command) if part)
    lines = [f"• {wording.title} ({wording.at})" for wording in wordings[:NOTE_LINES]]
    if len(wordings) > NOTE_LINES:
        lines.append(f"… and {len(wordings) - NOTE_LINES} more: brimful deliveries")
    return _digest_subject(wordings), "\n".join(lines)


def _digest_subject(wordings: Sequence[EventMessage]) -> str:
    gravest = min(wordings, key=lambda wording: _GRAVITY.index(wording.tone))
    several = f"{gravest.title}, and {len(wordings) - 1} more"
    return several if len(wordings) <= FEW else f"{len(wordings)} events: {several}"


def _counts(wordings: Sequence[EventMessage]) -> str:
    counted = Counter(wording.type for wording in wordings)
    return ", ".join(kind if count == 1 else f"{count} × {kind}" for kind, count in counted.most_common())
