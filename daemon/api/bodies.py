"""Bodies of requests: bounded in bytes, time and depth, and decoded exactly: no float, no key twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from decimal import Decimal
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from daemon.config.problems import suggestion
from daemon.limits import API_BODY_BYTES, API_BODY_DEPTH, API_BODY_S, API_DECODED_IN_LOOP_BYTES
from daemon.resources.model import BodyFault, RequestRefused

JSON, MERGE_PATCH, TOML = "application/json", "application/merge-patch+json", "application/toml"
_DIGITS = 30


class ExactRequest(Request):
    """A request whose body was read and decoded already."""

    exact: Any = None
    raw: bytes = b""

    async def body(self) -> bytes:
        return self.raw

    async def json(self) -> Any:
        return self.exact


class ExactRoute(APIRoute):
    """A route that reads its body within the limits before FastAPI validates it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes = (self.openapi_extra or {}).get("x-takes", (JSON,))
        known = set(_query_of(self.dependant))

        async def exact(request: Request) -> Response:
            _check_query(request, known)
            if self.body_field is None:
                return await handle(request)
            read = ExactRequest(request.scope, request.receive)
            read.raw = await _bytes_of(request)
            if read.raw:
                read.exact = await _decoded(read.raw, _kind_of(request, takes))
            return await handle(read)

        return exact


def _query_of(dependant: Dependant) -> Iterator[str]:
    """Yield the names of the query's parameters that a route or what it depends on takes."""
    yield from (one.alias for one in dependant.query_params)
    for other in dependant.dependencies:
        yield from _query_of(other)


def _check_query(request: Request, known: Collection[str]) -> None:
    """Refuse a parameter that is unknown, or there twice: a misspelt filter would show everything."""
    named = [name for name, _ in request.query_params.multi_items()]
    faults = []
    for name in sorted(set(named)):
        if name not in known:
            hint = suggestion(name, known) or f"known here: {', '.join(sorted(known)) or 'none'}"
            faults.append(BodyFault(id="key-unknown", path=name[:64], said="there is no such parameter", hint=hint))
        elif named.count(name) > 1:
            faults.append(BodyFault(id="value-invalid", path=name, said="this parameter is there twice"))
    if faults:
        raise RequestRefused(422, "invalid", f"{faults[0].path}: {faults[0].said}", tuple(faults))


def digest(request: Request) -> str:
    """Return what tells a request from another: its method, its path with the query, its body."""
    what = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    what.update(request.raw if isinstance(request, ExactRequest) else b"")
    return what.hexdigest()


def _kind_of(request: Request, takes: Sequence[str]) -> str:
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind, charset = kind.strip().lower(), parameters.strip().lower().replace('"', "")
    if kind not in takes or charset not in ("", "charset=utf-8"):
        raise RequestRefused(415, "media-type", f"a body is sent as {' or '.join(takes)}, in UTF-8")
    return kind


async def _bytes_of(request: Request) -> bytes:
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > API_BODY_BYTES:
        raise _too_large()
    parts, size = [], 0
    try:
        async with asyncio.timeout(API_BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > API_BODY_BYTES:
                    raise _too_large()
                parts.append(part)
    except TimeoutError as error:
        raise RequestRefused(408, "body-slow", f"the body did not arrive within {API_BODY_S:.0f} seconds") from error
    except ClientDisconnect as error:
        raise RequestRefused(408, "body-slow", "the body did not arrive") from error
    return b"".join(parts)


def _too_large() -> RequestRefused:
    return RequestRefused(413, "body-too-large", f"a body is at most {API_BODY_BYTES:,} bytes")


async def _decoded(raw: bytes, kind: str) -> Any:
    read = _toml if kind == TOML else decode
    return read(raw) if len(raw) <= API_DECODED_IN_LOOP_BYTES else await asyncio.to_thread(read, raw)


def decode(raw: bytes) -> Any:
    """Return JSON with numbers as `int` or `Decimal`; raises RequestRefused (422) for what is not exactly JSON."""
    try:
        found = json.loads(
            raw.decode("utf-8"),
            parse_float=_decimal,
            parse_int=_whole,
            parse_constant=_no_number,
            object_pairs_hook=_unique,
        )
        _check(found, API_BODY_DEPTH)
    except RecursionError as error:
        raise _wrong(f"it is nested deeper than {API_BODY_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise _wrong(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:  # UnicodeDecodeError is one
        raise _wrong("it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)) from error
    return found


def _toml(raw: bytes) -> Any:
    import tomli

    try:
        found = tomli.loads(raw.decode("utf-8"), parse_float=_decimal)
        _check(found, API_BODY_DEPTH)
    except RecursionError as error:
        raise _wrong(f"it is nested deeper than {API_BODY_DEPTH} levels") from error
    except ValueError as error:
        raise RequestRefused(422, "toml-syntax", f"the body is not TOML: {str(error)[:200]}") from error
    return found


def _wrong(said: str) -> RequestRefused:
    return RequestRefused(422, "json-syntax", f"the body is not JSON as this API reads it: {said}")


def _decimal(text: str) -> Decimal:
    exact = Decimal(text)
    if not exact.is_finite() or abs(exact.adjusted()) > _DIGITS or len(text) > 2 * _DIGITS:
        raise ValueError("a number has more digits than can be meant")
    return exact


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("a number has more digits than can be meant")
    return int(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _check(value: Any, depth: int) -> None:
    """Refuse what is nested too deeply, and text that UTF-8 cannot say."""
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value)
        return
    if not isinstance(value, dict | list):
        return
    if not depth:
        raise RecursionError
    for one in value:
        _check(one, depth - 1)
    if isinstance(value, dict):
        for one in value.values():
            _check(one, depth - 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text holds half a character") from error
