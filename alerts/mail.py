"""Mail as the alerts and the reports see it: a message goes in, and who has not had it comes out. Nothing is raised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from hashlib import sha256
from typing import Protocol

MAIL_POLICY = SMTP.clone(cte_type="7bit", max_line_length=76)
SUBJECT_CHARACTERS = 120
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")


@dataclass(frozen=True, slots=True)
class Mailed:
    """The server answered for every address: `refused` has those it refused, with its words; the others have it."""

    elapsed_ms: int
    refused: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""


@dataclass(frozen=True, slots=True)
class MailFailed:
    """The server did not take the message. `maybe_arrived`: it broke off after it may have taken it."""

    elapsed_ms: int
    reason: str
    status: int | None = None
    maybe_arrived: bool = False


class Mailer(Protocol):
    """Hands messages to a mail server, within a deadline."""

    @property
    def sender(self) -> str:
        """The sender, `Name <address>`."""
        ...

    async def send(self, message: EmailMessage, to: Sequence[str]) -> Mailed | MailFailed:
        """Hand `message` over for these addresses, whatever its To says."""
        ...


def new_message(
    *,
    sender: str,
    to: Sequence[str],
    subject: str,
    at: datetime,
    name: str,
    text: str,
    html: str,
    answers: str | None = None,
) -> EmailMessage:
    """Return a multipart message that no answering machine answers.

    `name` makes its Message-ID: the same name is the same message. `answers` is the name of the message that opened the
    thread. Control characters in the subject become spaces: nothing in it can begin another header.
    """
    display, address = parseaddr(sender)
    domain = address.rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=MAIL_POLICY)
    message["From"] = Address(_one_line(display), addr_spec=address)
    message["To"] = ", ".join(_one_line(one) for one in to)
    message["Subject"] = _one_line(subject)[:SUBJECT_CHARACTERS]
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id(name, domain)
    if answers is not None:
        message["In-Reply-To"] = message["References"] = message_id(answers, domain)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message


def message_id(name: str, domain: str) -> str:
    """Return the Message-ID of a name; a name that cannot stand in one is replaced by its digest."""
    return f"<{name if _NAME.fullmatch(name) else sha256(name.encode()).hexdigest()[:40]}@{domain}>"


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
