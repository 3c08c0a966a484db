"""The payment method of a customer: found, and whether it may be charged."""

from __future__ import annotations

from daemon.stripe.answers import AnswerKind, Refused
from daemon.stripe.gateway import Gateway
from daemon.stripe.objects import PaymentMethod

METHOD_TYPES = ("card", "link")


async def find_method(gateway: Gateway, customer: str, configured: str | None) -> PaymentMethod | Refused:
    """Return the configured method, else the customer's default; where there is none to charge, a refusal says why."""
    wanted = configured
    if wanted is None:
        default = await gateway.default_method(customer)
        if isinstance(default, Refused):
            return default
        wanted = default.value
    if wanted is None:
        return Refused(AnswerKind.MISSING, f"{customer} has no default payment method")
    found = await gateway.method(wanted)
    if isinstance(found, Refused):
        return found
    problem = unusable(found.value, customer)
    return found.value if problem is None else Refused(AnswerKind.BAD_REQUEST, problem)


def unusable(method: PaymentMethod, customer: str) -> str | None:
    """Return why the method is not charged, None where it may be: for the daemon and for `check --online` alike."""
    if method.type not in METHOD_TYPES:
        return f"{method.id} is a {method.type}: only cards and Link are charged"
    if method.customer != customer:
        return f"{method.id} is not saved for {customer}"
    return None
