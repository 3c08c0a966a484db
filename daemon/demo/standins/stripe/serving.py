"""How the stand-in is reached: an httpx transport inside the process, or an HTTP server on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import httpx

from daemon.demo.standins import loopback
from daemon.demo.standins.stripe.wire import Reply, Request

_BEAT_S = 0.05


class Handler(Protocol):
    """What answers: the stand-in."""

    def handle(self, request: Request) -> Reply: ...

    def settle(self) -> object: ...


class Transport(httpx.AsyncBaseTransport):
    """Answers httpx requests without a socket."""

    def __init__(self, standin: Handler, wait: Callable[[float], Awaitable[object]] | None) -> None:
        self._standin = standin
        self._wait = wait

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        sent = _request(
            request.method,
            request.url.path,
            request.url.query.decode(),
            request.content.decode(),
            request.headers,
        )
        reply = self._standin.handle(sent)
        if reply.wait_s:
            if self._wait is None:
                raise httpx.ReadTimeout("the answer outlived the time-out", request=request)
            await self._wait(reply.wait_s)
        if reply.answer is None or reply.truncated:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        stream = httpx.ByteStream(reply.answer.body)  # as from the network: whoever asked reads it
        return httpx.Response(reply.answer.status, headers=reply.answer.headers, stream=stream, request=request)


def _request(method: str, path: str, query: str, body: str, headers: Mapping[str, str]) -> Request:
    lowered = {name.lower(): value for name, value in headers.items()}
    return Request(method, path, query if method in ("GET", "DELETE") else body, lowered)


@asynccontextmanager
async def serve(standin: Handler, port: int) -> AsyncIterator[str]:
    """Serve the stand-in on 127.0.0.1; yields the base URL. What falls due by the clock happens meanwhile."""

    def answer(asked: loopback.StandinRequest) -> loopback.Reply:
        path, _, query = asked.path.partition("?")
        return _on_socket(standin.handle(_request(asked.method, path, query, asked.body.decode(), asked.headers)))

    beat = asyncio.create_task(_settle(standin))
    try:
        async with loopback.serve(answer, port) as base_url:
            yield base_url
    finally:
        beat.cancel()
        with suppress(asyncio.CancelledError):
            await beat


def _on_socket(reply: Reply) -> loopback.Reply:
    """How an answer goes out over a socket: whole, half, or not at all."""
    if reply.answer is None:
        return loopback.Reply(manner=loopback.Manner.CLOSED, wait_s=reply.wait_s)
    manner = loopback.Manner.CUT if reply.truncated else loopback.Manner.WHOLE
    return loopback.Reply(reply.answer.status, reply.answer.body, reply.answer.headers, manner, reply.wait_s)


async def _settle(standin: Handler) -> None:
    while True:
        standin.settle()
        await asyncio.sleep(_BEAT_S)
