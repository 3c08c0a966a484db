"""Where the URLs of strangers lead: to public addresses by https, and to what the operator allows."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.demo.standins.loopback import Reply, StandinRequest, serve
from daemon.net.addresses import ANYWHERE, FORBIDDEN_MARK, Reach
from daemon.net.http import FailureKind, HttpClient, HttpFailure
from tests.helpers_tls import make_tls
from tests.http.test_addresses import ALLOWED, FORBIDDEN

SETTING = "[api] allow_subscriptions_at"
Addresses = dict[str, list[list[str]]]


def reach(*allow: str) -> Reach:
    return Reach(True, tuple(ipaddress.ip_network(text) for text in allow), SETTING)


PRIVATE = [
    "10.1.2.3",
    "127.0.0.1",
    "172.16.0.9",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "240.0.0.1",
    "::1",
    "fd00::1",
    "fec0::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::1",
    "100::1",
]
DISGUISED = [
    "::ffff:127.0.0.1",  # mapped
    "::ffff:10.1.2.3",
    "::127.0.0.1",  # compatible
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::a01:203",
    "2002:7f00:1::1",  # 6to4
    "2002:5db8:d822::1",  # of a public address, too: nobody serves there
    "2001:0:5db8:d822::80ff:fffe",  # Teredo
    "::ffff:0:127.0.0.1",  # translated
]
PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:2800::1", "2a00:1450::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]


@pytest.mark.parametrize("text", [*FORBIDDEN, *PRIVATE, *DISGUISED])
def test_nothing_but_a_public_address_is_reached_in_any_disguise(text: str) -> None:
    said = reach().refusal(ipaddress.ip_address(text))
    assert said is not None
    assert FORBIDDEN_MARK in said


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_reached_but_not_without_tls(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert reach().refusal(address) is None
    assert "use https" in (reach().refusal(address, plain=True) or "")
    assert reach("10.0.0.0/8").refusal(address, plain=True) is not None


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_an_address_that_python_calls_private_is_never_reached_mapped_or_not(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    both = (plain, ipaddress.IPv6Address((0xFFFF << 32) + number))
    told = [reach().refusal(address) for address in both]
    assert (told[0] is None) == (told[1] is None)
    if not plain.is_global:
        assert told[0] is not None


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_every_address_gets_the_same_answer_or_a_narrower_one_than_ours(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if reach().refusal(address) is None:
        assert ANYWHERE.refusal(address) is None
        assert address.is_global or address.ipv4_mapped or "64:ff9b::" in str(address)


def test_what_is_allowed_is_reached_also_without_tls() -> None:
    allowed = reach("10.0.0.0/8", "127.0.0.0/8", "fd00::/8")
    for text in ("10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:10.1.2.3", "64:ff9b::a01:203"):
        assert allowed.refusal(ipaddress.ip_address(text)) is None
        assert allowed.refusal(ipaddress.ip_address(text), plain=True) is None
    told = allowed.refusal(ipaddress.ip_address("192.168.0.1")) or ""
    assert SETTING in told


@pytest.mark.parametrize("text", FORBIDDEN)
def test_a_link_local_or_metadata_address_is_not_reached_whatever_is_allowed(text: str) -> None:
    assert reach("0.0.0.0/0", "::/0").refusal(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize("text", ALLOWED)
def test_our_own_urls_lead_where_they_always_led(text: str) -> None:
    assert ANYWHERE.refusal(ipaddress.ip_address(text), plain=True) is None


# ── over real sockets ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def asked() -> list[str]:
    return []


@pytest.fixture
async def served(asked: list[str]) -> AsyncIterator[Callable[[Reply], Any]]:
    async with AsyncExitStack() as stack:

        async def start(reply: Reply) -> int:
            def handler(request: StandinRequest) -> Reply:
                asked.append(request.path)
                return reply

            url = await stack.enter_async_context(serve(handler))
            return int(url.rpartition(":")[2])

        yield start


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """What names resolve to: the first answer of each list, then the next, and the last for ever."""
    known: Addresses = {}
    real = socket.getaddrinfo

    def answer(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host not in known:
            return list(real(host, port, *args, **options))
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


async def failure(reach: Reach, url: str) -> HttpFailure:
    client = HttpClient(reach=reach)
    try:
        with pytest.raises(HttpFailure) as caught:
            await client.exchange("POST", url, headers={}, content=b"{}", deadline_s=5, max_bytes=1000)
    finally:
        await client.aclose()
    return caught.value


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"])
async def test_a_stranger_reaches_no_server_of_ours(served: Any, asked: list[str], scheme: str, host: str) -> None:
    port = await served(Reply())
    told = await failure(reach(), f"{scheme}://{host}:{port}/")
    assert told.kind is FailureKind.FORBIDDEN_ADDRESS
    assert SETTING in told.detail
    assert asked == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "017700000001", "0"])
async def test_an_address_in_odd_writing_reaches_none_either(served: Any, asked: list[str], host: str) -> None:
    port = await served(Reply())
    await failure(reach(), f"http://{host}:{port}/")
    assert asked == []


async def test_a_name_that_was_public_when_it_was_looked_at_leads_nowhere_else_later(
    served: Any, asked: list[str], names: Addresses
) -> None:
    port = await served(Reply())
    names["rebinds.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    (looked_at,) = socket.getaddrinfo("rebinds.example", port)
    assert reach().refusal(ipaddress.ip_address(looked_at[4][0])) is None
    told = await failure(reach(), f"https://rebinds.example:{port}/")
    assert told.kind is FailureKind.FORBIDDEN_ADDRESS
    assert asked == []


async def test_of_several_addresses_only_an_allowed_one_is_connected_to(
    served: Any, asked: list[str], names: Addresses
) -> None:
    port = await served(Reply())
    names["both.example"] = [["127.0.0.2", "127.0.0.1"]]
    client = HttpClient(reach=reach("127.0.0.1/32"))
    answer = await client.exchange("GET", f"http://both.example:{port}/here", headers={}, deadline_s=5, max_bytes=1000)
    await client.aclose()
    assert (answer.status, asked) == (200, ["/here"])
    names["both.example"] = [["127.0.0.2"]]
    told = await failure(reach("127.0.0.1/32"), f"http://both.example:{port}/")
    assert told.kind is FailureKind.FORBIDDEN_ADDRESS


async def test_a_redirect_leads_a_stranger_nowhere(served: Any, asked: list[str]) -> None:
    inner = await served(Reply())
    port = await served(Reply(302, b"", {"Location": f"http://127.0.0.1:{inner}/inside"}))
    client = HttpClient(reach=reach("127.0.0.1/32"))
    answer = await client.exchange("GET", f"http://127.0.0.1:{port}/out", headers={}, deadline_s=5, max_bytes=1000)
    await client.aclose()
    assert (answer.status, asked) == (302, ["/out"])


async def test_what_is_allowed_is_reached_by_https_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_side, trusting = make_tls(tmp_path)
    monkeypatch.setattr("daemon.net.http.trust", lambda: trusting)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nin")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    client = HttpClient(reach=reach("127.0.0.0/8"))
    try:
        assert (await client.exchange("GET", url, headers={}, deadline_s=5, max_bytes=1000)).body == b"in"
        assert (await failure(reach(), url)).kind is FailureKind.FORBIDDEN_ADDRESS
    finally:
        await client.aclose()
        server.close()
        await server.wait_closed()
