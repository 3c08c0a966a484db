"""The objects of the stand-in, and how each looks on the wire."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from daemon.demo.standins.stripe.outcomes import SUCCEED, Decline, Outcome

Json = dict[str, Any]


def unix(instant: datetime) -> int:
    """Return whole seconds since the epoch."""
    return int(instant.timestamp())


@dataclass(slots=True)
class Method:
    """A saved card (or Link). `outcome` is what it always does, `queue` what it does next."""

    id: str
    customer: str | None
    fingerprint: str
    type: str = "card"
    outcome: Outcome = SUCCEED
    queue: deque[Outcome] = field(default_factory=deque)
    created: int = 0
    livemode: bool = False
    expires: tuple[int, int] = (2034, 12)

    def next_outcome(self) -> Outcome:
        return self.queue.popleft() if self.queue else self.outcome

    def json(self) -> Json:
        card = {
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "exp_month": self.expires[1],
            "exp_year": self.expires[0],
            "fingerprint": self.fingerprint,
            "funding": "credit",
            "last4": "4242",
            "networks": {"available": ["visa"], "preferred": None},
        }
        kind = {"card": card} if self.type == "card" else {self.type: {"email": "owner@example.com"}}
        return {
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {"address": None, "email": None, "name": None, "phone": None},
            "created": self.created,
            "customer": self.customer,
            "livemode": self.livemode,
            "metadata": {},
            "type": self.type,
            **kind,
        }


@dataclass(slots=True)
class Customer:
    id: str
    default_method: str | None
    created: int = 0
    livemode: bool = False
    deleted: bool = False

    def json(self) -> Json:
        if self.deleted:
            return {"id": self.id, "object": "customer", "deleted": True}
        settings = {
            "custom_fields": None,
            "default_payment_method": self.default_method,
            "footer": None,
            "rendering_options": None,
        }
        return {
            "id": self.id,
            "object": "customer",
            "balance": 0,
            "created": self.created,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "email": None,
            "invoice_settings": settings,
            "livemode": self.livemode,
            "metadata": {},
            "name": None,
        }


@dataclass(slots=True)
class Charge:
    """One attempt at a card: succeeded, failed or pending. `at` is Stripe's own time of it."""

    id: str
    intent: str
    customer: str | None
    amount: int
    currency: str
    method: str | None
    fingerprint: str | None
    at: datetime
    metadata: Mapping[str, str]
    status: str = "succeeded"
    captured: bool = True
    decline: Decline | None = None
    amount_refunded: int = 0
    disputed: bool = False
    livemode: bool = False
    ordinal: int = 0

    @property
    def succeeded(self) -> bool:
        return self.status == "succeeded" and self.captured

    def json(self) -> Json:
        failed = self.decline if self.status == "failed" else None
        outcome = {
            "advice_code": failed.advice_code if failed else None,
            "network_advice_code": failed.network_advice_code if failed else None,
            "network_decline_code": failed.network_decline_code if failed else None,
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": (failed.decline_code or failed.code) if failed else None,
            "seller_message": "The bank did not return any further details." if failed else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        }
        return {
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount if self.succeeded else 0,
            "amount_refunded": self.amount_refunded,
            "captured": self.captured and self.status == "succeeded",
            "created": unix(self.at),
            "currency": self.currency,
            "customer": self.customer,
            "disputed": self.disputed,
            "failure_code": failed.code if failed else None,
            "failure_message": failed.message if failed else None,
            "livemode": self.livemode,
            "metadata": dict(self.metadata),
            "outcome": None if self.status == "pending" else outcome,
            "paid": self.status == "succeeded",
            "payment_intent": self.intent,
            "payment_method": self.method,
            "payment_method_details": {
                "card": {"brand": "visa", "fingerprint": self.fingerprint, "last4": "4242"},
                "type": "card",
            },
            "receipt_url": f"https://pay.stripe.com/receipts/{self.id}" if self.succeeded else None,
            "refunded": self.amount_refunded >= self.amount,
            "status": self.status,
        }


@dataclass(slots=True)
class Intent:
    """A PaymentIntent: at most one successful charge, for ever."""

    id: str
    amount: int
    currency: str
    customer: str | None
    method: str | None
    method_types: list[str]
    created_at: datetime
    metadata: dict[str, str]
    status: str
    ordinal: int
    livemode: bool = False
    description: str | None = None
    capture_method: str = "automatic_async"
    redirects: bool = False
    """Whether redirecting methods are allowed, so that a confirm must name a `return_url`."""
    automatic: bool = False
    return_url: str | None = None
    statement_descriptor_suffix: str | None = None
    receipt_email: str | None = None
    latest_charge: str | None = None
    last_error: Json | None = None
    amount_received: int = 0
    canceled_at: datetime | None = None
    cancellation_reason: str | None = None
    next_action: Json | None = None
    off_session: bool = False

    def json(self) -> Json:
        automatic = {"allow_redirects": "always" if self.redirects else "never", "enabled": True}
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.amount if self.status == "requires_capture" else 0,
            "amount_received": self.amount_received,
            "automatic_payment_methods": automatic if self.automatic else None,
            "canceled_at": unix(self.canceled_at) if self.canceled_at else None,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": f"{self.id}_secret_{self.id[3:15]}",
            "confirmation_method": "automatic",
            "created": unix(self.created_at),
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "last_payment_error": self.last_error,
            "latest_charge": self.latest_charge,
            "livemode": self.livemode,
            "metadata": dict(self.metadata),
            "next_action": self.next_action,
            "payment_method": self.method,
            "payment_method_options": {},
            "payment_method_types": list(self.method_types),
            "processing": {"card": {}, "type": "card"} if self.status == "processing" else None,
            "receipt_email": self.receipt_email,
            "setup_future_usage": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    charge: str
    intent: str
    amount: int
    currency: str
    at: datetime
    ordinal: int

    def json(self) -> Json:
        return {
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "charge": self.charge,
            "created": unix(self.at),
            "currency": self.currency,
            "metadata": {},
            "payment_intent": self.intent,
            "reason": None,
            "status": "succeeded",
        }


@dataclass(frozen=True, slots=True)
class Dispute:
    id: str
    charge: str
    intent: str
    amount: int
    currency: str
    at: datetime
    ordinal: int
    livemode: bool = False

    def json(self) -> Json:
        return {
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "charge": self.charge,
            "created": unix(self.at),
            "currency": self.currency,
            "livemode": self.livemode,
            "metadata": {},
            "payment_intent": self.intent,
            "reason": "fraudulent",
            "status": "needs_response",
        }


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event: `object_json` is what the object looked like when it happened."""

    id: str
    type: str
    at: datetime
    object_json: Json
    ordinal: int
    api_version: str
    livemode: bool = False

    def json(self) -> Json:
        return {
            "id": self.id,
            "object": "event",
            "api_version": self.api_version,
            "created": unix(self.at),
            "data": {"object": self.object_json},
            "livemode": self.livemode,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": self.type,
        }
