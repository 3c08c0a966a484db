"""Where the process may connect to, judged on the final address: our own URLs anywhere but to link-local and metadata
addresses, URLs that strangers chose to public addresses alone.

A name is resolved by `socket.getaddrinfo`, and what is judged is the address that is about to be connected to, so a
name that changes its answer between a check and a connection gains nothing.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from daemon.limits import DNS_LOOKUPS

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORBIDDEN_MARK = "is never connected to"
"""Stands in the text of every refusal: aiohappyeyeballs joins the texts of several failures and drops their types."""

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    )
)
_THIS_HOST = ipaddress.ip_network("0.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def refusal(address: Address) -> str | None:
    """Return why `address` must not be connected to, or None where it may.

    Loopback and private addresses may: usage APIs and receivers of one's own stand there. Link-local, metadata,
    unspecified, multicast and broadcast addresses may not, in no disguise (mapped, compatible, 6to4, NAT64, Teredo).
    """
    reason = _refusal(address)
    if reason is None and isinstance(address, ipaddress.IPv6Address):
        for inner in _embedded(address):
            if inner_reason := _refusal(inner):
                return f"{address} {FORBIDDEN_MARK} (it stands for {inner}, {inner_reason})"
        return None
    return None if reason is None else f"{address} {FORBIDDEN_MARK} ({reason})"


def _refusal(address: Address) -> str | None:
    if address in _METADATA:
        return "a metadata address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_unspecified or (address.version == 4 and address in _THIS_HOST):
        return "an unspecified address"
    if address.is_multicast or int(address) == 0xFFFFFFFF:
        return "a multicast or broadcast address"
    return None


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        found.extend(address.teredo)
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


# ── URLs of strangers ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a client may connect to.

    `public_only`: to public addresses by https, and to networks of `allow` also by plain http; `setting` is the key of
    the configuration that names those.
    """

    public_only: bool = False
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    setting: str = ""

    def refusal(self, address: Address, *, plain: bool = False) -> str | None:
        """Return why `address` must not be connected to (`plain`: without TLS), or None where it may."""
        reason = refusal(address)
        if reason is not None or not self.public_only:
            return reason
        final = _final(address)
        if any(final in network for network in self.allow):
            return None
        if plain:
            return f"{address} {FORBIDDEN_MARK} without TLS (use https, or name it in {self.setting})"
        if _is_public(final):
            return None
        return f"{address} {FORBIDDEN_MARK} (no public address; {self.setting} may name it)"


ANYWHERE = Reach()


def _final(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to, on every host or behind a NAT64 gateway; else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _is_public(address: Address) -> bool:
    return (address.version == 4 or address in _GLOBAL) and not any(address in network for network in _SPECIAL)


_GLOBAL = ipaddress.ip_network("2000::/3")
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
"""What is not public of IPv4 and of the global unicast range of IPv6. Source: IANA's special-purpose registries."""


_Info = tuple[Any, ...]
"""One answer of `getaddrinfo`: family, kind, protocol, name, address."""


def guarded_socket(info: _Info, reach: Reach = ANYWHERE, *, plain: bool = False) -> socket.socket:
    """Return a socket for one resolved address; raises OSError (EACCES) where the address is out of reach.

    aiohttp calls this with the final address of every connection that it opens, literals included.
    """
    family, kind, protocol, _, sockaddr = info
    text = str(sockaddr[0]).partition("%")[0]
    try:
        reason = reach.refusal(ipaddress.ip_address(text), plain=plain)
    except ValueError:
        reason = f"{text} {FORBIDDEN_MARK} (not an IP address)"
    if reason is not None:
        raise OSError(errno.EACCES, reason)
    return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """`socket.getaddrinfo` in threads of its own, `DNS_LOOKUPS` at once, one for each name however many ask for it.

    Not the loop's executor: it has few threads, which dead names would fill, and asyncio waits for it at exit.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(DNS_LOOKUPS)
        self._under_way: dict[tuple[str, int, int], asyncio.Task[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`; raises OSError where there are none.

        Who stops waiting leaves the lookup to the others, and to itself: a thread in `getaddrinfo` cannot be stopped.
        """
        key = (host, port, int(family))
        lookup = self._under_way.get(key)
        if lookup is None:
            lookup = self._under_way[key] = asyncio.ensure_future(self._look_up(host, port, family))
            lookup.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(lookup)

    async def close(self) -> None:
        """Wait for no lookup: their threads end by themselves."""
        for lookup in list(self._under_way.values()):
            lookup.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _look_up(self, host: str, port: int, family: int) -> list[ResolveResult]:
        async with self._slots:
            infos = await _in_thread(functools.partial(_getaddrinfo, host, port, family))
        return [
            ResolveResult(
                hostname=host,
                host=_numeric(sockaddr),
                port=sockaddr[1] or port,
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, sockaddr in infos
            if found in (socket.AF_INET, socket.AF_INET6)
        ]

    def _finished(self, key: tuple[str, int, int], lookup: asyncio.Task[list[ResolveResult]]) -> None:
        del self._under_way[key]
        if not lookup.cancelled():
            lookup.exception()  # nobody may be left to hear it


def _getaddrinfo(host: str, port: int, family: int) -> list[_Info]:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))


def _numeric(sockaddr: tuple[Any, ...]) -> str:
    """The address as text, with its zone where it has one."""
    host = str(sockaddr[0])
    return f"{host}%{sockaddr[3]}" if len(sockaddr) > 3 and sockaddr[3] and "%" not in host else host


async def _in_thread(call: Callable[[], list[_Info]]) -> list[_Info]:
    """Run `call` in a daemon thread. Cancelled, the thread is left to end by itself and its answer is dropped."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[_Info]] = loop.create_future()

    def settle(result: list[_Info], error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result: list[_Info] = []
        error: Exception | None = None
        try:
            result = call()
        except (OSError, ValueError) as caught:  # UnicodeError (a name that cannot be encoded) is a ValueError
            error = caught
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="resolve", daemon=True).start()
    return await future
