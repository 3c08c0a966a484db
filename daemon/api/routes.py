"""How a route is declared: its errors, its kinds of body, and ids in its path."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from daemon.api.access import PREFIX
from daemon.api.bodies import ExactRoute
from daemon.api.problems import PROBLEM_JSON
from daemon.api.shapes import ID

_SAID = {
    401: "The token is missing, unknown, expired or revoked.",
    403: "The token's role does not suffice: the answer names the role.",
    404: "There is none, or it does not exist for this token.",
    408: "The body did not arrive in time.",
    409: "The object's state, or who manages it, forbids this.",
    412: "The object has another version, or exists already.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "What is said is not valid: `errors` names every fault.",
    429: "The token asks too often: `Retry-After` says when to ask again.",
    500: "This failed: the daemon's log says why.",
    503: "Too much is asked at once, or the database is busy: `Retry-After` says when to ask again.",
}
_EVERY = (401, 403, 422, 429, 500, 503)
_PROBLEM = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemShown"}}}
_RETRY = {"Retry-After": {"schema": {"type": "string"}}}
ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The version, for `If-Match`."}}

READ = (404,)
CHANGE = (404, 408, 409, 412, 413, 415)
REMOVE = (404, 409, 412)


def refusals(*more: int) -> dict[int | str, dict[str, Any]]:
    """Return the documented refusals: those of every operation, and `more`."""
    return {
        status: {
            "description": _SAID[status],
            "content": _PROBLEM,
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status in sorted({*_EVERY, *more})
    }


def router(tag: str) -> APIRouter:
    """Return a router whose routes read bodies exactly."""
    return APIRouter(prefix=PREFIX, tags=[tag], route_class=ExactRoute)


AccountId = Annotated[str, Path(pattern=ID, examples=["acme"])]
ObjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["low"])]
ScopeId = Annotated[str, Path(pattern=r"^([a-z0-9_-]{1,64}|\*)$", description="An account's id, or `*` for all.")]
DeliveryId = Annotated[str, Path(pattern=r"^evt_[A-Za-z0-9]{1,64}\.[A-Za-z0-9:_.-]{1,160}$")]
