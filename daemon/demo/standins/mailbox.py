"""A mail server on loopback that stores all mail, with the faults of real servers, on command."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One message with the recipients that were accepted."""

    sender: str
    to: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def part(self, subtype: str) -> str:
        """Return the text of the `plain` or `html` part."""
        body = self.message.get_body((subtype,))
        return "" if body is None else str(body.get_content())


class MailboxStandin:
    """Listens from `start` to `stop`; the faults are attributes that may be set at any time.

    `refuse` and `greylist` hold addresses (550 and 450). `lose_answer`: accepts that many messages and closes the
    connection without an answer. `delay_s`: the wait before each message is accepted. With `login`, that user and
    password are required. Addresses beyond ASCII are accepted with `smtputf8` only, as by older servers.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        login: tuple[str, str] | None = None,
        smtputf8: bool = False,
        on_mail: Callable[[StoredMail], None] = lambda kept: None,
    ) -> None:
        self.kept: list[StoredMail] = []
        self.refuse: set[str] = set()
        self.greylist: set[str] = set()
        self.reject_content = False
        self.lose_answer = 0
        self.delay_s = 0.0
        self.logins: list[str] = []
        self.port = 0
        self._tls = tls
        self._implicit_tls = implicit_tls
        self._login = login
        self._smtputf8 = smtputf8
        self._on_mail = on_mail
        self._server: asyncio.Server | None = None
        self._sessions: set[SMTP] = set()

    async def __aenter__(self) -> MailboxStandin:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on a free port, or again on the last one."""
        self._server = await asyncio.get_running_loop().create_server(
            self._session, "127.0.0.1", self.port, ssl=self._tls if self._implicit_tls else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close open sessions."""
        if self._server is None:
            return
        self._server.close()
        for session in tuple(self._sessions):
            if session.transport is not None:
                session.transport.close()
            if session._handler_coroutine is not None:
                session._handler_coroutine.cancel()
        self._sessions.clear()
        await self._server.wait_closed()
        self._server = None
        await asyncio.sleep(0)

    def _session(self) -> SMTP:
        starttls = self._tls is not None and not self._implicit_tls
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it knows only STARTTLS, and warns of a login over other TLS
            session = SMTP(
                self,
                hostname="mailbox.local",
                loop=asyncio.get_running_loop(),
                tls_context=self._tls if starttls else None,
                require_starttls=starttls,
                enable_SMTPUTF8=self._smtputf8,
                authenticator=self._authenticate if self._login else None,
                auth_required=self._login is not None,
                auth_require_tls=starttls,
            )
        self._sessions.add(session)
        return session

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        self.logins.append(mechanism)
        return AuthResult(success=given == self._login, handled=False)

    async def handle_RCPT(  # noqa: N802 – aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return "550 5.1.1 no such mailbox"
        if address in self.greylist:
            return "450 4.2.0 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.reject_content:
            return "554 5.6.0 content refused"
        raw = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        kept = StoredMail(str(envelope.mail_from), tuple(envelope.rcpt_tos), raw)
        self.kept.append(kept)
        self._on_mail(kept)
        if self.lose_answer:
            self.lose_answer -= 1
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return "250 taken"
