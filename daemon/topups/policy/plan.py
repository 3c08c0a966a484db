"""The plan: one PaymentIntent as it will be asked for. Keys, metadata and parameters are pure functions of it.

No clock and no random id enters them: two daemons that plan the same thing compute the same key and the same
parameters, and Stripe hands them the same PaymentIntent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

APP = "brimful"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be charged. `funded_microusd` is None where the provider has no running total; then balance counts."""

    account: str
    customer: str
    seq: int
    amount_cents: int
    payment_method: str
    method_type: str
    funded_microusd: int | None
    balance_microusd: int | None
    statement_descriptor_suffix: str = ""
    receipt_email: str = ""

    @property
    def topup(self) -> str:
        """The top-up's id."""
        return topup_id(self.account, self.seq)

    @property
    def create_key(self) -> str:
        return create_key(self.customer, self.account, self.seq)

    def metadata(self) -> dict[str, str]:
        """Return what a fresh disk needs to know again, in Stripe's metadata."""
        known = {"app": APP, "account": self.account, "seq": str(self.seq), "topup": self.topup}
        if self.funded_microusd is not None:
            return {**known, "funded": str(self.funded_microusd)}
        return {**known, "balance": str(self.balance_microusd)}

    def create_params(self) -> dict[str, Any]:
        """Return the parameters of the create: without `confirm`, so that it moves no money.

        Methods that redirect are switched off, or Stripe asks for a `return_url` at confirm. (`payment_method_types`
        would do the same, but the pinned API version has withdrawn it: 400 `payment_method_types_no_longer_supported`.)
        """
        params: dict[str, Any] = {
            "amount": self.amount_cents,
            "currency": "usd",
            "customer": self.customer,
            "payment_method": self.payment_method,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "description": f"Brimful top-up {self.topup}",
            "metadata": self.metadata(),
        }
        if self.statement_descriptor_suffix:
            params["statement_descriptor_suffix"] = self.statement_descriptor_suffix
        if self.receipt_email:
            params["receipt_email"] = self.receipt_email
        return params


@dataclass(frozen=True, slots=True)
class Metadata:
    """What our metadata says of a PaymentIntent."""

    account: str
    seq: int
    funded_microusd: int | None
    balance_microusd: int | None


class UnreadableMetadata(Exception):  # noqa: N818 – it is said of the metadata
    """A PaymentIntent is marked as ours and cannot be read: nothing is charged until a person has looked."""


def read_metadata(metadata: Mapping[str, str]) -> Metadata | None:
    """Return what our metadata says, None where the PaymentIntent is not ours. Raises UnreadableMetadata."""
    if metadata.get("app") != APP:
        return None
    account, seq = metadata.get("account", ""), _whole(metadata.get("seq"))
    funded, balance = _whole(metadata.get("funded")), _whole(metadata.get("balance"))
    if not account or seq is None or seq < 1 or (funded is None and balance is None):
        raise UnreadableMetadata(f"account {account or '?'}: {dict(metadata)}")
    return Metadata(account, seq, funded, balance)


def _whole(text: str | None) -> int | None:
    digits = text.removeprefix("-") if text else ""
    return int(text) if text and digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def topup_id(account: str, seq: int) -> str:
    return f"{account}-{seq}"


def create_key(customer: str, account: str, seq: int) -> str:
    return f"brimful:{customer}:{account}:{seq}:create"


def confirm_key(intent: str, n: int) -> str:
    return f"brimful:{intent}:confirm:{n}"


def cancel_key(intent: str, n: int) -> str:
    return f"brimful:{intent}:cancel:{n}"


def confirm_params(payment_method: str) -> dict[str, Any]:
    """Return the parameters of a confirm. The method is named again: a decline clears it."""
    return {"payment_method": payment_method, "off_session": True, "error_on_requires_action": True}


CANCEL_PARAMS: Mapping[str, Any] = {"cancellation_reason": "abandoned"}
