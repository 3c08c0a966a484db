"""One event, or several, as the text of a mail or a chat message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from alerts.events.messages.context import MessageContext
from alerts.events.messages.message import EventMessage, fold_steps, render_event
from alerts.mail import SUBJECT_CHARACTERS
from alerts.model.events import Event, Tone
from alerts.templating import Templates

_GRAVITY = (Tone.CRITICAL, Tone.WARNING, Tone.GOOD, Tone.INFO)
"""What is said first. What went well tells more than what is only under way."""
FEW = 3
NOTE_LINES = 20


@dataclass(frozen=True, slots=True)
class MailContent:
    subject: str
    text: str
    html: str


def write_mail(events: Sequence[Event], templates: Templates, context: MessageContext) -> MailContent:
    """Return the subject and both texts: one event in full, several as a digest, the gravest first.

    Raises jinja2.TemplateError where a template is wrong.
    """
    messages = _messages(events, context)
    if len(messages) == 1:
        values = {"it": messages[0], "zone": context.zone.key}
        return _rendered("event", messages[0].title, values, templates)
    subject = _digest_subject(messages)
    values = {"subject": subject, "items": messages, "counts": _counts(messages), "zone": context.zone.key}
    return _rendered("digest", subject, values, templates)


def write_chat(events: Sequence[Event], context: MessageContext) -> tuple[str, str]:
    """Return the title and the body of a chat message, plain text."""
    messages = _messages(events, context)
    if len(messages) == 1:
        one = messages[0]
        return one.title, "\n".join(part for part in (one.sentence, one.does, one.next, one.command) if part)
    lines = [f"• {message.title} ({message.at})" for message in messages[:NOTE_LINES]]
    if len(messages) > NOTE_LINES:
        lines.append(f"… and {len(messages) - NOTE_LINES} more: brimful deliveries")
    return _digest_subject(messages), "\n".join(lines)


def _rendered(name: str, subject: str, values: dict[str, object], templates: Templates) -> MailContent:
    text = templates.text(f"{name}.txt.j2", values)
    return MailContent(subject, text, templates.mail_html(f"{name}.html.j2", values))


def _messages(events: Sequence[Event], context: MessageContext) -> list[EventMessage]:
    """Return the messages, the gravest first."""
    told = fold_steps(events)
    charged = {event.account for event, _ in told if event.type.value.startswith("topup.")}
    messages = [render_event(event, context, steps, beside_topup=event.account in charged) for event, steps in told]
    return sorted(messages, key=lambda message: _GRAVITY.index(message.tone))


def _digest_subject(messages: Sequence[EventMessage]) -> str:
    """The messages of one account by their headlines, as far as they fit; else the gravest."""
    gravest = messages[0]
    several = f"{gravest.title}, and {len(messages) - 1} more"
    if len(messages) > FEW:
        return f"{len(messages)} events: {several}"
    one_account = gravest.name and {message.account for message in messages} == {gravest.account}
    whole = f"{gravest.name}: {'; '.join(message.headline for message in messages)}"
    return whole if one_account and len(whole) <= SUBJECT_CHARACTERS else several


def _counts(messages: Sequence[EventMessage]) -> str:
    counted = Counter(message.type for message in messages)
    return ", ".join(kind if count == 1 else f"{count} × {kind}" for kind, count in counted.most_common())
