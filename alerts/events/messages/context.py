"""What a message says that its event does not carry: the zone, and what the configuration knows of an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.model.values import replace


@dataclass(frozen=True, slots=True)
class TopupTerms:
    """When and how much an account is charged. `size` as a person says it: `$50.00`, `up to $60.00`."""

    below_microusd: int
    size: str


@dataclass(frozen=True, slots=True)
class AccountContext:
    """An account as people know it. `topup` is None where nothing is charged for it."""

    label: str = ""
    topup: TopupTerms | None = None
    zone: ZoneInfo | None = None
    """That of its customer, where it has one of its own."""


UNKNOWN = AccountContext()
"""An account that the configuration does not name (any more)."""


@dataclass(frozen=True, slots=True)
class MessageContext:
    """How events are put into words. `account` finds one by its id; `payments` is where Stripe shows a payment.

    `for_customer`: the reader is the customer whose account it is, and acts on nothing here: what happened is told, not
    what the operator knows or does about it.
    """

    zone: ZoneInfo
    account: Callable[[str], AccountContext] = lambda _: UNKNOWN
    payments: str = ""
    for_customer: bool = False

    def to_customer_of(self, account: str) -> MessageContext:
        """Return the context of a message to the customer of an account, in that account's zone."""
        return replace(self, zone=self.account(account).zone or self.zone, payments="", for_customer=True)
