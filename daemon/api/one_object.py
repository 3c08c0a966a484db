"""One object replaced, changed in part or removed, as every PUT, PATCH and DELETE does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from daemon.api.answers import etag, plan_of
from daemon.api.context import ApiContext, Conditions, change_one
from daemon.api.problems import json_answer
from daemon.resources.model import Actor, Change, Kind, Resource

Show = Callable[[ApiContext, Resource], Mapping[str, Any]]
"""It may ask the database."""


async def put_one(
    api: ApiContext,
    actor: Actor,
    kind: Kind,
    id: str,
    body: Mapping[str, Any],
    when: Conditions,
    show: Show,
    *,
    merge: bool = False,
    dry_run: bool,
) -> Response:
    """Make or replace an object, or with `merge` change what is named of it. Returns it, or the plan of a dry run."""
    version = await api.store.apart(when.version, api, actor, kind, id)
    change = Change(kind=kind, id=id, body=body, merge=merge, if_version=version, only_create=when.only_create)
    outcome = await change_one(api, actor, change, dry_run=dry_run)
    if dry_run:
        return json_answer(plan_of([outcome]))
    status = 201 if outcome.created else 200
    shown = await api.store.apart(show, api, outcome.resource)
    return json_answer(shown, status, etag(outcome.resource.version))


async def remove_one(
    api: ApiContext, actor: Actor, kind: Kind, id: str, when: Conditions, *, dry_run: bool
) -> Response:
    """Remove an object."""
    version = await api.store.apart(when.version, api, actor, kind, id)
    change = Change(kind=kind, id=id, body=None, if_version=version, only_create=when.only_create)
    outcome = await change_one(api, actor, change, dry_run=dry_run)
    return json_answer(plan_of([outcome])) if dry_run else Response(status_code=204)
