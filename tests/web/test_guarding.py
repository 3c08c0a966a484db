"""Who may read the page, and what a browser is told to do with it."""

from __future__ import annotations

import base64

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from daemon.web.guard import Guard

TOKEN = "töken-of-the-page"


def client(token: str = "", base: str = "http://127.0.0.1:9750") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Guard(PlainTextResponse("read"), token))
    return httpx.AsyncClient(transport=transport, base_url=base)


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:9750", "http://localhost", "http://[::1]:9750", "http://LOCALHOST:1"]
)
async def test_this_machine_reads_by_its_own_names(base: str) -> None:
    async with client(base=base) as one:
        answer = await one.get("/")
    assert (answer.status_code, answer.text) == (200, "read")


@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:9750", "127.0.0.1.example", "", "[::2]:80", "10.0.0.1"]
)
async def test_a_name_that_was_pointed_here_reads_nothing(host: str) -> None:
    async with client() as one:
        answer = await one.get("/metrics", headers={"host": host})
    assert answer.status_code == 403
    assert "set a token" in answer.json()["error"]


@pytest.mark.parametrize("base", ["http://127.0.0.1:9750", "https://brimful.example"])
async def test_with_a_token_whoever_has_it_reads_by_any_name(base: str) -> None:
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    async with client(TOKEN, base) as one:
        for header in (f"Bearer {TOKEN}".encode(), f"bearer  {TOKEN}".encode(), f"Basic {basic}".encode()):
            answer = await one.get("/", headers={b"authorization": header})
            assert (answer.status_code, answer.text) == (200, "read")


@pytest.mark.parametrize(
    "said", [None, "Bearer ", "Bearer wrong", "Basic !!", "Basic /w==", "Basic d3Jvbmc6d3Jvbmc=", "Token x"]
)
async def test_without_the_token_nothing_is_read_and_a_browser_asks_for_it(said: str | None) -> None:
    async with client(TOKEN) as one:
        answer = await one.get("/healthz", headers={} if said is None else {"authorization": said})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="Brimful"'
    assert TOKEN not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_the_page_only_reads(method: str) -> None:
    async with client() as one:
        answer = await one.request(method, "/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_nothing_is_kept_framed_or_run_by_a_browser() -> None:
    async with client() as one:
        headers = (await one.get("/")).headers
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["date"].endswith("GMT")


async def test_a_page_that_fails_says_so_in_a_sentence() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("sk_test_secret")

    transport = httpx.ASGITransport(Guard(broken, ""))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as one:
        answer = await one.get("/")
    assert answer.status_code == 500
    assert answer.json() == {"error": "this page failed: the daemon's log says why"}
