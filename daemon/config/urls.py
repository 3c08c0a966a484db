"""Accepted URLs: https, or http to a loopback or private address. No message contains a URL."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from daemon.config.problems import ProblemId

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
"""The last label of a host that is an address however it is written: 127.1, 0x7f.1, 2130706433 (the URL Standard)."""
_SPACE = re.compile(r"\s")
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Plain(Enum):
    """Where http without TLS is accepted."""

    OWN = "own"  # to a loopback or private address only
    ANYWHERE = "anywhere"  # the operator allowed it


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a URL."""

    id: ProblemId
    message: str
    hint: str = ""


def fault(url: str, plain: Plain) -> Fault | None:
    """Return what is wrong with `url`, or None."""
    split = _split(url)
    if split is None or not split.hostname or split.scheme not in _DEFAULT_PORTS:
        return Fault(ProblemId.URL_INVALID, "this is not a web address", 'such as "https://example.com/usage"')
    if split.username is not None or split.password is not None:
        return Fault(ProblemId.URL_INVALID, "the URL contains a name or password", "use a header or a key")
    if split.fragment:
        return Fault(ProblemId.URL_INVALID, "a part after '#' is never sent", "leave it out")
    address = address_of(split.hostname)
    if address is None and _NUMBER.fullmatch(split.hostname.rstrip(".").rpartition(".")[2]):
        said = "some programs read this host as an IP address, and others as a name"
        return Fault(ProblemId.URL_INVALID, said, "write the address with four numbers, such as 127.0.0.1")
    if address is not None and not address.is_loopback:
        from daemon.net.addresses import refusal  # imports the HTTP library: only if there is an address to check

        if reason := refusal(address):
            return Fault(ProblemId.URL_FORBIDDEN, reason)
    if split.scheme == "http" and plain is Plain.OWN and not is_own(split.hostname):
        said = "http is accepted to a loopback or private address only"
        return Fault(ProblemId.URL_PLAIN, said, "use https")
    return None


def origin(url: str) -> str:
    """Return scheme, host and port of a valid URL, the port left out where it is the scheme's own."""
    split = urlsplit(url)
    host = split.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if split.port in (None, _DEFAULT_PORTS.get(split.scheme)) else f":{split.port}"
    return f"{split.scheme}://{host}{port}"


def host_and_port(url: str) -> tuple[str, int]:
    """Return the host and port that a valid URL connects to."""
    split = urlsplit(url)
    return split.hostname or "", split.port or _DEFAULT_PORTS[split.scheme]


@lru_cache(maxsize=1024)
def address_of(host: str) -> Address | None:
    """Return the IP address that the host is, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, without a DNS lookup."""
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_own(host: str) -> bool:
    """Whether the host is a loopback or private address; of names only localhost is."""
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return is_loopback(host) or (address is not None and address.is_private and not address.is_link_local)


def _split(url: str) -> SplitResult | None:
    if _SPACE.search(url):
        return None
    try:
        split = urlsplit(url)
        return None if split.port == 0 else split
    except ValueError:
        return None
