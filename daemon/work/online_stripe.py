"""`check --online` for Stripe: the API key's permissions, the clocks, and each customer and card. No money moves.

Listing tells whether the key may read. A cancel of a PaymentIntent that cannot exist tells whether it may write: 404
says yes, 403 says no.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import uuid4

from daemon.clock import Clock
from daemon.config.model import Config, StripeConfig, TopupConfig, TopupMode
from daemon.net.http import HttpClient
from daemon.stripe.answers import AnswerKind, Refused
from daemon.stripe.gateway import StripeGateway
from daemon.stripe.methods import unusable
from daemon.stripe.objects import PaymentMethod
from daemon.topups.policy.gates import CLOCKS_AGREE_WITHIN
from daemon.work.online import CheckOutcome

_NO_SUCH_INTENT = "pi_brimful_check_that_cannot_exist"
_KEY_FIX = {
    AnswerKind.UNAUTHORIZED: "the API key is wrong, expired or revoked: copy it anew from the Stripe dashboard, "
    "Developers, API keys, and set stripe.api_key",
    AnswerKind.FORBIDDEN: "let the restricted key do this: Stripe dashboard, Developers, API keys, edit the key: "
    "PaymentIntents write; Charges, Customers, PaymentMethods and Events read",
    AnswerKind.UNKNOWN: "see that stripe.api_base is reachable from here, through firewalls and proxies",
    AnswerKind.WRONG_MODE: "stripe.mode, the API key and the customer have to be of one mode, test or live",
}
_AGAIN = "Stripe answers with an error just now: try again in some minutes"


async def ask_stripe(config: Config, stripe: StripeConfig, clock: Clock, http: HttpClient) -> list[CheckOutcome]:
    """Ask Stripe everything that a charge will need; the accounts' outcomes stand in the configuration's order."""
    gateway = StripeGateway(stripe, http, clock)
    topups = {id: account.topup for id, account in config.accounts.items()}
    charged = {id: topup for id, topup in topups.items() if topup is not None and topup.mode is not TopupMode.OFF}
    if not charged:
        return []
    first = next(iter(charged.values()))
    outcomes = [await _ask_key(gateway, first, clock)]
    outcomes += [one for one in [_compare_clocks(gateway, clock)] if one is not None]
    for id, topup in charged.items():
        outcomes.append(await _ask_account(gateway, id, topup, stripe, clock))
    return outcomes


async def _ask_key(gateway: StripeGateway, topup: TopupConfig, clock: Clock) -> CheckOutcome:
    """Ask whether the key may do what top-ups do."""
    key = f"brimful:check:{uuid4()}"
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "list PaymentIntents": lambda: gateway.intents(topup.customer, limit=1),
        "list charges": lambda: gateway.charges_of(topup.customer, clock.now()),
        "list events": lambda: gateway.events(),
        "cancel a PaymentIntent that cannot exist": lambda: gateway.cancel(_NO_SUCH_INTENT, {}, key),
    }
    for asked, call in calls.items():
        came = await call()
        if isinstance(came, Refused) and came.kind not in (AnswerKind.INTENT_MISSING, AnswerKind.MISSING):
            detail = f"the key may not {asked}" if came.kind is AnswerKind.FORBIDDEN else f"cannot {asked}"
            said = f"{detail}: {came.http_status or 'no answer'}, {came.message}"
            return CheckOutcome("Stripe key", False, said, asked=asked, fix=_fix(came))
    return CheckOutcome("Stripe key", True, "may list and make PaymentIntents", asked=", ".join(calls))


def _compare_clocks(gateway: StripeGateway, clock: Clock) -> CheckOutcome | None:
    now = clock.now()
    theirs = gateway.stripe_now(now)
    if theirs is None:
        return None
    differ, asked = abs(now - theirs), "the Date of Stripe's answers"
    ahead = "ahead of" if now > theirs else "behind"
    if differ > CLOCKS_AGREE_WITHIN:
        said = f"this clock is {differ.total_seconds():.0f} s {ahead} Stripe's: nothing is charged by it"
        return CheckOutcome("Stripe clock", False, said, asked=asked, fix="set the clock: timedatectl set-ntp true")
    return CheckOutcome("Stripe clock", True, f"differs by {differ.total_seconds():.0f} s", asked=asked)


async def _ask_account(
    gateway: StripeGateway, id: str, topup: TopupConfig, stripe: StripeConfig, clock: Clock
) -> CheckOutcome:
    """Read the customer and the payment method that would be charged, and judge them as a plan would."""
    target, customer = f"Stripe for {id}", topup.customer
    asked, path = f"customer {customer}", f"accounts.{id}.topup"
    default = await gateway.default_method(customer)
    if isinstance(default, Refused):
        fix = _fix(default, f"set {path}.customer to a customer of this Stripe account and mode")
        return CheckOutcome(target, False, f"customer {customer}: {default.message}", id, asked=asked, fix=fix)
    wanted = topup.payment_method or default.value
    if wanted is None:
        detail = f"customer {customer} has no default payment method, and none is configured"
        fix = f"save a card with the customer as its default, or name one in {path}.payment_method"
        return CheckOutcome(target, False, detail, id, asked=asked, fix=fix)
    asked += f", payment method {wanted}"
    method = await gateway.method(wanted)
    if isinstance(method, Refused):
        fix = _fix(method, f"name a saved card of {customer} in {path}.payment_method")
        return CheckOutcome(target, False, f"payment method {wanted}: {method.message}", id, asked=asked, fix=fix)
    found = method.value
    if problem := unusable(found, customer):
        owner = found.customer
        whose = f": it belongs to another customer, {owner}" if owner not in (None, customer) else ""
        fix = f"save a card with {customer} for off-session use, and name it in {path}.payment_method"
        return CheckOutcome(target, False, f"payment method {problem}{whose}", id, asked=asked, fix=fix)
    if expired := _expired(found, clock.now()):
        fix = f"save a card that is valid with {customer}; a charge of this one will be declined"
        return CheckOutcome(target, False, f"payment method {wanted} {expired}", id, asked=asked, fix=fix)
    return CheckOutcome(
        target, True, f"{stripe.mode.value} mode, customer {customer}, {_words(found)}", id, asked=asked
    )


def _expired(method: PaymentMethod, now: datetime) -> str:
    if method.expires is None or method.expires >= (now.year, now.month):
        return ""
    return f"expired in {method.expires[0]}-{method.expires[1]:02}"


def _words(method: PaymentMethod) -> str:
    until = f", valid until {method.expires[0]}-{method.expires[1]:02}" if method.expires is not None else ""
    funding = f", {method.funding}" if method.funding not in ("", "unknown") else ""
    return f"{method.type} {method.id}{funding}{until}"


def _fix(refused: Refused, otherwise: str = _AGAIN) -> str:
    return _KEY_FIX.get(refused.kind, otherwise if refused.http_status and refused.http_status < 500 else _AGAIN)
