"""Connections that ask nothing, ask too much, or never read what they asked for, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from daemon.limits import PAGE_CONNECTIONS, PAGE_REQUESTS
from daemon.web import connection
from daemon.web.guard import Guard
from daemon.web.server import serving
from tests.web.conftest import free_port

HUGE = "x" * (64 * 1024 * 1024)


class Pages:
    """Answers `/` at once, `/slow` when told to, `/huge` with more than any buffer holds."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            self.waiting += 1
            await self.released.wait()
        answer = PlainTextResponse(HUGE) if scope["path"] == "/huge" else JSONResponse({})
        await answer(scope, receive, send)


@asynccontextmanager
async def served(pages: Pages) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    port = await free_port()
    async with serving(Guard(pages, ""), "127.0.0.1", port):
        transport = httpx.AsyncHTTPTransport(retries=3)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
            await client.get("/")
            yield port, client


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_half_open_connections_shut_nobody_out(said: bytes) -> None:
    """Three times as many as there are slots, each silent or in the middle of its head."""
    async with served(Pages()) as (port, client), AsyncExitStack() as stack:
        for _ in range(3 * PAGE_CONNECTIONS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(said)
        for path in ("/", "/healthz"):
            assert (await client.get(path)).status_code == 200


async def test_a_head_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that drip do not extend the deadline; nor does an earlier request on the same connection."""
    monkeypatch.setattr(connection, "PAGE_HEAD_S", 0.3)
    async with served(Pages()) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        started = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionError):
            await _drip(writer)
        assert asyncio.get_running_loop().time() - started < 1.5
        writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    for _ in range(200):
        writer.write(b"G")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_health_is_answered_while_everything_else_is_full() -> None:
    pages = Pages()
    async with served(pages) as (port, client), AsyncExitStack() as stack:
        for _ in range(PAGE_REQUESTS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while pages.waiting < PAGE_REQUESTS:
            await asyncio.sleep(0.01)
        refused = await client.get("/")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await client.get("/healthz")).status_code == 200
        pages.released.set()
        for _ in range(100):
            if (await client.get("/")).status_code == 200:
                break
            await asyncio.sleep(0.01)
        assert (await client.get("/")).status_code == 200


async def test_an_answer_that_nobody_reads_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAGE_ANSWER_S", 0.3)
    async with served(Pages()) as (port, _):
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(b"GET /huge HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await asyncio.sleep(0.8)
            one.settimeout(5)
            assert await asyncio.to_thread(_received, one) < len(HUGE)


def _received(one: socket.socket) -> int:
    """How many bytes there are still to be read of a connection that was cut."""
    received = 0
    try:
        while chunk := one.recv(1 << 20):
            received += len(chunk)
    except ConnectionError:
        pass
    return received
