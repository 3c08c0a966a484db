"""The one HTTP client of the process: one exchange with a deadline over the whole of it, and a maximum for its body.

httpx's interface on aiohttp's transport (a fraction of the CPU of httpx's own pool). No proxy from the environment, no
redirects, no cookies, no silent second sending. Everything that can go wrong is an `HttpFailure` with a kind; a failure
never says that the request was not sent.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
import certifi
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from alerts.values import quickly_made
from daemon.addresses import FORBIDDEN_MARK, Resolver, guarded_socket
from daemon.limits import CONNECTION_IDLE_S, CONNECTIONS, PARSED_URLS, PREPARED_REQUESTS


class FailureKind(StrEnum):
    """What kept an exchange from completing."""

    TIMEOUT = "timeout"  # the deadline over the whole exchange, a dripping answer included
    REFUSED = "refused"  # nothing listens, no route
    DNS = "dns"  # the name does not resolve
    TLS = "tls"  # handshake or certificate
    DISCONNECTED = "disconnected"  # closed or reset before the answer was complete
    TOO_LARGE = "too_large"  # the body is over the caller's maximum
    FORBIDDEN_ADDRESS = "forbidden_address"  # link-local or metadata, judged at connect
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


@quickly_made
@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer. `headers` ignore case; `body` is decoded; with `truncate` it may be only the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int


_CAUGHT = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # httpx.StreamError is one, and aiohttp's "Session is closed"
    asyncio.InvalidStateError,
)
"""All that httpx, its aiohttp transport and aiohttp raise: a test walks their exception trees."""

USER_AGENT = "brimful"
_IDENTITY = {"accept-encoding": "identity", "user-agent": USER_AGENT}


class HttpClient:
    """The process's client. One for an event loop; `aclose` it there.

    `transport` replaces the network (tests, the simulator): any httpx transport, `httpx.MockTransport` included.
    """

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport or _Network()
        self._prepared: dict[tuple[str, str, tuple[tuple[str, str], ...]], httpx.Request] = {}
        self._closed = False

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """The transport underneath, for measuring against."""
        return self._transport

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
    ) -> Answer:
        """Send one request and return the whole answer, whatever its status.

        `deadline_s` covers everything from resolving the name to the last byte of the body. A body over `max_bytes` is
        a failure, or cut there with `truncate`. Raises HttpFailure, and nothing else.
        """
        if self._closed:
            raise HttpFailure(FailureKind.CLOSED, "the client is closed")
        request = self._request(method, url, headers, content)
        started = time.monotonic()
        try:
            async with asyncio.timeout(deadline_s):
                response = await self._transport.handle_async_request(request)
                try:
                    body = await _read(response, max_bytes, truncate)
                finally:
                    await response.stream.aclose()  # type: ignore[union-attr]  # an async transport's stream
        except _CAUGHT as error:
            raise _failure(error, request.url.host, deadline_s) from error
        return Answer(response.status_code, response.headers, body, int((time.monotonic() - started) * 1000))

    async def aclose(self) -> None:
        """Close every connection. A later exchange fails with `closed`."""
        self._closed = True
        await self._transport.aclose()
        await asyncio.sleep(0)  # transports tell their protocols in the loop's next turn

    def _request(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> httpx.Request:
        """Build a request, or take the one that was built before: a poll sends the same bytes every time."""
        if content is not None:
            return _build(method, url, headers, content)
        key = (method, url, tuple(headers.items()))
        request = self._prepared.get(key)
        if request is None:
            if len(self._prepared) >= PREPARED_REQUESTS:
                self._prepared.clear()
            request = self._prepared[key] = _build(method, url, headers, None)
        return request


def trust() -> ssl.SSLContext:
    """Return whom the process believes: the system's authorities, those of SSL_CERT_FILE, and certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _Network(AiohttpTransport):
    """httpx-aiohttp's transport with everything decided: whom to trust, where not to connect, nothing sent twice."""

    def __init__(self) -> None:
        self._context = ssl.create_default_context()  # the system's authorities, and SSL_CERT_FILE
        self._context.load_verify_locations(certifi.where())
        self._resolver: Resolver | None = None
        super().__init__(verify=self._context, trust_env=False, client=self._session)

    def _session(self) -> aiohttp.ClientSession:
        """Open the session; called with the first request, inside the loop that it belongs to."""
        self._resolver = Resolver()
        connector = aiohttp.TCPConnector(
            ssl=self._context,
            resolver=self._resolver,
            use_dns_cache=False,  # an idle connection is kept, an answer of the resolver is not
            socket_factory=guarded_socket,
            limit=CONNECTIONS,
            keepalive_timeout=CONNECTION_IDLE_S,
        )
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        session._retry_connection = False  # it would send a GET twice, and nobody would know
        return session

    async def aclose(self) -> None:
        await super().aclose()
        if self._resolver is not None:
            await self._resolver.close()


_parsed = functools.lru_cache(maxsize=PARSED_URLS)(httpx.URL)


def _build(method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> httpx.Request:
    try:
        target = _parsed(url)
        if target.scheme not in ("http", "https") or not target.host:
            raise HttpFailure(FailureKind.BAD_URL, "only http and https URLs with a host can be asked")
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError) as error:
        raise HttpFailure(FailureKind.BAD_URL, "the URL is malformed") from error
    merged = dict(_IDENTITY)
    merged.update((name.lower(), value) for name, value in headers.items())
    if any(map(_CONTROL.search, merged.values())):
        raise HttpFailure(FailureKind.BAD_REQUEST, "a header holds a control character")
    try:
        return httpx.Request(method, target, headers=merged, content=content)
    except (UnicodeError, ValueError, TypeError) as error:
        raise HttpFailure(FailureKind.BAD_REQUEST, "a header holds characters that cannot be sent") from error


async def _read(response: httpx.Response, max_bytes: int, truncate: bool) -> bytes:
    """Return the decoded body. Decoding is done a chunk at a time, so that a small bomb cannot unfold whole."""
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    chunks = response.aiter_bytes() if encoded else response.stream
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:  # type: ignore[union-attr]  # an async transport's stream
        parts.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            if truncate:
                return b"".join(parts)[:max_bytes]
            raise HttpFailure(FailureKind.TOO_LARGE, f"the answer is longer than {max_bytes} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _failure(error: Exception, host: str, deadline_s: float) -> HttpFailure:
    kind, detail = classify(error)
    if kind is FailureKind.TIMEOUT:
        return HttpFailure(kind, f"no complete answer from {host} within {deadline_s:g} s")
    return HttpFailure(kind, detail if host in detail else f"{host}: {detail}")


def classify(error: BaseException) -> tuple[FailureKind, str]:
    """Return what kind of failure a library's exception is, and one line about it. Total: every exception has a kind.

    httpx-aiohttp reports refused, DNS, TLS and reset alike as a connect time-out; the cause underneath tells which.
    """
    cause: BaseException = error
    while isinstance(cause, httpx.HTTPError) and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    kind, detail = next(
        ((kind, detail) for types, kind, detail in _KINDS if isinstance(cause, types)),
        (FailureKind.PROTOCOL, "the exchange failed"),
    )
    if isinstance(cause, OSError):
        text = _os_text(cause)
        if FORBIDDEN_MARK in text:
            return FailureKind.FORBIDDEN_ADDRESS, text
        return kind, f"{detail} ({text})" if text else detail
    return kind, detail


_KINDS: tuple[tuple[tuple[type[BaseException], ...], FailureKind, str], ...] = (
    ((TimeoutError, httpx.TimeoutException), FailureKind.TIMEOUT, "no complete answer in time"),
    ((aiohttp.ClientConnectorDNSError,), FailureKind.DNS, "the name does not resolve"),
    (
        (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError),
        FailureKind.TLS,
        "no trusted TLS connection",
    ),
    ((aiohttp.ClientConnectorError, ConnectionRefusedError, httpx.ConnectError), FailureKind.REFUSED, "cannot connect"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.RedirectClientError), FailureKind.BAD_URL, "bad URL"),
    ((UnicodeError, httpx.InvalidURL, httpx.UnsupportedProtocol), FailureKind.BAD_URL, "bad URL"),
    (
        (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.UploadAbortedError, EOFError),
        FailureKind.DISCONNECTED,
        "the connection was closed before the answer was complete",
    ),
    (
        (aiohttp.ClientConnectionError, OSError, httpx.NetworkError, httpx.RemoteProtocolError),
        FailureKind.DISCONNECTED,
        "the connection broke",
    ),
    ((aiohttp.ClientResponseError, HttpProcessingError), FailureKind.PROTOCOL, "what came back is not HTTP"),
    ((httpx.DecodingError,), FailureKind.PROTOCOL, "the body's encoding is broken"),
    ((httpx.LocalProtocolError, ValueError), FailureKind.BAD_REQUEST, "the request cannot be sent as it stands"),
    ((RuntimeError,), FailureKind.CLOSED, "the client is closed or closing"),
)
"""From the narrow to the wide: the first that fits names the kind."""


def _os_text(error: OSError) -> str:
    """The system's words, in one line, without the query of a URL that some messages carry."""
    inner = getattr(error, "_os_error", error)
    text = getattr(inner, "strerror", None) or (str(inner.args[-1]) if getattr(inner, "args", ()) else "")
    return " ".join(_QUERY.sub("?…", str(text)).split())[:200]


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_QUERY = re.compile(r"\?\S*")
