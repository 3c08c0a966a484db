"""The one way in for what is managed as data: every change of an account, top-up, rule, subscription or token.

A change is checked whole, then committed in one transaction with its audit, its idempotency key and its events; then
`catch_up` makes the new `Config`, which shares every unchanged object. Whoever else commits (a command beside the
daemon) is noticed within a second and caught up with the same way. Nothing here imports the service or the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from alerts.model.instants import to_ms
from alerts.model.values import replace
from daemon.clock import Clock, Ids
from daemon.config.model import Config
from daemon.limits import WARNINGS_LOGGED
from daemon.resources import records, tokens
from daemon.resources.bodies import shown
from daemon.resources.changing import Changing, Rows
from daemon.resources.compiling import Compiled
from daemon.resources.documents import changes_to, exported
from daemon.resources.drafting import Draft, Manner
from daemon.resources.held import Held, body_of
from daemon.resources.keyring import Keyring
from daemon.resources.loading import AT_ONCE, compile_rows
from daemon.resources.lookup import Lookup, resource_of
from daemon.resources.model import (
    Actor,
    AuditEntry,
    Change,
    ChangeOutcome,
    Filters,
    Found,
    Idempotency,
    Kind,
    RequestRefused,
    Resource,
    Role,
    Token,
)
from daemon.resources.rights import need
from daemon.resources.rotating import rotated
from daemon.resources.secrets import resealed
from daemon.resources.writing import Checks, MovedOn, reseal_digest_key, set_digest_key, unchanged, written
from daemon.store import Store, resources
from daemon.store import tokens as token_rows
from daemon.store.connection import Connection, Transaction
from daemon.store.outbox import Outbox
from daemon.store.resources import Row

_TRIES = 5
"""How often a change is drafted anew where somebody else changed the same object meanwhile."""


class Registry:
    """Objects managed as data, of the store and of the file together. One is open for each process.

    Methods raise RequestRefused, which carries HTTP's status: 403 names the role, 404 is whatever the actor does not
    see. `taken` is called with each new `Config`, in the loop, before `change` returns. Those that are not async ask
    `store`, or write it: within the event loop they are called by `store.apart`.
    """

    taken: Callable[[Config], None]

    def __init__(
        self,
        file: Config,
        *,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        ids: Ids,
        environ: Mapping[str, str] | None = None,
        told: Callable[[str, str], None] = lambda resource, problem: None,
    ) -> None:
        """Load what is stored. `file`: the configuration as the file says it, with `[api]` enabled.

        `told` is called with each object that does not work, and why.
        """
        self._told = told
        self.taken = lambda config: None
        self.store = store
        """The lane that all of it goes through, where the store is on a server."""
        self._outbox = outbox
        self._clock = clock
        self._ids = ids
        self._keyring = Keyring.of(file.api)
        self._held = Held(file)
        self._changing = Changing(file, self._held, self._keyring, store, clock, ids, environ)
        self._lookup = Lookup(self._held, store)
        self._checks = Checks(self._held, self._keyring)
        self._lock = asyncio.Lock()
        """Held from when something stored is read until it is taken in: changes follow one another."""
        self._marked: dict[str, datetime] = {}
        self._seen = 0
        with store.write(durable=True) as tx:
            set_digest_key(tx, self._keyring)
        rows, made = self._compiled(resources.since(store.reader, 0))
        self._take(rows, made)
        self._tell(rows)

    @property
    def config(self) -> Config:
        """The file's objects and the stored ones together, as of the last change that was seen."""
        return self._held.config

    @property
    def problems(self) -> Mapping[tuple[str, str], str]:
        """By kind and id, why a stored object does not work: for the log, the page and `status`."""
        return self._held.problems

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, actor: Actor, kind: Kind, id: str, *, archived: bool = False) -> Resource:
        """Return an object that the actor sees, of the file or of the store; 404 where there is none.

        `body` may hold sealed secrets: `shown` is what may leave the process.
        """
        return self._lookup.find(actor, kind, id, archived=archived)

    async def search(self, actor: Actor, kind: Kind, filters: Filters, after: str = "", limit: int = 100) -> Found:
        """Return a page of what the actor sees, ordered by id, beginning after the id `after`. At most 500."""
        return await self._lookup.search(actor, kind, filters, after, limit)

    def shown(self, resource: Resource) -> dict[str, Any]:
        """Return the body as it may be answered: without write-only fields, a secret header as `"(secret)"`."""
        return shown(resource.kind, resource.body)

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────────

    async def change(
        self, actor: Actor, changes: Sequence[Change], *, dry_run: bool = False, idempotency: Idempotency | None = None
    ) -> list[ChangeOutcome]:
        """Check and commit the changes, all or none, and let them take effect; return an outcome for each, in order.

        Needs the role `write` (accounts, rules), `money` (top-ups), `subscribe` (subscriptions, and an account's own
        `email`). A subscription with the id "" gets one, and a new one its signing secret. With `dry_run` everything
        is checked and nothing is written. Raises RequestRefused with every fault at once; AnsweredBefore where the
        idempotency key was used for the same body; 422 `idempotency-key-reused` for another body.
        """
        return await self._changed(actor, changes, dry_run=dry_run, idempotency=idempotency)

    async def adopt(self, actor: Actor, changes: Sequence[Change], *, dry_run: bool = False) -> list[ChangeOutcome]:
        """Take objects over from the file, which may go on naming them and is not asked any more (role `admin`)."""
        need(actor, Role.ADMIN)
        return await self._changed(actor, changes, dry_run=dry_run, idempotency=None, manner=Manner.ADOPT)

    async def _changed(
        self,
        actor: Actor,
        changes: Sequence[Change],
        *,
        dry_run: bool,
        idempotency: Idempotency | None,
        manner: Manner = Manner.ONE,
    ) -> list[ChangeOutcome]:
        async def once() -> list[ChangeOutcome]:
            rows = await self.store.apart(self._read, actor, changes, idempotency)
            drafts = await self._changing.drafted(actor, changes, rows, manner)
            made = await self._changing.compiled(drafts)
            return await self._commit(actor, changes, drafts, made, dry_run=dry_run, idempotency=idempotency)

        return await self._tried(once)

    async def _tried(self, change: Callable[[], Awaitable[list[ChangeOutcome]]]) -> list[ChangeOutcome]:
        """Try a change by what is there now, and again where somebody else has changed the same objects meanwhile."""
        async with self._lock:
            for _ in range(_TRIES):
                await self._behind()
                with suppress(MovedOn):
                    return await change()
        raise RequestRefused(409, "moved-on", "somebody else changes the same objects: try again")

    def _read(self, actor: Actor, changes: Sequence[Change], idempotency: Idempotency | None) -> Rows:
        if idempotency is not None:
            self.answered(actor, idempotency)
        return self._changing.rows(changes)

    async def _commit(
        self,
        actor: Actor,
        changes: Sequence[Change],
        drafts: Sequence[Draft],
        made: Compiled,
        *,
        dry_run: bool,
        idempotency: Idempotency | None,
    ) -> list[ChangeOutcome]:
        if dry_run:
            await self.store.apart(self._checks.check, self.store.reader, drafts, made)
            return _outcomes(changes, drafts, {}, self._clock.now())
        outcomes, rows = await self.store.apart(self._write, actor, changes, drafts, made, idempotency)
        if rows:
            await self._catch_up_with(rows, made)
        return outcomes

    def _write(
        self,
        actor: Actor,
        changes: Sequence[Change],
        drafts: Sequence[Draft],
        made: Compiled,
        idempotency: Idempotency | None,
    ) -> tuple[list[ChangeOutcome], list[Row]]:
        now = self._clock.now()
        with self.store.write(durable=True) as tx:
            unchanged(tx, drafts)
            digests = self._checks.check(tx, drafts, made)
            rows = written(tx, actor, drafts, made, digests, self._held, self._outbox, now)
            outcomes = _outcomes(changes, drafts, {(row.kind, row.id): row for row in rows}, now)
            if idempotency is not None:
                status, answer = idempotency.answer(outcomes)
                records.remember(tx, actor, idempotency, status, answer, now)
        return outcomes, rows

    async def rotate(
        self,
        actor: Actor,
        subscription: str,
        overlap: timedelta,
        *,
        dry_run: bool = False,
        idempotency: Idempotency | None = None,
    ) -> ChangeOutcome:
        """Give a subscription a new signing secret, shown in the outcome this once; the old one signs for `overlap`."""
        need(actor, Role.SUBSCRIBE)

        def read() -> Row | None:
            if idempotency is not None:
                self.answered(actor, idempotency)
            self.find(actor, Kind.SUBSCRIPTION, subscription)
            return resources.find(self.store.reader, Kind.SUBSCRIPTION.value, subscription)

        async def once() -> list[ChangeOutcome]:
            draft = rotated(await self.store.apart(read), subscription, self._keyring, overlap, self._clock.now())
            made, change = await self._changing.compiled([draft]), draft.change
            return await self._commit(actor, [change], [draft], made, dry_run=dry_run, idempotency=idempotency)

        (outcome,) = await self._tried(once)
        return outcome

    # ── taking effect ───────────────────────────────────────────────────────────────────────────────────────────

    def reseal(self) -> int:
        """Seal every secret by the first master key; return how many objects that changed. None changes its version.

        Raises SealError where one does not open: the key that it names is missing.
        """
        count = 0
        with self.store.write(durable=True) as tx:
            reseal_digest_key(tx, self._keyring)
            for row in resources.since(tx, 0):
                body = body_of(row)
                again = resealed(Kind(row.kind), row.id, body, self._keyring)
                if again != body:
                    count += 1
                    change = resources.next_change(tx)
                    resources.put(tx, row._replace(body=resources.encode(again), change=change))
        return count

    async def catch_up(self) -> bool:
        """Take in what others committed, some hundred objects at once; return whether there may be more."""
        async with self._lock:
            return await self._catch_up()

    def is_current(self, conn: Connection, config: Config) -> bool:
        """Whether this configuration has all that is stored: asked in the transaction of whoever acts on it.

        In any thread: what was taken in by the first look is in the configuration by the second.
        """
        return resources.last_change(conn) == self._seen and config is self._held.config

    async def _catch_up(self) -> bool:
        rows, made = await self.store.apart(self._stored_since)
        if rows:
            self._take(rows, made)
            self._tell(rows)
        return bool(rows)

    def _stored_since(self) -> tuple[list[Row], Compiled]:
        if resources.last_change(self.store.reader) == self._seen:
            return [], Compiled()
        return self._compiled(resources.since(self.store.reader, self._seen, AT_ONCE))

    def _compiled(self, rows: list[Row]) -> tuple[list[Row], Compiled]:
        return rows, compile_rows(self._changing.basis, self.store.reader, rows)

    async def _behind(self) -> None:
        while await self._catch_up():
            pass

    def _take(self, rows: list[Row], made: Compiled) -> None:
        """Take these in, and go on with the new configuration; only then it is current for whoever acts on it."""
        self.taken(self._held.take(rows, made))
        self._seen = max([self._seen, *(row.change for row in rows)])

    def _tell(self, rows: Iterable[Row]) -> None:
        """Tell what of these objects does not work."""
        wrong = sorted({(row.kind, row.id) for row in rows} & self._held.problems.keys())
        for kind, id in wrong[:WARNINGS_LOGGED]:
            self._told(f"{kind}/{id}", self._held.problems[kind, id])
        if len(wrong) > WARNINGS_LOGGED:
            self._told(f"{len(wrong)} objects", "do not work: `brimful account list` says why")

    async def _catch_up_with(self, rows: list[Row], made: Compiled) -> None:
        """Take in one's own rows as they were compiled, after those that others committed before them."""
        if {row.change for row in rows} != set(range(self._seen + 1, self._seen + 1 + len(rows))):
            await self._behind()
        else:
            self._take(rows, made)

    # ── a POST that may come twice, where it is no change of an object ──────────────────────────────────────────

    def answered(self, actor: Actor, idempotency: Idempotency) -> None:
        """Raise AnsweredBefore, or 422, where the key was used within 24 hours. Call before doing anything."""
        records.refuse_answered(self.store, actor, idempotency, self._clock.now())

    def remember(self, tx: Transaction, actor: Actor, idempotency: Idempotency, status: int, answer: Any) -> None:
        """Keep an answer for 24 hours, in the transaction of what it tells."""
        records.remember(tx, actor, idempotency, status, answer, self._clock.now())

    def record(
        self,
        tx: Transaction,
        actor: Actor,
        resource: str,
        action: str,
        changes: Mapping[str, tuple[Any, Any]],
        now: datetime,
        *,
        owner: str = "",
    ) -> None:
        """Write an audit row in the transaction of a change that is not the registry's own (pause, ack, replay)."""
        records.record(tx, actor, resource, action, changes, now, owner)

    # ── tokens and audit ────────────────────────────────────────────────────────────────────────────────────────

    def authenticate(self, bearer: str) -> Token | None:
        """Return the token that `brim_…` is, None where it is unknown, expired or revoked. Marks it as used."""
        return tokens.authenticated(self.store, bearer, self._clock.now(), self._marked)

    def new_token(
        self,
        actor: Actor,
        *,
        role: Role,
        name: str = "",
        owner: str = "",
        accounts: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        dry_run: bool = False,
        idempotency: Idempotency | None = None,
    ) -> tuple[Token, str]:
        """Make a token (role `admin`); return it and, this once, the text that is shown."""
        need(actor, Role.ADMIN)
        if idempotency is not None:
            self.answered(actor, idempotency)
        now = self._clock.now()
        token = tokens.drafted(actor, self._ids, role, name, owner, accounts, expires_at, now)
        bearer = tokens.new_bearer()
        if dry_run:
            return token, ""
        with self.store.write(durable=True) as tx:
            tokens.keep(tx, token, bearer)
            records.record(tx, actor, f"token/{token.id}", "create", tokens.said(token), now, token.owner)
            if idempotency is not None:
                records.remember(tx, actor, idempotency, *idempotency.answer(token), now)
        return token, bearer

    def find_token(self, actor: Actor, id: str) -> Token:
        """Return a token (role `admin`); 404 where there is none."""
        need(actor, Role.ADMIN)
        return tokens.found(self.store, actor, id)

    def tokens(self, actor: Actor, after: str = "", limit: int = 100) -> tuple[tuple[Token, ...], str | None]:
        """Return a page of tokens, ordered by id, and the cursor of the next one (role `admin`)."""
        need(actor, Role.ADMIN)
        return tokens.listed(self.store, actor, after, min(max(limit, 1), AT_ONCE))

    def revoke_token(self, actor: Actor, id: str, *, dry_run: bool = False) -> Token:
        """Revoke a token (role `admin`): it is refused from now on."""
        token = self.find_token(actor, id)
        if dry_run or token.revoked_at is not None:
            return token
        now = self._clock.now()
        with self.store.write(durable=True) as tx:
            token_rows.revoke(tx, id, to_ms(now))
            records.record(tx, actor, f"token/{id}", "delete", {}, now, token.owner)
        return replace(token, revoked_at=now)

    def audit(
        self, actor: Actor, *, resource: str = "", by: str = "", after: int = 0, limit: int = 100
    ) -> tuple[tuple[AuditEntry, ...], int | None]:
        """Return a page of the audit, oldest first, and the cursor of the next one; an owner's token sees its own."""
        limit = min(max(limit, 1), AT_ONCE)
        return records.audited(self.store, actor, resource=resource, by=by, after=after, limit=limit)

    # ── the whole as one document ───────────────────────────────────────────────────────────────────────────────

    def export(self, actor: Actor) -> dict[str, Any]:
        """Return all stored objects as the file would say them (role `admin`); secrets are references or sealed."""
        need(actor, Role.ADMIN)
        return exported(self.store.reader)

    async def apply(
        self,
        actor: Actor,
        document: Mapping[str, Any],
        *,
        prune: bool = False,
        dry_run: bool = False,
        idempotency: Idempotency | None = None,
    ) -> list[ChangeOutcome]:
        """Make the stored objects what the document says, in one transaction (role `admin`); return what changed.

        `prune` also removes what it does not name. Money is bounded as for any change. With `dry_run` it is the plan:
        empty where there is nothing to do.
        """
        need(actor, Role.ADMIN)
        changes = await self.store.apart(changes_to, self.store.reader, document, prune=prune)
        outcomes = await self._changed(actor, changes, dry_run=dry_run, idempotency=idempotency, manner=Manner.APPLY)
        return [outcome for outcome in outcomes if outcome.created or outcome.changes or outcome.gone]


def _outcomes(
    changes: Sequence[Change], drafts: Iterable[Draft], rows: Mapping[tuple[str, str], Row], now: datetime
) -> list[ChangeOutcome]:
    """Return what became of each change, in the order in which they were asked for."""
    by_change = {id(draft.change): draft for draft in drafts}
    found = []
    for change in changes:
        draft = by_change[id(change)]
        row = rows.get((draft.kind.value, draft.id)) or draft.row(0, now)
        found.append(
            ChangeOutcome(
                resource=resource_of(row),
                created=draft.action == "create",
                changes=draft.changes,
                secret=draft.secret,
                gone=draft.body is None,
            )
        )
    return found
