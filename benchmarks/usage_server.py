"""A usage API, a webhook receiver and a Prometheus target for thousands of accounts, in a process of its own.

    python -m benchmarks.usage_server        prints its port and serves until its standard input ends

    GET  /a/N/api/v1/usage    account N's answer in ContentStats' shape
    GET  /a/N/metrics         the same numbers as Prometheus text
    POST /hook                a webhook: the instant of its arrival is kept, by account
    GET  /v1/…                Stripe: an empty list, for whoever lists payments
    GET  /drop?accounts=1,2   the next answers of these accounts say a low balance; /raise a good one
    GET  /every?polls=60      the numbers of an account move with every 60th answer (0: never), of each at another one
    GET  /stats               what was asked and when, as JSON; /reset forgets it
    GET  /polls, /hooks       each poll (when, of whom), each webhook (when, its id, its account, its type)

It is as quick as Python can be, so that the machine measures its client.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from urllib.parse import parse_qs

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s"
_JSON, _TEXT = b"application/json", b"text/plain; version=0.0.4"
FULL_CENTS, LOW_CENTS = 9_000_000, 300


class World:
    """What the accounts say, and what was asked."""

    def __init__(self) -> None:
        self.every = 60
        self.answered: dict[str, int] = {}
        self.low: set[str] = set()
        self.forget()

    def forget(self) -> None:
        self.first_at: float | None = None
        self.last_at: float | None = None
        self.asked = 0
        self.by_second: dict[int, int] = {}
        self.low_answered_at: dict[str, float] = {}
        self.hooked_at: dict[str, float] = {}
        self.polls: list[tuple[float, str]] = []
        self.hooks: list[tuple[float, str, str, str]] = []

    def answer(self, method: str, target: str, body: bytes, head: bytes = b"") -> bytes:
        path, _, query = target.partition("?")
        if path.startswith("/a/"):
            return self._usage(path)
        if path == "/hook":
            said, now = json.loads(body), time.time()
            account = said["data"]["account"]
            self.hooked_at.setdefault(account, now)
            self.hooks.append((now, _header(head, b"webhook-id"), account, said["type"]))
            return _answer(_JSON, b"{}")
        if path.startswith("/v1/"):
            return _answer(_JSON, b'{"object":"list","data":[],"has_more":false,"url":"/v1/payment_intents"}')
        given = parse_qs(query)
        if path == "/drop":
            self.low.update(given["accounts"][0].split(","))
        elif path == "/raise":
            self.low.difference_update(given["accounts"][0].split(","))
        elif path == "/every":
            self.every = int(given["polls"][0])
        elif path == "/reset":
            self.forget()
        found: dict[str, object] = {}
        if path == "/stats":
            found = self._stats()
        elif path == "/polls":
            found = {"polls": self.polls}
        elif path == "/hooks":
            found = {"hooks": self.hooks}
        return _answer(_JSON, json.dumps(found).encode())

    def _usage(self, path: str) -> bytes:
        account = path[3 : path.index("/", 3)]
        now = time.time()
        if self.first_at is None:
            self.first_at = now
        self.last_at = now
        self.asked += 1
        self.by_second[int(now)] = self.by_second.get(int(now), 0) + 1
        self.polls.append((now, account))
        count = self.answered.get(account, 0)
        self.answered[account] = count + 1
        moved = (count + zlib.crc32(account.encode()) % self.every) // self.every if self.every else 0
        spent = 45 * moved
        balance = LOW_CENTS if account in self.low else FULL_CENTS
        if account in self.low:
            self.low_answered_at.setdefault(account, now)
        if path.endswith("/metrics"):
            return _answer(_TEXT, _METRICS % (balance // 100, balance % 100, spent // 100, spent % 100, moved))
        return _answer(_JSON, _USAGE % (balance // 100, balance % 100, moved, spent // 100, spent % 100))

    def _stats(self) -> dict[str, object]:
        return {
            "asked": self.asked,
            "accounts": len(self.answered),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "busiest_second": max(self.by_second.values(), default=0),
            "low_answered_at": self.low_answered_at,
            "hooked_at": self.hooked_at,
        }


_USAGE = (
    b'{"balance_usd":%d.%02d,"uncharged_usage_usd":0.75,"total_snapshots":%d,"active_videos":3,'
    b'"total_charged_usd":%d.%02d,"estimated_snapshots_remaining":830,"cost_per_snapshot":0.015}'
)
_METRICS = (
    b"# TYPE balance_usd gauge\nbalance_usd %d.%02d\n# TYPE uncharged_usage_usd gauge\nuncharged_usage_usd 0.75\n"
    b"# TYPE total_charged_usd counter\ntotal_charged_usd %d.%02d\n# TYPE snapshots_total counter\nsnapshots_total %d\n"
    b"# TYPE active_videos gauge\nactive_videos 3\n# TYPE cost_per_snapshot gauge\ncost_per_snapshot 0.015\n"
)


def _header(head: bytes, name: bytes) -> str:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((value.strip().decode() for key, _, value in lines if key.lower() == name), "")


def _answer(kind: bytes, body: bytes) -> bytes:
    return _HEAD % (kind, len(body), body)


class _Connection(asyncio.Protocol):
    def __init__(self, world: World) -> None:
        self._world = world
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = 0
            if head[:3] != b"GET" and (at := head.lower().find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            assert self._transport is not None
            self._transport.write(self._world.answer(method, target, body, head))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    world = World()
    server = await loop.create_server(lambda: _Connection(world), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve())
