"""Routes of what was: an account's readings, episodes, top-ups and statement."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from alerts.model.spans import span_named
from alerts.model.values import replace
from alerts.rules.state import Episode
from daemon.api.access import Reader
from daemon.api.answers import EpisodePage, RowPage, at, money, money_as_text
from daemon.api.context import DEFAULT_LIMIT, Api, ApiContext, Limit
from daemon.api.instants import Instant
from daemon.api.problems import encode, json_answer
from daemon.api.routes import READ, AccountId, refusals, router
from daemon.config.model import ReportConfig, ReportPeriod
from daemon.resources.model import Actor, BodyFault, Kind, RequestRefused
from daemon.status.explain import summary
from daemon.status.figures import FIELDS, IN_UNIT
from daemon.store import feeds, ledger_reads, readings
from daemon.store.connection import Connection
from daemon.store.reading_rows import OutageRun, Run
from daemon.store.topup_rows import Topup

routes = router("history")
SINCE = timedelta(days=7)
FIRST_YEAR = 2000
_EpisodeId = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_]*$", description="`next` of the page before.")]


def _seen(api: ApiContext, actor: Actor, id: str) -> None:
    """Refuse an account that the actor does not see; an archived one has a history, too."""
    try:
        api.registry.find(actor, Kind.ACCOUNT, id)
    except RequestRefused as error:
        if error.status != 404:
            raise
        api.registry.find(actor, Kind.ACCOUNT, id, archived=True)


@routes.get("/accounts/{id}/readings", response_model=RowPage, responses=refusals(*READ))
async def list_readings(
    api: Api,
    actor: Reader,
    id: AccountId,
    since: Instant | None = None,
    until: Instant | None = None,
    after: Instant | None = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List readings of the last seven days, or since an instant, oldest first. Equal ones are one row with a count."""
    await api.store.apart(_seen, api, actor, id)
    now = api.clock.now()
    begin = after or since or now - SINCE

    def rows(connection: Connection) -> list[Run | OutageRun]:
        every = readings.history(connection, id, begin, until or now + timedelta(days=1))
        return list(islice((one for one in every if after is None or one.first_at > after), limit + 1))

    found = await api.read(rows)
    following = at(found[limit - 1].first_at) if len(found) > limit else None
    return json_answer({"data": [_reading(one) for one in found[:limit]], "next": following})


def _reading(one: Run | OutageRun) -> dict[str, Any]:
    times = {"first_at": at(one.first_at), "last_at": at(one.last_at), "count": one.count}
    if isinstance(one, OutageRun):
        return {**times, "unavailable": one.reason.value, "status": one.status, "detail": one.detail or None}
    figures = ((name, metric, getattr(one.metrics, metric)) for name, metric in (*IN_UNIT, *FIELDS))
    said = {name: money(value) if "micro" in metric else value for name, metric, value in figures if value is not None}
    return {**times, "unavailable": None, **said}


@routes.get("/accounts/{id}/episodes", response_model=EpisodePage, responses=refusals(*READ))
async def list_episodes(
    api: Api, actor: Reader, id: AccountId, after: _EpisodeId = "", limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List alerts of an account, the latest first: why each was opened, and why it ended."""
    await api.store.apart(_seen, api, actor, id)

    def rows(connection: Connection) -> list[Episode]:
        last = feeds.episode_of(connection, after) if after else None
        if after and (last is None or last.account != id):
            raise unknown_cursor()
        before = None if last is None else (last.opened_at, last.id)
        return feeds.episodes_before(connection, id, before, limit + 1)

    found = await api.read(rows)
    following = found[limit - 1].id if len(found) > limit else None
    return json_answer({"data": [_episode(one) for one in found[:limit]], "next": following})


def unknown_cursor() -> RequestRefused:
    """Return the refusal of a cursor that is none, or is not the actor's: which of both is not said."""
    fault = BodyFault(id="cursor-unknown", path="after", said="there is no such entry", hint="begin without a cursor")
    return RequestRefused(422, "cursor-unknown", "after: there is no such entry", (fault,))


def _episode(one: Episode) -> dict[str, Any]:
    return {
        "id": one.id,
        "account": one.account,
        "rule": one.rule,
        "kind": one.kind,
        "severity": one.severity.value,
        "opened_at": at(one.opened_at),
        "closed_at": at(one.closed_at),
        "why": one.why,
        "closed_why": one.closed_why or None,
    }


@routes.get("/accounts/{id}/topups", response_model=RowPage, responses=refusals(*READ))
async def list_topups(
    api: Api,
    actor: Reader,
    id: AccountId,
    after: Annotated[str, Query(max_length=128, pattern=r"^[A-Za-z0-9_-]*$")] = "",
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List top-ups of an account, the latest first."""
    await api.store.apart(_seen, api, actor, id)

    def rows(connection: Connection) -> list[Topup]:
        every = list(reversed(ledger_reads.of_account(connection, id)))
        if not after:
            return every[: limit + 1]
        place = next((number for number, one in enumerate(every) if one.id == after), None)
        if place is None:
            raise unknown_cursor()
        return every[place + 1 : place + limit + 2]

    found = await api.read(rows)
    following = found[limit - 1].id if len(found) > limit else None
    return json_answer({"data": [money_as_text(summary(one)) for one in found[:limit]], "next": following})


@routes.get("/accounts/{id}/statement", response_model=dict[str, Any], responses=refusals(*READ))
async def get_statement(
    api: Api,
    actor: Reader,
    id: AccountId,
    period: Annotated[str, Query(max_length=16, examples=["2026-10"], description="2026-10, 2026-W44 or 2026-10-31.")],
) -> Response:
    """Show what an account spent and was credited in a month, week or day, and whether the figures agree."""
    await api.store.apart(_seen, api, actor, id)
    now = api.clock.now()
    configured = api.config.accounts.get(id)
    zone = (configured.timezone if configured is not None else None) or api.config.timezone
    try:
        span = span_named(period, zone)
        if span.start.year < FIRST_YEAR:
            raise ValueError("nothing was read so long ago")
        if span.start > now:
            raise ValueError(f"{span.title} has not begun")
    except (ValueError, OverflowError) as error:
        fault = BodyFault(id="value-invalid", path="period", said=str(error)[:200], hint="such as 2026-10")
        raise RequestRefused(422, "invalid", f"period: {str(error)[:200]}", (fault,)) from error
    report = ReportConfig(id=f"api:{id}", period=ReportPeriod(span.kind.value), cron="", to=(), accounts=(id,))

    def made(connection: Connection) -> bytes:
        from daemon.reports.document import to_json
        from daemon.reports.facts import gather

        document = to_json(gather(replace(api.config, timezone=zone), connection, report, span, now))
        statement = next(iter(document["statements"]), None)
        if statement is None:
            raise RequestRefused(404, "not-found", "nothing was read of this account in the period")
        about = {key: document[key] for key in ("period", "period_start", "period_end", "timezone")}
        return encode(money_as_text({**about, **statement, "alerts": document["alerts"]}))

    return Response(await api.read(made), media_type="application/json")
