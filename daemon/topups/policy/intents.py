"""What Stripe lists of an account, and how it differs from what was planned. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from alerts.model.money import format_usd, from_cents
from daemon.store.topup_rows import Topup
from daemon.stripe.objects import PaymentIntent
from daemon.topups.policy.plan import Metadata, UnreadableMetadata, read_metadata


@dataclass(frozen=True, slots=True)
class Ours:
    """A PaymentIntent of the account, with what its metadata says."""

    intent: PaymentIntent
    said: Metadata


@dataclass(frozen=True, slots=True)
class Listing:
    """The account's PaymentIntents as Stripe lists them, newest first, and those marked as ours that cannot be read.

    `hold_s`: how long to wait, drawn at random, where somebody else is seen to charge.
    """

    ours: tuple[Ours, ...]
    unreadable: tuple[str, ...] = ()
    former: tuple[Ours, ...] = ()
    """Those that were made for an account which the configuration does not name any more: the caps count them."""
    others: tuple[Ours, ...] = ()
    """Those that were made for other accounts of the configuration: one of them may be another key of this one."""
    max_seq: int = 0
    """The highest number that Stripe has ever shown."""
    customers: tuple[str, ...] = ()
    """Whose lists were read."""
    hold_s: float = 0.0

    def encode(self) -> str:
        """Return ids and statuses as JSON, for the plan to be compared with."""
        statuses = {one.intent.id: one.intent.status for one in self.ours}
        return json.dumps(statuses, sort_keys=True, separators=(",", ":"))

    def find(self, intent: str | None) -> PaymentIntent | None:
        return next((one.intent for one in self.ours if one.intent.id == intent), None)


def sort_out(account: str, configured: Collection[str], intents: Iterable[PaymentIntent]) -> Listing:
    """Sort a list by what the metadata says. One that is marked as ours but names no account could be anybody's."""
    ours: list[Ours] = []
    others: list[Ours] = []
    former: list[Ours] = []
    unreadable: list[str] = []
    for intent in intents:
        try:
            said = read_metadata(intent.metadata)
        except UnreadableMetadata as error:
            if intent.metadata.get("account") in (account, "", None):
                unreadable.append(f"{intent.id}: {error}")
            continue
        if said is not None:
            of = ours if said.account == account else others if said.account in configured else former
            of.append(Ours(intent, said))
    return Listing(tuple(ours), tuple(unreadable), tuple(former), tuple(others))


def difference(topup: Topup, second: Listing) -> str | None:
    """Return what the second look shows that the plan did not see, or None: then nobody else is charging."""
    if second.unreadable:
        return "metadata that cannot be read"
    seen: Mapping[str, str] = topup.seen_statuses
    for one in second.ours:
        intent = one.intent
        if intent.id == topup.payment_intent:
            continue
        if intent.id not in seen:
            return f"{intent.id} ({intent.status}) appeared"
        if intent.status != seen[intent.id]:
            return f"{intent.id} went from {seen[intent.id]} to {intent.status}"
    own = second.find(topup.payment_intent)
    return f"{topup.payment_intent} is not listed" if own is None else mismatch(topup, own)


def mismatch(topup: Topup, intent: PaymentIntent) -> str | None:
    """Return where the PaymentIntent is not what was planned, or None."""
    for name, planned, found in (
        ("amount", format_usd(from_cents(topup.amount_cents)), format_usd(from_cents(intent.amount_cents))),
        ("currency", "usd", intent.currency),
        ("customer", topup.customer, intent.customer),
    ):
        if planned != found:
            return f"its {name} is {found}, planned was {planned}"
    return None
