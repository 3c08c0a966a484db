"""A webhook receiver on loopback that verifies signatures, with the faults of real receivers, on command.

It verifies with the `standardwebhooks` library, as a receiver would, not with our own code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

TEST_SECRET = "whsec_" + "dGVzdC1zZWNyZXQtb2YtdGhpcnR5LXR3by1ieXRlcyE="


@dataclass(frozen=True, slots=True)
class Received:
    """One request, with the status of its answer."""

    id: str
    headers: Mapping[str, str]
    body: bytes
    verified: bool
    status: int

    @property
    def payload(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass(slots=True)
class Fault:
    """How the next `times` requests are answered; None: all."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip_s: float = 0.0
    """Seconds between two bytes of the body."""
    delay_s: float = 0.0
    hang_up: bool = False
    """Accept the request and close the connection without an answer: the acknowledgement is lost."""
    times: int | None = None


class ReceiverStandin:
    """Listens from `start` to `stop` and stores every request. `fault`: how they are answered; None: with 200."""

    def __init__(self, *, secret: str = TEST_SECRET, on_event: Callable[[Received], None] = lambda one: None) -> None:
        self.received: list[Received] = []
        self.fault: Fault | None = None
        self.keep = True
        self.count = 0
        self.port = 0
        self._webhook = Webhook(secret)
        self._on_event = on_event
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ReceiverStandin:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/balance"

    @property
    def accepted(self) -> list[Received]:
        """The requests that were answered with 2xx."""
        return [one for one in self.received if 200 <= one.status < 300]

    async def start(self) -> None:
        """Listen on a free port, or again on the last one."""
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close open connections."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or this stand-in stops
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        headers = _read_headers(head)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        fault = self._next_fault()
        received = Received(
            headers.get("webhook-id", ""),
            headers,
            body,
            self._verify(body, headers),
            0 if fault.hang_up else fault.status,
        )
        self.count += 1
        if self.keep:
            self.received.append(received)
        self._on_event(received)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.hang_up:
            return False
        await _answer(writer, fault)
        return True

    def _next_fault(self) -> Fault:
        fault = self.fault
        if fault is None:
            return _FINE
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.fault = None
        return fault

    def _verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True


_FINE = Fault()


def _read_headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _answer(writer: asyncio.StreamWriter, fault: Fault) -> None:
    extra = "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items())
    writer.write(f"HTTP/1.1 {fault.status} X\r\ncontent-length: {len(fault.body)}\r\n{extra}\r\n".encode())
    if fault.drip_s:
        for byte in fault.body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(fault.drip_s)
    else:
        writer.write(fault.body)
    await writer.drain()
