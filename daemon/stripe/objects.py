"""Stripe's objects as frozen values, read from an answer's JSON with every field checked.

Amounts in integer cents, instants aware UTC. A field that is missing or has another type raises `Unreadable`: such an
answer counts as none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from alerts.model.instants import from_ms

T = TypeVar("T")


class Unreadable(Exception):  # noqa: N818 – a state of the answer
    """The answer is not what Stripe documents."""


class Deleted(Exception):  # noqa: N818 – a state of the object
    """The object was deleted."""


@dataclass(frozen=True, slots=True)
class CardError:
    """Why a charge failed: Stripe's codes, the message, and the card that was tried."""

    code: str
    decline_code: str
    advice_code: str
    message: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt on a card."""

    id: str
    payment_intent: str | None
    amount_cents: int
    created_at: datetime
    status: str
    refunded_cents: int
    disputed: bool
    livemode: bool
    error: CardError | None
    payment_method: str | None
    fingerprint: str | None
    card: str = ""
    """The card's brand and last four digits, as a statement shows them."""
    receipt: str = ""
    """The address of Stripe's receipt; empty where there is none."""

    @property
    def failed(self) -> bool:
        """Whether the bank refused it. A pending charge has not failed."""
        return self.status == "failed"


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """One PaymentIntent as Stripe has it now (in a replayed answer: as it was)."""

    id: str
    status: str
    amount_cents: int
    currency: str
    customer: str | None
    created_at: datetime
    livemode: bool
    metadata: Mapping[str, str]
    payment_method: str | None
    error: CardError | None
    latest_charge: str | None
    charge: Charge | None = None
    """The latest charge, if the request expanded it."""

    @property
    def shown(self) -> dict[str, str]:
        """What a person is shown of the charge: its card and its receipt, where it was asked for."""
        return {} if self.charge is None else {"card": self.charge.card, "receipt": self.charge.receipt}

    @property
    def why_declined(self) -> CardError | None:
        """The last payment error, else that of the latest charge: a canceled PaymentIntent has only the latter."""
        return self.error or (self.charge.error if self.charge else None)

    @property
    def charged_at(self) -> datetime:
        """When it was last charged, by Stripe's clock; before that, when it was made."""
        return self.charge.created_at if self.charge is not None else self.created_at


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    id: str
    type: str
    customer: str | None
    fingerprint: str
    """The card's; for a method without one, the method's id."""
    livemode: bool
    expires: tuple[int, int] | None = None
    """The card's last year and month; None for a method that has none."""
    funding: str = ""
    """credit, debit, prepaid or unknown."""


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    default_method: str | None
    livemode: bool


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """A refund or a dispute."""

    id: str
    type: str
    created_at: datetime
    livemode: bool
    payment_intent: str | None
    charge: str | None
    subject: str
    """The id of the refunded charge, or of the dispute."""
    amount_cents: int | None
    """The total refunded of the charge so far, or the disputed amount."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, newest first."""

    items: tuple[T, ...]
    has_more: bool


def read_intent(data: Any) -> PaymentIntent:
    intent = _object(data, "payment_intent")
    return PaymentIntent(
        id=_text(intent, "id"),
        status=_text(intent, "status"),
        amount_cents=_integer(intent, "amount"),
        currency=_text(intent, "currency"),
        customer=_id(intent, "customer"),
        created_at=_instant(intent, "created"),
        livemode=_flag(intent, "livemode"),
        metadata=_texts(intent.get("metadata")),
        payment_method=_id(intent, "payment_method"),
        error=read_error(intent.get("last_payment_error")),
        latest_charge=_id(intent, "latest_charge"),
        charge=read_charge(latest) if isinstance(latest := intent.get("latest_charge"), Mapping) else None,
    )


def read_error(data: Any) -> CardError | None:
    """Return the codes of a `last_payment_error` or of an error's body; None if there is none."""
    if not isinstance(data, Mapping):
        return None
    return CardError(
        code=_said(data, "code"),
        decline_code=_said(data, "decline_code"),
        advice_code=_said(data, "advice_code"),
        message=_said(data, "message"),
        fingerprint=_fingerprint(data.get("payment_method")),
    )


def read_charge(data: Any) -> Charge:
    charge = _object(data, "charge")
    details = charge.get("payment_method_details")
    return Charge(
        id=_text(charge, "id"),
        payment_intent=_id(charge, "payment_intent"),
        amount_cents=_integer(charge, "amount"),
        created_at=_instant(charge, "created"),
        status=_text(charge, "status"),
        refunded_cents=0 if charge.get("amount_refunded") is None else _integer(charge, "amount_refunded"),
        disputed=bool(charge.get("disputed")),
        livemode=_flag(charge, "livemode"),
        error=_charge_error(charge),
        payment_method=_id(charge, "payment_method"),
        fingerprint=_fingerprint(details) or _id(charge, "payment_method"),
        card=_card(details),
        receipt=_said(charge, "receipt_url"),
    )


def _card(details: Any) -> str:
    card = details.get("card") if isinstance(details, Mapping) else None
    if not isinstance(card, Mapping) or not _said(card, "last4"):
        return ""
    return f"{_said(card, 'brand').title()} {_said(card, 'last4')}".strip()


def _charge_error(charge: Mapping[str, Any]) -> CardError | None:
    if charge.get("status") != "failed":
        return None
    outcome = charge.get("outcome")
    said: Mapping[str, Any] = outcome if isinstance(outcome, Mapping) else {}
    return CardError(
        code=_said(charge, "failure_code"),
        decline_code=_said(said, "reason"),
        advice_code=_said(said, "advice_code"),
        message=_said(charge, "failure_message"),
        fingerprint=_fingerprint(charge.get("payment_method_details")),
    )


def read_method(data: Any) -> PaymentMethod:
    method = _object(data, "payment_method")
    return PaymentMethod(
        id=_text(method, "id"),
        type=_text(method, "type"),
        customer=_id(method, "customer"),
        fingerprint=_fingerprint(method) or _text(method, "id"),
        livemode=_flag(method, "livemode"),
        expires=_expiry(method.get("card")),
        funding=_funding(method.get("card")),
    )


def _expiry(card: Any) -> tuple[int, int] | None:
    if not isinstance(card, Mapping):
        return None
    year, month = card.get("exp_year"), card.get("exp_month")
    return (year, month) if isinstance(year, int) and isinstance(month, int) else None


def _funding(card: Any) -> str:
    funding = card.get("funding") if isinstance(card, Mapping) else None
    return funding if isinstance(funding, str) else ""


def read_customer(data: Any) -> Customer:
    """Return a customer with the id of its default payment method; raises Deleted."""
    customer = _object(data, "customer")
    if customer.get("deleted"):
        raise Deleted("the customer was deleted")
    settings = customer.get("invoice_settings")
    default = _id(settings, "default_payment_method") if isinstance(settings, Mapping) else None
    return Customer(_text(customer, "id"), default, _flag(customer, "livemode"))


def read_event(data: Any) -> StripeEvent:
    event = _object(data, "event")
    inner = event.get("data")
    subject = inner.get("object") if isinstance(inner, Mapping) else None
    if not isinstance(subject, Mapping):
        raise Unreadable("an event without its object")
    is_charge = subject.get("object") == "charge"
    amount = "amount_refunded" if is_charge else "amount"
    return StripeEvent(
        id=_text(event, "id"),
        type=_text(event, "type"),
        created_at=_instant(event, "created"),
        livemode=_flag(event, "livemode"),
        payment_intent=_id(subject, "payment_intent"),
        charge=_id(subject, "id" if is_charge else "charge"),
        subject=_text(subject, "id"),
        amount_cents=None if subject.get(amount) is None else _integer(subject, amount),
    )


def read_page(data: Any, read: Callable[[Any], T], *, lenient: bool = False) -> Page[T]:
    """Return one page of a list, each item read by `read`; `lenient` leaves out unreadable items."""
    page = _object(data, "list")
    items = page.get("data")
    if not isinstance(items, list):
        raise Unreadable("a list without data")
    return Page(tuple(_each(items, read, lenient)), _flag(page, "has_more"))


def _each(items: Iterable[Any], read: Callable[[Any], T], lenient: bool) -> Iterator[T]:
    for item in items:
        try:
            yield read(item)
        except Unreadable:
            if not lenient:
                raise


def _object(data: Any, kind: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or data.get("object") != kind:
        raise Unreadable(f"not a {kind}")
    return data


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {key}")
    return value


def _said(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _integer(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{key} is not a whole number")
    return value


def _flag(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key)
    if not isinstance(value, bool):
        raise Unreadable(f"{key} is neither true nor false")
    return value


def _id(data: Mapping[str, Any], key: str) -> str | None:
    """Return the id of a reference, expanded or not."""
    value = data.get(key)
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def _instant(data: Mapping[str, Any], key: str) -> datetime:
    seconds = _integer(data, key)
    if not 0 <= seconds < 32_503_680_000:
        raise Unreadable(f"{key} is not an instant")
    return from_ms(seconds * 1000)


def _texts(data: Any) -> Mapping[str, str]:
    if not isinstance(data, Mapping):
        return {}
    return {str(key): value for key, value in data.items() if isinstance(value, str)}


def _fingerprint(data: Any) -> str | None:
    if not isinstance(data, Mapping):
        return None
    card = data.get("card")
    return _id(card, "fingerprint") if isinstance(card, Mapping) else None
