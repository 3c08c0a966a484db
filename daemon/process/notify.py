"""What systemd is told: ready, alive, stopping. Nothing happens outside it.

Source: sd_notify(3): one datagram of `KEY=value` lines to the socket named by `$NOTIFY_SOCKET`.
"""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send `state`, such as `READY=1`; returns whether a service manager was there to hear it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(name)
            channel.sendall(state.encode())
    except OSError:
        return False
    return True


def watchdog_s() -> float | None:
    """Return how often the service manager wants to hear `WATCHDOG=1` (half its limit), or None where it does not."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    own = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(limit) / 2e6 if limit.isdecimal() and own and int(limit) > 0 else None
