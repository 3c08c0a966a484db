"""Who may read the page: whoever has the token, or, where there is none, who asked this machine by its own name.

A page elsewhere can point a name of its own at 127.0.0.1 and let a browser here read ours (DNS rebinding): without a
token, a request must name a loopback address.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from email.utils import formatdate

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.config.urls import is_loopback
from daemon.limits import PAGE_REQUESTS

log = structlog.get_logger("brimful.web")
_SAFE = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guard:
    """ASGI middleware: only reads, only for whom they are meant, and nothing is kept or framed by a browser."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({"date": formatdate(usegmt=True), **_SAFE})
            await send(message)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        if refused is None and self._answering >= PAGE_REQUESTS and scope["path"] != "/healthz":
            refused = _says(503, "too much is asked at once: ask again", **{"retry-after": "1"})
        if refused is not None:
            await refused(scope, receive, send_safely)
            return
        self._answering += 1
        try:
            await self._app(scope, receive, send_safely)
        except Exception as error:  # whatever a page meets, its reader gets a sentence and the log the rest
            log.error("page failed", path=scope["path"], exc_info=error)
            await _says(500, "this page failed: the daemon's log says why")(scope, receive, send_safely)
        finally:
            self._answering -= 1

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        if method not in ("GET", "HEAD"):
            return _says(405, "this page only reads: GET or HEAD", allow="GET, HEAD")
        if self._token:
            if not hmac.compare_digest(_said_token(headers), self._token.encode()):
                return _says(401, "the token of [http] is needed", **{"www-authenticate": 'Basic realm="Brimful"'})
        elif not is_loopback(_host(headers)):
            return _says(403, "ask for this page by 127.0.0.1 or localhost, or set a token in [http]")
        return None


def _said_token(headers: Headers) -> bytes:
    """The token as a bearer's, or as the password that a browser asks for; nothing where there is none."""
    scheme, _, said = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return said.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(said, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _host(headers: Headers) -> str:
    host = headers.get("host", "")
    return host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host


def _says(status: int, error: str, **headers: str) -> Response:
    return JSONResponse({"error": error}, status, headers)
