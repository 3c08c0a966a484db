"""The enumerated reasons of events: why an account is suspended, why a reading is suspect, how a receiver fails.

Tests compare every event that they see with the catalogue, so an unlisted reason is found.
"""

from __future__ import annotations

from enum import StrEnum

STALE = "stale"
"""The `reason` of events of a `stale` rule."""
FALL = "fall"
"""The `kind` of the finding that `funded` has fallen."""


class AnomalyKind(StrEnum):
    """How a field of a reading is implausible."""

    BACKWARDS = "backwards"  # a counter that only grows has fallen
    DROP = "drop"  # a larger fall than the burn explains
    JUMP = "jump"  # up by orders of magnitude


class SuspectReason(StrEnum):
    """Why a reading is suspect (`reading.suspect`)."""

    COUNTER_BACKWARDS = "counter_backwards"
    IMPLAUSIBLE_DROP = "implausible_drop"
    IMPLAUSIBLE_JUMP = "implausible_jump"
    CREDITS_FELL = "credits_fell"


class Limit(StrEnum):
    """A quota, a limit or a price that a provider may change, by its wire name."""

    QUOTA = "limit_gb"
    QUOTA_IN_UNIT = "limit"  # in any other unit than gigabytes
    RESOLUTION = "max_resolution_limit"
    DURATION = "max_duration_limit_seconds"
    FILESIZE_BYTES = "max_filesize_limit_bytes"
    FILESIZE_MB = "max_filesize_limit_mb"
    PRICE = "cost_per_snapshot"


class SuspendedReason(StrEnum):
    """Why an account is not charged (`topup.suspended`)."""

    # until a person resumes it
    DECLINED = "declined"
    AUTHENTICATION_REQUIRED = "authentication_required"
    REFUSED_BY_STRIPE = "refused_by_stripe"
    LIVEMODE = "livemode"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CUSTOMER_GONE = "customer_gone"
    # until the cause is repaired
    STRIPE_CREDENTIALS = "stripe_credentials"
    STRIPE_UNREACHABLE = "stripe_unreachable"
    STRIPE_LIST = "stripe_list"
    STRIPE_CLOCK = "stripe_clock"
    CLOCK_BEHIND_LEDGER = "clock_behind_ledger"
    SECOND_READ = "second_read"
    TWIN = "twin"
    DATABASE = "database"
    PAYMENT_METHOD = "payment_method"
    CARD = "card"
    SIZE = "size"


class ReviewReason(StrEnum):
    """Why an account needs a person (`topup.needs_review` without a top-up)."""

    METADATA = "metadata"
    BURN_BRAKE = "burn_brake"
    SECOND_LOOK = "second_look"
    CREDITS_FELL = "credits_fell"
    CHARGES_UNREAD = "charges_unread"
    EVENTS_FORBIDDEN = "events_forbidden"
    # followed by a colon and the PaymentIntent
    MISSING = "missing"
    AUDIT = "audit"


class CapReason(StrEnum):
    """Which cap leaves no room for a charge (`topup.capped`)."""

    DAY = "cap_day"
    MONTH = "cap_month"
    DAY_TOTAL = "cap_day_total"


CAP_WINDOWS = {
    CapReason.DAY: "a day",
    CapReason.MONTH: "a month",
    CapReason.DAY_TOTAL: "a day over all accounts",
}
"""What each cap is of, in words."""


class TopupLimit(StrEnum):
    """What bounds a top-up, by its key in the configuration (`topup.limits_changed`)."""

    MODE = "mode"
    WHEN_BELOW = "when_below_usd"
    AMOUNT = "amount_usd"
    TO = "to_usd"
    COVER_DAYS = "cover_days"
    MAX_CHARGE = "max_charge_usd"
    MAX_PER_DAY = "max_per_day_usd"
    MAX_PER_MONTH = "max_per_month_usd"


class CreditedBy(StrEnum):
    """Who says that a charge is credited."""

    BALANCE = "the balance"
    PERSON = "a person"


class ReceiverFailure(StrEnum):
    """The state of a receiver that fails (`delivery.failing`)."""

    FAILING = "failing"
    PAUSED = "paused"
    STOPPED = "stopped"
    REFUSED = "refused"
    DEAD = "dead"
