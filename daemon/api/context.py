"""What every route needs: the registry, the running service, and reads that hold nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Header, Query
from starlette.requests import Request

from daemon.api.bodies import digest
from daemon.clock import Clock
from daemon.config.model import Config
from daemon.limits import API_PAGE, API_PAGE_MAX, API_READS
from daemon.resources.model import Actor, Change, ChangeOutcome, Idempotency, Kind, RequestRefused
from daemon.resources.registry import Registry
from daemon.store import Store
from daemon.store.connection import Connection
from daemon.web.forecasts import Forecasts

if TYPE_CHECKING:
    from daemon.work.service import Service

_T = TypeVar("_T")


class ApiContext:
    """One for the application. `read` is for what may be much: in threads, each with a connection of its own."""

    def __init__(self, service: Service, registry: Registry, clock: Clock) -> None:
        self.service = service
        self.registry = registry
        self.clock = clock
        self.forecasts = Forecasts()
        self._reads = asyncio.Semaphore(API_READS)

    @property
    def config(self) -> Config:
        return self.registry.config

    @property
    def store(self) -> Store:
        """The registry's lane: what asks the database within the loop is called by its `apart`."""
        return self.registry.store

    async def read(self, read: Callable[[Connection], _T]) -> _T:
        async with self._reads:
            return await asyncio.to_thread(partial(self._in_snapshot, read))

    def _in_snapshot(self, read: Callable[[Connection], _T]) -> _T:
        with closing(Store(self.config.store.place, readonly=True)) as store, store.snapshot() as connection:
            return read(connection)


def context_of(request: Request) -> ApiContext:
    found: ApiContext = request.app.state.context
    return found


Api = Annotated[ApiContext, Depends(context_of)]

# ── what many operations are asked with ─────────────────────────────────────────────────────────────────────────────

DryRun = Annotated[bool, Query(description="Check everything, change nothing, and answer what would be changed.")]
Limit = Annotated[int, Query(ge=1, le=API_PAGE_MAX)]
After = Annotated[str, Query(max_length=128, description="`next` of the page before.")]
DEFAULT_LIMIT = API_PAGE


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the object must be like now: `if_match` a version or `*`."""

    if_match: str = ""
    only_create: bool = False

    def version(self, api: ApiContext, actor: Actor, kind: Kind, id: str) -> int | None:
        """Return the version that is demanded, None where none is. It may ask the database."""
        if self.if_match != "*":
            return int(self.if_match) if self.if_match else None
        try:
            return api.registry.find(actor, kind, id).version
        except RequestRefused as error:
            if error.status != 404:
                raise
            raise RequestRefused(412, "precondition-failed", "there is none yet: leave If-Match out") from error


_ETAG = r'^(\*|(W/)?"[0-9]{1,15}")$'


def conditions(
    if_match: Annotated[
        str | None, Header(pattern=_ETAG, description="The ETag that was read: 412 where another changed it.")
    ] = None,
    if_none_match: Annotated[str | None, Header(pattern=r"^\*$", description="`*` only creates.")] = None,
) -> Conditions:
    text = (if_match or "").removeprefix("W/").strip('"')
    return Conditions(text, if_none_match is not None)


Conditioned = Annotated[Conditions, Depends(conditions)]
Answered = Callable[[list[ChangeOutcome]], tuple[int, Any]]


class Repeatable:
    """A POST that may come twice: the key that its sender gave it, None where it gave none."""

    def __init__(
        self,
        request: Request,
        idempotency_key: Annotated[
            str | None,
            Header(
                min_length=1,
                max_length=128,
                pattern=r"^[\x21-\x7e]+$",
                description="The same key within 24 hours gets the same answer, and nothing is done twice.",
            ),
        ] = None,
    ) -> None:
        self._request = request
        self._key = idempotency_key

    def __call__(self, answer: Callable[[Any], tuple[int, Any]]) -> Idempotency | None:
        """Return what the registry keeps. `answer` leaves secrets out."""
        return None if self._key is None else Idempotency(key=self._key, digest=digest(self._request), answer=answer)


Once = Annotated[Repeatable, Depends(Repeatable)]


async def change_one(
    api: ApiContext,
    actor: Actor,
    change: Change,
    *,
    dry_run: bool,
    idempotency: Idempotency | None = None,
) -> ChangeOutcome:
    (outcome,) = await api.registry.change(actor, [change], dry_run=dry_run, idempotency=idempotency)
    return outcome
