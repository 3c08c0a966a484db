"""What a PaymentIntent may become: create, confirm, cancel, and the charges that come of it."""

from __future__ import annotations

from typing import Any

from daemon.demo.standins.stripe.books import Books
from daemon.demo.standins.stripe.errors import ApiError, invalid, lock_timeout, refused
from daemon.demo.standins.stripe.objects import Charge, Intent, Json, Method
from daemon.demo.standins.stripe.outcomes import AUTHENTICATE, Decline, Ending, Outcome

SMALLEST_CENTS = 50
_LARGEST_CENTS = 99_999_999
_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE = (*_CONFIRMABLE, "requires_capture")
_WITHOUT_REDIRECT = frozenset({"card", "link"})
_NEEDS_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these "
    "payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want "
    "to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and "
    "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)


def create(books: Books, params: Json) -> Intent:
    """Make a PaymentIntent; with `confirm` it is confirmed at once. Raises ApiError."""
    _hold_create(params)
    customer = params.get("customer")
    if customer is not None:
        books.customer(customer)
    types = params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods") or {}
    chosen = _method(books, params.get("payment_method"), customer, types)
    intent = Intent(
        id=books.new_id("pi"),
        amount=params["amount"],
        currency=params["currency"],
        customer=customer,
        method=chosen.id if chosen else None,
        method_types=list(types) if types else ["card", "link"],
        created_at=books.now(),
        metadata=dict(params.get("metadata") or {}),
        status="requires_confirmation" if chosen else "requires_payment_method",
        ordinal=books.ordinal(),
        livemode=books.livemode,
        description=params.get("description"),
        capture_method=params.get("capture_method", "automatic_async"),
        redirects=not _WITHOUT_REDIRECT.issuperset(types) if types else automatic.get("allow_redirects") != "never",
        automatic=types is None,
        return_url=params.get("return_url"),
        statement_descriptor_suffix=params.get("statement_descriptor_suffix"),
        receipt_email=params.get("receipt_email"),
    )
    if params.get("confirm") and intent.redirects and intent.return_url is None:
        raise refused(_NEEDS_RETURN_URL, param="return_url")
    books.intents.append(intent)
    books.objects[intent.id] = intent
    books.notify("payment_intent.created", intent)
    if params.get("confirm"):
        confirm(books, intent, params)
    return intent


def _hold_create(params: Json) -> None:
    amount = params["amount"]
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if params["currency"] != "usd":
        raise invalid(f"Invalid currency: {params['currency']}. This stand-in knows usd.", param="currency")
    if amount < SMALLEST_CENTS:
        raise refused("Amount must be at least $0.50 usd", code="amount_too_small", param="amount")
    if amount > _LARGEST_CENTS:
        raise refused("Amount must be no more than $999,999.99", code="amount_too_large", param="amount")
    for name in ("off_session", "error_on_requires_action", "return_url"):
        if name in params and not params.get("confirm"):
            raise invalid(f"The parameter `{name}` can only be passed when `confirm=true`.", param=name)
    if params.get("allowed_payment_method_types") and params.get("automatic_payment_methods"):
        raise invalid(
            "You may only specify one of these parameters: allowed_payment_method_types, automatic_payment_methods."
        )
    suffix = params.get("statement_descriptor_suffix")
    if suffix and (len(suffix) > 18 or not any(c.isalpha() for c in suffix) or any(c in "<>\\'\"*" for c in suffix)):
        raise invalid("The statement descriptor suffix is not valid.", param="statement_descriptor_suffix")
    email = params.get("receipt_email")
    if email and "@" not in email:
        raise invalid(f"Invalid email address: {email}", code="email_invalid", param="receipt_email")
    for key, value in (params.get("metadata") or {}).items():
        if len(key) > 40 or len(value) > 500:
            raise invalid("Metadata keys hold at most 40 characters and values 500.", param="metadata")


def _method(books: Books, id: str | None, customer: str | None, types: list[str] | None) -> Method | None:
    if id is None:
        return None
    method = books.method(id)
    if method.customer != customer:
        raise refused(
            f"The customer does not have a payment method with the ID {id}. The payment method must be attached to the "
            "customer.",
            code="resource_missing",
            param="payment_method",
        )
    if types and method.type not in types:
        raise refused(
            f"The PaymentMethod provided ({method.type}) is not allowed for this PaymentIntent.", param="payment_method"
        )
    return method


def confirm(books: Books, intent: Intent, params: Json) -> Intent:
    """Try to charge. Raises ApiError: 402 on a decline, 400 where the PaymentIntent is not to be confirmed."""
    if intent.id in books.locked:
        raise lock_timeout()
    if intent.status not in _CONFIRMABLE:
        raise _unexpected(intent, f"You cannot confirm this PaymentIntent because it has a status of {intent.status}.")
    method = _method(books, params.get("payment_method") or intent.method, intent.customer, intent.method_types)
    if method is None:
        raise _unexpected(intent, "You cannot confirm this PaymentIntent because it's missing a payment method.")
    intent.return_url = params.get("return_url", intent.return_url)
    if intent.redirects and intent.return_url is None:
        raise refused(_NEEDS_RETURN_URL, param="return_url")
    intent.method = method.id
    intent.off_session = bool(params.get("off_session"))
    outcome = method.next_outcome()
    match outcome.ending:
        case Ending.SUCCEED:
            _charge(books, intent, method, "succeeded")
        case Ending.DECLINE:
            raise _declined(books, intent, method, outcome.decline)
        case Ending.AUTHENTICATE if params.get("error_on_requires_action") or intent.off_session:
            raise _declined(books, intent, method, AUTHENTICATE.decline)
        case Ending.AUTHENTICATE:
            intent.status = "requires_action"
            intent.next_action = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
            books.notify("payment_intent.requires_action", intent)
        case Ending.PROCESS_THEN_SUCCEED | Ending.PROCESS_THEN_FAIL:
            _process(books, intent, method, outcome)
    return intent


def _unexpected(intent: Intent, message: str) -> ApiError:
    return refused(message, code="payment_intent_unexpected_state", payment_intent=intent.json())


def _charge(books: Books, intent: Intent, method: Method, status: str, decline: Decline | None = None) -> Charge:
    """Record an attempt at the card, and bring the intent where it leads."""
    charge = Charge(
        id=books.new_id("ch"),
        intent=intent.id,
        customer=intent.customer,
        amount=intent.amount,
        currency=intent.currency,
        method=method.id,
        fingerprint=method.fingerprint,
        at=books.now(),
        metadata=dict(intent.metadata),
        status=status,
        captured=intent.capture_method != "manual",
        decline=decline,
        livemode=books.livemode,
        ordinal=books.ordinal(),
    )
    books.charges.append(charge)
    books.objects[charge.id] = charge
    intent.latest_charge = charge.id
    intent.last_error = None
    intent.next_action = None
    if status == "succeeded":
        _succeed(books, intent, charge)
    return charge


def _succeed(books: Books, intent: Intent, charge: Charge) -> None:
    charge.status = "succeeded"
    if not charge.captured:
        intent.status = "requires_capture"
        books.notify("payment_intent.amount_capturable_updated", intent)
        return
    if intent.status in ("succeeded", "canceled"):
        raise AssertionError(f"{intent.id} is {intent.status} and would be charged again")
    intent.status = "succeeded"
    intent.amount_received = intent.amount
    books.notify("payment_intent.succeeded", intent)
    books.notify("charge.succeeded", charge)
    books.on_succeeded(charge)


def _fail(books: Books, intent: Intent, method: Method, charge: Charge, decline: Decline) -> Json:
    """The attempt failed: the intent loses its payment method and says why. Return the error."""
    charge.status = "failed"
    charge.decline = decline
    error: Json = {
        "charge": charge.id,
        "code": decline.code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": method.json(),
        "type": "card_error",
    }
    optional = {
        "advice_code": decline.advice_code,
        "decline_code": decline.decline_code,
        "network_advice_code": decline.network_advice_code,
        "network_decline_code": decline.network_decline_code,
    }
    error.update({name: value for name, value in optional.items() if value is not None})
    intent.last_error = error
    intent.method = None
    intent.status = "requires_payment_method"
    books.notify("charge.failed", charge)
    books.notify("payment_intent.payment_failed", intent)
    return error


def _declined(books: Books, intent: Intent, method: Method, decline: Decline) -> ApiError:
    charge = _charge(books, intent, method, "failed", decline)
    error = _fail(books, intent, method, charge, decline)
    extra: dict[str, Any] = {name: value for name, value in error.items() if name not in ("type", "message", "code")}
    extra["payment_intent"] = intent.json()
    return ApiError(
        402, "card_error", decline.message, decline.code, None, extra, headers={"stripe-should-retry": "false"}
    )


def _process(books: Books, intent: Intent, method: Method, outcome: Outcome) -> None:
    charge = _charge(books, intent, method, "pending")
    intent.status = "processing"
    books.notify("payment_intent.processing", intent)

    def end() -> None:
        if intent.status != "processing":
            return
        if outcome.ending is Ending.PROCESS_THEN_SUCCEED:
            _succeed(books, intent, charge)
        else:
            _fail(books, intent, method, charge, outcome.decline)

    books.after(outcome.settles_after, end)


def cancel(books: Books, intent: Intent, params: Json) -> Intent:
    """End a PaymentIntent for good. Raises ApiError where money has moved or is moving."""
    if intent.id in books.locked:
        raise lock_timeout()
    if intent.status not in _CANCELABLE:
        raise _unexpected(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(_CANCELABLE)}.",
        )
    intent.status = "canceled"
    intent.canceled_at = books.now()
    intent.cancellation_reason = params.get("cancellation_reason")
    intent.next_action = None
    books.notify("payment_intent.canceled", intent)
    return intent
