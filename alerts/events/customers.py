"""What a customer hears of an event: its types (`SUBSCRIBABLE`), and a copy without what is the operator's. Pure."""

from __future__ import annotations

import json

from alerts.events.catalogue import CATALOGUE
from alerts.model.events import SUBSCRIBABLE, Event, EventType

LEFT_OUT = {
    type: frozenset(field.name for field in CATALOGUE[type].all_fields if field.operators) for type in SUBSCRIBABLE
}
"""By type, the names that a customer's copy lacks: Stripe's ids, what holds a charge back, commands, internals."""


def customers_copy(event: Event) -> bytes:
    """Return the body that a customer gets: the same bytes at every attempt. A test's is the whole one.

    Raises ValueError for a type that no customer hears.
    """
    if event.type is EventType.TEST_PING:
        return event.body
    if event.type not in LEFT_OUT:
        raise ValueError(f"{event.type} is told to no customer")
    if not (left_out := LEFT_OUT[event.type]):
        return event.body
    envelope = json.loads(event.body)
    envelope["data"] = {name: value for name, value in envelope["data"].items() if name not in left_out}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
