"""An event: its type, its draft and its bytes. A draft is pure; committed with its sequence number it is an event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alerts.model.instants import rfc3339

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Tone(StrEnum):
    """How a message looks: good news, a fact, something to watch, something to act on."""

    GOOD = "good"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class EventType(StrEnum):
    """Every type that is ever sent. `alerts.events.catalogue` describes them."""

    BALANCE_LOW = "balance.low"
    BALANCE_RECOVERED = "balance.recovered"
    BALANCE_DEPLETED = "balance.depleted"
    RUNWAY_SHORT = "runway.short"
    RUNWAY_RECOVERED = "runway.recovered"
    QUOTA_HIGH = "quota.high"
    QUOTA_EXCEEDED = "quota.exceeded"
    QUOTA_RECOVERED = "quota.recovered"
    BUDGET_REACHED = "budget.reached"
    BUDGET_PROJECTED = "budget.projected"
    USAGE_SPIKE = "usage.spike"
    USAGE_SPIKE_ENDED = "usage.spike_ended"
    READING_UNAVAILABLE = "reading.unavailable"
    READING_RESTORED = "reading.restored"
    READING_SUSPECT = "reading.suspect"
    BILLING_ERROR = "billing.error"
    BILLING_RESTORED = "billing.restored"
    LIMITS_CHANGED = "limits.changed"
    TOPUP_PLANNED = "topup.planned"
    TOPUP_SUCCEEDED = "topup.succeeded"
    TOPUP_CREDITED = "topup.credited"
    TOPUP_DECLINED = "topup.declined"
    TOPUP_ACTION_REQUIRED = "topup.action_required"
    TOPUP_SUSPENDED = "topup.suspended"
    TOPUP_NOT_CREDITED = "topup.not_credited"
    TOPUP_NEEDS_REVIEW = "topup.needs_review"
    TOPUP_CAPPED = "topup.capped"
    TOPUP_LIMITS_CHANGED = "topup.limits_changed"
    DELIVERY_FAILING = "delivery.failing"
    DELIVERY_RECOVERED = "delivery.recovered"
    REPORT_FAILED = "report.failed"
    TEST_PING = "test.ping"


SUBSCRIBABLE = frozenset(
    {
        EventType.BALANCE_LOW,
        EventType.BALANCE_RECOVERED,
        EventType.BALANCE_DEPLETED,
        EventType.RUNWAY_SHORT,
        EventType.RUNWAY_RECOVERED,
        EventType.QUOTA_HIGH,
        EventType.QUOTA_EXCEEDED,
        EventType.QUOTA_RECOVERED,
        EventType.BUDGET_REACHED,
        EventType.BUDGET_PROJECTED,
        EventType.USAGE_SPIKE,
        EventType.USAGE_SPIKE_ENDED,
        EventType.READING_UNAVAILABLE,
        EventType.READING_RESTORED,
        EventType.LIMITS_CHANGED,
        EventType.TOPUP_SUCCEEDED,
        EventType.TOPUP_CREDITED,
    }
)
"""What a customer may hear of its own accounts. All else is the operator's to know and to act on."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """What happened, before it has a number. `data` is the payload in its wire names, without `sequence` and `store`.

    `id` is given only where two daemons must derive the same one (top-ups); else the store draws it. `only_receiver`
    narrows the fan-out to one receiver (its own threshold, a test ping); such events carry no sequence. `not_receiver`
    leaves one out (a failing receiver gets no event about itself).
    """

    type: EventType
    at: datetime
    data: Mapping[str, JsonValue]
    account: str | None = None
    severity: Severity = Severity.INFO
    rule: str | None = None
    episode: str | None = None
    id: str | None = None
    only_receiver: str | None = None
    not_receiver: str | None = None

    @property
    def numbered(self) -> bool:
        """Whether the event takes a number of its account's sequence."""
        return self.account is not None and self.only_receiver is None


@dataclass(frozen=True, slots=True)
class Event:
    """A committed event. `body`: the bytes that every receiver gets on every attempt."""

    id: str
    type: EventType
    at: datetime
    account: str | None
    severity: Severity
    rule: str | None
    episode: str | None
    sequence: int | None
    body: bytes


def encode_body(draft: EventDraft, sequence: int | None, store_id: str) -> bytes:
    """Return the body as Standard Webhooks asks: `{"type", "timestamp", "data"}`, compact UTF-8 JSON, no NaN."""
    data: dict[str, JsonValue] = dict(draft.data)
    if sequence is not None:
        data["sequence"] = sequence
        data["store"] = store_id
    envelope = {"type": draft.type.value, "timestamp": rfc3339(draft.at), "data": data}
    return json.dumps(envelope, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
