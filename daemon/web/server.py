"""Serves the page inside the daemon's loop. A port that is taken stops nothing else: it is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from daemon.limits import PAGE_CLOSES_WITHIN_S, PAGE_HEAD_BYTES, PAGE_RETRIED_EVERY_S
from daemon.web.connection import PageConnection

log = structlog.get_logger("brimful.web")
_HINT = "it is tried again every 30 seconds; end what has the port, or change [http] listen"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[None]:
    """Serve `app` at the address until the block ends; requests under way may end first."""
    ended = asyncio.Event()
    task = asyncio.ensure_future(_serve_until(ended, app, host, port))
    try:
        yield
    finally:
        ended.set()
        await task


async def _serve_until(ended: asyncio.Event, app: ASGIApp, host: str, port: int) -> None:
    told = False
    while not ended.is_set():
        try:
            bound = await bind(host, port)
        except OSError as error:
            if not told:
                why = error.strerror or str(error)
                log.error("page not served", listen=f"{host}:{port}", error=why, hint=_HINT)
                told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), PAGE_RETRIED_EVERY_S)
            continue
        with bound:
            log.info("page", url=url_of(bound))
            await _Server(app, ended).serve(sockets=[bound])


async def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address; raises OSError where it cannot be had.

    It names TCP: asyncio sends small answers at once only on a socket that does.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def url_of(bound: socket.socket) -> str:
    """Return where a browser finds the page."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class _Server(uvicorn.Server):
    """uvicorn without its signals, and without its ten ticks a second: it serves until `ended`."""

    def __init__(self, app: ASGIApp, ended: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PageConnection,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                interface="asgi3",
                proxy_headers=False,
                server_header=False,
                date_header=False,
                h11_max_incomplete_event_size=PAGE_HEAD_BYTES,
                timeout_graceful_shutdown=PAGE_CLOSES_WITHIN_S,
            )
        )
        self._ended = ended

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The daemon's signals are its own."""
        yield

    async def main_loop(self) -> None:
        await self._ended.wait()
