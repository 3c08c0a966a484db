"""Who may see and change what. What an actor does not see does not exist for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from alerts.model.patterns import is_glob
from daemon.config.model import ManagedBy
from daemon.resources.held import Held
from daemon.resources.model import Actor, Kind, RequestRefused, Role

NEEDED = {Kind.ACCOUNT: Role.WRITE, Kind.RULE: Role.WRITE, Kind.TOPUP: Role.MONEY, Kind.SUBSCRIPTION: Role.SUBSCRIBE}
"""The role that changes an object of a kind."""
_CUSTOMERS = frozenset({"email"})
"""What of an account the role `subscribe` changes."""
_AROUND_MONEY = frozenset({"label", "tags", "email", "timezone", "poll", "poll_fastest", "poll_slowest", "owner"})
"""What of an account that is topped up the role `write` changes; the rest says what is charged on."""
_NOUN = {Kind.TOPUP: "top-up"}


def not_found(kind: Kind) -> RequestRefused:
    """Return the refusal of what is not there, or not for this actor."""
    return RequestRefused(404, "not-found", f"there is no such {_NOUN.get(kind, kind.value)}")


def need(actor: Actor, role: Role) -> None:
    """Raise 403, which names the role, where the actor's does not contain it."""
    if not actor.role.contains(role):
        raise RequestRefused(403, "role-needed", f"this needs the role {role}, and the token has {actor.role}")


def need_to_change(actor: Actor, kind: Kind, keys: Iterable[str] | None) -> None:
    """Raise 403 where the actor may not change an object of this kind. `keys`: those that a patch names."""
    if kind is Kind.ACCOUNT and keys is not None and set(keys) <= _CUSTOMERS:
        need(actor, Role.SUBSCRIBE)
    else:
        need(actor, NEEDED[kind])


def need_for_topped_up(actor: Actor, changed: Iterable[str]) -> None:
    """Raise 403 where somebody without the role `money` would change what an account's charges rest on."""
    if set(changed) - _AROUND_MONEY and not actor.role.contains(Role.MONEY):
        said = f"the account is topped up: what it reads is changed by the role {Role.MONEY}"
        raise RequestRefused(403, "role-needed", f"{said}, and the token has {actor.role}")


def sees(actor: Actor, held: Held, kind: Kind, id: str, owner: str, body: Mapping[str, Any]) -> bool:
    """Whether an object exists for the actor. An account is seen by its owner; others by theirs, and what they name."""
    if actor.is_free:
        return True
    if kind in (Kind.ACCOUNT, Kind.TOPUP):
        return actor.sees(id, owner)
    if actor.owner and owner != actor.owner:
        return False
    named = body.get("accounts")
    if actor.accounts is None:
        return True
    return isinstance(named, list) and all(not is_glob(name) and name in actor.accounts for name in named)


def seen_accounts(actor: Actor, held: Held, owner: str) -> list[str]:
    """Return the accounts that a limited actor sees, in their order; of one owner where it is named."""
    if actor.accounts is not None:
        ids = sorted(id for id in actor.accounts if id in held.accounts)
    else:
        ids = held.of_owner(actor.owner or owner)
    return [id for id in ids if actor.sees(id, held.accounts[id].owner) and owner in ("", held.accounts[id].owner)]


def file_is_seen(actor: Actor, held: Held, kind: Kind, id: str) -> bool:
    """Whether an object of the file's exists for the actor: accounts by their ids, the rest for the operator."""
    if held.managed_by(kind, id) is not ManagedBy.FILE:
        return False
    return actor.sees(id, "") if kind in (Kind.ACCOUNT, Kind.TOPUP) else actor.is_free
