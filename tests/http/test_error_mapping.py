"""The mapping of errors is total: whatever aiohttp or an httpx transport raises becomes an HttpFailure."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from daemon.demo.standins.loopback import Reply, serve
from daemon.net.http import FailureKind, HttpClient, HttpFailure, classify


def tree(*roots: type[BaseException]) -> Iterator[type[BaseException]]:
    seen: set[type[BaseException]] = set()
    pending = list(roots)
    while pending:
        kind = pending.pop()
        if kind in seen:
            continue
        seen.add(kind)
        pending += [sub for sub in kind.__subclasses__() if sub.__module__.partition(".")[0] in ("httpx", "aiohttp")]
        yield kind


LEAKS: tuple[BaseException, ...] = (
    OSError(5, "Input/output error"),
    ConnectionResetError(104, "Connection reset by peer"),
    BrokenPipeError(32, "Broken pipe"),
    ssl.SSLError(1, "handshake failure"),
    ssl.SSLCertVerificationError(1, "certificate verify failed"),
    TimeoutError(),
    UnicodeError("label too long"),
    ValueError("bad"),
    RuntimeError("Session is closed"),
    EOFError(),
    asyncio.IncompleteReadError(b"", 3),
    asyncio.InvalidStateError("invalid state"),
)


def instance(kind: type[BaseException]) -> BaseException:
    """An exception of the kind, with whatever it needs to be printed."""
    error = kind.__new__(kind)
    if isinstance(error, HttpProcessingError):
        error.code = 400
    if isinstance(error, aiohttp.ClientConnectorError):
        error._os_error = OSError(111, "Connect call failed")
    error.args = ("http://127.0.0.1/?key=sk_test_123 failed",)
    key = SimpleNamespace(host="127.0.0.1", port=1, is_ssl=False, ssl=True)
    for name, value in {
        "_conn_key": key,
        "_certificate_error": ssl.CertificateError(1, "bad certificate"),
        "request_info": SimpleNamespace(real_url="http://127.0.0.1/?key=sk_test_123"),
        "status": 400,
        "message": "bad",
        "headers": None,
        "_url": "http://127.0.0.1/?key=sk_test_123",
        "_description": None,
    }.items():
        try:
            setattr(error, name, value)
        except AttributeError:
            continue
    return error


OF_HTTPX = [instance(kind) for kind in tree(httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)]
OF_AIOHTTP = [instance(kind) for kind in tree(aiohttp.ClientError, HttpProcessingError)]


class Failing(httpx.AsyncBaseTransport):
    """Raises in the request, or while the body is read."""

    def __init__(self, error: BaseException, in_body: bool) -> None:
        self.error = error
        self.in_body = in_body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.in_body:
            raise self.error
        return httpx.Response(200, stream=FailingStream(self.error))


class FailingStream(httpx.AsyncByteStream):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        raise self.error


async def outcome(transport: httpx.AsyncBaseTransport) -> Any:
    client = HttpClient(transport=transport)
    try:
        await client.exchange("GET", "http://127.0.0.1/", headers={}, deadline_s=5, max_bytes=100)
    except HttpFailure as failure:
        return failure
    finally:
        await client.aclose()
    return None


def is_safe(failure: Any) -> bool:
    assert isinstance(failure, HttpFailure)
    return "sk_test_123" not in str(failure) and "\n" not in failure.detail


@pytest.mark.parametrize("in_body", [False, True], ids=["request", "body"])
@pytest.mark.parametrize("error", [*OF_HTTPX, *LEAKS], ids=lambda error: type(error).__name__)
async def test_every_error_of_a_transport_becomes_a_failure_without_a_secret(
    error: BaseException, in_body: bool
) -> None:
    assert is_safe(await outcome(Failing(error, in_body)))


@pytest.mark.parametrize("in_body", [False, True], ids=["request", "body"])
@pytest.mark.parametrize("error", [*OF_AIOHTTP, *LEAKS], ids=lambda error: type(error).__name__)
async def test_every_error_of_the_network_becomes_a_failure_without_a_secret(
    error: BaseException, in_body: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **options: object) -> Any:
        raise error

    kind, method = (aiohttp.StreamReader, "readany") if in_body else (aiohttp.ClientSession, "request")
    monkeypatch.setattr(kind, method, fail)
    async with serve(lambda asked: Reply(body=b"{}")) as url:
        client = HttpClient()
        with pytest.raises(HttpFailure) as caught:
            await client.exchange("GET", url, headers={}, deadline_s=5, max_bytes=100)
        await client.aclose()
    assert is_safe(caught.value)


async def test_a_cancelled_exchange_stays_cancelled() -> None:
    class Waiting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(60)
            raise AssertionError

    task = asyncio.ensure_future(outcome(Waiting()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (instance(aiohttp.ClientConnectorDNSError), FailureKind.DNS),
        (instance(aiohttp.ClientConnectorError), FailureKind.REFUSED),
        (instance(aiohttp.ClientConnectorCertificateError), FailureKind.TLS),
        (instance(aiohttp.ServerDisconnectedError), FailureKind.DISCONNECTED),
        (instance(aiohttp.ClientPayloadError), FailureKind.DISCONNECTED),
        (instance(aiohttp.ClientResponseError), FailureKind.PROTOCOL),
        (instance(aiohttp.ConnectionTimeoutError), FailureKind.TIMEOUT),
        (instance(aiohttp.InvalidURL), FailureKind.BAD_URL),
        (ConnectionResetError(104, "Connection reset by peer"), FailureKind.DISCONNECTED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_the_error_names_the_kind(error: BaseException, kind: FailureKind) -> None:
    assert classify(error)[0] is kind
