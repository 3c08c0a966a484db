"""One exchange over real sockets: everything that can go wrong ends inside the deadline, with a kind."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from daemon.demo.standins.loopback import Manner, Reply, StandinRequest, serve
from daemon.net.http import FailureKind, HttpAnswer, HttpClient, HttpFailure
from tests.helpers_tls import make_tls

Serve = Callable[[Callable[[StandinRequest], Reply]], Any]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.aclose()


@pytest.fixture
async def served() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(handler: Callable[[StandinRequest], Reply]) -> str:
            return await stack.enter_async_context(serve(handler))

        yield start


async def get(client: HttpClient, url: str, **options: Any) -> HttpAnswer:
    return await client.exchange("GET", url, headers={}, **{"deadline_s": 5.0, "max_bytes": 1000, **options})


async def failure(client: HttpClient, url: str, **options: Any) -> HttpFailure:
    with pytest.raises(HttpFailure) as caught:
        await get(client, url, **options)
    assert "\n" not in caught.value.detail
    return caught.value


async def test_an_answer_is_returned_whole_whatever_its_status(client: HttpClient, served: Serve) -> None:
    url = await served(lambda asked: Reply(503, b"down", {"Retry-After": "7"}))
    answer = await get(client, url)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (503, b"down", "7")


async def test_a_post_carries_exactly_the_bytes_and_headers_given(client: HttpClient, served: Serve) -> None:
    seen: list[StandinRequest] = []

    def handler(asked: StandinRequest) -> Reply:
        seen.append(asked)
        return Reply()

    url = await served(handler)
    await client.exchange(
        "POST",
        url + "/hook?token=1",
        headers={"content-type": "application/json", "webhook-id": "evt_1"},
        content=b'{"a": 1}',
        deadline_s=5,
        max_bytes=10,
    )
    (asked,) = seen
    assert (asked.method, asked.path, asked.body) == ("POST", "/hook?token=1", b'{"a": 1}')
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["webhook-id"] == "evt_1"
    assert asked.headers["accept-encoding"] == "identity"


async def test_no_cookie_of_one_answer_reaches_the_next_request(client: HttpClient, served: Serve) -> None:
    seen: list[StandinRequest] = []

    def handler(asked: StandinRequest) -> Reply:
        seen.append(asked)
        return Reply(headers={"Set-Cookie": "session=one; Path=/"})

    url = await served(handler)
    await get(client, url)
    await get(client, url)
    assert all("cookie" not in asked.headers for asked in seen)


async def test_no_proxy_of_the_environment_is_used(
    client: HttpClient, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = await served(lambda asked: Reply(200, b"direct"))
    assert (await get(client, url)).body == b"direct"


async def test_a_redirect_is_an_answer_and_is_not_followed(client: HttpClient, served: Serve) -> None:
    asked: list[str] = []

    def handler(request: StandinRequest) -> Reply:
        asked.append(request.path)
        return Reply(302, b"", {"Location": "/elsewhere"})

    url = await served(handler)
    assert (await get(client, url + "/here")).status == 302
    assert asked == ["/here"]


async def test_a_request_whose_connection_breaks_is_not_sent_again(client: HttpClient, served: Serve) -> None:
    asked: list[str] = []

    def handler(request: StandinRequest) -> Reply:
        asked.append(request.path)
        return Reply() if len(asked) == 1 else Reply(manner=Manner.CLOSED)

    url = await served(handler)
    await get(client, url)  # the connection is kept and used again
    assert (await failure(client, url)).kind is FailureKind.DISCONNECTED
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(body=b"x" * 100, manner=Manner.DRIPPING, beat_s=0.05), FailureKind.TIMEOUT),
        (Reply(manner=Manner.SILENT), FailureKind.TIMEOUT),
        (Reply(body=b"x" * 100, manner=Manner.CUT), FailureKind.DISCONNECTED),
        (Reply(manner=Manner.CLOSED), FailureKind.DISCONNECTED),
        (Reply(body=b"SSH-2.0-OpenSSH\r\n\r\n", manner=Manner.RAW), FailureKind.PROTOCOL),
        (Reply(body=b"x" * 1001), FailureKind.TOO_LARGE),
        (Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}), FailureKind.PROTOCOL),
        (Reply(body=b"x" * 10, headers={"Transfer-Encoding": "chunked", "Content-Length": "10"}), FailureKind.PROTOCOL),
    ],
    ids=["drips", "silent", "cut", "closed", "not http", "too long", "broken encoding", "contradicts itself"],
)
async def test_every_bad_answer_ends_inside_the_deadline_with_its_kind(
    client: HttpClient, served: Serve, reply: Reply, kind: FailureKind
) -> None:
    url = await served(lambda asked: reply)
    began = time.monotonic()
    assert (await failure(client, url, deadline_s=0.4)).kind is kind
    assert time.monotonic() - began < 2


async def test_a_small_body_that_unfolds_to_a_large_one_is_too_large(client: HttpClient, served: Serve) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    url = await served(lambda asked: Reply(body=bomb, headers={"Content-Encoding": "gzip"}))
    assert (await failure(client, url, max_bytes=100_000)).kind is FailureKind.TOO_LARGE


async def test_an_encoded_body_is_counted_decoded(client: HttpClient, served: Serve) -> None:
    packed = gzip.compress(b"{}")
    url = await served(lambda asked: Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert (await get(client, url)).body == b"{}"


async def test_a_long_answer_is_cut_where_the_caller_says_so(client: HttpClient, served: Serve) -> None:
    url = await served(lambda asked: Reply(body=b"x" * 1_000_000))
    assert (await get(client, url, max_bytes=4096, truncate=True)).body == b"x" * 4096


async def test_a_refused_connection_is_told_as_such(client: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert (await failure(client, f"http://127.0.0.1:{port}/")).kind is FailureKind.REFUSED


async def test_a_name_that_does_not_resolve_is_told_as_such(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*args: object, **options: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    told = await failure(client, "http://nobody.example/?key=sk_test_123")
    assert told.kind is FailureKind.DNS
    assert "sk_test_123" not in str(told)


async def test_plain_http_behind_https_is_a_tls_failure(client: HttpClient) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        assert (await failure(client, f"https://127.0.0.1:{port}/")).kind is FailureKind.TLS
    finally:
        server.close()
        await server.wait_closed()


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_failure(client: HttpClient, tmp_path: Path) -> None:
    context, _ = make_tls(tmp_path)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        told = await failure(client, f"https://127.0.0.1:{port}/")
    finally:
        server.close()
        await server.wait_closed()
    assert told.kind is FailureKind.TLS
    assert "certificate" in told.detail


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http://", "nothing", "http://a..b/", "http://[::1", "http://2852039166/", "file:///etc/passwd"]
)
async def test_what_is_no_http_url_is_a_bad_url(client: HttpClient, url: str) -> None:
    assert (await failure(client, url)).kind is FailureKind.BAD_URL


@pytest.mark.parametrize("value", ["two\r\nlines", "snow\u2603"])
async def test_a_header_that_cannot_be_sent_is_a_bad_request(client: HttpClient, value: str) -> None:
    with pytest.raises(HttpFailure) as caught:
        await client.exchange("GET", "http://127.0.0.1:1/", headers={"x": value}, deadline_s=1, max_bytes=1)
    assert caught.value.kind is FailureKind.BAD_REQUEST


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0", "[::]"]
)
async def test_a_literal_forbidden_address_is_refused(client: HttpClient, host: str) -> None:
    told = await failure(client, f"http://{host}/latest/meta-data")
    assert told.kind is FailureKind.FORBIDDEN_ADDRESS
    assert "never connected to" in told.detail


async def test_a_name_that_changes_to_a_forbidden_address_is_refused_when_it_does(
    client: HttpClient, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await served(lambda asked: Reply(200, b"fine", {"Connection": "close"}))
    port = int(url.rpartition(":")[2])
    answers = iter(["127.0.0.1", "169.254.169.254"])

    def answer(host: str, at: int, *args: object, **options: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), at))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert (await get(client, f"http://turncoat.example:{port}/")).body == b"fine"
    told = await failure(client, f"http://turncoat.example:{port}/")
    assert told.kind is FailureKind.FORBIDDEN_ADDRESS
    assert "169.254.169.254" in told.detail


async def test_a_name_with_a_forbidden_and_a_good_address_reaches_the_good_one(
    client: HttpClient, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await served(lambda asked: Reply(200, b"fine"))
    port = int(url.rpartition(":")[2])

    def answer(host: str, at: int, *args: object, **options: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, at)) for address in ("169.254.169.254", "127.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert (await get(client, f"http://both.example:{port}/")).body == b"fine"


async def test_two_forbidden_addresses_are_one_clear_refusal(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(host: str, at: int, *args: object, **options: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", at)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", at, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert (await failure(client, "http://bad.example/")).kind is FailureKind.FORBIDDEN_ADDRESS


async def test_a_client_is_closed_without_waiting_for_a_name_that_never_resolves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: release.wait(20) and [])
    client = HttpClient()
    began = time.monotonic()
    assert (await failure(client, "http://dead.example/", deadline_s=0.1)).kind is FailureKind.TIMEOUT
    await client.aclose()
    assert time.monotonic() - began < 2
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    release.set()


async def test_a_closed_client_says_so() -> None:
    client = HttpClient()
    await client.aclose()
    assert (await failure(client, "http://127.0.0.1:1/")).kind is FailureKind.CLOSED


async def test_any_httpx_transport_can_stand_in_for_the_network() -> None:
    client = HttpClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(201, json={"seen": request.url.path}))
    )
    answer = await get(client, "https://anywhere.example/path")
    assert (answer.status, answer.body) == (201, b'{"seen":"/path"}')
    await client.aclose()
