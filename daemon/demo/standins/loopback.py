"""A small, fast HTTP/1.1 server on loopback for the stand-ins, with the bad answers of real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

_HEAD_BYTES = 64 * 1024
_BODY_BYTES = 4 * 1024 * 1024


class Manner(StrEnum):
    """How an answer is sent."""

    WHOLE = "whole"
    SILENT = "silent"  # nothing is sent and the connection stays open
    DRIPPING = "dripping"  # the head at once, then a byte every `beat_s`
    CUT = "cut"  # half of the body, then the connection is closed
    CLOSED = "closed"  # the connection is closed without an answer
    RAW = "raw"  # the body alone, without a head: not HTTP unless it says so itself


@dataclass(frozen=True, slots=True)
class StandinRequest:
    """One request. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `Content-Length` is added; header names are sent as given."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = Manner.WHOLE
    wait_s: float = 0.0
    beat_s: float = 0.25


Handler = Callable[[StandinRequest], Reply]


class _Connection(asyncio.Protocol):
    def __init__(self, handler: Handler, open_connections: set[_Connection]) -> None:
        self._handler = handler
        self._open = open_connections
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._task is None and (asked := self._take()) is not None:
            self._answer(self._handler(asked))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> StandinRequest | None:
        """Return the next complete request of the buffer."""
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > _HEAD_BYTES:
                self.close()
            return None
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", "0") or "0")
        if length > _BODY_BYTES:
            self.close()
            return None
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        method, path, *_ = [*lines[0].split(" "), "", ""]
        return StandinRequest(method, path, headers, rest[:length])

    def _answer(self, reply: Reply) -> None:
        if reply.wait_s or reply.manner in (Manner.DRIPPING, Manner.SILENT):
            self._task = asyncio.get_running_loop().create_task(self._answer_slowly(reply))
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        transport = self._transport
        if transport is None:
            return
        if reply.manner is Manner.CLOSED:
            transport.abort()
        elif reply.manner is Manner.RAW:
            transport.write(reply.body)
            transport.close()
        elif reply.manner is Manner.CUT:
            transport.write(_head(reply) + reply.body[: len(reply.body) // 2])
            transport.close()
        else:
            transport.write(_head(reply) + reply.body)

    async def _answer_slowly(self, reply: Reply) -> None:
        if reply.manner is Manner.SILENT:
            await asyncio.Event().wait()  # until the other side has enough
        await asyncio.sleep(reply.wait_s)
        if reply.manner is not Manner.DRIPPING:
            self._send(reply)
        elif self._transport is not None:
            self._transport.write(_head(reply))
            for byte in reply.body:
                await asyncio.sleep(reply.beat_s)
                self._transport.write(bytes((byte,)))
        self._task = None
        self.data_received(b"")


def _head(reply: Reply) -> bytes:
    phrase = HTTPStatus(reply.status).phrase if reply.status in _PHRASES else "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in reply.headers.items())]
    if not any(name.lower() == "content-length" for name in reply.headers):
        lines.append(f"Content-Length: {len(reply.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_PHRASES = frozenset(int(status) for status in HTTPStatus)


@asynccontextmanager
async def serve(handler: Handler, port: int = 0) -> AsyncIterator[str]:
    """Serve `handler` on 127.0.0.1 and yield the base URL; every connection is cut at the end."""
    connections: set[_Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(handler, connections), "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # the connections' own goodbyes
