"""The HTTP client of the process: one exchange with a deadline over the whole of it, and a maximum for its body.

aiohttp underneath: half the CPU of httpx on the same connections. No proxy from the environment, no redirects, no
cookies, no silent second sending. Everything that can go wrong is an `HttpFailure` with a kind; a failure never says
that the request was not sent.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from enum import StrEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Protocol

import aiohttp
import certifi
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from msgspec import Struct
from yarl import URL

from daemon.limits import CONNECTION_IDLE_S, CONNECTIONS
from daemon.net.addresses import ANYWHERE, FORBIDDEN_MARK, Reach, Resolver, guarded_socket

if TYPE_CHECKING:
    import httpx


class FailureKind(StrEnum):
    """What kept an exchange from completing."""

    TIMEOUT = "timeout"  # the deadline over the whole exchange, a dripping answer included
    REFUSED = "refused"  # nothing listens, no route
    DNS = "dns"  # the name does not resolve
    TLS = "tls"  # handshake or certificate
    DISCONNECTED = "disconnected"  # closed or reset before the answer was complete
    TOO_LARGE = "too_large"  # the body is over the caller's maximum
    FORBIDDEN_ADDRESS = "forbidden_address"  # link-local or metadata, or not public, judged at connect
    BAD_URL = "bad_url"  # not http or https, no host, or a name that cannot be encoded
    BAD_REQUEST = "bad_request"  # a header or method that cannot be sent
    PROTOCOL = "protocol"  # what came back is not HTTP
    CLOSED = "closed"  # this client was closed


class HttpFailure(Exception):  # noqa: N818 – a failure is what it is called everywhere
    """No complete answer. `detail` is one line for a person, without query, credentials or body."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class HttpAnswer(Struct, frozen=True, gc=False):
    """One complete answer. `headers` ignore case; `body` is decoded; with `truncate` it may be only the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int


_CAUGHT = (
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # aiohttp's "Session is closed"
    asyncio.InvalidStateError,
)
"""All that aiohttp raises: a test walks its tree of exceptions."""

USER_AGENT = "brimful"
_OURS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": USER_AGENT}
_NOT_ADDED = ("content-type",)
_NO_TIMERS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
"""One deadline over the whole exchange stands around it; aiohttp's own timers would only cost."""


class Wire(Protocol):
    """What carries a request: the network, or something that stands in for it."""

    async def send(
        self, method: str, target: URL, headers: Mapping[str, str], content: bytes | None, max_bytes: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers (any case) and the decoded body; reading stops beyond `max_bytes`."""
        ...

    async def aclose(self) -> None: ...


class HttpClient:
    """An HTTP client. For one event loop; `aclose` it there. `reach`: where it may connect to.

    `transport` replaces the network (tests, the simulator): any httpx transport, `httpx.MockTransport` included.
    """

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None, reach: Reach = ANYWHERE) -> None:
        self._wire: Wire = _Network(reach) if transport is None else _in_process(transport)
        self._closed = False

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        deadline_s: float,
        max_bytes: int,
        truncate: bool = False,
    ) -> HttpAnswer:
        """Send one request and return the whole answer, whatever its status.

        `deadline_s` covers everything from resolving the name to the last byte of the body. A body over `max_bytes` is
        a failure, or cut there with `truncate`. Raises HttpFailure, and nothing else.
        """
        if self._closed:
            raise HttpFailure(FailureKind.CLOSED, "the client is closed")
        target, sent = _target(url), _headers(headers)
        started = time.monotonic()
        try:
            async with asyncio.timeout(deadline_s):
                status, said, body = await self._wire.send(method, target, sent, content, max_bytes)
        except _CAUGHT as error:
            raise _failure(error, target.host or "", deadline_s) from error
        if len(body) > max_bytes:
            if not truncate:
                raise HttpFailure(FailureKind.TOO_LARGE, f"the answer is longer than {max_bytes} bytes")
            body = body[:max_bytes]
        return HttpAnswer(status, said, body, int((time.monotonic() - started) * 1000))

    async def aclose(self) -> None:
        """Close every connection. A later exchange fails with `closed`."""
        self._closed = True
        await self._wire.aclose()
        await asyncio.sleep(0)  # transports tell their protocols in the loop's next turn


@cache
def trust() -> ssl.SSLContext:
    """Return whom the process believes: the system's authorities, those of SSL_CERT_FILE, and certifi's. Read once."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _Network:
    """An aiohttp session with everything decided: whom to trust, where not to connect, nothing sent twice."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        """By scheme: what may be connected to without TLS differs."""
        self._resolver = Resolver()

    async def send(
        self, method: str, target: URL, headers: Mapping[str, str], content: bytes | None, max_bytes: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        session = self._sessions.get(target.scheme) or self._open(target.scheme)
        answer = await session.request(
            method,
            target,
            headers=headers,
            data=content,
            allow_redirects=False,
            timeout=_NO_TIMERS,
            skip_auto_headers=_NOT_ADDED,
        )
        try:
            return answer.status, answer.headers, await _read(answer.content, max_bytes)
        finally:
            answer.release() if answer.content.at_eof() else answer.close()

    def _open(self, scheme: str) -> aiohttp.ClientSession:
        """Open a session; called with the first request, inside the loop that it belongs to."""
        connector = aiohttp.TCPConnector(
            ssl=trust(),
            resolver=self._resolver,
            use_dns_cache=False,  # an idle connection is kept, an answer of the resolver is not
            socket_factory=partial(guarded_socket, reach=self._reach, plain=scheme == "http"),
            limit=CONNECTIONS,
            keepalive_timeout=CONNECTION_IDLE_S,
        )
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        session._retry_connection = False  # it would send a GET twice, and nobody would know
        self._sessions[scheme] = session
        return session

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()
        await self._resolver.close()


async def _read(stream: aiohttp.StreamReader, max_bytes: int) -> bytes:
    """Return the decoded body. Decoding is done a chunk at a time, so that a small bomb cannot unfold whole."""
    first = await stream.readany()
    if stream.at_eof():
        return first
    parts, size = [first], len(first)
    while size <= max_bytes and not stream.at_eof():
        parts.append(await stream.readany())
        size += len(parts[-1])
    return b"".join(parts)


def _in_process(transport: httpx.AsyncBaseTransport) -> Wire:
    from daemon.net.in_process import InProcess  # httpx is loaded only where it stands in for the network

    return InProcess(transport)


def _target(url: str) -> URL:
    try:
        target = URL(url)
        if target.scheme in ("http", "https") and target.host:
            return target
    except (UnicodeError, ValueError, TypeError) as error:
        raise HttpFailure(FailureKind.BAD_URL, "the URL is malformed") from error
    raise HttpFailure(FailureKind.BAD_URL, "only http and https URLs with a host can be asked")


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    merged = dict(_OURS)
    for name, value in headers.items():
        if _UNSENDABLE.search(value):
            raise HttpFailure(FailureKind.BAD_REQUEST, "a header holds characters that cannot be sent")
        merged[name.lower()] = value
    return merged


def _failure(error: Exception, host: str, deadline_s: float) -> HttpFailure:
    kind, detail = classify(error)
    if kind is FailureKind.TIMEOUT:
        return HttpFailure(kind, f"no complete answer from {host} within {deadline_s:g} s")
    return HttpFailure(kind, detail if host in detail else f"{host}: {detail}")


def classify(error: BaseException) -> tuple[FailureKind, str]:
    """Return what kind of failure a library's exception is, and one line about it: every exception has a kind."""
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, ContentEncodingError):
        error = error.__cause__
    kind, detail = next(
        ((kind, detail) for types, kind, detail in _KINDS if isinstance(error, types)),
        (FailureKind.PROTOCOL, "the exchange failed"),
    )
    if isinstance(error, OSError):
        text = _os_text(error)
        if FORBIDDEN_MARK in text:
            return FailureKind.FORBIDDEN_ADDRESS, text
        return kind, f"{detail} ({text})" if text else detail
    return kind, detail


_KINDS: tuple[tuple[tuple[type[BaseException], ...], FailureKind, str], ...] = (
    ((TimeoutError,), FailureKind.TIMEOUT, "no complete answer in time"),
    ((aiohttp.ClientConnectorDNSError,), FailureKind.DNS, "the name does not resolve"),
    (
        (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError),
        FailureKind.TLS,
        "no trusted TLS connection",
    ),
    ((aiohttp.ClientConnectorError, ConnectionRefusedError), FailureKind.REFUSED, "cannot connect"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.RedirectClientError), FailureKind.BAD_URL, "bad URL"),
    ((UnicodeError,), FailureKind.BAD_URL, "bad URL"),
    (
        (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.UploadAbortedError, EOFError),
        FailureKind.DISCONNECTED,
        "the connection was closed before the answer was complete",
    ),
    (
        (aiohttp.ClientConnectionError, OSError),
        FailureKind.DISCONNECTED,
        "the connection broke",
    ),
    ((aiohttp.ClientResponseError, HttpProcessingError), FailureKind.PROTOCOL, "what came back is not HTTP"),
    ((ValueError,), FailureKind.BAD_REQUEST, "the request cannot be sent as it stands"),
    ((RuntimeError,), FailureKind.CLOSED, "the client is closed or closing"),
)
"""From the narrow to the wide: the first that fits names the kind."""


def _os_text(error: OSError) -> str:
    """The system's words, in one line, without the query of a URL that some messages carry."""
    inner = getattr(error, "_os_error", error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
    if isinstance(inner, ssl.SSLError) and (words := tls_words(inner)):
        return words
    text = getattr(inner, "strerror", None) or (str(inner.args[-1]) if getattr(inner, "args", ()) else "")
    return " ".join(_QUERY.sub("?…", str(text)).split())[:200]


def tls_words(error: ssl.SSLError) -> str:
    """Return what a TLS error means, in one line without OpenSSL's names; empty for one that is not known here."""
    code = getattr(error, "verify_code", None)  # an error that did not come from a handshake has neither
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(code or 0, f"the certificate is not trusted: {getattr(error, 'verify_message', '')}")
    return _HANDSHAKE.get(getattr(error, "reason", None) or "", "")


_CERTIFICATE = {
    62: "the certificate is for another name",
    64: "the certificate is for another address",
    10: "the certificate has expired",
    9: "the certificate is not valid yet: is the clock right?",
    18: "the certificate is self-signed",
    19: "the certificate's chain ends in one that is self-signed and not trusted here",
    20: "the certificate's issuer is not known here: its chain lacks a certificate, or the CA is a private one",
    21: "the certificate's issuer is not known here",
}
"""By OpenSSL's X509_V_ERR codes."""
_HANDSHAKE = {
    "WRONG_VERSION_NUMBER": "what listens there does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the server only speaks an old TLS, below 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server only speaks an old TLS, below 1.2",
}

_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_QUERY = re.compile(r"\?\S*")
