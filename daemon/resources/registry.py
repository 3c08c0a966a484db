"""The one way in for what is managed as data: every change of an account, top-up, rule, subscription or token.

A change is checked whole, then committed in one transaction with its audit, its idempotency key and its events; then
`catch_up` makes the new `Config`, which shares every unchanged object. Whoever else commits (a command beside the
daemon) is noticed within a second and caught up with the same way. Nothing here imports the service or the API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from daemon.config.model import Config
from daemon.resources.model import (
    Actor,
    AuditEntry,
    Change,
    ChangeOutcome,
    Filters,
    Found,
    Idempotency,
    Kind,
    Resource,
    Role,
    Token,
)
from daemon.store.connection import Transaction


class Registry:
    """Objects managed as data, of the store and of the file together. One is open for each process.

    Methods raise RequestRefused, which carries HTTP's status: 403 names the role, 404 is whatever the actor does not
    see. `taken` is called with each new `Config`, in the loop, before `change` returns.
    """

    taken: Callable[[Config], None]

    @property
    def config(self) -> Config:
        """The file's objects and the stored ones together, as of the last change that was seen."""
        raise NotImplementedError

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, actor: Actor, kind: Kind, id: str, *, archived: bool = False) -> Resource:
        """Return an object that the actor sees, of the file or of the store; 404 where there is none.

        `body` may hold sealed secrets: `shown` is what may leave the process.
        """
        raise NotImplementedError

    def search(self, actor: Actor, kind: Kind, filters: Filters, after: str = "", limit: int = 100) -> Found:
        """Return a page of what the actor sees, ordered by id, beginning after the id `after`. At most 500."""
        raise NotImplementedError

    def shown(self, resource: Resource) -> dict[str, Any]:
        """Return the body as it may be answered: without write-only fields, a secret header as `"(secret)"`."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def catch_up(self) -> Config | None:
        """Take in what others committed; return the new `Config`, None where nothing changed. Cheap to ask."""
        raise NotImplementedError

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
        raise NotImplementedError

    # ── a POST that may come twice, where it is no change of an object ──────────────────────────────────────────

    def answered(self, actor: Actor, idempotency: Idempotency) -> None:
        """Raise AnsweredBefore, or 422, where the key was used within 24 hours. Call before doing anything."""
        raise NotImplementedError

    def remember(self, tx: Transaction, actor: Actor, idempotency: Idempotency, status: int, answer: Any) -> None:
        """Keep an answer for 24 hours, in the transaction of what it tells."""
        raise NotImplementedError

    # ── tokens and audit ────────────────────────────────────────────────────────────────────────────────────────

    def authenticate(self, bearer: str) -> Token | None:
        """Return the token that `brim_…` is, None where it is unknown, expired or revoked. Marks it as used."""
        raise NotImplementedError

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
        raise NotImplementedError

    def find_token(self, actor: Actor, id: str) -> Token:
        """Return a token (role `admin`); 404 where there is none."""
        raise NotImplementedError

    def tokens(self, actor: Actor, after: str = "", limit: int = 100) -> tuple[tuple[Token, ...], str | None]:
        """Return a page of tokens, ordered by id, and the cursor of the next one (role `admin`)."""
        raise NotImplementedError

    def revoke_token(self, actor: Actor, id: str, *, dry_run: bool = False) -> Token:
        """Revoke a token (role `admin`): it is refused from now on."""
        raise NotImplementedError

    def audit(
        self, actor: Actor, *, resource: str = "", by: str = "", after: int = 0, limit: int = 100
    ) -> tuple[tuple[AuditEntry, ...], int | None]:
        """Return a page of the audit, oldest first, and the cursor of the next one; an owner's token sees its own."""
        raise NotImplementedError

    # ── the whole as one document ───────────────────────────────────────────────────────────────────────────────

    def export(self, actor: Actor) -> dict[str, Any]:
        """Return all stored objects as the file would say them (role `admin`); secrets are references or sealed."""
        raise NotImplementedError

    def plan(self, actor: Actor, document: Mapping[str, Any], *, prune: bool = False) -> list[ChangeOutcome]:
        """Return what `apply` would change, nothing where it is empty (role `admin`)."""
        raise NotImplementedError

    async def apply(
        self,
        actor: Actor,
        document: Mapping[str, Any],
        *,
        prune: bool = False,
        dry_run: bool = False,
        idempotency: Idempotency | None = None,
    ) -> list[ChangeOutcome]:
        """Make the stored objects what the document says, in one transaction (role `admin`).

        `prune` also removes what it does not name. Money is bounded as for any change.
        """
        raise NotImplementedError
