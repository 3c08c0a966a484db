"""From what is asked for to what would be kept: who may, what stands there, what the body comes to.

Whatever forbids a change as such is raised at once (403, 404, 409, 412); faults of a body are gathered (422).
"""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Any

from alerts.model.instants import to_ms
from alerts.model.patterns import is_glob
from daemon.clock import Ids
from daemon.config.model import ManagedBy, TopupMode
from daemon.config.places import place_of_account, place_of_item
from daemon.config.problems import ProblemId
from daemon.resources.bodies import ADOPTED, differences, merged, normal
from daemon.resources.ceiling import mode_to_keep
from daemon.resources.compiling import named_ids
from daemon.resources.held import Held, body_of
from daemon.resources.keyring import Keyring
from daemon.resources.model import OWNER, OWNER_IS, Actor, BodyFault, Change, Kind, RequestRefused, Role
from daemon.resources.rights import (
    file_is_seen,
    need_for_topped_up,
    need_to_change,
    not_found,
    seen_accounts,
    sees,
)
from daemon.resources.secrets import MASTER_KEY_MISSING, Sealing, without_secrets
from daemon.store.resources import Row, encode

_ID = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_SIGNING_BYTES = 32
MANAGED_BY_FILE = "managed-by-file"


@dataclass(slots=True, kw_only=True)
class Draft:
    """One change as it would be written. `body` None: archived or deleted. `before`: the row, archived or not."""

    change: Change
    kind: Kind
    id: str
    owner: str
    before: Row | None
    body: dict[str, Any] | None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    secret: str | None = None
    is_asked: bool = True
    """Whether somebody asked for it; else it follows from another (the top-up of an archived account)."""

    @property
    def was_there(self) -> bool:
        return self.before is not None and self.before.archived_ms is None

    @property
    def is_written(self) -> bool:
        """Whether there is anything to write: what is as it was stays."""
        return bool(self.changes) or (self.body is None) is self.was_there

    @property
    def action(self) -> str:
        if self.body is None:
            return "archive" if self.kind is Kind.ACCOUNT else "delete"
        return "change" if self.was_there else "create"

    def row(self, change: int, now: datetime) -> Row:
        """Return the row that it makes, with the number of the change; an archived one keeps what is no secret."""
        before, now_ms = self.before, to_ms(now)
        if before is not None and not self.is_written:
            return before
        body = self.body if self.body is not None or before is None else without_secrets(body_of(before))
        return Row(
            kind=self.kind.value,
            id=self.id,
            owner=before.owner if before is not None else self.owner,
            version=before.version + 1 if before is not None else 1,
            change=change,
            body=encode(body or {}),
            created_ms=before.created_ms if before is not None else now_ms,
            changed_ms=now_ms,
            archived_ms=now_ms if self.body is None else None,
        )


class Manner(Enum):
    """In what way a change is asked for."""

    ONE = "one"
    ADOPT = "adopt"  # taken over from the file
    APPLY = "apply"  # a whole document


class Drafting:
    """Drafts changes of one actor. `faults`: what is wrong with bodies, with paths of the whole request."""

    def __init__(self, actor: Actor, held: Held, keyring: Keyring, ids: Ids, manner: Manner) -> None:
        self._actor = actor
        self._held = held
        self._keyring = keyring
        self._ids = ids
        self._adopting = manner is Manner.ADOPT
        self._restoring = manner is Manner.APPLY and actor.is_free
        """Whether a top-up charges at once where a whole document says so: what is restored goes on as it was."""
        self._new_accounts: dict[str, str] = {}
        """The accounts of the same request, with their owners: what comes with them may name them."""
        self.faults: list[BodyFault] = []

    def drafted(self, change: Change, row: Row | None, topup: Row | None) -> Draft:
        """Return the draft of one change. `row`: what is stored; `topup`: of an account, its top-up's row."""
        id = change.id or (self._ids.new("sub") if change.kind is Kind.SUBSCRIPTION else "")
        need_to_change(self._actor, change.kind, change.body if change.merge else None)
        before = body_of(row) if row is not None and row.archived_ms is None else None
        owner = self._owner_before(change, id, row)
        self._refuse_wrong_state(change, id, row)
        if not _ID.fullmatch(id):
            said = "an id is small letters, digits, '-' and '_', at most 64 of them"
            self._note(change, "id", ProblemId.ID_INVALID.value, said)
        if change.body is None:
            assert row is not None
            return Draft(change=change, kind=change.kind, id=id, owner=row.owner, before=row, body=None)
        asked: dict[str, Any] = merged(before, change.body) if change.merge else dict(change.body)
        owner = self._owner_after(change, asked, owner, row)
        body = normal(change.kind, {key: value for key, value in asked.items() if key != "owner"})
        draft = Draft(change=change, kind=change.kind, id=id, owner=owner, before=row, body=body)
        self._complete(draft, before)
        if (before or {}).get(ADOPTED) or self._adopting:
            draft.body = {**draft.body, ADOPTED: True} if draft.body is not None else None
        draft.changes = differences(change.kind, before or {}, draft.body or {})
        if draft.owner and before is None and draft.kind is not Kind.TOPUP:
            draft.changes = {"owner": (None, draft.owner), **draft.changes}
        is_topped_up = topup is not None and topup.archived_ms is None
        if change.kind is Kind.ACCOUNT and before is not None and is_topped_up:
            need_for_topped_up(self._actor, draft.changes)
        if change.kind is Kind.ACCOUNT:
            self._new_accounts[id] = owner
        return draft

    # ── whether it may be at all ────────────────────────────────────────────────────────────────────────────────

    def _owner_before(self, change: Change, id: str, row: Row | None) -> str:
        """Return the owner that the object has, or would have; 404 where the actor does not see it."""
        actor, held, kind = self._actor, self._held, change.kind
        if held.managed_by(kind, id) is ManagedBy.FILE and not self._adopting:
            if not file_is_seen(actor, held, kind, id):
                raise not_found(kind)
            raise self._managed_by_file(kind, id)
        if kind is Kind.TOPUP:
            owner = held.accounts[id].owner if id in held.accounts else self._new_accounts.get(id)
            if owner is None or not actor.sees(id, owner):
                raise not_found(Kind.ACCOUNT)
            return owner
        if row is not None and not sees(actor, held, kind, id, row.owner, body_of(row)):
            raise not_found(kind)
        if row is None and kind is Kind.ACCOUNT and actor.accounts is not None and id not in actor.accounts:
            raise not_found(kind)
        return row.owner if row is not None else actor.owner

    def _managed_by_file(self, kind: Kind, id: str) -> RequestRefused:
        path = self._held.file.path
        if kind in (Kind.ACCOUNT, Kind.TOPUP):
            place = place_of_account(path, id)
        else:
            place = place_of_item(path, "rules" if kind is Kind.RULE else "webhooks", id)
        said = f"{id} is managed by the file: change it at {place or path}"
        return RequestRefused(409, MANAGED_BY_FILE, said)

    def _refuse_wrong_state(self, change: Change, id: str, row: Row | None) -> None:
        is_there = row is not None and row.archived_ms is None
        if row is not None and not is_there and change.kind is Kind.ACCOUNT:
            if change.body is None or change.merge:
                raise not_found(change.kind)
            raise RequestRefused(409, "id-archived", f"{id} was archived: an id is never given away again")
        if not is_there and (change.body is None or change.merge):
            raise not_found(change.kind)
        if change.only_create and is_there:
            raise RequestRefused(412, "exists", f"{id} exists already")
        if change.if_version is not None and (row is None or not is_there or row.version != change.if_version):
            has = f"version {row.version}" if row is not None and is_there else "not there"
            raise RequestRefused(412, "version-differs", f"{id} is {has}, not version {change.if_version}")
        if change.kind is Kind.TOPUP and is_there and change.body is not None and change.if_version is None:
            raise RequestRefused(412, "if-match-needed", f"name the version of the top-up of {id} that you change")

    def _owner_after(self, change: Change, said: Mapping[str, Any], owner: str, row: Row | None) -> str:
        asked = said.get("owner")
        if asked is None or asked == owner:
            return owner
        if change.kind is Kind.TOPUP:
            self._note(change, "owner", ProblemId.KEY_UNKNOWN.value, "a top-up is its account's")
            return owner
        if row is not None:
            raise RequestRefused(409, "owner-fixed", f"the owner of {change.id} was fixed when it was made")
        if self._actor.owner:
            raise RequestRefused(403, "role-needed", "this token makes things of its own owner alone")
        if not isinstance(asked, str) or not OWNER.fullmatch(asked):
            self._note(change, "owner", ProblemId.VALUE_INVALID.value, OWNER_IS)
            return ""
        return asked

    # ── what the body comes to ──────────────────────────────────────────────────────────────────────────────────

    def _complete(self, draft: Draft, before: Mapping[str, Any] | None) -> None:
        assert draft.body is not None
        match draft.kind:
            case Kind.ACCOUNT:
                is_operators = self._actor.role is Role.ADMIN and self._actor.is_free
                sealing = Sealing(self._keyring, references=self._actor.is_free, sealed=is_operators)
                draft.body = normal(
                    draft.kind, sealing.account(draft.id, draft.body, before or {}, draft.change.body or {})
                )
                for fault in sealing.faults:
                    self._note(draft.change, fault.path, fault.id, fault.said, fault.hint)
            case Kind.TOPUP:
                self._set_mode(draft, before)
            case Kind.RULE | Kind.SUBSCRIPTION:
                self._set_accounts(draft)
                if draft.kind is Kind.SUBSCRIPTION:
                    self._set_secret(draft, before)

    def _set_mode(self, draft: Draft, before: Mapping[str, Any] | None) -> None:
        api, body = self._held.file.api, draft.body
        assert body is not None
        account = self._held.config.accounts.get(draft.id)
        modes = {mode.value: mode for mode in TopupMode}
        said = body.get("mode")
        if api is None or (said is not None and said not in modes):
            return  # the table refuses what is no mode
        was = account.topup if before is not None and account is not None else None
        as_said = self._restoring and said is not None
        if before is not None and said is None:
            body["mode"] = before.get("mode", TopupMode.SHADOW.value)
        elif not self._adopting and not as_said:
            body["mode"] = mode_to_keep(modes.get(said or ""), was, api).value
        draft.body = normal(draft.kind, body)

    def _set_accounts(self, draft: Draft) -> None:
        """Name the accounts of a rule or a subscription: who is limited to some names them, all of them its own."""
        assert draft.body is not None
        actor, owner = self._actor, draft.owner
        is_limited = bool(owner) or not actor.is_free
        if "accounts" not in draft.body and (is_limited or draft.kind is Kind.SUBSCRIPTION):
            everybody = {**dict.fromkeys(islice(self._held.accounts, 2)), **self._new_accounts}
            seen = seen_accounts(actor, self._held, owner) if is_limited else list(everybody)
            if len(seen) != 1:
                said = "this token sees several accounts" if seen else "this token sees no account"
                self._note(draft.change, "accounts", ProblemId.KEY_MISSING.value, said, "name them")
                return
            draft.body["accounts"] = seen
        said_accounts = draft.body.get("accounts")
        for number, name in enumerate(said_accounts if isinstance(said_accounts, list) else ()):
            if isinstance(name, str) and is_glob(name) and is_limited:
                said = "these accounts are named by their ids, not by a pattern"
                self._note(draft.change, f"accounts[{number}]", ProblemId.VALUE_INVALID.value, said)
        self._refuse_unknown(draft, is_limited=is_limited)
        draft.body = normal(draft.kind, draft.body)

    def _refuse_unknown(self, draft: Draft, *, is_limited: bool) -> None:
        for number, name in enumerate(named_ids(draft.body or {})):
            info = self._held.accounts.get(name)
            owner = info.owner if info is not None else self._new_accounts.get(name)
            if owner is None or not self._actor.sees(name, owner) or (draft.owner and owner != draft.owner):
                said = f'there is no account "{name}"' if _ID.fullmatch(name) else "there is no such account"
                self._note(draft.change, f"accounts[{number}]", ProblemId.ACCOUNT_UNKNOWN.value, said)

    def _set_secret(self, draft: Draft, before: Mapping[str, Any] | None) -> None:
        body = draft.body
        assert body is not None
        is_exported = self._actor.role is Role.ADMIN and self._actor.is_free and isinstance(body.get("secret"), list)
        given = (draft.change.body or {}).keys() & {"secret", "overlap_until"} if not is_exported else set()
        for key in sorted(key for key in given if (draft.change.body or {})[key] is not None):
            said = "signing secrets are drawn, not given"
            self._note(draft.change, key, ProblemId.KEY_UNKNOWN.value, said, "leave it out")
        if before is not None:
            body |= {key: before[key] for key in ("secret", "overlap_until") if key in before}
        elif not is_exported:
            body.pop("overlap_until", None)
            if not self._keyring.can_seal:
                said, hint = "without [api] master_key no signing secret is kept", "write a master_key"
                self._note(draft.change, "url", MASTER_KEY_MISSING, said, hint)
                return
            draft.secret = new_signing_secret()
            body["secret"] = [self._keyring.seal(draft.secret, f"{Kind.SUBSCRIPTION}/{draft.id}.secret")]
        draft.body = normal(draft.kind, body)

    def _note(self, change: Change, path: str, id: str, said: str, hint: str = "") -> None:
        self.faults.append(BodyFault(id=id, path=path_in(change, path), said=said, hint=hint))


def path_in(change: Change, path: str) -> str:
    """Return a path within the whole request, where a change stands in a body that holds several."""
    return f"{change.path}.{path}" if change.path and path else change.path or path


def new_signing_secret() -> str:
    """Return a new secret that signs webhooks (Standard Webhooks 1.0.0)."""
    return f"whsec_{b64encode(secrets.token_bytes(_SIGNING_BYTES)).decode()}"


def accounts_named(drafts: Sequence[Draft]) -> set[str]:
    """Return the accounts that rules and subscriptions of the drafts name."""
    others = (draft for draft in drafts if draft.kind in (Kind.RULE, Kind.SUBSCRIPTION) and draft.body is not None)
    return {name for draft in others for name in named_ids(draft.body or {})}
