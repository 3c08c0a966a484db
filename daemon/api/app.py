"""The application under `/api/v1`: its routes, its errors, its document; and how it stands beside the page."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.api import accounts, history, operations, outbox_feed, problems, subscriptions
from daemon.api.access import DOCUMENT, PREFIX, ApiGuard
from daemon.api.answers import ProblemShown
from daemon.api.context import ApiContext
from daemon.clock import Clock
from daemon.resources.model import AnsweredBefore, RequestRefused
from daemon.resources.registry import Registry
from daemon.store import StoreError

if TYPE_CHECKING:
    from daemon.work.service import Service

ABOUT = """Accounts, rules, top-ups and subscriptions as data, managed while the daemon runs.

Every request but that of this document carries `Authorization: Bearer brim_…`. Roles, each containing the one before:
`read`, `subscribe`, `write`, `money`, `admin`. What a token does not see does not exist for it: 404."""
USAGE = f"{PREFIX}/usage/"
"""The page's own, in the provider's names: it stays as it is."""


_ROUTERS = (
    accounts.routes,
    history.routes,
    subscriptions.subscriptions,
    subscriptions.rules,
    outbox_feed.routes,
    operations.pauses,
    operations.tokens,
    operations.audit,
    operations.documents,
)


def api(service: Service, registry: Registry, clock: Clock) -> ASGIApp:
    """Return the application of the API."""
    app = FastAPI(
        title="Brimful",
        description=ABOUT,
        version="1",
        openapi_url=DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={
            RequestRefused: problems.refused,
            AnsweredBefore: problems.answered_before,
            RequestValidationError: problems.invalid,
            HTTPException: problems.http_error,
            StoreError: problems.unreadable,
            sqlite3.Error: problems.unreadable,
            Exception: problems.failed,
        },
    )
    app.state.context = ApiContext(service, registry, clock)
    app.state.routes = [route for one in _ROUTERS for route in one.routes]
    for one in _ROUTERS:
        app.include_router(one)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return ApiGuard(app, registry, time.monotonic)


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, more = models_json_schema([(ProblemShown, "serialization")], ref_template="#/components/schemas/{model}")
        components = made.setdefault("components", {})
        components.setdefault("schemas", {}).update(more["$defs"])
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "brim_…"}}
        made["security"] = [{"token": []}]
        for path in made["paths"].values():
            for operation in path.values():
                _finish(operation)
        app.openapi_schema = made
    return app.openapi_schema


def _finish(operation: dict[str, Any]) -> None:
    """Name the kinds of body that an operation takes."""
    kinds = operation.pop("x-takes", None)
    if kinds is not None and "requestBody" in operation:
        (schema,) = operation["requestBody"]["content"].values()
        operation["requestBody"]["content"] = dict.fromkeys(kinds, schema)


def beside(page: ASGIApp, api: ASGIApp) -> ASGIApp:
    """Return both in one: what lies under `/api/v1` is the API's, all else (and the usage) the page's."""

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        is_api = path.startswith(f"{PREFIX}/") and not path.startswith(USAGE)
        await (api if is_api else page)(scope, receive, send)

    return choose
