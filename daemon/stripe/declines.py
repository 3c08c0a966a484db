"""Declines: after which of them a card may be tried again, as data. Stripe's advice outranks the bank's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from daemon.stripe.objects import CardError


class DeclineKind(StrEnum):
    SOFT = "soft"  # the same PaymentIntent again, later
    HARD = "hard"  # a person, and another card
    AUTHENTICATION = "authentication"  # a person, and the card saved again for use off session


RETRY_AFTER = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
"""After the first, second and third soft decline; then the PaymentIntent is canceled and the account suspended."""
ATTEMPTS_ON_A_CARD = 15
ATTEMPTS_WITHIN = timedelta(days=30)
"""The card networks' limit of attempts; above it they charge fees."""

ADVICE: Mapping[str, DeclineKind] = {
    "try_again_later": DeclineKind.SOFT,
    "do_not_try_again": DeclineKind.HARD,
    "confirm_card_data": DeclineKind.HARD,
}

CODES: Mapping[str, DeclineKind] = {
    "authentication_required": DeclineKind.AUTHENTICATION,
    "authentication_not_handled": DeclineKind.AUTHENTICATION,
    "payment_intent_authentication_failure": DeclineKind.AUTHENTICATION,
    "do_not_try_again": DeclineKind.HARD,
    "lost_card": DeclineKind.HARD,
    "stolen_card": DeclineKind.HARD,
    "pickup_card": DeclineKind.HARD,
    "fraudulent": DeclineKind.HARD,
    "merchant_blacklist": DeclineKind.HARD,
    "highest_risk_level": DeclineKind.HARD,
    "elevated_risk_level": DeclineKind.HARD,
    "rule": DeclineKind.HARD,
    "revocation_of_authorization": DeclineKind.HARD,
    "revocation_of_all_authorizations": DeclineKind.HARD,
    "stop_payment_order": DeclineKind.HARD,
    "restricted_card": DeclineKind.HARD,
    "expired_card": DeclineKind.HARD,
    "incorrect_number": DeclineKind.HARD,
    "invalid_number": DeclineKind.HARD,
    "incorrect_cvc": DeclineKind.HARD,
    "invalid_cvc": DeclineKind.HARD,
    "invalid_account": DeclineKind.HARD,
    "invalid_expiry_month": DeclineKind.HARD,
    "invalid_expiry_year": DeclineKind.HARD,
    "new_account_information_available": DeclineKind.HARD,
    "card_not_supported": DeclineKind.HARD,
    "currency_not_supported": DeclineKind.HARD,
    "transaction_not_allowed": DeclineKind.HARD,
    "not_permitted": DeclineKind.HARD,
    "testmode_decline": DeclineKind.HARD,
    "insufficient_funds": DeclineKind.SOFT,
    "generic_decline": DeclineKind.SOFT,
    "do_not_honor": DeclineKind.SOFT,
    "try_again_later": DeclineKind.SOFT,
    "reenter_transaction": DeclineKind.SOFT,
    "processing_error": DeclineKind.SOFT,
    "issuer_not_available": DeclineKind.SOFT,
    "no_action_taken": DeclineKind.SOFT,
    "approve_with_id": DeclineKind.SOFT,
    "call_issuer": DeclineKind.SOFT,
    "card_velocity_exceeded": DeclineKind.SOFT,
    "withdrawal_count_limit_exceeded": DeclineKind.SOFT,
    "service_not_allowed": DeclineKind.SOFT,
    "security_violation": DeclineKind.SOFT,
    "duplicate_transaction": DeclineKind.SOFT,
}
"""Other codes are soft: a card is then tried at most four times over more than a day."""

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
"""Codes about the card itself: no other account of the Stripe account tries it either."""


@dataclass(frozen=True, slots=True)
class Decline:
    """What a refusal means. `code`: the most specific code from Stripe."""

    kind: DeclineKind
    code: str
    message: str
    fingerprint: str | None


def classify_decline(error: CardError) -> Decline:
    """Return what the refusal means: advice first, then the decline's code, then the error's own."""
    code = error.decline_code or error.code or "unknown"
    for authentication in (error.decline_code, error.code):
        if CODES.get(authentication) is DeclineKind.AUTHENTICATION and error.advice_code not in ADVICE:
            return Decline(DeclineKind.AUTHENTICATION, authentication, error.message, error.fingerprint)
    kind = ADVICE.get(error.advice_code) or CODES.get(error.decline_code) or CODES.get(error.code) or DeclineKind.SOFT
    return Decline(kind, code, error.message, error.fingerprint)


def retry_after(declines: int) -> timedelta | None:
    """Return the wait before the retry after the `declines`-th soft decline; None: no retry."""
    return RETRY_AFTER[declines - 1] if 1 <= declines <= len(RETRY_AFTER) else None
