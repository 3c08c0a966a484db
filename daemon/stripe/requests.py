"""What Stripe is asked: keys and parameters, pure functions of the plan.

No clock and no random id enters them: two daemons that plan the same thing compute the same key and the same
parameters, and Stripe hands them the same PaymentIntent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daemon.stripe.intents import Metadata

CANCEL_PARAMS: Mapping[str, Any] = {"cancellation_reason": "abandoned"}


def create_key(customer: str, account: str, seq: int) -> str:
    """Return the idempotency key of a create: the same for every daemon that plans this number."""
    return f"brimful:{customer}:{account}:{seq}:create"


def confirm_key(intent: str, n: int) -> str:
    return f"brimful:{intent}:confirm:{n}"


def cancel_key(intent: str, n: int) -> str:
    return f"brimful:{intent}:cancel:{n}"


def create_params(
    said: Metadata, customer: str, amount_cents: int, payment_method: str, *, suffix: str = "", receipt_email: str = ""
) -> dict[str, Any]:
    """Return the parameters of a create: without `confirm`, so that it moves no money.

    Methods that redirect are switched off, or Stripe asks for a `return_url` at confirm. (`payment_method_types`
    would do the same, but the pinned API version has withdrawn it: 400 `payment_method_types_no_longer_supported`.)
    `suffix` is the statement descriptor's.
    """
    params: dict[str, Any] = {
        "amount": amount_cents,
        "currency": "usd",
        "customer": customer,
        "payment_method": payment_method,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": f"Brimful top-up {said.topup}",
        "metadata": said.encode(),
    }
    optional = {"statement_descriptor_suffix": suffix, "receipt_email": receipt_email}
    return params | {name: value for name, value in optional.items() if value}


def confirm_params(payment_method: str) -> dict[str, Any]:
    """Return the parameters of a confirm. The method is named again: a decline clears it."""
    return {"payment_method": payment_method, "off_session": True, "error_on_requires_action": True}
