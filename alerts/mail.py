"""Mail as the alerts and the reports see it: a message goes in, and who has not had it comes out. Nothing is raised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, quote
from hashlib import sha256
from typing import Any, Protocol

from alerts.mail_address import MailAddress, parse_address

SUBJECT_CHARACTERS = 120
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_ADDRESSES = frozenset({"from", "to"})
_IDS = frozenset({"message-id", "in-reply-to", "references", "content-id"})


class _Policy(EmailPolicy):
    """Writes addresses and message ids itself: email's own folding encodes an id that is longer than a line, which no
    mail program then finds, and drops the quotes around a name that holds a comma."""

    def fold(self, name: str, value: Any) -> str:
        if name.lower() in _IDS:
            return f"{name}: {value}{self.linesep}"
        if name.lower() in _ADDRESSES:
            written = [_written(one, self.linesep) for one in value.addresses]
            return f"{name}: {f',{self.linesep} '.join(written) or value}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: Any) -> bytes:
        own = name.lower() in _IDS | _ADDRESSES
        return self.fold(name, value).encode("ascii") if own else super().fold_binary(name, value)


MAIL_POLICY = _Policy(linesep="\r\n", cte_type="7bit", max_line_length=76)


@dataclass(frozen=True, slots=True)
class Mailed:
    """The server answered for every address: `refused` has those it refused, with its words; the others have it.

    Of those, `deferred` are refused for now only (4xx). `taken`: somebody has it.
    """

    elapsed_ms: int
    refused: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    deferred: frozenset[str] = frozenset()
    taken: bool = True

    @property
    def waiting(self) -> dict[str, str]:
        """Who is to be tried again."""
        return {one: words for one, words in self.refused.items() if one in self.deferred}

    @property
    def for_good(self) -> dict[str, str]:
        """Who was refused for good."""
        return {one: words for one, words in self.refused.items() if one not in self.deferred}


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
        """The sender, an address or `Name <address>`."""
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
    author = parse_address(sender)
    domain = author.domain
    message = EmailMessage(policy=MAIL_POLICY)
    message["From"] = _header(author)
    # An address beyond ASCII stands in the envelope alone: in a header it would shut out every server without SMTPUTF8.
    named = [_header(one) for one in map(parse_address, to) if one.is_plain]
    message["To"] = named or Group("undisclosed-recipients")
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


def _header(address: MailAddress) -> Address:
    return Address(_one_line(address.name), address.local, address.domain)


def _written(address: Address, linesep: str) -> str:
    """Return an address as it stands in a header: the name bare, quoted, or encoded where it is not ASCII."""
    name, spec = address.display_name, f"{address.username}@{address.domain}"
    if not name:
        return spec
    if not name.isascii():
        name = Header(name, "utf-8", maxlinelen=76, header_name="From").encode(linesep=linesep)
    elif not _ATOMS.fullmatch(name):
        name = f'"{quote(name)}"'
    return f"{name} <{spec}>"


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
