"""Routes of pauses, tokens, the audit, and of everything as one document."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from daemon.api.access import Admin, Payer, Reader
from daemon.api.answers import (
    AppliedShown,
    AuditPage,
    NewToken,
    PausePage,
    PauseShown,
    PlanShown,
    Resumed,
    TokenPage,
    TokenShown,
    at,
    changes_of,
    plan_of,
    token_document,
)
from daemon.api.bodies import JSON, TOML
from daemon.api.context import DEFAULT_LIMIT, After, Api, ApiContext, DryRun, Limit, Once
from daemon.api.problems import encode, json_answer
from daemon.api.routes import CHANGE, ObjectId, ScopeId, refusals, router
from daemon.api.shapes import TokenBody
from daemon.resources.documents import exported
from daemon.resources.model import Actor, AuditEntry, Kind, RequestRefused
from daemon.resources.pauses import pause, resume
from daemon.status.topups import still_ahead, still_stopped
from daemon.store import ledger_notes
from daemon.store.connection import Connection
from daemon.store.topup_rows import EVERYWHERE

pauses, tokens, audit, documents = router("pauses"), router("tokens"), router("audit"), router("config")
_Prune = Annotated[bool, Query(description="Also remove what the document does not name.")]


# ── pauses ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _scope(api: ApiContext, actor: Actor, scope: str) -> tuple[str | None, str]:
    """Return the account (None: all) and its owner; who sees only some accounts does not see all. It asks the lane."""
    if scope != EVERYWHERE:
        return scope, api.registry.find(actor, Kind.ACCOUNT, scope).owner
    if not actor.is_free:
        raise RequestRefused(404, "not-found", f"there is no account {scope}")
    return None, ""


@pauses.get("/pauses", response_model=PausePage, responses=refusals())
async def list_pauses(api: Api, actor: Reader, after: After = "", limit: Limit = DEFAULT_LIMIT) -> Response:
    """List what stops charging: pauses, and suspensions that end by a resume."""
    config = api.config

    def rows(connection: Connection) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for stop in sorted(ledger_notes.stops(connection), key=lambda one: (one.scope, one.kind.value)):
            known = config.accounts.get(stop.scope)
            everywhere = stop.scope == EVERYWHERE and actor.is_free
            if f"{stop.scope}:{stop.kind.value}" > after and (
                everywhere or (known is not None and actor.sees(known.id, known.info.owner))
            ):
                found.append(
                    {"scope": stop.scope, "kind": stop.kind.value, "reason": stop.reason, "since": at(stop.since_at)}
                )
        return found[: limit + 1]

    found = await api.read(rows)
    last = found[limit - 1] if len(found) > limit else None
    return json_answer({"data": found[:limit], "next": None if last is None else f"{last['scope']}:{last['kind']}"})


@pauses.put("/pauses/{scope}", response_model=PauseShown | PlanShown, responses=refusals(404))
async def put_pause(api: Api, actor: Payer, scope: ScopeId, dry_run: DryRun = False) -> Response:
    """Charge an account no more, or none at all (`*`), from the next confirm on."""
    new = await api.store.apart(_pause, api, actor, scope, dry_run=dry_run)
    if dry_run:
        return json_answer({"dry_run": True, "changes": []})
    api.service.changed_elsewhere()
    return json_answer({"scope": scope, "paused": True, "already": not new})


def _pause(api: ApiContext, actor: Actor, scope: str, *, dry_run: bool) -> bool:
    """Return whether it is new."""
    (account, owner), now = _scope(api, actor, scope), api.clock.now()
    if dry_run:
        return False
    with api.store.write(durable=True) as tx:
        new = pause(tx, account, now)
        if new:
            api.registry.record(tx, actor, f"pause/{scope}", "pause", {}, now, owner=owner)
        api.service.tell_others(tx)
    return new


@pauses.delete("/pauses/{scope}", response_model=Resumed | PlanShown, responses=refusals(404))
async def delete_pause(api: Api, actor: Payer, scope: ScopeId, dry_run: DryRun = False) -> Response:
    """End a pause; for an account its suspension too, so that its card may be tried again."""
    ended, left = await api.store.apart(_resume, api, actor, scope, dry_run=dry_run)
    if dry_run:
        return json_answer({"dry_run": True, "changes": []})
    api.service.changed_elsewhere()
    return json_answer({"scope": scope, "ended": ended, "left": left})


def _resume(api: ApiContext, actor: Actor, scope: str, *, dry_run: bool) -> tuple[list[str], list[str]]:
    """Return what ended, and what stops charging still."""
    (account, owner), now, store = _scope(api, actor, scope), api.clock.now(), api.store
    if dry_run:
        return [], []
    with store.write(durable=True) as tx:
        ended = list(resume(tx, account, now, take_back_clock=not actor.owner))
        if ended:
            api.registry.record(tx, actor, f"pause/{scope}", "resume", {"stops": (ended, [])}, now, owner=owner)
        api.service.tell_others(tx)
    still = (*still_stopped(store.reader, api.config.accounts, account), still_ahead(store.reader, now))
    return ended, [one for one in still if one and (not actor.owner or one.startswith(f"{account}:"))]


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@tokens.post(
    "/tokens", status_code=201, response_model=NewToken, responses={**refusals(*CHANGE), 200: {"model": PlanShown}}
)
async def make_token(api: Api, actor: Admin, body: TokenBody, once: Once, dry_run: DryRun = False) -> Response:
    """Make a token. It is shown this once; only its SHA-256 is kept."""

    def answer(made: Any) -> tuple[int, Any]:
        return 201, {**token_document(made), "token": None}

    made, text = await api.store.apart(
        api.registry.new_token,
        actor,
        role=body.role,
        name=body.name,
        owner=body.owner,
        accounts=body.accounts,
        expires_at=body.expires_at,
        dry_run=dry_run,
        idempotency=None if dry_run else once(answer),
    )
    if dry_run:
        return json_answer({"dry_run": True, "changes": []})
    return json_answer({**token_document(made), "token": text}, 201)


@tokens.get("/tokens", response_model=TokenPage, responses=refusals())
async def list_tokens(api: Api, actor: Admin, after: After = "", limit: Limit = DEFAULT_LIMIT) -> Response:
    """List tokens, without what they are."""
    found, following = await api.store.apart(api.registry.tokens, actor, after, limit)
    return json_answer({"data": [token_document(one) for one in found], "next": following})


@tokens.get("/tokens/{id}", response_model=TokenShown, responses=refusals(404))
async def get_token(api: Api, actor: Admin, id: ObjectId) -> Response:
    """Show a token: its role, whose it is, when it was used last."""
    return json_answer(token_document(await api.store.apart(api.registry.find_token, actor, id)))


@tokens.delete("/tokens/{id}", status_code=204, responses={**refusals(404), 200: {"model": PlanShown}})
async def revoke_token(api: Api, actor: Admin, id: ObjectId, dry_run: DryRun = False) -> Response:
    """Revoke a token: it is refused from now on."""
    await api.store.apart(api.registry.revoke_token, actor, id, dry_run=dry_run)
    return json_answer({"dry_run": True, "changes": []}) if dry_run else Response(status_code=204)


# ── audit ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@audit.get("/audit", response_model=AuditPage, responses=refusals())
async def list_audit(
    api: Api,
    actor: Reader,
    resource: Annotated[str, Query(max_length=160, examples=["account/acme"])] = "",
    by: Annotated[str, Query(alias="actor", max_length=160)] = "",
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List changes, oldest first: who changed what, and how. A secret's value is `(changed)`."""
    found, following = await api.store.apart(
        api.registry.audit, actor, resource=resource, by=by, after=after, limit=limit
    )
    return json_answer({"data": [_entry(one) for one in found], "next": None if following is None else str(following)})


def _entry(one: AuditEntry) -> dict[str, Any]:
    return {
        "at": at(one.at),
        "actor": one.actor,
        "source": one.source,
        "resource": one.resource,
        "action": one.action,
        "owner": one.owner,
        "changes": {name: list(pair) for name, pair in one.changes.items()},
        "request_id": one.request_id,
    }


# ── everything as one document ──────────────────────────────────────────────────────────────────────────────────────


def _require_operator(actor: Actor) -> None:
    """Refuse a token that sees only some things: the document is of all."""
    if not actor.is_free:
        raise RequestRefused(403, "role-needed", "this needs the role admin in a token without owner and accounts")


_TAKES: dict[str, Any] = {"x-takes": [JSON, TOML]}


@documents.get("/config:export", response_model=dict[str, Any], responses=refusals())
async def export_config(api: Api, actor: Admin) -> Response:
    """Show every object that is managed by the API, as the configuration file would say it."""
    _require_operator(actor)
    return Response(await api.read(lambda connection: encode(exported(connection))), media_type="application/json")


@documents.post("/config:plan", response_model=PlanShown, responses=refusals(*CHANGE), openapi_extra=_TAKES)
async def plan_config(api: Api, actor: Admin, body: dict[str, Any], prune: _Prune = False) -> Response:
    """Show what `config:apply` would change. No changes: nothing to do."""
    _require_operator(actor)
    return json_answer(plan_of(await api.registry.apply(actor, body, prune=prune, dry_run=True)))


@documents.post(
    "/config:apply", response_model=AppliedShown | PlanShown, responses=refusals(*CHANGE), openapi_extra=_TAKES
)
async def apply_config(
    api: Api, actor: Admin, body: dict[str, Any], once: Once, prune: _Prune = False, dry_run: DryRun = False
) -> Response:
    """Make the objects that are managed by the API what the document says, all or none."""
    _require_operator(actor)

    def answer(outcomes: Any) -> tuple[int, Any]:
        return 200, {"changes": changes_of(outcomes)}

    outcomes = await api.registry.apply(
        actor, body, prune=prune, dry_run=dry_run, idempotency=None if dry_run else once(answer)
    )
    return json_answer(plan_of(outcomes) if dry_run else answer(outcomes)[1])
