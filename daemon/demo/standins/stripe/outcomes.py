"""What a saved card does when it is charged: the outcomes, and every decline with its code, advice and words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Ending(StrEnum):
    SUCCEED = "succeed"
    DECLINE = "decline"
    AUTHENTICATE = "authenticate"  # the bank wants the holder: requires_action, or a 402 if asked not to
    PROCESS_THEN_SUCCEED = "process_then_succeed"
    PROCESS_THEN_FAIL = "process_then_fail"


@dataclass(frozen=True, slots=True)
class Decline:
    """One refusal as Stripe words it. Some errors have a `code` of their own and no `decline_code` at all."""

    decline_code: str | None
    code: str = "card_declined"
    advice_code: str | None = None
    network_decline_code: str | None = None
    network_advice_code: str | None = None
    message: str = "Your card was declined."


def _issuer(decline_code: str, network: str, advice: str = "try_again_later", network_advice: str = "02") -> Decline:
    return Decline(decline_code, "card_declined", advice, network, network_advice)


def _final(decline_code: str, network: str) -> Decline:
    return Decline(decline_code, "card_declined", "do_not_try_again", network, "03")


def _own(code: str, message: str, advice: str | None = None) -> Decline:
    return Decline(None, code, advice, None, None, message)


DECLINES: dict[str, Decline] = {
    "insufficient_funds": Decline(
        "insufficient_funds", "card_declined", "try_again_later", "51", "02", "Your card has insufficient funds."
    ),
    "generic_decline": _issuer("generic_decline", "05"),
    "do_not_honor": _issuer("do_not_honor", "05"),
    "try_again_later": _issuer("try_again_later", "19"),
    "issuer_not_available": _issuer("issuer_not_available", "91"),
    "reenter_transaction": _issuer("reenter_transaction", "19"),
    "approve_with_id": _issuer("approve_with_id", "08"),
    "call_issuer": _issuer("call_issuer", "01"),
    "card_velocity_exceeded": _issuer("card_velocity_exceeded", "65"),
    "withdrawal_count_limit_exceeded": _issuer("withdrawal_count_limit_exceeded", "65"),
    "no_action_taken": _issuer("no_action_taken", "21"),
    "not_permitted": _issuer("not_permitted", "57"),
    "transaction_not_allowed": _issuer("transaction_not_allowed", "57"),
    "security_violation": _issuer("security_violation", "63"),
    "service_not_allowed": _issuer("service_not_allowed", "57"),
    "duplicate_transaction": _issuer("duplicate_transaction", "94"),
    "invalid_amount": _issuer("invalid_amount", "13"),
    "merchant_blacklist": _issuer("merchant_blacklist", "05"),
    "unheard_of": _issuer("unheard_of", "99"),
    "do_not_try_again": _final("do_not_try_again", "05"),
    "lost_card": _final("lost_card", "41"),
    "stolen_card": _final("stolen_card", "43"),
    "pickup_card": _final("pickup_card", "04"),
    "restricted_card": _final("restricted_card", "62"),
    "fraudulent": _final("fraudulent", "59"),
    "revocation_of_authorization": _final("revocation_of_authorization", "R1"),
    "revocation_of_all_authorizations": _final("revocation_of_all_authorizations", "R3"),
    "stop_payment_order": _final("stop_payment_order", "R0"),
    "invalid_account": _final("invalid_account", "14"),
    "new_account_information_available": Decline(
        "new_account_information_available", "card_declined", "confirm_card_data", "14", "01"
    ),
    "card_not_supported": _final("card_not_supported", "57"),
    "currency_not_supported": _final("currency_not_supported", "57"),
    "testmode_decline": Decline("testmode_decline"),
    "authentication_required": Decline(
        "authentication_required",
        "authentication_required",
        None,
        "1A",
        None,
        "Your card was declined. This transaction requires authentication.",
    ),
    "expired_card": _own("expired_card", "Your card has expired.", "confirm_card_data"),
    "incorrect_number": _own("incorrect_number", "Your card number is incorrect.", "confirm_card_data"),
    "invalid_number": _own("invalid_number", "Your card number is incorrect.", "confirm_card_data"),
    "incorrect_cvc": _own("incorrect_cvc", "Your card's security code is incorrect.", "confirm_card_data"),
    "processing_error": _own(
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
        "try_again_later",
    ),
}
"""By name. A bank may couple any advice with any code: `Decline` can be built by hand."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the next charge of a card does; `settles_after` is how long `processing` takes."""

    ending: Ending = Ending.SUCCEED
    decline: Decline = DECLINES["generic_decline"]
    settles_after: timedelta = timedelta(minutes=10)


SUCCEED = Outcome()
AUTHENTICATE = Outcome(Ending.AUTHENTICATE, DECLINES["authentication_required"])


def declined(name: str, *, advice_code: str | None = None) -> Outcome:
    """Return the decline of that name, with another advice where one is given."""
    known = DECLINES[name]
    if advice_code is not None:
        known = Decline(
            known.decline_code,
            known.code,
            advice_code,
            known.network_decline_code,
            known.network_advice_code,
            known.message,
        )
    return Outcome(Ending.DECLINE, known)


def processing(
    *, then_fails: bool = False, after: timedelta = timedelta(minutes=10), decline: str = "generic_decline"
) -> Outcome:
    """Return an outcome that answers `processing` and ends after a while."""
    ending = Ending.PROCESS_THEN_FAIL if then_fails else Ending.PROCESS_THEN_SUCCEED
    return Outcome(ending, DECLINES[decline], after)
