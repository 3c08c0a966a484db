"""A reading: one answer of a usage API, or the reason there is none. Unknown is a value and never becomes a zero."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why there is no reading. `passes_by_itself`: whether it is temporary; the others need a person."""

    UNAUTHORIZED = "unauthorized"  # 401
    PAYMENT_REQUIRED = "payment_required"  # 402
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not_found"  # 404, 405, 410 and any other 4xx
    RATE_LIMITED = "rate_limited"  # 429, until Reset or Retry-After
    SERVER_ERROR = "server_error"  # 5xx
    REDIRECTED = "redirected"  # 3xx: never followed
    TIMEOUT = "timeout"  # the deadline over the whole exchange
    UNREACHABLE = "unreachable"  # refused, reset, DNS, TLS
    TOO_LARGE = "too_large"  # body over the limit
    BAD_PAYLOAD = "bad_payload"  # HTML, bad JSON, NaN, wrong types, missing fields
    REFUSED = "refused"  # a good status, and a body that says no: the account's `ok` is not true
    WRONG_CURRENCY = "wrong_currency"  # the answer is about another currency than the account's unit
    SUSPECT = "suspect"  # an implausible answer: recorded as no reading, never evaluated

    @property
    def passes_by_itself(self) -> bool:
        return self in _TEMPORARY


_TEMPORARY = frozenset({Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.TIMEOUT, Reason.UNREACHABLE, Reason.SUSPECT})


class Metrics(Struct, frozen=True, gc=False):
    """The numbers of one answer; None means not reported. Money in micro-dollars, volume in micro-gigabytes."""

    balance_microusd: int | None = None
    uncharged_microusd: int | None = None
    total_charged_microusd: int | None = None
    total_snapshots: int | None = None
    active_videos: int | None = None
    cost_per_snapshot_microusd: int | None = None
    estimated_snapshots_remaining: int | None = None
    client_name: str | None = None
    usage_count: int | None = None
    used_microgb: int | None = None
    reserved_microgb: int | None = None
    effective_said_microgb: int | None = None
    limit_microgb: int | None = None
    limit_bytes: int | None = None
    remaining_microgb: int | None = None
    period_start_at: datetime | None = None
    period_end_at: datetime | None = None
    period_used_microgb: int | None = None
    billing_error: str | None = None
    max_resolution: str | None = None
    max_duration_s: int | None = None
    max_filesize_bytes: int | None = None
    max_filesize_microunits_mb: int | None = None
    burn_said_microusd_per_day: int | None = None
    """What the provider itself says is spent in a day, where it says so in one number."""
    extra: str = "{}"
    """Unknown fields, as canonical JSON text of an object (sorted keys): stored, never evaluated."""
    unusable: tuple[tuple[str, str], ...] = ()
    """Fields that were reported but are unusable: the metric (which is None) and the reason, for a person."""

    def is_unusable(self, *metrics: str) -> bool:
        """Whether one of these metrics was reported but is unusable: its value is unknown, not absent."""
        return any(metric in metrics for metric, _ in self.unusable)

    @property
    def available_microusd(self) -> int | None:
        """Balance minus the usage that is not charged yet."""
        if self.balance_microusd is None:
            return None
        return self.balance_microusd - (self.uncharged_microusd or 0)

    @property
    def accrued_microusd(self) -> int | None:
        """Total charged plus uncharged: it only grows, and top-ups do not change it. None without a running total."""
        if self.total_charged_microusd is None:
            return None
        return self.total_charged_microusd + (self.uncharged_microusd or 0)

    @property
    def funded_microusd(self) -> int | None:
        """Balance plus total charged: every dollar ever credited. None if either is not reported."""
        if self.balance_microusd is None or self.total_charged_microusd is None:
            return None
        return self.balance_microusd + self.total_charged_microusd

    @property
    def effective_microgb(self) -> int | None:
        """Used plus reserved, which the quota applies to; the provider's own number if it reports one.

        None if a part is unusable: the sum would be too low.
        """
        if self.effective_said_microgb is not None:
            return self.effective_said_microgb
        if self.used_microgb is None:
            return None
        if self.reserved_microgb is None and self.is_unusable("reserved_microgb", "effective_said_microgb"):
            return None
        return self.used_microgb + (self.reserved_microgb or 0)

    @property
    def scheduled_burn_microusd_per_day(self) -> int | None:
        """The provider's own number, else active videos × 24 snapshots × cost; None if it schedules none."""
        if self.burn_said_microusd_per_day is not None:
            return self.burn_said_microusd_per_day
        if self.active_videos is None or self.cost_per_snapshot_microusd is None:
            return None
        return self.active_videos * 24 * self.cost_per_snapshot_microusd


class Known(Struct, frozen=True, gc=False):
    """A complete, finite answer, observed at `at`."""

    account: str
    at: datetime
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No usable answer. `detail`: one line for a person, without secrets; `retry_at`: set by the provider."""

    account: str
    at: datetime
    reason: Reason
    detail: str = ""
    retry_at: datetime | None = None
    status: int | None = None


Reading = Known | Unavailable
