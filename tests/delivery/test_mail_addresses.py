"""A sender, a recipient: what a person would write is understood, alike by `check`, by the headers and on the wire."""

from __future__ import annotations

import email
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest

from alerts.mail import Mailed, new_message
from alerts.mail_address import AddressError, MailAddress, parse_address
from alerts.model.receivers import EmailReceiver
from daemon.config.model import SmtpConfig, SmtpSecurity
from daemon.demo.standins.mailbox import MailboxStandin, StoredMail
from daemon.work.smtp import SmtpMailer
from tests.delivery.conftest import SENDER, START, WorldOf

WRITTEN = [
    ("ops@acme.example", "", "ops@acme.example"),
    ("<ops@acme.example>", "", "ops@acme.example"),
    ("Acme, Inc. Billing <billing@acme.example>", "Acme, Inc. Billing", "billing@acme.example"),
    ('"Acme, Inc. Billing" <billing@acme.example>', "Acme, Inc. Billing", "billing@acme.example"),
    ("Brimful @ Acme <ops@acme.example>", "Brimful @ Acme", "ops@acme.example"),
    ("ops@acme.example <ops@acme.example>", "ops@acme.example", "ops@acme.example"),
    (r'"The \"Ops\" desk" <ops@acme.example>', 'The "Ops" desk', "ops@acme.example"),
    ("Ops (night; day): team <ops@acme.example>", "Ops (night; day): team", "ops@acme.example"),
    ("a < b <ops@acme.example>", "a < b", "ops@acme.example"),
    ("Jürgen Groß, Köln <ops@acme.example>", "Jürgen Groß, Köln", "ops@acme.example"),
    ("Ü, " * 60 + "x <ops@acme.example>", "Ü, " * 60 + "x", "ops@acme.example"),
    ("Ann, " * 39 + "Bob <ops@acme.example>", "Ann, " * 39 + "Bob", "ops@acme.example"),
    ("o'neil+alerts@acme.example", "", "o'neil+alerts@acme.example"),
    ("root@localhost", "", "root@localhost"),
    (f"Long <{'o' * 64}@{'d' * 46}.{'e' * 60}.example>", "Long", f"{'o' * 64}@{'d' * 46}.{'e' * 60}.example"),
]


async def _sent(
    mailbox: MailboxStandin, *, sender: str = SENDER, to: tuple[str, ...] = ("ops@example.com",)
) -> StoredMail:
    config = SmtpConfig(host="127.0.0.1", port=mailbox.port, security=SmtpSecurity.NONE, sender=sender)
    message = new_message(sender=sender, to=to, subject="Test", at=START, name="n", text="text\n", html="<p>text</p>")
    assert isinstance(await SmtpMailer(config).send(message, to), Mailed)
    return mailbox.kept[-1]


def _named(kept: StoredMail, header: str) -> list[tuple[str, str]]:
    """The addresses of a header as a program that shares no code with ours' policy reads them."""
    (value,) = email.message_from_bytes(kept.raw).get_all(header, [])
    return [(str(make_header(decode_header(name))), spec) for name, spec in getaddresses([value])]


@pytest.mark.parametrize(("written", "name", "spec"), WRITTEN)
async def test_what_a_person_writes_is_sent_as_it_is_meant(
    mailbox: MailboxStandin, written: str, name: str, spec: str
) -> None:
    kept = await _sent(mailbox, sender=written, to=(written, "Other, Inc. <other@example.com>"))
    assert kept.sender == spec
    assert kept.to == (spec, "other@example.com")
    assert _named(kept, "From") == [(name, spec)]
    assert _named(kept, "To") == [(name, spec), ("Other, Inc.", "other@example.com")]
    headers = kept.raw.partition(b"\r\n\r\n")[0]
    assert headers.isascii()
    assert max(map(len, headers.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "not a mail address"),
        ("ops", "not a mail address"),
        ("Ops <ops>", "not a mail address"),
        ("Ops <ops@>", "not a mail address"),
        ("ops@acme.example (Ops)", "not a mail address"),
        ("ops@acme..example", "not a mail address"),
        ("o..ps@acme.example", "not a mail address"),
        ("o ps@acme.example", "not a mail address"),
        ("ops@-acme.example", "not a mail address"),
        (f"{'o' * 65}@acme.example", "not a mail address"),
        (f"ops@{'.'.join(['d' * 60] * 5)}", "not a mail address"),
        ("a@acme.example, b@acme.example", "more than one address"),
        ("A <a@acme.example>, B <b@acme.example>", "more than one address"),
        ("A <a@acme.example> B <b@acme.example>", "more than one address"),
        ("Ops\r\nBcc: victim@example.com <ops@acme.example>", "line break"),
        ("Ops\u2028x <ops@acme.example>", "line break"),
        ("ops@bücher.example", "beyond ASCII"),
        ("x" * 201 + " <ops@acme.example>", "more than 200 characters"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_fix(written: str, said: str) -> None:
    with pytest.raises(AddressError, match=said) as caught:
        parse_address(written)
    assert caught.value.hint


def test_the_parts_of_an_address() -> None:
    assert parse_address(" Jürgen <jürgen@example.com> ") == MailAddress("Jürgen", "jürgen", "example.com")
    assert not parse_address("jürgen@example.com").is_plain
    assert parse_address("juergen@example.com").is_plain


async def test_alerts_leave_from_a_sender_with_a_comma_in_its_name(world_of: WorldOf, mailbox: MailboxStandin) -> None:
    sender = "Acme, Inc. Billing <billing@acme.example>"
    mailer = SmtpMailer(SmtpConfig(host="127.0.0.1", port=mailbox.port, security=SmtpSecurity.NONE, sender=sender))
    world = world_of(EmailReceiver(id="ops", to=("Doe, Jane <jane@example.com>",)), mailer=mailer)
    world.tell()
    await world.deliver()
    (kept,) = mailbox.kept
    assert (kept.sender, kept.to) == ("billing@acme.example", ("jane@example.com",))
    assert kept.message["From"] == '"Acme, Inc. Billing" <billing@acme.example>'
    assert kept.message["To"] == '"Doe, Jane" <jane@example.com>'


@pytest.mark.parametrize("letters", [1, 20, 46, 50, 63])
async def test_message_ids_stand_on_the_wire_as_they_are(
    world_of: WorldOf, mailbox: MailboxStandin, letters: int
) -> None:
    domain = f"{'d' * letters}.{'e' * letters}.example"
    mailer = SmtpMailer(
        SmtpConfig(host="127.0.0.1", port=mailbox.port, security=SmtpSecurity.NONE, sender=f"Brimful <b@{domain}>")
    )
    world = world_of(EmailReceiver(id="ops", to=("ops@example.com",)), mailer=mailer)
    for _ in range(2):
        world.tell()
        await world.deliver()
    first, second = (kept.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n") for kept in mailbox.kept)
    (id,) = (line.removeprefix("Message-ID: ") for line in first if line.lower().startswith("message-id:"))
    assert id.startswith("<")
    assert id.endswith(f"@{domain}>")
    assert f"In-Reply-To: {id}" in second
    assert f"References: {id}" in second


def test_a_message_has_the_same_headers_as_text_and_as_bytes() -> None:
    message = new_message(
        sender="Jürgen, X <b@example.com>", to=["Doe, Jane <j@example.com>"], subject="S", at=START, name="n" * 120,
        text="t\n", html="<p>t</p>", answers="m" * 120,
    )  # fmt: skip
    assert message.as_string().encode() == message.as_bytes()
