"""Mails to look at and to check: one of every event, and some that tell of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from alerts.channels.content import MailContent, write_mail
from alerts.events.messages.context import AccountContext, MessageContext, TopupTerms
from alerts.model.events import SUBSCRIBABLE, Event, EventType
from alerts.templating import Templates
from tests.helpers_events import example_event

ACCOUNTS = {
    "clips": AccountContext("Video tracking", TopupTerms(10_000_000, "$50.00")),
    "downloads": AccountContext("Downloads for the archive"),
}
CONTEXT = MessageContext(ZoneInfo("Europe/Berlin"), lambda id: ACCOUNTS[id], "https://dashboard.stripe.com/payments/")
UNDER_WAY = {"state": "none", "reason": "no top-up is open: it is judged after this reading", "id": None}
LOW = example_event(EventType.BALANCE_LOW, topup=UNDER_WAY)
PLANNED, CHARGED = example_event(EventType.TOPUP_PLANNED), example_event(EventType.TOPUP_SUCCEEDED)
TOGETHER: dict[str, Sequence[Event]] = {
    "charge": [PLANNED, CHARGED],
    "low": [LOW],
    "suspended": [PLANNED, example_event(EventType.TOPUP_ACTION_REQUIRED), example_event(EventType.TOPUP_SUSPENDED)],
    "digest": [LOW, PLANNED, CHARGED, example_event(EventType.QUOTA_HIGH), example_event(EventType.LIMITS_CHANGED)],
}
"""The mails of which pictures are made: a charge with its result, and others that people see most."""
TO_CUSTOMER = {
    "customer": [LOW],
    "customer-digest": [LOW, CHARGED, example_event(EventType.TOPUP_CREDITED), example_event(EventType.RUNWAY_SHORT)],
}
"""What a customer reads of its own account."""


def mails() -> Iterator[tuple[str, MailContent]]:
    """Yield every mail with the name of its file."""
    for name, events in TOGETHER.items():
        yield name, write_mail(events, Templates(), CONTEXT)
    for type in EventType:
        yield type.value, write_mail([example_event(type)], Templates(), CONTEXT)
    for name, mail in customers_mails():
        yield name, mail


def customers_mails() -> Iterator[tuple[str, MailContent]]:
    """Yield every mail to a customer with the name of its file."""
    single = {f"customer-{type}": [example_event(type)] for type in sorted(SUBSCRIBABLE)}
    for name, events in {**TO_CUSTOMER, **single}.items():
        yield name, write_mail(events, Templates(), CONTEXT.to_customer_of("clips"))
