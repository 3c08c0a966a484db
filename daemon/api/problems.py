"""Refusals as RFC 9457 says: `application/problem+json`, a stable slug as type, every fault at once."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from daemon.resources.model import AnsweredBefore, BodyFault, RequestRefused
from daemon.store import StoreError

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = "1"
_SLUGS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}
_UNKNOWN = "extra_forbidden"
_TITLES = {
    "bad-request": "The request is malformed",
    "invalid": "The request says something that cannot be meant",
    "busy": "Too much is asked at once",
    "internal-error": "This failed",
    "method-not-allowed": "This path takes other methods",
    "not-found": "There is no such thing",
    "precondition-failed": "It was changed meanwhile",
    "rate-limited": "This token asks too often",
    "token-needed": "A token is needed",
}


def encode(document: Any) -> bytes:
    """Return JSON; a `Decimal` is a string in it."""
    return msgspec.json.encode(document)


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that is not checked again: what is shown was made from models."""
    return Response(encode(document), status, dict(headers or {}), media_type="application/json")


def problem(
    status: int, slug: str, detail: str, faults: Iterable[BodyFault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """Return a refusal as an answer."""
    title = _TITLES.get(slug) or slug.replace("-", " ").capitalize()
    errors = [{"id": one.id, "path": one.path, "said": one.said, "hint": one.hint} for one in faults]
    document = {"type": slug, "title": title, "status": status, "detail": detail, "errors": errors}
    more = dict(headers or {})
    if status == 503 or status == 429:
        more.setdefault("retry-after", RETRY_AFTER_S)
    if status == 401:
        more.setdefault("www-authenticate", 'Bearer realm="Brimful"')
    return Response(encode(document), status, more, media_type=PROBLEM_JSON)


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    return problem(error.status, error.type, error.detail, error.faults)


async def answered_before(request: Request, error: Exception) -> Response:
    """The answer that the same request got; a secret in it is null, as it is shown once."""
    assert isinstance(error, AnsweredBefore)
    return json_answer(error.answer, error.status, {"idempotent-replay": "true"})


async def invalid(request: Request, error: Exception) -> Response:
    """What pydantic found, as faults with ids as `check` has them."""
    assert isinstance(error, RequestValidationError)
    faults = [_fault(one) for one in error.errors()]
    detail = f"{faults[0].path}: {faults[0].said}" if len(faults) == 1 else f"{len(faults)} things are wrong"
    return problem(422, "invalid", detail, faults)


def _fault(one: Mapping[str, Any]) -> BodyFault:
    where, *parts = one["loc"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    kind = str(one["type"])
    id = "key-unknown" if kind == _UNKNOWN else "key-missing" if kind == "missing" else "value-invalid"
    said = "there is no such key here" if kind == _UNKNOWN else re.sub(r"[\x00-\x1f\x7f]", " ", str(one["msg"]))[:300]
    return BodyFault(id=id, path=path or str(where), said=said, hint="" if where == "body" else f"in the {where}")


async def http_error(request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:
        headers["allow"] = ", ".join(_allowed(request))
    said = {404: "there is nothing at this path", 405: f"it takes {headers.get('allow')}"}
    detail = said.get(error.status_code, str(error.detail))
    return problem(error.status_code, _SLUGS.get(error.status_code, "refused"), detail, headers=headers)


def _allowed(request: Request) -> Sequence[str]:
    """Return the methods of every route at the request's path."""
    routes: Sequence[Route] = request.app.state.routes
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in route.methods or ()})


async def unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError | sqlite3.Error)
    return problem(503, "store-busy", "the database cannot be used just now: ask again")


async def failed(request: Request, error: Exception) -> Response:
    """What nobody foresaw: the guard writes it into the log."""
    return problem(500, "internal-error", "this failed: the daemon's log says why")
