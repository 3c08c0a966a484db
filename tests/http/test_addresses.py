"""Where the process may connect to."""

import asyncio
import errno
import ipaddress
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.net.addresses import FORBIDDEN_MARK, Resolver, guarded_socket, refusal

FORBIDDEN = [
    "169.254.169.254",
    "169.254.0.1",
    "169.254.255.255",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "febf::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]
ALLOWED = [
    "127.0.0.1",
    "127.8.9.1",
    "::1",
    "::ffff:127.0.0.1",
    "10.1.2.3",
    "192.168.1.1",
    "172.16.0.9",
    "fd00::1",
    "93.184.216.34",
    "2606:2800::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_link_local_and_metadata_addresses_are_refused_in_every_disguise(text: str) -> None:
    reason = refusal(ipaddress.ip_address(text))
    assert reason is not None
    assert FORBIDDEN_MARK in reason


@pytest.mark.parametrize("text", ALLOWED)
def test_loopback_private_and_public_addresses_are_allowed(text: str) -> None:
    assert refusal(ipaddress.ip_address(text)) is None


@given(st.integers(min_value=0, max_value=0xFFFF))
def test_every_link_local_address_is_refused_mapped_or_not(rest: int) -> None:
    plain = ipaddress.IPv4Address(0xA9FE0000 + rest)
    mapped = ipaddress.IPv6Address((0xFFFF << 32) + int(plain))
    assert refusal(plain) is not None
    assert refusal(mapped) is not None


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_every_address_gets_an_answer(number: int) -> None:
    refusal(ipaddress.IPv6Address(number))


def test_a_socket_for_a_forbidden_address_is_never_made() -> None:
    with pytest.raises(OSError, match=FORBIDDEN_MARK) as caught:
        guarded_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%lo", 80, 0, 1)))
    assert caught.value.errno == errno.EACCES


async def test_names_resolve_through_getaddrinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(host: str, port: int, *args: object, **options: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    found = await Resolver().resolve("receiver.example", 443)
    assert asked == ["receiver.example"]
    assert [one["host"] for one in found] == ["127.0.0.9"]


async def test_however_many_ask_for_a_name_it_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked = threading.Event(), []

    def answer(host: str, port: int, *args: object, **options: object) -> list[object]:
        asked.append(host)
        release.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    resolver = Resolver()
    waiting = [asyncio.ensure_future(resolver.resolve("dead.example", 80)) for _ in range(50)]
    await asyncio.sleep(0.02)
    waiting.pop().cancel()  # one gives up, the others go on waiting
    release.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert asked == ["dead.example"]
    assert all(isinstance(outcome, socket.gaierror) for outcome in outcomes)


async def test_a_name_that_never_resolves_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def answer(host: str, port: int, *args: object, **options: object) -> list[object]:
        if host == "dead.example":
            release.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    resolver = Resolver()
    dead = [asyncio.ensure_future(resolver.resolve("dead.example", 80)) for _ in range(20)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(2):
            assert await resolver.resolve("alive.example", 80)
    finally:
        release.set()
        await asyncio.gather(*dead)
