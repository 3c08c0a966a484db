"""Who asks: a bearer's token at the door, how often it may ask, the role that an operation needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from email.utils import formatdate
from secrets import token_hex
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.api.problems import problem
from daemon.limits import API_BURST, API_PER_S, API_REQUESTS, API_TOKENS_COUNTED
from daemon.resources.model import Actor, RequestRefused, Role
from daemon.resources.registry import Registry
from daemon.store import StoreError

log = structlog.get_logger("brimful.api")
PREFIX = "/api/v1"
DOCUMENT = f"{PREFIX}/openapi.json"
"""It is the same for everybody: no token is needed."""
_SAFE = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


class Pace:
    """Requests of each token: a bucket that fills by `API_PER_S`, up to `API_BURST`. `now` in seconds, monotonic."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def wait_s(self, token: str, now: float) -> float:
        """Take one request; return 0, or how long to wait before the next."""
        left, at = self._left.get(token, (API_BURST, now))
        left = min(left + (now - at) * API_PER_S, API_BURST)
        if left < 1:
            self._left[token] = left, now
            return (1 - left) / API_PER_S
        if len(self._left) >= API_TOKENS_COUNTED and token not in self._left:
            self._left.clear()
        self._left[token] = left - 1, now
        return 0.0


class ApiGuard:
    """ASGI middleware: lets in who has a token, bounds how much is asked, and makes every failure a problem."""

    def __init__(self, app: ASGIApp, registry: Registry, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._registry = registry
        self._monotonic = monotonic
        self._pace = Pace()
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id, started = f"req_{token_hex(12)}", False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update({"date": formatdate(usegmt=True), "x-request-id": request_id, **_SAFE})
                if message["status"] in (401, 408, 413, 429, 503):  # the body may not have been read
                    headers["connection"] = "close"
            await send(message)

        if self._answering >= API_REQUESTS:
            await problem(503, "busy", "too much is asked at once: ask again")(scope, receive, send_safely)
            return
        self._answering += 1
        try:
            await (await self._refusal(scope, request_id) or self._app)(scope, receive, send_safely)
        except Exception as error:  # whatever it meets, the caller gets a sentence and the log the rest
            log.error("api failed", path=scope["path"], request=request_id, exc_info=error)
            if not started:
                said = f"this failed: the daemon's log says why, at {request_id}"
                await problem(500, "internal-error", said)(scope, receive, send_safely)
        finally:
            self._answering -= 1

    async def _refusal(self, scope: Scope, request_id: str) -> Response | None:
        """Return why the request is refused; else note in the scope who asks."""
        if scope["path"] == DOCUMENT:
            return None
        scheme, _, said = Headers(scope=scope).get("authorization", "").partition(" ")
        bearer, registry = said.strip() if scheme.lower() == "bearer" else "", self._registry
        try:
            token = await registry.store.apart(registry.authenticate, bearer) if bearer else None
        except (StoreError, sqlite3.Error):
            return problem(503, "store-busy", "the database cannot be used just now: ask again")
        if token is None:
            return problem(401, "token-needed", "send a token that is valid: Authorization: Bearer brim_…")
        wait_s = self._pace.wait_s(token.id, self._monotonic())
        if wait_s:
            return problem(
                429, "rate-limited", f"a token asks at most {API_PER_S} times a second", headers={"retry-after": "1"}
            )
        scope["actor"] = Actor(
            name=f"token:{token.id}",
            source="api",
            role=token.role,
            owner=token.owner,
            accounts=token.accounts,
            request_id=request_id,
        )
        return None


def needs(role: Role) -> Callable[[Request], Actor]:
    """Return a dependency that gives who asks, and refuses a token of a lesser role."""

    def actor_of(request: Request) -> Actor:
        actor: Actor = request.scope["actor"]
        require(actor, role)
        return actor

    return actor_of


def require(actor: Actor, role: Role) -> None:
    """Refuse a token of a lesser role."""
    if not actor.role.contains(role):
        raise RequestRefused(403, "role-needed", f"this needs the role {role}; the token has the role {actor.role}")


Reader = Annotated[Actor, Depends(needs(Role.READ))]
Subscriber = Annotated[Actor, Depends(needs(Role.SUBSCRIBE))]
Writer = Annotated[Actor, Depends(needs(Role.WRITE))]
Payer = Annotated[Actor, Depends(needs(Role.MONEY))]
Admin = Annotated[Actor, Depends(needs(Role.ADMIN))]
