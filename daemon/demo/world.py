"""The stand-ins of the demo: both usage APIs, Stripe, a mail server and a webhook receiver, on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alerts.model.money import from_cents, to_decimal
from daemon.clock import ManualClock
from daemon.demo.standins.mailbox import MailboxStandin, StoredMail
from daemon.demo.standins.receiver import TEST_SECRET, Received, ReceiverStandin
from daemon.demo.standins.stripe import SUCCEED, Charge, Outcome, StripeStandin
from daemon.demo.standins.usage import PrepaidAccount, StorageAccount, UsageStandin

CREDIT_LAG = timedelta(minutes=20)
"""How long after a charge the usage API shows the money."""


@dataclass(slots=True)
class World:
    """The stand-ins, which share one clock with the daemon."""

    clock: ManualClock
    usage: UsageStandin
    stripe: StripeStandin
    mailbox: MailboxStandin
    receiver: ReceiverStandin
    addresses: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, PrepaidAccount] = field(default_factory=dict)
    storages: dict[str, StorageAccount] = field(default_factory=dict)

    @property
    def media(self) -> StorageAccount:
        return self.storages["media"]

    def prepaid(self, account: str, **scene: Any) -> None:
        """Create a prepaid account at the first usage API."""
        self.keys[account] = f"cs_test_{account}"
        self.accounts[account] = self.usage.prepaid(self.keys[account], **scene)

    def storage(self, account: str, **scene: Any) -> None:
        """Create a storage account at the second usage API."""
        self.keys[account] = f"trn_test_{account}"
        self.storages[account] = self.usage.storage(self.keys[account], **scene)

    def card(self, customer: str, card: str, outcome: Outcome = SUCCEED) -> None:
        """Save a card and make it the customer's default; create the customer if needed."""
        books = self.stripe.books
        if customer not in books.objects:
            self.stripe.add_customer(customer)
        books.add_method(card, customer=customer, outcome=outcome)
        books.customer(customer).default_method = card

    def settle(self) -> datetime | None:
        """Execute what is due at Stripe; return when the next is due."""
        return self.stripe.settle()

    def asked(self) -> int:
        """Return the number of requests to the usage APIs."""
        return sum(self.usage.asked.values())


@asynccontextmanager
async def open_world(
    start: datetime, *, seed: int, on_event: Callable[[Received], None], on_mail: Callable[[StoredMail], None]
) -> AsyncIterator[World]:
    """Start every stand-in on a free port of 127.0.0.1, and stop them all at the end."""
    clock = ManualClock(start)
    usage = UsageStandin(clock)

    def credit(charge: Charge) -> None:
        usage.credit(world.keys[charge.metadata["account"]], to_decimal(from_cents(charge.amount)))

    stripe = StripeStandin(clock, seed=seed, credit=credit, credit_lag=lambda charge: CREDIT_LAG)
    world = World(clock, usage, stripe, MailboxStandin(on_mail=on_mail), ReceiverStandin(on_event=on_event))
    async with AsyncExitStack() as stack:
        world.addresses["usage"] = await stack.enter_async_context(usage.serve())
        world.addresses["stripe"] = await stack.enter_async_context(stripe.serve())
        await stack.enter_async_context(world.mailbox)
        await stack.enter_async_context(world.receiver)
        world.addresses |= {
            "smtp_port": str(world.mailbox.port),
            "receiver": world.receiver.url,
            "secret": TEST_SECRET,
        }
        yield world
