"""How the stand-in is reached: an httpx transport inside the process, or an HTTP server on the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import httpx
from aiohttp import web

from daemon.standins.stripe.wire import Reply, Request

_BEAT_S = 0.05
_BODY_BYTES = 1_000_000


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
            dict(request.headers),
        )
        reply = self._standin.handle(sent)
        if reply.wait_s:
            if self._wait is None:
                raise httpx.ReadTimeout("the answer outlived the time-out", request=request)
            await self._wait(reply.wait_s)
        if reply.answer is None or reply.truncated:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx.Response(
            reply.answer.status, headers=dict(reply.answer.headers), content=reply.answer.body, request=request
        )


def _request(method: str, path: str, query: str, body: str, headers: dict[str, str]) -> Request:
    lowered = {name.lower(): value for name, value in headers.items()}
    return Request(method, path, query if method in ("GET", "DELETE") else body, lowered)


@asynccontextmanager
async def serve(standin: Handler, port: int) -> AsyncIterator[str]:
    """Serve the stand-in on 127.0.0.1; yields the base URL. What falls due by the clock happens meanwhile."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        reply = standin.handle(
            _request(request.method, request.path, request.query_string, body, dict(request.headers))
        )
        if reply.wait_s:
            await asyncio.sleep(reply.wait_s)
        if reply.answer is None:
            return _cut(request)
        response = web.StreamResponse(status=reply.answer.status, headers=dict(reply.answer.headers))
        response.content_length = len(reply.answer.body)
        await response.prepare(request)
        if reply.truncated:
            await response.write(reply.answer.body[: len(reply.answer.body) // 2])
            return _cut(request, response)
        await response.write(reply.answer.body)
        await response.write_eof()
        return response

    app = web.Application(client_max_size=_BODY_BYTES)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    await web.SockSite(runner, listener).start()
    beat = asyncio.create_task(_settle(standin))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        beat.cancel()
        with suppress(asyncio.CancelledError):
            await beat
        await runner.cleanup()


def _cut(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=500)


async def _settle(standin: Handler) -> None:
    while True:
        standin.settle()
        await asyncio.sleep(_BEAT_S)
