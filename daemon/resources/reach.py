"""Where what was made by API may be reached: at public addresses over https, and at the networks that the file allows.

A name is judged when it is connected to; here only what an address itself says.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from daemon.config.model import Networks
from daemon.config.problems import ProblemId
from daemon.config.urls import address_of, is_loopback


def refused_at(url: str, allowed: Networks) -> tuple[ProblemId, str, str] | None:
    """Return what is wrong with the place of a URL: an id, a sentence and a hint; None where nothing is.

    Faults of any URL (no host, a forbidden address) are found elsewhere: of such a one nothing is said here.
    """
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:
        return None
    address = address_of(host) or (ip_address("127.0.0.1") if is_loopback(host) else None)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    is_allowed = address is not None and any(
        address.version == network.version and address in network for network in allowed
    )
    if address is not None and not address.is_global and not is_allowed:
        said = "what is made by API is reached at public addresses alone"
        return ProblemId.URL_FORBIDDEN, said, "the configuration file allows others, by network"
    if split.scheme == "http" and not is_allowed:
        return ProblemId.URL_PLAIN, "plain http can be read and changed on its way", "use https"
    return None
