"""The bad answers of real usage APIs and of the proxies before them, each a value that turns a good answer into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from alerts.model.values import replace
from daemon.demo.standins.loopback import Manner, Reply


class Fault(Protocol):
    def spoil(self, reply: Reply) -> Reply:
        """Return what goes out instead of the good answer."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """A status with an `error` body, or with the body given."""

    status: int
    error: str = "something went wrong"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def spoil(self, reply: Reply) -> Reply:
        body = json.dumps({"error": self.error}).encode() if self.body is None else self.body
        return Reply(self.status, body, {"Content-Type": "application/json", **self.headers})


@dataclass(frozen=True, slots=True)
class RateLimited:
    """429 with whatever headers are given: none, `Retry-After`, or `X-RateLimit-Reset`."""

    headers: Mapping[str, str] = field(default_factory=dict)

    def spoil(self, reply: Reply) -> Reply:
        return Reply(429, b'{"error":"rate limit exceeded"}', {"Content-Type": "application/json", **self.headers})


@dataclass(frozen=True, slots=True)
class Html:
    """A proxy's page."""

    status: int = 200

    def spoil(self, reply: Reply) -> Reply:
        page = b"<!DOCTYPE html>\n<html><body><h1>We will be right back</h1></body></html>"
        return Reply(self.status, page, {"Content-Type": "text/html"})


@dataclass(frozen=True, slots=True)
class BadJson:
    """A body that is not what was promised: by default JSON that stops in the middle."""

    body: bytes | None = None

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, body=reply.body[:-9] if self.body is None else self.body)


@dataclass(frozen=True, slots=True)
class Lie:
    """The good answer with some fields changed: wrong types, NaN, wrong numbers, counters that run backwards."""

    fields: Mapping[str, Any]

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, body=json.dumps({**json.loads(reply.body), **self.fields}).encode())


@dataclass(frozen=True, slots=True)
class Missing:
    """The good answer without some fields."""

    names: tuple[str, ...]

    def spoil(self, reply: Reply) -> Reply:
        document = json.loads(reply.body)
        return replace(
            reply, body=json.dumps({name: value for name, value in document.items() if name not in self.names}).encode()
        )


@dataclass(frozen=True, slots=True)
class Redirect:
    location: str
    status: int = 302

    def spoil(self, reply: Reply) -> Reply:
        return Reply(self.status, b"", {"Location": self.location})


@dataclass(frozen=True, slots=True)
class OverLong:
    """A good answer with megabytes of an unknown field."""

    size: int = 1_000_000

    def spoil(self, reply: Reply) -> Reply:
        return Lie({"padding": "x" * self.size}).spoil(reply)


@dataclass(frozen=True, slots=True)
class Silence:
    """Accepts the request and never answers."""

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, manner=Manner.SILENT)


@dataclass(frozen=True, slots=True)
class Drip:
    """The good answer a byte at a time."""

    beat_s: float = 0.25

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, manner=Manner.DRIPPING, beat_s=self.beat_s)


@dataclass(frozen=True, slots=True)
class Slow:
    """The good answer after a wait."""

    wait_s: float

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, wait_s=self.wait_s)


@dataclass(frozen=True, slots=True)
class Cut:
    """Half of the good answer, then the connection is closed."""

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, manner=Manner.CUT)


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Closes the connection without an answer."""

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, manner=Manner.CLOSED)


@dataclass(frozen=True, slots=True)
class NotHttp:
    """Answers in another protocol."""

    def spoil(self, reply: Reply) -> Reply:
        return replace(reply, body=b"SSH-2.0-OpenSSH_9.6\r\n\r\n", manner=Manner.RAW)
