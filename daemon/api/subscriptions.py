"""Routes of subscriptions and rules."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from alerts.model.events import EventDraft, EventType
from alerts.model.instants import rfc3339
from daemon.api import shown
from daemon.api.access import Reader, Subscriber, Writer
from daemon.api.answers import (
    PingSent,
    PlanShown,
    RulePage,
    RuleShown,
    SubscriptionPage,
    SubscriptionShown,
    etag,
    plan_of,
)
from daemon.api.context import DEFAULT_LIMIT, After, Api, ApiContext, Conditioned, DryRun, Limit, Once, change_one
from daemon.api.one_object import put_one, remove_one
from daemon.api.problems import json_answer
from daemon.api.routes import CHANGE, ETAG, READ, REMOVE, ObjectId, refusals, router
from daemon.api.shapes import RotationBody, RuleObject, SubscriptionObject, SubscriptionPatch
from daemon.clock import RandomIds
from daemon.config.durations import parse_duration
from daemon.config.model import ManagedBy
from daemon.resources.model import (
    Actor,
    BodyFault,
    Change,
    ChangeOutcome,
    Filters,
    Idempotency,
    Kind,
    RequestRefused,
    Role,
)
from daemon.resources.rights import need
from daemon.store.outbox import Outbox, known_store_id

subscriptions = router("subscriptions")
rules = router("rules")


# ── subscriptions ───────────────────────────────────────────────────────────────────────────────────────────────────


def _subscription(api: ApiContext, outcome: ChangeOutcome, *, secret: bool) -> dict[str, Any]:
    document = shown.subscription(api, outcome.resource)
    return {**document, "secret": outcome.secret if secret else None}


@subscriptions.get("/subscriptions", response_model=SubscriptionPage, responses=refusals())
async def list_subscriptions(api: Api, actor: Reader, after: After = "", limit: Limit = DEFAULT_LIMIT) -> Response:
    """List subscriptions by id."""
    page = await api.registry.search(actor, Kind.SUBSCRIPTION, Filters(), after, limit)
    data = await api.store.apart(lambda: [shown.subscription(api, one) for one in page.resources])
    return json_answer({"data": data, "next": page.next})


@subscriptions.post(
    "/subscriptions",
    status_code=201,
    response_model=SubscriptionShown,
    responses={**refusals(*CHANGE), 200: {"model": PlanShown}, 201: {"headers": ETAG}},
)
async def subscribe(
    api: Api, actor: Subscriber, body: SubscriptionObject, once: Once, dry_run: DryRun = False
) -> Response:
    """Have events sent to a URL, signed as Standard Webhooks says. The signing secret is shown this once.

    The shortest body that works is `{"event": "balance.low", "threshold": 5.0, "url": "https://…"}`; a token that sees
    several accounts names them. Before its first event the URL has to answer a `test.ping`.
    """
    change = Change(kind=Kind.SUBSCRIPTION, id="", body=body)

    def answer(outcomes: Any) -> tuple[int, Any]:
        return 201, _subscription(api, outcomes[0], secret=False)

    outcome = await change_one(api, actor, change, dry_run=dry_run, idempotency=None if dry_run else once(answer))
    if dry_run:
        return json_answer(plan_of([outcome]))
    document = await api.store.apart(_subscription, api, outcome, secret=True)
    return json_answer(document, 201, etag(outcome.resource.version))


@subscriptions.get(
    "/subscriptions/{id}", response_model=SubscriptionShown, responses={**refusals(*READ), 200: {"headers": ETAG}}
)
async def get_subscription(api: Api, actor: Reader, id: ObjectId) -> Response:
    """Show a subscription, without its secret."""
    resource = await api.store.apart(api.registry.find, actor, Kind.SUBSCRIPTION, id)
    document = await api.store.apart(shown.subscription, api, resource)
    return json_answer(document, headers=etag(resource.version))


@subscriptions.patch(
    "/subscriptions/{id}",
    response_model=SubscriptionShown | PlanShown,
    responses={**refusals(*CHANGE), 200: {"headers": ETAG}},
    openapi_extra={"x-takes": ["application/merge-patch+json", "application/json"]},
)
async def patch_subscription(
    api: Api, actor: Subscriber, id: ObjectId, body: SubscriptionPatch, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """Change some keys of a subscription; null takes one away."""
    await api.store.apart(api.registry.find, actor, Kind.SUBSCRIPTION, id)
    return await put_one(api, actor, Kind.SUBSCRIPTION, id, body, when, shown.subscription, merge=True, dry_run=dry_run)


@subscriptions.delete(
    "/subscriptions/{id}", status_code=204, responses={**refusals(*REMOVE), 200: {"model": PlanShown}}
)
async def unsubscribe(
    api: Api, actor: Subscriber, id: ObjectId, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """End a subscription; what is under way to it is given up."""
    return await remove_one(api, actor, Kind.SUBSCRIPTION, id, when, dry_run=dry_run)


@subscriptions.post(
    "/subscriptions/{id}/test",
    status_code=202,
    response_model=PingSent,
    responses={**refusals(404, 409), 200: {"model": PlanShown}},
)
async def try_subscription(api: Api, actor: Subscriber, id: ObjectId, once: Once, dry_run: DryRun = False) -> Response:
    """Send a `test.ping` to the subscription's URL, as any event is sent: `/deliveries` shows what came of it."""
    kept = once(lambda _: (202, {}))
    answer = await api.store.apart(_ping, api, actor, id, kept, dry_run=dry_run)
    if dry_run:
        return json_answer({"dry_run": True, "changes": []})
    api.service.changed_elsewhere()
    return json_answer(answer, 202)


def _ping(api: ApiContext, actor: Actor, id: str, kept: Idempotency | None, *, dry_run: bool) -> dict[str, str]:
    store, now, receivers = api.store, api.clock.now(), api.config.receivers
    resource = api.registry.find(actor, Kind.SUBSCRIPTION, id)
    if resource.managed_by is ManagedBy.FILE:
        need(actor, Role.WRITE)
    key = f"webhook:{resource.id}"
    if dry_run:
        return {}
    if receivers.find(key) is None:
        raise RequestRefused(409, "subscription-off", resource.problem or "the subscription does not work just now")
    data = {"receiver": key, "message": "This is a test. Nothing happened.", "observed_at": rfc3339(now)}
    draft = EventDraft(type=EventType.TEST_PING, at=now, data=data, only_receiver=key)
    outbox = Outbox(known_store_id(store.reader), receivers, RandomIds())
    if kept is not None:
        api.registry.answered(actor, kept)
    with store.write(durable=True) as tx:
        event = outbox.append(tx, draft, now)
        answer = {"event": event.id, "delivery": f"{event.id}.{key}"}
        api.registry.record(tx, actor, f"subscription/{resource.id}", "test", {}, now, owner=resource.owner)
        if kept is not None:
            api.registry.remember(tx, actor, kept, 202, answer)
        api.service.tell_others(tx)
    return answer


@subscriptions.post(
    "/subscriptions/{id}/rotate", response_model=SubscriptionShown | PlanShown, responses=refusals(*CHANGE)
)
async def rotate_secret(
    api: Api, actor: Subscriber, id: ObjectId, body: RotationBody, once: Once, dry_run: DryRun = False
) -> Response:
    """Give a subscription a new secret, shown this once; the old one signs beside it for `overlap`."""
    try:
        overlap = parse_duration(body.overlap)
    except ValueError as error:
        fault = BodyFault(id="duration-invalid", path="overlap", said=str(error), hint='such as "24h"')
        raise RequestRefused(422, "invalid", f"overlap: {error}", (fault,)) from error

    def answer(outcomes: Any) -> tuple[int, Any]:
        return 200, _subscription(api, outcomes[0], secret=False)

    outcome = await api.registry.rotate(
        actor, id, overlap, dry_run=dry_run, idempotency=None if dry_run else once(answer)
    )
    if dry_run:
        return json_answer(plan_of([outcome]))
    document = await api.store.apart(_subscription, api, outcome, secret=True)
    return json_answer(document, headers=etag(outcome.resource.version))


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@rules.get("/rules", response_model=RulePage, responses=refusals())
async def list_rules(api: Api, actor: Reader, after: After = "", limit: Limit = DEFAULT_LIMIT) -> Response:
    """List rules by id."""
    page = await api.registry.search(actor, Kind.RULE, Filters(), after, limit)
    return json_answer({"data": [shown.managed(api, one) for one in page.resources], "next": page.next})


@rules.get("/rules/{id}", response_model=RuleShown, responses={**refusals(*READ), 200: {"headers": ETAG}})
async def get_rule(api: Api, actor: Reader, id: ObjectId) -> Response:
    """Show a rule."""
    resource = await api.store.apart(api.registry.find, actor, Kind.RULE, id)
    return json_answer(shown.managed(api, resource), headers=etag(resource.version))


@rules.put(
    "/rules/{id}",
    response_model=RuleShown | PlanShown,
    responses={**refusals(*CHANGE), 201: {"model": RuleShown, "headers": ETAG}, 200: {"headers": ETAG}},
)
async def put_rule(
    api: Api, actor: Writer, id: ObjectId, body: RuleObject, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """Make a rule, or replace it: it is judged against the last readings at once."""
    return await put_one(api, actor, Kind.RULE, id, body, when, shown.managed, dry_run=dry_run)


@rules.delete("/rules/{id}", status_code=204, responses={**refusals(*REMOVE), 200: {"model": PlanShown}})
async def delete_rule(api: Api, actor: Writer, id: ObjectId, when: Conditioned, dry_run: DryRun = False) -> Response:
    """Delete a rule; its open episodes end."""
    return await remove_one(api, actor, Kind.RULE, id, when, dry_run=dry_run)
