"""Reading: what an actor sees of the file's objects and the stored ones, one by one or page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from alerts.model.accounts import AccountInfo
from alerts.model.instants import from_ms
from alerts.model.values import replace
from daemon.config.model import ManagedBy
from daemon.resources.held import Held
from daemon.resources.model import Actor, Filters, Found, Kind, Resource
from daemon.resources.of_file import resource_of_file
from daemon.resources.rights import file_is_seen, not_found, seen_accounts, sees
from daemon.store import Store, resources
from daemon.store.resources import Row

MOST_AT_ONCE = 500


def resource_of(row: Row, problem: str = "") -> Resource:
    """Return the object of a row."""
    return Resource(
        kind=Kind(row.kind),
        id=row.id,
        owner=row.owner,
        version=row.version,
        body=json.loads(row.body),
        created_at=from_ms(row.created_ms),
        changed_at=from_ms(row.changed_ms),
        archived_at=None if row.archived_ms is None else from_ms(row.archived_ms),
        change=row.change,
        problem=problem,
    )


class Lookup:
    """Looks objects up. Accounts are searched in memory, and only the rows of the page are read."""

    def __init__(self, held: Held, store: Store) -> None:
        self._held = held
        self._store = store

    def find(self, actor: Actor, kind: Kind, id: str, *, archived: bool = False) -> Resource:
        """Return an object that the actor sees; 404 where there is none."""
        held = self._held
        if held.managed_by(kind, id) is ManagedBy.FILE:
            found = resource_of_file(held.file, kind, id)
            if found is None or not file_is_seen(actor, held, kind, id):
                raise not_found(kind)
            return found
        row = resources.find(self._store.reader, kind.value, id)
        if row is None or (row.archived_ms is not None) is not archived:
            raise not_found(kind)
        found = resource_of(row, held.problems.get((kind.value, id), ""))
        if not sees(actor, held, kind, id, found.owner, found.body):
            raise not_found(kind)
        return found

    async def search(self, actor: Actor, kind: Kind, filters: Filters, after: str, limit: int) -> Found:
        """Return a page of what the actor sees, ordered by id."""
        limit = min(max(limit, 1), MOST_AT_ONCE)
        if kind is Kind.ACCOUNT and not filters.archived:
            return await self._store.apart(self._accounts, self._chosen(actor, filters, after, limit), limit)
        return await self._store.apart(self._others, actor, kind, filters, after, limit)

    def _chosen(self, actor: Actor, filters: Filters, after: str, limit: int) -> list[str]:
        """Return which accounts are asked for, and one more. Accounts come and go on the event loop: it asks, too."""
        held = self._held
        if filters.owner == "" and not actor.is_free:
            filters = replace(filters, owner=None)
        ids: Iterator[str]
        if actor.is_free:
            ids = held.ids(filters.owner, after)
        else:
            ids = (id for id in seen_accounts(actor, held, filters.owner or "") if id > after)
        ids = (id for id in ids if _fits(held.accounts[id], filters) and self._is_managed(id, filters))
        return list(islice((id for id in ids if filters.keep is None or filters.keep(id)), limit + 1))

    def _accounts(self, chosen: Sequence[str], limit: int) -> Found:
        held = self._held
        of_file = {id for id in chosen if held.managed_by(Kind.ACCOUNT, id) is ManagedBy.FILE}
        rows = resources.find_many(self._store.reader, Kind.ACCOUNT.value, [id for id in chosen if id not in of_file])
        found = []
        for id in chosen:
            if id in of_file:
                resource = resource_of_file(held.file, Kind.ACCOUNT, id)
            else:
                resource = resource_of(rows[id], held.problems.get((Kind.ACCOUNT.value, id), ""))
            assert resource is not None
            found.append(resource)
        return _page(found, limit)

    def _is_managed(self, id: str, filters: Filters) -> bool:
        if filters.managed_by is None:
            return True
        return (self._held.managed_by(Kind.ACCOUNT, id) or ManagedBy.API) is filters.managed_by

    def _others(self, actor: Actor, kind: Kind, filters: Filters, after: str, limit: int) -> Found:
        of_file: list[Resource] = []
        if actor.is_free and not filters.archived and not filters.owner and filters.managed_by is not ManagedBy.API:
            ids = sorted(id for id in self._held.file_ids(kind) if id > after)[: limit + 1]
            named = (resource_of_file(self._held.file, kind, id) for id in ids)
            of_file = [resource for resource in named if resource is not None]
        stored = self._stored(actor, kind, filters, after, limit)
        return _page(list(islice(merge(of_file, stored, key=lambda resource: resource.id), limit + 1)), limit)

    def _stored(self, actor: Actor, kind: Kind, filters: Filters, after: str, limit: int) -> Iterator[Resource]:
        if filters.managed_by is ManagedBy.FILE:
            return
        owner = actor.owner or filters.owner or None
        if actor.owner and filters.owner not in (None, "", actor.owner):
            return
        conn, held = self._store.reader, self._held
        while rows := resources.page(
            conn, kind.value, owner=owner, after=after, limit=limit + 1, archived=filters.archived
        ):
            for row in rows:
                found = resource_of(row, held.problems.get((kind.value, row.id), ""))
                if sees(actor, held, kind, row.id, row.owner, found.body) and _names(found, filters.account):
                    yield found
            after = rows[-1].id


def _names(resource: Resource, account: str) -> bool:
    named = resource.body.get("accounts")
    return not account or (isinstance(named, list) and account in named)


def _fits(info: AccountInfo, filters: Filters) -> bool:
    if filters.owner is not None and filters.owner != info.owner:
        return False
    if filters.tag is not None and filters.tag not in info.tags:
        return False
    text = filters.text.casefold()
    return not text or any(text in said.casefold() for said in (info.id, info.label, info.owner))


def _page(found: list[Resource], limit: int) -> Found:
    page = tuple(found[:limit])
    return Found(resources=page, next=page[-1].id if len(found) > limit else None)
