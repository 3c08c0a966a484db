"""How PaymentIntents differ from what was planned. Pure."""

from __future__ import annotations

from alerts.model.money import format_usd, from_cents
from daemon.store.topup_rows import Topup
from daemon.stripe.intents import Listing
from daemon.stripe.objects import PaymentIntent


def difference(topup: Topup, second: Listing) -> str | None:
    """Return what the second listing shows that the plan did not see, or None: then nobody else is charging."""
    if second.unreadable:
        return "metadata that cannot be read"
    seen = topup.seen_statuses
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
        ("amount", format_usd(topup.amount_microusd), format_usd(from_cents(intent.amount_cents))),
        ("currency", "usd", intent.currency),
        ("customer", topup.customer, intent.customer),
    ):
        if planned != found:
            return f"its {name} is {found}, planned was {planned}"
    return None
