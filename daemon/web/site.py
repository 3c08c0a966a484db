"""The site: a route a line. Pages are built in a thread, from a read-only connection of their own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from alerts.templating import WRONG_TEMPLATE, Templates
from daemon.clock import Clock
from daemon.config.model import AccountConfig, Config
from daemon.limits import PAGE_DAYS_MAX, PAGE_QUERY_CHARACTERS, PAGE_READS, SCRAPE_FORECASTS_S
from daemon.store import Store, StoreError, readings, states
from daemon.store.connection import Connection
from daemon.web import metrics, pages
from daemon.web.choice import RowTone, Wanted
from daemon.web.forecasts import Forecasts
from daemon.web.guard import Guard
from daemon.web.metrics import Process
from daemon.web.others import Others
from daemon.web.rows import Rows
from daemon.web.samples import Samples, Taken
from daemon.web.usage import usage
from daemon.work.service import Service

log = structlog.get_logger("brimful.web")
_T = TypeVar("_T")
DAYS = 30
CHOICES = (1, 7, 30, 90, 365)


def site(config: Config, service: Service, clock: Clock, missed: Callable[[], int] = lambda: 0) -> Starlette:
    """Return the application that shows what `service` does. `missed` tells how often a poll could not be started."""
    found = _Site(config, service, clock, missed)
    return Starlette(
        routes=[
            Route("/", found.front),
            Route("/accounts/{account}", found.account),
            Route("/healthz", found.healthz),
            Route("/metrics", found.metrics),
            Route("/api/v1/usage/{account}", found.usage),
        ],
        middleware=[Middleware(Guard, token=config.web.token.get_secret_value())],
        exception_handlers={HTTPException: _refused, StoreError: _unreadable, sqlite3.Error: _unreadable},
    )


class _View:
    """What is worked out once of a configuration."""

    def __init__(self, config: Config, forecasts: Forecasts) -> None:
        self.config = config
        self.samples = Samples(config, forecasts)
        self.rows = Rows(config, forecasts)


class _Site:
    def __init__(self, config: Config, service: Service, clock: Clock, missed: Callable[[], int]) -> None:
        self._service = service
        self._clock = clock
        self._missed = missed
        self._templates = Templates(config.templates)
        self._reads = asyncio.Semaphore(PAGE_READS)
        self._forecasts = Forecasts()
        self._last_view = _View(config, self._forecasts)
        self._scraping = asyncio.Lock()
        self._others = Others()

    @property
    def _view(self) -> _View:
        """Of the configuration in force."""
        if self._last_view.config is not self._service.config:
            self._forecasts.keep(self._service.config.accounts)
            self._last_view = _View(self._service.config, self._forecasts)
        return self._last_view

    async def front(self, request: Request) -> Response:
        now = self._clock.now()
        stale_jobs, wanted = self._service.stale_jobs(now), _wanted(request.query_params)
        known, view, fence = self._service.evaluator.states(), self._view, self._service.store.dialect.fence
        number = None if fence is None else fence.number

        def values(connection: Connection) -> dict[str, Any]:
            return pages.front(view.config, connection, now, stale_jobs, wanted, view.rows, known, number)

        return await self._page("page.html.j2", values)

    async def account(self, request: Request) -> Response:
        name, days = self._account(request).id, _days(request.query_params.get("days"))
        now, config = self._clock.now(), self._service.config

        def values(connection: Connection) -> dict[str, Any]:
            return {**pages.account(config, connection, now, name, days), "choices": CHOICES}

        return await self._page("account.html.j2", values)

    async def healthz(self, request: Request) -> Response:
        reasons = self._service.stale_jobs(self._clock.now())
        return JSONResponse({"fresh": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, request: Request) -> Response:
        now, service = self._clock.now(), self._service
        process = Process(
            now,
            {job.name: job.health for job in service.jobs},
            service.delays_s(now),
            self._missed(),
            not service.stale_jobs(now),
            dict(service.polls.counts),
            service.deliverer.outcomes(),
            *service.store.committed(),
        )
        own, view = Taken(now, service.evaluator.states(), service.polls.readable()), self._view
        is_whole = service.holdings.whole

        def build(connection: Connection) -> bytes:
            taken, forecasts_s = own, SCRAPE_FORECASTS_S
            if not is_whole:
                forecasts_s /= 2
                taken = self._with_others(connection, view.config, own, forecasts_s)
            return metrics.exposition(view.config, connection, view.samples.text(taken, forecasts_s), process)

        async with self._scraping:
            text = await self._read(build)
        return Response(text, media_type=metrics.CONTENT_TYPE)

    def _with_others(self, connection: Connection, config: Config, own: Taken, forecasts_s: float) -> Taken:
        """Add what other daemons hold. Of what this one has just taken over its last poll is in the store, too."""
        others = self._others.refreshed(connection, [id for id in config.accounts if id not in own.states], forecasts_s)
        polled = {id: not is_out for id, (_, is_out) in readings.poll_states(connection).items()}
        return replace(own, others=others, readable={**polled, **own.readable})

    async def usage(self, request: Request) -> Response:
        account = self._account(request)
        state = await self._read(lambda conn: states.load(conn, account.id))
        if state.last is None:
            raise HTTPException(503, f"{account.id} was never read: ask /healthz or `brimful status` why")
        return JSONResponse(usage(account.provider, account.info, state.last, self._clock.now()))

    async def _page(self, template: str, values: Callable[[Connection], dict[str, Any]]) -> Response:
        def build(connection: Connection) -> str:
            found = values(connection)
            try:
                return self._templates.text(template, found)
            except WRONG_TEMPLATE as error:  # the operator's own: the page is needed all the same
                hint = "the built-in one is shown: mend it in the folder that `templates` names"
                log.error("template", name=template, error=f"{type(error).__name__}: {error}", hint=hint)
                return Templates().text(template, found)

        return HTMLResponse(await self._read(build))

    async def _read(self, read: Callable[[Connection], _T]) -> _T:
        async with self._reads:
            return await asyncio.to_thread(partial(self._in_snapshot, read))

    def _in_snapshot(self, read: Callable[[Connection], _T]) -> _T:
        with closing(Store(self._service.config.store.place, readonly=True)) as store, store.snapshot() as connection:
            return read(connection)

    def _account(self, request: Request) -> AccountConfig:
        account = self._service.config.accounts.get(request.path_params["account"])
        if account is None:
            raise HTTPException(404, "there is no such account in the configuration")
        return account


def _wanted(said: Mapping[str, str]) -> Wanted:
    page = said.get("page", "1")
    if not page.isascii() or not page.isdigit() or not int(page[:6]) >= 1:
        raise HTTPException(400, "page: a whole number from 1 on is expected")
    tone = said.get("state", "")
    if tone and tone not in set(RowTone):
        raise HTTPException(400, f"state: one of {', '.join(RowTone)} is expected")
    text, tag = said.get("q", "").strip(), said.get("tag", "")
    if max(len(text), len(tag)) > PAGE_QUERY_CHARACTERS:
        raise HTTPException(400, f"q, tag: at most {PAGE_QUERY_CHARACTERS} characters are expected")
    return Wanted(text, tag, tone, int(page[:6]))


def _days(said: str | None) -> int:
    if said is None:
        return DAYS
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:6]) <= PAGE_DAYS_MAX:
        raise HTTPException(400, f"days: a whole number from 1 to {PAGE_DAYS_MAX} is expected")
    return int(said)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _unreadable(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the database cannot be read just now: {error}"}, 503)
