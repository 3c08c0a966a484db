"""SMTP: STARTTLS or TLS with verified certificates, a deadline, and failures that say what to do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage

import aiosmtplib
import certifi

from alerts.mail import Mailed, MailFailed
from alerts.mail_address import parse_address
from alerts.model.limits import DELIVERY_DEADLINE_S
from daemon.config.model import SmtpConfig, SmtpSecurity
from daemon.net.http import tls_words


class SmtpMailer:
    """Sends each message on its own connection. `tls` replaces the system's trusted certificates (tests)."""

    def __init__(self, config: SmtpConfig, *, tls: ssl.SSLContext | None = None) -> None:
        self._config = config
        self._tls = tls or (_trust() if config.security is not SmtpSecurity.NONE else None)
        self._address = parse_address(config.sender).spec

    @property
    def sender(self) -> str:
        return self._config.sender

    async def send(self, message: EmailMessage, to: Sequence[str]) -> Mailed | MailFailed:
        """Send `message` to the addresses `to`. A failure is returned, not raised; none contains the password."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        session = _Session(self._client(), self._address, message.as_bytes(), to)
        try:
            async with asyncio.timeout(DELIVERY_DEADLINE_S):
                answer = await session.run()
        except _CAUGHT as error:
            status, reason = self._explain(error, session)
            return MailFailed(_ms_since(started), reason, status, maybe_arrived=session.handed_over)
        finally:
            session.client.close()
        return Mailed(
            _ms_since(started), session.refused, answer, frozenset(session.deferred), taken=session.handed_over
        )

    async def check_recipients(self, to: Sequence[str]) -> tuple[str | None, dict[str, str]]:
        """Log in, name the sender and each recipient, and take all of it back with RSET: no message is sent.

        Return what is wrong, None when the server is well, and what it says of each recipient that it refuses.
        """
        session = _Session(self._client(), self._address, b"", to)
        try:
            async with asyncio.timeout(DELIVERY_DEADLINE_S):
                await session.name_all()
                await session.client.rset()
                await session.client.quit()
        except _CAUGHT as error:
            return self._explain(error, session)[1], {}
        finally:
            session.client.close()
        return None, {one: words for one, words in session.refused.items() if one not in session.deferred}

    def _client(self) -> aiosmtplib.SMTP:
        security = self._config.security
        return aiosmtplib.SMTP(
            hostname=self._config.host,
            port=self._config.port,
            username=self._config.username or None,
            password=self._config.password.get_secret_value() if self._config.username else None,
            local_hostname=_own_name(),
            timeout=DELIVERY_DEADLINE_S,
            use_tls=security is SmtpSecurity.TLS,
            start_tls=security is SmtpSecurity.STARTTLS,
            tls_context=self._tls,
        )

    def _explain(self, error: BaseException, session: _Session) -> tuple[int | None, str]:
        server = f"{self._config.host}:{self._config.port}"
        match error:
            case aiosmtplib.SMTPAuthenticationError():
                return error.code, f"{server} refused the login ({error.code}): check smtp.username and smtp.password"
            case aiosmtplib.SMTPSenderRefused():
                return error.code, f"{server} refused the sender {self._address} ({error.code} {_line(error.message)})"
            case aiosmtplib.SMTPResponseException() if error.code < 0:
                return None, f"{server} does not speak SMTP ({_line(error.message)})"
            case aiosmtplib.SMTPResponseException():
                return error.code, f"{server} answered {error.code} {_line(error.message)}"
            case TimeoutError():
                return None, f"{server} took longer than {DELIVERY_DEADLINE_S:g} s {session.doing}"
        cause = _root(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return None, f"{server} is not trusted: {tls_words(cause)}"
        if isinstance(cause, ssl.SSLError):
            words = tls_words(cause) or cause.reason or "the handshake failed"
            return None, f"{server} does not speak TLS as configured: {words}"
        if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
            return None, f"{server} does not offer what is configured: {_line(str(error))}"
        return None, f"{server} is down or broke off {session.doing} ({type(cause).__name__})"


class _Session:
    """One SMTP session. `doing` is its present step, for the text of a failure."""

    def __init__(self, client: aiosmtplib.SMTP, sender: str, content: bytes, to: Sequence[str]) -> None:
        self.client = client
        self.handed_over = False
        self.doing = "while connecting"
        self.refused: dict[str, str] = {}
        self.deferred: set[str] = set()
        self._sender = sender
        self._content = content
        self._to = to

    async def connect(self) -> None:
        await self.client.connect()
        await self.client._ehlo_or_helo_if_needed()

    async def name_all(self) -> int:
        """Connect, name the sender and each recipient; return how many of these there are."""
        await self.connect()
        self.doing = "while taking the addresses"
        addresses = {one.spec: one for one in map(parse_address, self._to)}
        utf8 = self.client.supports_extension("smtputf8") and not all(one.is_plain for one in addresses.values())
        await self.client.mail(self._sender, options=["SMTPUTF8"] if utf8 else None)
        for spec, address in addresses.items():
            if utf8 or address.is_plain:
                await self._name(spec)
            else:
                self.refused[spec] = "this mail server takes no address with letters beyond ASCII (no SMTPUTF8)"
        return len(addresses)

    async def run(self) -> str:
        named = await self.name_all()
        if len(self.refused) == named:
            await self._say_goodbye()
            return ""
        self.doing = "while taking the message"
        self.handed_over = True
        try:
            response = await self.client.data(self._content)
        except aiosmtplib.SMTPResponseException:
            self.handed_over = False  # the server refused it
            raise
        await self._say_goodbye()
        return _line(response.message)

    async def _name(self, address: str) -> None:
        """Name one recipient; a refusal concerns this one only."""
        try:
            await self.client.rcpt(address, encoding="utf-8")
        except aiosmtplib.SMTPRecipientRefused as error:
            self.refused[address] = f"{error.code} {_line(error.message)}"
            if 400 <= error.code < 500:
                self.deferred.add(address)

    async def _say_goodbye(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self.client.quit()
        except (aiosmtplib.SMTPException, OSError):
            return  # the message was accepted: an error while closing changes nothing


_CAUGHT = (aiosmtplib.SMTPException, OSError, ValueError)
"""All that aiosmtplib and asyncio raise for a server; TimeoutError is an OSError, UnicodeError a ValueError."""


def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _own_name() -> str:
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _ms_since(started: float) -> int:
    return int((asyncio.get_running_loop().time() - started) * 1000)
