"""What is asked too slowly or too much, over real sockets, with the limits made short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from daemon.api import access, bodies
from daemon.api.app import api, beside
from daemon.clock import SystemClock
from daemon.compose import open_service
from daemon.config.load import load
from daemon.web.server import serving
from daemon.web.site import site
from tests.api.conftest import CONFIG, ENVIRON, first_token
from tests.commands.test_newcomer import free_port

Served = tuple[int, str]


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """The API and the page in this process: the port, and a token."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    port, away = free_port(), "http://127.0.0.1:9"
    (tmp_path / "config.toml").write_text(CONFIG.format(folder=tmp_path, port=port, usage=away, receiver=away))
    token, clock = first_token(tmp_path), SystemClock()
    async with open_service(load(tmp_path / "config.toml"), overlap=True) as service:
        assert service.registry is not None
        both = beside(site(service.config, service, clock), api(service, service.registry, clock))
        async with serving(both, "127.0.0.1", port):
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3)) as client:
                await client.get(f"http://127.0.0.1:{port}/healthz")
            yield port, token
        await service.drain(0.0)


async def half(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a request whose body does not come."""
    port, token = served
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"PUT /api/v1/accounts/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{".encode())
    return reader, writer


async def get(served: Served, path: str = "/api/v1/rules") -> httpx.Response:
    port, token = served
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {token}"})


async def test_a_body_that_does_not_come_is_refused_and_its_connection_closed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "API_BODY_S", 0.2)
    reader, writer = await half(served)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer


async def test_half_open_bodies_shut_out_neither_the_page_nor_for_long(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "API_BODY_S", 1.0)
    monkeypatch.setattr(access, "API_REQUESTS", 4)
    writers = [(await half(served))[1] for _ in range(4)]
    await asyncio.sleep(0.2)
    busy = await get(served)
    assert (busy.status_code, busy.json()["type"], busy.headers["retry-after"]) == (503, "busy", "1")
    assert (await get(served, "/healthz")).status_code in (200, 503)
    assert (await get(served, "/")).status_code == 200
    await asyncio.sleep(1.5)
    assert (await get(served)).status_code == 200
    for writer in writers:
        writer.close()


async def test_who_asks_too_often_is_told_when_to_ask_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "API_BURST", 3)
    monkeypatch.setattr(access, "API_PER_S", 0.01)
    codes = [(await get(served)).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    last = await get(served)
    assert (last.json()["type"], last.headers["content-type"]) == ("rate-limited", "application/problem+json")
    assert int(last.headers["retry-after"]) >= 1


async def test_a_fault_of_ours_is_a_problem_and_the_log_says_which(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daemon.resources.registry import Registry

    def broken(*asked: object) -> None:
        raise RuntimeError("a fault with cs_test_secret in it")

    monkeypatch.setattr(Registry, "search", broken)
    answer = await get(served)
    assert (answer.status_code, answer.json()["type"]) == (500, "internal-error")
    assert "cs_test_secret" not in answer.text
