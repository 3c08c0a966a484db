"""The words of the API's data: resources, who asks, what is to change, and why it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from daemon.config.model import ManagedBy

OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:+-]{0,127}", re.ASCII)
"""How a customer is named."""
OWNER_IS = "an owner is letters, digits and . _ @ : + -, at most 128 of them"


class Kind(StrEnum):
    """What is managed as data. A top-up has the id of its account."""

    ACCOUNT = "account"
    TOPUP = "topup"
    SUBSCRIPTION = "subscription"
    RULE = "rule"


class Role(StrEnum):
    """What a token may do; each contains the one before."""

    READ = "read"
    SUBSCRIBE = "subscribe"
    WRITE = "write"
    MONEY = "money"
    ADMIN = "admin"

    def contains(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks. With an `owner` it sees and makes that owner's things alone; all else does not exist for it."""

    name: str
    """As the audit names it: `token:tok_…`, or `cli:` and the system's user."""
    source: str
    """`api` or `cli`."""
    role: Role
    owner: str = ""
    accounts: frozenset[str] | None = None
    """The accounts that it is limited to; None: all that its owner has."""
    request_id: str = ""

    @property
    def is_free(self) -> bool:
        """Whether it is limited to nobody's things: an operator's."""
        return not self.owner and self.accounts is None

    def sees(self, account: str, owner: str) -> bool:
        """Whether an account exists for it."""
        return (not self.owner or self.owner == owner) and (self.accounts is None or account in self.accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One object as it is kept. `body`: as the caller gave it, in JSON's types; secrets in it are sealed."""

    kind: Kind
    id: str
    owner: str
    version: int
    """Counts the changes of this object from 1: its ETag."""
    body: Mapping[str, Any]
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None = None
    """Its id is never given away again."""
    change: int = 0
    """The number of its last change in the store, over all objects: what is later than a number is new."""
    managed_by: ManagedBy = ManagedBy.API
    problem: str = ""
    """Why it is kept and does not work: a secret that no master key opens, or a file that forbids it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is asked for: `body` None archives (an account) or deletes. `merge`: a merge patch (RFC 7396)."""

    kind: Kind
    id: str
    body: Mapping[str, Any] | None
    merge: bool = False
    if_version: int | None = None
    """Refused with 412 where the object has another version."""
    only_create: bool = False
    """Refused with 412 where the object exists (`If-None-Match: *`)."""
    path: str = ""
    """Where it stands in a body that holds several (`accounts[3]`): the prefix of its faults' paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """What a change came to. `changes`: by field, the old and the new value; a secret's is `"(changed)"`."""

    resource: Resource
    created: bool
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    secret: str | None = None
    """A subscription's new signing secret: shown this once."""
    gone: bool = False
    """Whether it was archived or deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFault:
    """One fault of a request: an id of `check`, the path in the body, what is wrong, and how to mend it."""

    id: str
    path: str
    said: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A POST that may come twice: its key, the digest of its body, and what it will have been answered.

    `answer` makes status and body of the outcomes (of the new Token, for one), in the transaction of the change; it
    must leave secrets out.
    """

    key: str
    digest: str
    answer: Callable[[Any], tuple[int, Any]]


class AnsweredBefore(Exception):  # noqa: N818 – it is what happened, and no fault
    """The same request was answered within 24 hours: nothing was done now, and this is that answer."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__("answered before")
        self.status = status
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which objects are searched for; what is None or empty asks for nothing. `keep`: a further question, by id."""

    owner: str | None = None
    tag: str | None = None
    text: str = ""
    """In id, label or owner, whatever its case."""
    managed_by: ManagedBy | None = None
    account: str = ""
    """Of rules and subscriptions: those that name this account."""
    archived: bool = False
    """Those that were archived, instead of those that are there."""
    keep: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page of a search, ordered by id, and after which id the next one begins; None where there is none."""

    resources: tuple[Resource, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept, without the token."""

    id: str
    name: str
    role: Role
    owner: str
    accounts: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change as it was recorded. `number` only grows: the cursor."""

    number: int
    at: datetime
    actor: str
    source: str
    resource: str
    """`account/acme`, `topup/acme`, `token/tok_…`."""
    action: str
    """`create`, `change`, `archive` or `delete`; `pause` and the like of an account."""
    changes: Mapping[str, tuple[Any, Any]]
    request_id: str
    owner: str = ""


class RequestRefused(Exception):  # noqa: N818 – it is a decision, and an answer of the API (RFC 9457)
    """Why a request is refused: an HTTP status, a stable slug as `type`, one sentence, every fault."""

    def __init__(self, status: int, type: str, detail: str, faults: tuple[BodyFault, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.type = type
        self.detail = detail
        self.faults = faults
