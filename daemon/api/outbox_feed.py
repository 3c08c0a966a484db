"""Routes of the outbox as a feed: events and deliveries. A receiver that was down pulls what it missed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from alerts.events.customers import LEFT_OUT, customers_copy
from alerts.model.events import Event, EventType
from alerts.model.outbox import DeliveryState
from daemon.api.access import Reader, Subscriber
from daemon.api.answers import DeliveryPage, EventPage, PlanShown, Replayed, at
from daemon.api.context import DEFAULT_LIMIT, Api, ApiContext, DryRun, Limit, Once
from daemon.api.history import unknown_cursor
from daemon.api.problems import encode, json_answer
from daemon.api.routes import DeliveryId, refusals, router
from daemon.config.model import Config
from daemon.resources.model import Actor, Idempotency, Kind, RequestRefused, Role
from daemon.resources.rights import need
from daemon.store import feeds
from daemon.store.connection import Connection
from daemon.store.outbox import find_event
from daemon.store.replays import Filter, Logged, replay

routes = router("events")
_Account = Annotated[str | None, Query(pattern=r"^[a-z0-9_-]{1,64}$", description="Of this account alone.")]
_Event = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_]*$", description="`next` of the page before.")]
_Delivery = Annotated[
    str, Query(max_length=256, pattern=r"^[A-Za-z0-9:_.-]*$", description="`next` of the page before.")
]


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@routes.get("/events", response_model=EventPage, responses=refusals(404))
async def list_events(
    api: Api,
    actor: Reader,
    account: _Account = None,
    type: EventType | None = None,
    after: _Event = "",
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List events, oldest first, as they were sent. Where `next` is null, ask again later after the last one's id."""
    if account is not None:
        await api.store.apart(api.registry.find, actor, Kind.ACCOUNT, account)
    config = api.config

    def page(connection: Connection) -> bytes:
        accounts = [account] if account is not None else _accounts(config, actor)
        number = 0
        if after:
            last = find_event(connection, after)
            if last is None or not _sees(config, actor, last):
                raise unknown_cursor()
            number = feeds.number_of(connection, after) or 0
        found = feeds.events_after(connection, number, accounts, "" if type is None else type.value, limit + 1)
        following = found[limit - 1].id if len(found) > limit else None
        data = [_event(one, _body(actor, one)) for one in found[:limit] if _is_told(config, actor, one)]
        return encode({"data": data, "next": following})

    return Response(await api.read(page), media_type="application/json")


def _accounts(config: Config, actor: Actor) -> Iterable[str] | None:
    """The accounts that the actor sees; None: all there are."""
    if actor.is_free:
        return None
    return [one.id for one in config.accounts.values() if actor.sees(one.id, one.info.owner)]


def _sees(config: Config, actor: Actor, event: Event) -> bool:
    if actor.is_free:
        return True
    known = None if event.account is None else config.accounts.get(event.account)
    return known is not None and actor.sees(known.id, known.info.owner)


def _is_told(config: Config, actor: Actor, event: Event) -> bool:
    """Whether an event is one that customers hear, and not of a threshold that somebody else set for a receiver."""
    if not actor.owner:
        return True
    if event.type not in LEFT_OUT:
        return False
    if event.rule is None or not event.rule.startswith("webhook:"):
        return True
    return any(one.key == event.rule and one.owner == actor.owner for one in config.receivers.all)


def _body(actor: Actor, event: Event) -> bytes:
    """The bytes that a receiver of the actor's gets."""
    return customers_copy(event) if actor.owner else event.body


def _event(one: Event, body: bytes) -> dict[str, Any]:
    return {"id": one.id, "type": one.type.value, "account": one.account, "at": at(one.at), "body": json.loads(body)}


# ── deliveries ──────────────────────────────────────────────────────────────────────────────────────────────────────


@routes.get("/deliveries", response_model=DeliveryPage, responses=refusals())
async def list_deliveries(
    api: Api,
    actor: Reader,
    receiver: Annotated[str | None, Query(max_length=160, examples=["webhook:app"])] = None,
    state: DeliveryState | None = None,
    event: Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_]+$")] = None,
    after: _Delivery = "",
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List deliveries, newest first: what was sent to whom, how often it was tried, and what came back."""
    config = api.config

    def page(connection: Connection) -> bytes:
        seen = _receivers(config, actor)
        if receiver is not None:
            seen = [receiver] if seen is None or receiver in seen else []
        before = None
        if after:
            before = _delivery_of(connection, _receivers(config, actor), after)
            if before is None:
                raise unknown_cursor()
        wanted = Filter(event=event, state=state)
        number = None if before is None else before.number
        found = feeds.deliveries_before(connection, number, seen, wanted, limit + 1)
        following = _id_of(found[limit - 1]) if len(found) > limit else None
        return encode({"data": [_delivery(one) for one in found[:limit]], "next": following})

    return Response(await api.read(page), media_type="application/json")


def _receivers(config: Config, actor: Actor) -> list[str] | None:
    """The receivers whose deliveries the actor sees; None: all there are."""
    if actor.is_free:
        return None
    return [
        one.key
        for one in config.receivers.all
        if (not actor.owner or one.owner == actor.owner)
        and (actor.accounts is None or set(one.accounts) <= actor.accounts)
    ]


def _delivery_of(connection: Connection, seen: list[str] | None, id: str) -> Logged | None:
    event, _, receiver = id.partition(".")
    found = feeds.delivery_of(connection, event, receiver)
    return found if seen is None or receiver in seen else None


def _id_of(one: Logged) -> str:
    return f"{one.event_id}.{one.receiver}"


def _delivery(one: Logged) -> dict[str, Any]:
    return {
        "id": _id_of(one),
        "event": one.event_id,
        "type": one.type,
        "account": one.account,
        "receiver": one.receiver,
        "state": one.state.value,
        "attempts": one.attempts,
        "created_at": at(one.created_at),
        "next_attempt_at": at(one.next_attempt_at),
        "settled_at": at(one.settled_at),
        "last_status": one.last_status,
        "last_error": one.last_error or None,
    }


@routes.post(
    "/deliveries/{id}/replay",
    status_code=202,
    response_model=Replayed,
    responses={**refusals(404), 200: {"model": PlanShown}},
)
async def replay_delivery(api: Api, actor: Subscriber, id: DeliveryId, once: Once, dry_run: DryRun = False) -> Response:
    """Send a delivery again, with the same id and bytes. Its receiver is tried at once, also where it was paused."""
    answer = {"id": id, "replayed": True}
    kept = once(lambda _: (202, answer))
    await api.store.apart(_replay, api, actor, id, kept, dry_run=dry_run)
    if dry_run:
        return json_answer({"dry_run": True, "changes": []})
    api.service.changed_elsewhere()
    return json_answer(answer, 202)


def _replay(api: ApiContext, actor: Actor, id: str, kept: Idempotency | None, *, dry_run: bool) -> None:
    store, now = api.store, api.clock.now()
    found = _delivery_of(store.reader, _receivers(api.config, actor), id)
    if found is None:
        raise RequestRefused(404, "not-found", f"there is no delivery {id}")
    receiver = api.config.receivers.find(found.receiver)
    if receiver is None or not receiver.is_customers:  # the operator's own
        need(actor, Role.WRITE)
    if dry_run:
        return
    if kept is not None:
        api.registry.answered(actor, kept)
    with store.write(durable=True) as tx:
        replay(tx, Filter(number=found.number), now)
        api.registry.record(tx, actor, f"delivery/{id}", "replay", {}, now, owner=receiver.owner if receiver else "")
        if kept is not None:
            api.registry.remember(tx, actor, kept, *kept.answer(None))
        api.service.tell_others(tx)
