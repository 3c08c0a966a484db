"""One Stripe account: its objects, and what the world may do to them. It alone knows what was really charged."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from daemon.clock import Clock
from daemon.demo.standins.stripe.errors import missing
from daemon.demo.standins.stripe.objects import Charge, Customer, Dispute, Intent, Json, Method, Notice, Refund, unix
from daemon.demo.standins.stripe.outcomes import SUCCEED, Outcome

API_VERSION = "2026-10-28.endive"
EVENTS_KEPT_FOR = timedelta(days=30)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NOUNS = {
    "pi": "payment_intent",
    "ch": "charge",
    "cus": "customer",
    "pm": "PaymentMethod",
    "re": "refund",
    "dp": "dispute",
    "evt": "event",
}

Anything = Intent | Charge | Customer | Method | Refund | Dispute | Notice


class Books:
    """The objects by id, in the order they were made, and a queue of what happens later."""

    def __init__(self, clock: Clock, *, seed: int, livemode: bool) -> None:
        self.clock = clock
        self.livemode = livemode
        self.objects: dict[str, Anything] = {}
        self.intents: list[Intent] = []
        self.charges: list[Charge] = []
        self.notices: list[Notice] = []
        self.refunds: list[Refund] = []
        self.disputes: list[Dispute] = []
        self.methods: list[Method] = []
        self.locked: set[str] = set()
        """Objects that a request under way holds: another write to one answers 429 `lock_timeout`."""
        self.on_succeeded: Callable[[Charge], None] = lambda charge: None
        """Called in the moment a charge succeeds, whatever the client gets to know of it."""
        self._random = random.Random(seed)
        self._later: list[tuple[datetime, int, Callable[[], None]]] = []
        self._ordinal = 0

    # --- time -------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.clock.now()

    def after(self, delay: timedelta, do: Callable[[], None]) -> None:
        """Let something happen once `delay` of the clock has passed."""
        self._later.append((self.now() + delay, self.ordinal(), do))

    def settle(self) -> datetime | None:
        """Let everything happen that is due by now, in its order; return when the next is due."""
        while self._later:
            self._later.sort(key=lambda item: item[:2])
            at, _, do = self._later[0]
            if at > self.now():
                return at
            del self._later[0]
            do()
        return None

    def ordinal(self) -> int:
        self._ordinal += 1
        return self._ordinal

    def new_id(self, prefix: str, length: int = 24) -> str:
        return f"{prefix}_{''.join(self._random.choices(_ALPHABET, k=length))}"

    # --- what the world sets up -------------------------------------------------------------------------------

    def add_customer(self, id: str, *, default_method: str | None = None) -> Customer:
        customer = Customer(id, default_method, unix(self.now()), self.livemode)
        self.objects[id] = customer
        return customer

    def add_method(
        self,
        id: str,
        *,
        customer: str | None,
        fingerprint: str | None = None,
        type: str = "card",
        outcome: Outcome = SUCCEED,
    ) -> Method:
        """Save a card. The same fingerprint twice is the same card saved twice."""
        number = fingerprint or self.new_id("fp", 16)[3:]
        method = Method(id, customer, number, type, outcome, created=unix(self.now()), livemode=self.livemode)
        self.objects[id] = method
        self.methods.append(method)
        return method

    def add_past(self, cents: int, customer: str, method: str, metadata: dict[str, str], at: datetime) -> Intent:
        """Make a PaymentIntent that succeeded at `at`, before this history begins, without an Event."""
        card = self.method(method)
        intent = Intent(
            self.new_id("pi"), cents, "usd", customer, method, [card.type], at, metadata, "succeeded", self.ordinal()
        )
        intent.livemode, intent.amount_received = self.livemode, cents
        charge = Charge(
            self.new_id("ch"), intent.id, customer, cents, "usd", method, card.fingerprint, at, dict(metadata)
        )
        charge.livemode, charge.ordinal = self.livemode, self.ordinal()
        intent.latest_charge = charge.id
        self.intents.append(intent)
        self.charges.append(charge)
        self.objects |= {intent.id: intent, charge.id: charge}
        return intent

    def refund(self, charge: Charge, amount: int | None = None) -> Refund:
        """Give money back, as a person does in the dashboard, with the Event `charge.refunded`."""
        part = charge.amount - charge.amount_refunded if amount is None else amount
        charge.amount_refunded += part
        number = self.ordinal()
        refund = Refund(self.new_id("re"), charge.id, charge.intent, part, charge.currency, self.now(), number)
        self.refunds.append(refund)
        self.objects[refund.id] = refund
        self.notify("charge.refunded", charge)
        return refund

    def dispute(self, charge: Charge) -> Dispute:
        """Dispute a charge, with the Event `charge.dispute.created`."""
        charge.disputed = True
        number = self.ordinal()
        dispute = Dispute(
            self.new_id("dp"),
            charge.id,
            charge.intent,
            charge.amount,
            charge.currency,
            self.now(),
            number,
            self.livemode,
        )
        self.disputes.append(dispute)
        self.objects[dispute.id] = dispute
        self.notify("charge.dispute.created", dispute)
        return dispute

    def notify(self, type: str, about: Anything) -> None:
        """Append an Event with the object as it looks now."""
        number = self.ordinal()
        notice = Notice(self.new_id("evt"), type, self.now(), about.json(), number, API_VERSION, self.livemode)
        self.notices.append(notice)
        self.objects[notice.id] = notice

    # --- looking up -------------------------------------------------------------------------------------------

    def intent(self, id: str) -> Intent:
        """The PaymentIntent of a URL; raises the 404."""
        found = self.objects.get(id)
        if not isinstance(found, Intent):
            raise missing("payment_intent", id, param="intent", in_path=True)
        return found

    def method(self, id: str) -> Method:
        """The payment method that a parameter names; raises the 400."""
        found = self.objects.get(id)
        if not isinstance(found, Method):
            raise missing("PaymentMethod", id, param="payment_method")
        return found

    def customer(self, id: str) -> Customer:
        """The customer that a parameter names; raises the 400."""
        found = self.objects.get(id)
        if not isinstance(found, Customer) or found.deleted:
            raise missing("customer", id, param="customer")
        return found

    def resource(self, prefix: str, id: str) -> Anything:
        """The object of a URL; raises the 404."""
        found = self.objects.get(id)
        if found is None or not id.startswith(f"{prefix}_"):
            raise missing(_NOUNS[prefix], id, param="id", in_path=True)
        return found

    def expand(self, json: Json, paths: list[str]) -> Json:
        """Replace ids by their objects where `expand` asks: `latest_charge`, `data.payment_method`."""
        for path in paths:
            _expand(json, path.split("."), self.objects)
        return json


def _expand(node: Any, path: list[str], objects: dict[str, Anything]) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(item, path, objects)
        return
    if not isinstance(node, dict) or path[0] not in node:
        return
    value = node[path[0]]
    if isinstance(value, str) and value in objects:
        value = node[path[0]] = objects[value].json()
    if len(path) > 1:
        _expand(value, path[1:], objects)
