"""What is answered: the models of the OpenAPI document, and the makers of their values. Money is decimal text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.model.instants import rfc3339
from alerts.model.money import MICROUSD_PER_CENT, to_decimal
from daemon.resources.model import ChangeOutcome, Role, Token
from daemon.store.subscriptions import SubscriptionPhase

Instant = datetime
"""RFC 3339 with Z."""


class FaultShown(BaseModel):
    """One fault of a request, with the id that `brimful check` has for it."""

    id: str
    path: str
    said: str
    hint: str


class ProblemShown(BaseModel):
    """A refusal, as RFC 9457 says it. `type` is a stable word."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "not-found",
                    "title": "There is no such thing",
                    "status": 404,
                    "detail": "there is no account acme",
                    "errors": [],
                }
            ]
        }
    )
    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultShown]


class NextPollShown(BaseModel):
    """When an account is polled next that has no cron, and why then."""

    at: Instant
    interval_s: int
    why: str


class AccountStatus(BaseModel):
    """How an account stands now: what was read last, and what follows."""

    state: Literal["critical", "warning", "quiet", "good"] = Field(description="quiet: never read")
    available: str | None
    unit: str
    days_remaining: str | None
    observed_at: Instant | None
    open_alerts: list[str] = Field(description="the rules with an open episode")
    topup: str | None = Field(description="how its top-up stands; null: it has none")
    next_poll: NextPollShown | None = Field(description="where poll is auto; null: it has a cron")


class Managed(BaseModel):
    """What every object has beside its own keys. `version` is its ETag."""

    model_config = ConfigDict(extra="allow")
    id: str
    managed_by: Literal["file", "api"]
    version: int
    created_at: Instant | None
    changed_at: Instant | None
    problem: str | None = Field(description="why it is kept and does not work; null: it works")


class AccountShown(Managed):
    """An account, with the keys of its table in the file. Secrets are left out."""

    owner: str
    status: AccountStatus


class TopupShown(Managed):
    """The top-up of an account: how much is charged, when, and the caps."""


class RuleShown(Managed):
    """A rule."""


class DeliveryStatus(BaseModel):
    """How a subscription fares. `since`: when the phase began; null where its URL was not asked yet."""

    phase: SubscriptionPhase
    since: Instant | None
    last_error: str | None


class SubscriptionShown(Managed):
    """A webhook subscription. `secret` is shown where it was made or rotated, once; else it is not there.

    `status` is null where it is the file's, or does not work just now (`problem` says why).
    """

    owner: str
    status: DeliveryStatus | None
    secret: str | None = None


class AccountPage(BaseModel):
    data: list[AccountShown]
    next: str | None


class SubscriptionPage(BaseModel):
    data: list[SubscriptionShown]
    next: str | None


class RulePage(BaseModel):
    data: list[RuleShown]
    next: str | None


class BatchItem(BaseModel):
    """What became of one account of a batch."""

    id: str
    created: bool
    version: int


class BatchAnswer(BaseModel):
    data: list[BatchItem]


class PlannedChange(BaseModel):
    """One change that would be made: by field, the old and the new value; a secret's is `(changed)`."""

    kind: str
    id: str
    created: bool
    removed: bool
    changes: dict[str, Any]


class PlanShown(BaseModel):
    """What a request would change. Empty: nothing to do."""

    dry_run: bool
    changes: list[PlannedChange]


class TokenShown(BaseModel):
    id: str
    name: str
    role: Role
    owner: str
    accounts: list[str] | None
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None
    revoked_at: Instant | None


class NewToken(TokenShown):
    """A token that was just made. `token` is shown this once, and never kept."""

    token: str | None


class TokenPage(BaseModel):
    data: list[TokenShown]
    next: str | None


class AuditShown(BaseModel):
    at: Instant
    actor: str
    source: str
    resource: str
    action: str
    owner: str
    changes: dict[str, Any]
    request_id: str


class AuditPage(BaseModel):
    data: list[AuditShown]
    next: str | None


class RowPage(BaseModel):
    """Rows whose keys depend on the account: its figures, in its unit."""

    data: list[dict[str, Any]]
    next: str | None


class EpisodeShown(BaseModel):
    id: str
    account: str
    rule: str
    kind: str
    severity: str
    opened_at: Instant
    closed_at: Instant | None
    why: str
    closed_why: str | None


class EpisodePage(BaseModel):
    data: list[EpisodeShown]
    next: str | None


class EventShown(BaseModel):
    """An event as it was sent to receivers: `body` is the payload of the webhook."""

    id: str
    type: str
    account: str | None
    at: Instant
    body: dict[str, Any]


class EventPage(BaseModel):
    data: list[EventShown]
    next: str | None


class DeliveryShown(BaseModel):
    id: str
    event: str
    type: str
    account: str | None
    receiver: str
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    created_at: Instant
    next_attempt_at: Instant | None
    settled_at: Instant | None
    last_status: int | None
    last_error: str | None


class DeliveryPage(BaseModel):
    data: list[DeliveryShown]
    next: str | None


class Replayed(BaseModel):
    id: str
    replayed: bool


class PauseShown(BaseModel):
    """`already`: it was paused before."""

    scope: str
    paused: bool
    already: bool


class Resumed(BaseModel):
    """What was ended, and what is stopped still."""

    scope: str
    ended: list[str]
    left: list[str]


class PauseRow(BaseModel):
    scope: str
    kind: str
    reason: str
    since: Instant


class PausePage(BaseModel):
    data: list[PauseRow]
    next: str | None


class PingSent(BaseModel):
    """The `test.ping` that was made due: its event and its delivery."""

    event: str
    delivery: str


class AppliedShown(BaseModel):
    """What was changed. Empty: there was nothing to do."""

    changes: list[PlannedChange]


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def at(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def money(micro: int | None) -> str | None:
    """Return an amount as decimal text: two digits after the point, more only where there are more."""
    if micro is None:
        return None
    return f"{to_decimal(micro):.2f}" if micro % MICROUSD_PER_CENT == 0 else f"{to_decimal(micro).normalize():f}"


def plain(number: Decimal | None) -> str | None:
    """Return a number of days as decimal text, to a tenth."""
    return None if number is None else f"{number:.1f}"


def money_as_text(value: Any) -> Any:
    """Return a document of the command line with its numbers of money and volume as decimal text."""
    if isinstance(value, dict):
        return {key: _told(key, one) for key, one in value.items()}
    return [money_as_text(one) for one in value] if isinstance(value, list) else value


def _told(key: str, value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and key.endswith(("_usd", "_gb")):
        return money(int(Decimal(str(value)).scaleb(6)))
    return money_as_text(value)


def plan_of(outcomes: Sequence[ChangeOutcome], *, dry_run: bool = True) -> dict[str, Any]:
    """Return what would be changed."""
    return {"dry_run": dry_run, "changes": changes_of(outcomes)}


def changes_of(outcomes: Sequence[ChangeOutcome]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.resource.kind.value,
            "id": one.resource.id,
            "created": one.created,
            "removed": one.resource.archived_at is not None,
            "changes": {name: list(pair) for name, pair in one.changes.items()},
        }
        for one in outcomes
        if one.created or one.changes or one.resource.archived_at is not None
    ]


def token_document(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "owner": token.owner,
        "accounts": None if token.accounts is None else sorted(token.accounts),
        "created_at": at(token.created_at),
        "expires_at": at(token.expires_at),
        "last_used_at": at(token.last_used_at),
        "revoked_at": at(token.revoked_at),
    }


def etag(version: int) -> Mapping[str, str]:
    return {"etag": f'"{version}"'}
