"""What passes between a client and the stand-in, whichever way they reach each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from daemon.demo.standins.stripe.faults import Strike
from daemon.demo.standins.stripe.keys import Saved
from daemon.demo.standins.stripe.objects import Json


class Request(Struct, frozen=True, gc=False):
    """One request as it came in; `body` is the form (or the query of a GET)."""

    method: str
    path: str
    body: str
    headers: Mapping[str, str]


class Exchange(Struct, frozen=True, gc=False):
    """What was asked and what went out: for tests and traces. `status` 0 is a broken connection."""

    at: datetime
    endpoint: str
    path: str
    params: Json
    key: str | None
    status: int
    replayed: bool
    strike: Strike | None
    refused: str = ""
    """Stripe's words, where it refused."""


class Reply(Struct, frozen=True, gc=False):
    """What goes back: an answer, after a wait or cut short; `answer` None is a broken connection."""

    answer: Saved | None
    wait_s: float = 0.0
    truncated: bool = False
