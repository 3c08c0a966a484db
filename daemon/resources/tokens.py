"""Tokens: made once and shown once, kept as their SHA-256, found by it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.model.instants import from_ms, rfc3339, to_ms
from daemon.clock import Ids
from daemon.resources.model import OWNER, OWNER_IS, Actor, BodyFault, RequestRefused, Role, Token
from daemon.store import Store
from daemon.store import tokens as rows
from daemon.store.connection import Transaction
from daemon.store.tokens import TokenRow

PREFIX = "brim_"
_BYTES = 32
_LONGEST = 200
_MARKED_EVERY = timedelta(minutes=1)
"""How often a token that is in use is marked as used."""


def digest_of(bearer: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(bearer.encode()).hexdigest()


def authenticated(store: Store, bearer: str, now: datetime, marked: dict[str, datetime]) -> Token | None:
    """Return the token, None where it is unknown, expired or revoked. `marked`: when each was marked as used last.

    It is found by its digest, so how long that takes tells nothing of the token itself.
    """
    if not bearer.startswith(PREFIX) or len(bearer) > _LONGEST:
        return None
    row = rows.by_digest(store.reader, digest_of(bearer))
    if row is None or row.revoked_ms is not None:
        return None
    token = token_of(row)
    if token.expires_at is not None and token.expires_at <= now:
        return None
    last = max((at for at in (token.last_used_at, marked.get(token.id)) if at is not None), default=None)
    if last is None or not timedelta() <= now - last < _MARKED_EVERY:
        marked[token.id] = now
        with store.write(durable=False) as tx:
            rows.mark_used(tx, token.id, to_ms(now))
    return token


def actor_of(token: Token, request_id: str = "") -> Actor:
    """Return who asks by a token."""
    return Actor(
        name=f"token:{token.id}",
        source="api",
        role=token.role,
        owner=token.owner,
        accounts=token.accounts,
        request_id=request_id,
    )


def token_of(row: TokenRow) -> Token:
    """Return the token of a row."""
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        owner=row.owner,
        accounts=None if row.accounts is None else frozenset(json.loads(row.accounts)),
        created_at=from_ms(row.created_ms),
        expires_at=_instant(row.expires_ms),
        last_used_at=_instant(row.last_used_ms),
        revoked_at=_instant(row.revoked_ms),
    )


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def new_bearer() -> str:
    """Return a new token."""
    return f"{PREFIX}{secrets.token_urlsafe(_BYTES)}"


def keep(tx: Transaction, token: Token, bearer: str) -> None:
    """Write a new token."""
    row = TokenRow(
        id=token.id,
        name=token.name,
        role=token.role.value,
        owner=token.owner,
        accounts=None if token.accounts is None else json.dumps(sorted(token.accounts)),
        created_ms=to_ms(token.created_at),
        expires_ms=None if token.expires_at is None else to_ms(token.expires_at),
        last_used_ms=None,
        revoked_ms=None,
    )
    rows.insert(tx, row, digest_of(bearer))


def drafted(
    actor: Actor,
    ids: Ids,
    role: Role,
    name: str,
    owner: str,
    accounts: Sequence[str] | None,
    expires_at: datetime | None,
    now: datetime,
) -> Token:
    """Return a token to be made. An owner's admin makes tokens of its owner alone, and for no further accounts."""
    if actor.owner and owner not in ("", actor.owner):
        raise RequestRefused(403, "role-needed", "this token makes tokens of its own owner alone")
    limited = None if accounts is None else frozenset(accounts)
    if actor.accounts is not None:
        limited = actor.accounts if limited is None else limited
        if not limited <= actor.accounts:
            raise RequestRefused(403, "role-needed", "this token makes tokens for its own accounts alone")
    if expires_at is not None and expires_at <= now:
        fault = BodyFault(id="value-range", path="expires_at", said="it has expired already")
        raise RequestRefused(422, "invalid", fault.said, (fault,))
    if (owner or actor.owner) and not OWNER.fullmatch(owner or actor.owner):
        fault = BodyFault(id="value-invalid", path="owner", said=OWNER_IS)
        raise RequestRefused(422, "invalid", fault.said, (fault,))
    return Token(
        id=ids.new("tok"),
        name=name[:_LONGEST],
        role=role,
        owner=owner or actor.owner,
        accounts=limited,
        created_at=now,
        expires_at=expires_at,
    )


def said(token: Token) -> dict[str, tuple[Any, Any]]:
    """Return a new token as the audit says it."""
    accounts = None if token.accounts is None else sorted(token.accounts)
    expires_at = None if token.expires_at is None else rfc3339(token.expires_at)
    told = {"role": token.role.value, "owner": token.owner, "accounts": accounts, "expires_at": expires_at}
    return {key: (None, value) for key, value in {"name": token.name, **told}.items() if value}


def found(store: Store, actor: Actor, id: str) -> Token:
    """Return a token by its id; 404 where there is none that the actor may see."""
    row = rows.find(store.reader, id)
    if row is None or not _sees(actor, token_of(row)):
        raise RequestRefused(404, "not-found", "there is no such token")
    return token_of(row)


def listed(store: Store, actor: Actor, after: str, limit: int) -> tuple[tuple[Token, ...], str | None]:
    """Return a page of the tokens that the actor may see, and the cursor of the next one."""
    page: list[Token] = []
    while len(page) <= limit and (some := rows.page(store.reader, after, limit + 1)):
        page += [token for row in some if _sees(actor, token := token_of(row))]
        after = some[-1].id
    return tuple(page[:limit]), page[limit - 1].id if len(page) > limit else None


def _sees(actor: Actor, token: Token) -> bool:
    if actor.owner and token.owner != actor.owner:
        return False
    return actor.accounts is None or (token.accounts is not None and token.accounts <= actor.accounts)
