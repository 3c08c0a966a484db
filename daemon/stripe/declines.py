"""Declines: which of them a card may be tried again after, as data. Stripe's advice outranks the bank's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from daemon.stripe.objects import CardError


class Kind(StrEnum):
    SOFT = "soft"  # the same PaymentIntent again, later
    HARD = "hard"  # a person, and another card
    AUTHENTICATION = "authentication"  # a person, and the card saved again for use off session


RETRY_AFTER = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
"""After the first, second and third soft decline; then the PaymentIntent is canceled and the account suspended."""
ATTEMPTS_ON_A_CARD = 15
ATTEMPTS_WITHIN = timedelta(days=30)
"""The card networks' limit; fines begin beyond it."""

ADVICE: Mapping[str, Kind] = {
    "try_again_later": Kind.SOFT,
    "do_not_try_again": Kind.HARD,
    "confirm_card_data": Kind.HARD,
}

CODES: Mapping[str, Kind] = {
    "authentication_required": Kind.AUTHENTICATION,
    "authentication_not_handled": Kind.AUTHENTICATION,
    "payment_intent_authentication_failure": Kind.AUTHENTICATION,
    "do_not_try_again": Kind.HARD,
    "lost_card": Kind.HARD,
    "stolen_card": Kind.HARD,
    "pickup_card": Kind.HARD,
    "fraudulent": Kind.HARD,
    "merchant_blacklist": Kind.HARD,
    "highest_risk_level": Kind.HARD,
    "elevated_risk_level": Kind.HARD,
    "rule": Kind.HARD,
    "revocation_of_authorization": Kind.HARD,
    "revocation_of_all_authorizations": Kind.HARD,
    "stop_payment_order": Kind.HARD,
    "restricted_card": Kind.HARD,
    "expired_card": Kind.HARD,
    "incorrect_number": Kind.HARD,
    "invalid_number": Kind.HARD,
    "incorrect_cvc": Kind.HARD,
    "invalid_cvc": Kind.HARD,
    "invalid_account": Kind.HARD,
    "invalid_expiry_month": Kind.HARD,
    "invalid_expiry_year": Kind.HARD,
    "new_account_information_available": Kind.HARD,
    "card_not_supported": Kind.HARD,
    "currency_not_supported": Kind.HARD,
    "transaction_not_allowed": Kind.HARD,
    "not_permitted": Kind.HARD,
    "testmode_decline": Kind.HARD,
    "insufficient_funds": Kind.SOFT,
    "generic_decline": Kind.SOFT,
    "do_not_honor": Kind.SOFT,
    "try_again_later": Kind.SOFT,
    "reenter_transaction": Kind.SOFT,
    "processing_error": Kind.SOFT,
    "issuer_not_available": Kind.SOFT,
    "no_action_taken": Kind.SOFT,
    "approve_with_id": Kind.SOFT,
    "call_issuer": Kind.SOFT,
    "card_velocity_exceeded": Kind.SOFT,
    "withdrawal_count_limit_exceeded": Kind.SOFT,
    "service_not_allowed": Kind.SOFT,
    "security_violation": Kind.SOFT,
    "duplicate_transaction": Kind.SOFT,
}
"""Codes that are not here are soft: a card is then tried at most four times over more than a day."""

BAD_CARDS = frozenset(
    {
        "lost_card",
        "stolen_card",
        "pickup_card",
        "fraudulent",
        "merchant_blacklist",
        "restricted_card",
        "do_not_try_again",
        "revocation_of_authorization",
        "revocation_of_all_authorizations",
        "stop_payment_order",
    }
)
"""Codes that say something of the card, whoever shows it: no other account of the Stripe account tries it either."""


@dataclass(frozen=True, slots=True)
class Decline:
    """What a refusal means. `code` is the most telling code that Stripe gave."""

    kind: Kind
    code: str
    message: str
    fingerprint: str | None


def judge(error: CardError) -> Decline:
    """Return what the refusal means: advice first, then the decline's code, then the error's own."""
    code = error.decline_code or error.code or "unknown"
    for authentication in (error.decline_code, error.code):
        if CODES.get(authentication) is Kind.AUTHENTICATION and error.advice_code not in ADVICE:
            return Decline(Kind.AUTHENTICATION, authentication, error.message, error.fingerprint)
    kind = ADVICE.get(error.advice_code) or CODES.get(error.decline_code) or CODES.get(error.code) or Kind.SOFT
    return Decline(kind, code, error.message, error.fingerprint)


def retry_after(declines: int) -> timedelta | None:
    """Return how long after the `declines`-th soft decline the same PaymentIntent is tried again; None is never."""
    return RETRY_AFTER[declines - 1] if 1 <= declines <= len(RETRY_AFTER) else None
