"""Routes of accounts and of their top-ups."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from daemon.api import shown
from daemon.api.access import Payer, Reader, Subscriber, Writer, require
from daemon.api.answers import AccountPage, AccountShown, BatchAnswer, PlanShown, TopupShown, etag, plan_of
from daemon.api.context import DEFAULT_LIMIT, After, Api, ApiContext, Conditioned, DryRun, Limit, Once
from daemon.api.one_object import put_one, remove_one
from daemon.api.problems import encode, json_answer
from daemon.api.routes import CHANGE, ETAG, READ, REMOVE, AccountId, refusals, router
from daemon.api.shapes import AccountObject, AccountPatch, BatchObject, TopupObject
from daemon.config.model import Config
from daemon.limits import API_BATCH, PAGE_QUERY_CHARACTERS
from daemon.resources.model import BodyFault, Change, Filters, Kind, RequestRefused, Role
from daemon.store.connection import Connection
from daemon.web.choice import RowTone, texts_of, tones

routes = router("accounts")
_Text = Annotated[str, Query(max_length=PAGE_QUERY_CHARACTERS)]
_MADE: dict[int | str, dict[str, Any]] = {201: {"model": AccountShown | PlanShown, "headers": ETAG}}
_TOPUP_MADE: dict[int | str, dict[str, Any]] = {201: {"model": TopupShown, "headers": ETAG}}


@routes.get("/accounts", response_model=AccountPage, responses=refusals())
async def list_accounts(
    api: Api,
    actor: Reader,
    owner: Annotated[str | None, Query(max_length=PAGE_QUERY_CHARACTERS)] = None,
    tag: Annotated[str | None, Query(max_length=PAGE_QUERY_CHARACTERS)] = None,
    state: RowTone | None = None,
    q: _Text = "",
    after: After = "",
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List accounts by id: those of an owner, with a tag, in a state, or with a text in id, label or owner."""
    filters = Filters(owner=owner)
    if state is not None or tag is not None or q:
        found = await api.read(partial(_matching, api.config, tag, state, q.casefold()))
        filters = Filters(owner=owner, keep=found.__contains__)
    page = await api.registry.search(actor, Kind.ACCOUNT, filters, after, limit)
    known = api.service.evaluator.states().get

    def build(connection: Connection) -> bytes:
        data = [shown.account(api, one, connection, known) for one in page.resources]
        return encode({"data": data, "next": page.next})

    return Response(await api.read(build), media_type="application/json")


def _matching(config: Config, tag: str | None, state: RowTone | None, text: str, connection: Connection) -> set[str]:
    """Return the accounts that are asked for, of all owners: in a thread, since it looks at every account."""
    by_account = {} if state is None else tones(config, connection)
    return {
        account.id
        for account in config.accounts.values()
        if (tag is None or tag in account.info.tags)
        and (state is None or by_account[account.id] is state)
        and (not text or any(text in said for said in texts_of(account.info)))
    }


@routes.post("/accounts:batch", response_model=BatchAnswer | PlanShown, responses=refusals(*CHANGE), openapi_extra={})
async def change_accounts(api: Api, actor: Writer, body: BatchObject, once: Once, dry_run: DryRun = False) -> Response:
    """Make or replace up to 500 accounts, all or none."""
    entries = body.get("accounts")
    if set(body) != {"accounts"} or not isinstance(entries, list) or not 1 <= len(entries) <= API_BATCH:
        said = f"a batch is an object with the key accounts: a list of 1 to {API_BATCH} accounts"
        raise RequestRefused(422, "invalid", said, (BodyFault(id="value-type", path="accounts", said=said),))
    changes = [_batched(number, entry) for number, entry in enumerate(entries)]

    def answer(outcomes: Any) -> tuple[int, Any]:
        data = [{"id": one.resource.id, "created": one.created, "version": one.resource.version} for one in outcomes]
        return 200, {"data": data}

    outcomes = await api.registry.change(actor, changes, dry_run=dry_run, idempotency=None if dry_run else once(answer))
    return json_answer(plan_of(outcomes) if dry_run else answer(outcomes)[1])


def _batched(number: int, entry: Any) -> Change:
    path = f"accounts[{number}]"
    id = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(id, str):
        said = "an account of a batch is an object with an id"
        raise RequestRefused(422, "invalid", said, (BodyFault(id="key-missing", path=f"{path}.id", said=said),))
    return Change(kind=Kind.ACCOUNT, id=id, body={key: one for key, one in entry.items() if key != "id"}, path=path)


@routes.get("/accounts/{id}", response_model=AccountShown, responses={**refusals(*READ), 200: {"headers": ETAG}})
async def get_account(api: Api, actor: Reader, id: AccountId) -> Response:
    """Show an account, and how it stands."""
    resource = await api.store.apart(api.registry.find, actor, Kind.ACCOUNT, id)
    return json_answer(await api.store.apart(_account, api, resource), headers=etag(resource.version))


def _account(api: ApiContext, resource: Any) -> dict[str, Any]:
    states = api.service.evaluator.states()
    return shown.account(api, resource, api.store.reader, states.get)


@routes.put(
    "/accounts/{id}",
    response_model=AccountShown | PlanShown,
    responses={**refusals(*CHANGE), **_MADE, 200: {"headers": ETAG}},
)
async def put_account(
    api: Api, actor: Writer, id: AccountId, body: AccountObject, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """Make an account, or replace it whole. Its owner is fixed when it is made."""
    return await put_one(api, actor, Kind.ACCOUNT, id, body, when, _account, dry_run=dry_run)


@routes.patch(
    "/accounts/{id}",
    response_model=AccountShown | PlanShown,
    responses={**refusals(*CHANGE), 200: {"headers": ETAG}},
    openapi_extra={"x-takes": ["application/merge-patch+json", "application/json"]},
)
async def patch_account(
    api: Api, actor: Subscriber, id: AccountId, body: AccountPatch, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """Change some keys of an account; null takes one away. `email` alone needs the role subscribe, all else write."""
    if set(body) != {"email"}:
        require(actor, Role.WRITE)
    await api.store.apart(api.registry.find, actor, Kind.ACCOUNT, id)
    return await put_one(api, actor, Kind.ACCOUNT, id, body, when, _account, merge=True, dry_run=dry_run)


@routes.delete("/accounts/{id}", status_code=204, responses={**refusals(*REMOVE), 200: {"model": PlanShown}})
async def archive_account(
    api: Api, actor: Writer, id: AccountId, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """Archive an account: it is polled no more, its history stays, its id is never given away again."""
    return await remove_one(api, actor, Kind.ACCOUNT, id, when, dry_run=dry_run)


# ── the top-up of an account ────────────────────────────────────────────────────────────────────────────────────────


@routes.get("/accounts/{id}/topup", response_model=TopupShown, responses={**refusals(*READ), 200: {"headers": ETAG}})
async def get_topup(api: Api, actor: Reader, id: AccountId) -> Response:
    """Show when an account is charged, how much, and the caps."""
    resource = await api.store.apart(api.registry.find, actor, Kind.TOPUP, id)
    return json_answer(shown.managed(api, resource), headers=etag(resource.version))


@routes.put(
    "/accounts/{id}/topup",
    response_model=TopupShown | PlanShown,
    responses={**refusals(*CHANGE), **_TOPUP_MADE, 200: {"headers": ETAG}},
)
async def put_topup(
    api: Api, actor: Payer, id: AccountId, body: TopupObject, when: Conditioned, dry_run: DryRun = False
) -> Response:
    """Make the top-up of an account, or replace it: `If-Match` is demanded then. Bounded by the file's ceiling."""
    return await put_one(api, actor, Kind.TOPUP, id, body, when, shown.managed, dry_run=dry_run)


@routes.delete("/accounts/{id}/topup", status_code=204, responses={**refusals(*REMOVE), 200: {"model": PlanShown}})
async def delete_topup(api: Api, actor: Payer, id: AccountId, when: Conditioned, dry_run: DryRun = False) -> Response:
    """Charge this account no more. A charge that is open comes to its end."""
    return await remove_one(api, actor, Kind.TOPUP, id, when, dry_run=dry_run)
