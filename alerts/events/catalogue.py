"""The catalogue: every event type with its meaning, its fields, its look, its pair, its readers and its words.

From it come the JSON Schemas, the AsyncAPI document, the tables of `docs/webhooks.md` (`make generate`), and what the
code asks of a type. A new event is a member of `EventType`, its words in `messages.sentences` and a spec here.
"""

from __future__ import annotations

from collections.abc import Mapping

from alerts.events.account import BILLING, PROCESS, READINGS
from alerts.events.rules import BALANCE, BUDGET, QUOTA, RUNWAY, USAGE
from alerts.events.spec import EventSpec
from alerts.events.topups import TOPUPS
from alerts.model.events import EventType

SECTIONS: Mapping[str, tuple[EventSpec, ...]] = {
    "Balance": BALANCE,
    "Runway": RUNWAY,
    "Quota": QUOTA,
    "Budget": BUDGET,
    "Usage": USAGE,
    "Readings": READINGS,
    "The provider": BILLING,
    "Top-ups": TOPUPS,
    "Delivery": PROCESS,
}
"""The specs under their headings, in the order in which people read them."""

CATALOGUE: Mapping[EventType, EventSpec] = {spec.type: spec for specs in SECTIONS.values() for spec in specs}
OPENED_BY: Mapping[EventType, tuple[EventType, ...]] = {
    end: tuple(spec.type for spec in CATALOGUE.values() if spec.ended_by is end)
    for end in EventType
    if any(spec.ended_by is end for spec in CATALOGUE.values())
}
"""By the type that ends an episode, those that open it."""
