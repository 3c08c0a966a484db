from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from daemon.web.server import bind, serving
from daemon.web.site import site
from daemon.work.service import Service
from tests.service.conftest import Town, town

__all__ = ["town"]

Browse = Callable[[Service], AbstractAsyncContextManager[httpx.AsyncClient]]


async def free_port() -> int:
    with await bind("127.0.0.1", 0) as bound:
        port: int = bound.getsockname()[1]
        return port


@asynccontextmanager
async def browsing(town: Town, service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the served page, over a real socket."""
    port = await free_port()
    async with serving(site(service.config, service, town.clock), "127.0.0.1", port):
        transport = httpx.AsyncHTTPTransport(retries=3)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
            yield client


@pytest.fixture
def browse(town: Town) -> Browse:
    return lambda service: browsing(town, service)
