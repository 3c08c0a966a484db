"""The endpoints: which URL is which, what each takes and does, and how lists are paged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from daemon.demo.standins.stripe import payments
from daemon.demo.standins.stripe.books import EVENTS_KEPT_FOR, Books
from daemon.demo.standins.stripe.errors import invalid, missing
from daemon.demo.standins.stripe.objects import Charge, Dispute, Intent, Json, Method, Notice, Refund, unix

_PAGE = 10
_LARGEST_PAGE = 100
_MOST_TYPES = 20

Listed = Intent | Charge | Notice | Refund | Dispute


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `name` is what faults and key permissions go by; `params` its class in `stripe.params`."""

    name: str
    method: str
    pattern: re.Pattern[str]
    params: str
    run: Callable[[Books, dict[str, str], Json], Json]

    @property
    def permission(self) -> str:
        """The permission that a restricted key needs: `payment_intents.write`."""
        return f"{self.name.split('.')[0]}.{'write' if self.method == 'POST' else 'read'}"


def _retrieve(prefix: str) -> Callable[[Books, dict[str, str], Json], Json]:
    return lambda books, path, params: books.resource(prefix, path["id"]).json()


def _create(books: Books, path: dict[str, str], params: Json) -> Json:
    return payments.create(books, params).json()


def _confirm(books: Books, path: dict[str, str], params: Json) -> Json:
    return payments.confirm(books, books.intent(path["id"]), params).json()


def _cancel(books: Books, path: dict[str, str], params: Json) -> Json:
    return payments.cancel(books, books.intent(path["id"]), params).json()


def _intents(books: Books, path: dict[str, str], params: Json) -> Json:
    customer = params.get("customer")
    if customer is not None:
        books.customer(customer)
    chosen = [intent for intent in books.intents if customer is None or intent.customer == customer]
    return page("/v1/payment_intents", chosen, params, "payment_intent")


def _charges(books: Books, path: dict[str, str], params: Json) -> Json:
    intent, customer = params.get("payment_intent"), params.get("customer")
    if intent is not None and not isinstance(books.objects.get(intent), Intent):
        raise missing("payment_intent", intent, param="payment_intent")
    if customer is not None:
        books.customer(customer)
    chosen = [
        charge
        for charge in books.charges
        if (intent is None or charge.intent == intent) and (customer is None or charge.customer == customer)
    ]
    return page("/v1/charges", chosen, params, "charge")


def _refunds(books: Books, path: dict[str, str], params: Json) -> Json:
    return page("/v1/refunds", _of_payment(books.refunds, params), params, "refund")


def _disputes(books: Books, path: dict[str, str], params: Json) -> Json:
    return page("/v1/disputes", _of_payment(books.disputes, params), params, "dispute")


def _of_payment(items: Sequence[Refund] | Sequence[Dispute], params: Json) -> list[Refund | Dispute]:
    intent, charge = params.get("payment_intent"), params.get("charge")
    return [
        item
        for item in items
        if (intent is None or item.intent == intent) and (charge is None or item.charge == charge)
    ]


def _events(books: Books, path: dict[str, str], params: Json) -> Json:
    types, pattern = params.get("types"), params.get("type")
    if types is not None and pattern is not None:
        raise invalid("You may only specify one of these parameters: type, types.")
    if types is not None and len(types) > _MOST_TYPES:
        raise invalid("You can only specify up to 20 types.", param="types")
    oldest = books.now() - EVENTS_KEPT_FOR
    chosen = [
        notice
        for notice in books.notices
        if notice.at >= oldest
        and (types is None or notice.type in types)
        and (pattern is None or fnmatchcase(notice.type, pattern))
    ]
    return page("/v1/events", chosen, params, "event")


def _methods(books: Books, path: dict[str, str], params: Json) -> Json:
    customer = path.get("id") or params.get("customer")
    kind = params.get("type")
    if customer is not None:
        books.customer(customer)
    chosen = [
        method
        for method in books.methods
        if method.customer == customer and method.customer is not None and (kind is None or method.type == kind)
    ]
    return {"object": "list", "url": "/v1/payment_methods", "has_more": False, "data": _newest_first(chosen)}


def _newest_first(methods: list[Method]) -> list[Json]:
    return [method.json() for method in reversed(methods)]


def page(url: str, items: Sequence[Listed], params: Json, noun: str) -> Json:
    """Return one page, newest first, with the cursors and the `created` filter of Stripe's lists."""
    limit = params.get("limit", _PAGE)
    if not 1 <= limit <= _LARGEST_PAGE:
        raise invalid("This value must be between 1 and 100.", code="parameter_invalid_integer", param="limit")
    newest = [item for item in reversed(items) if _within(item, params.get("created"))]
    start, end = params.get("starting_after"), params.get("ending_before")
    if start is not None and end is not None:
        raise invalid("You may only specify one of these parameters: ending_before, starting_after.")
    ids = [item.id for item in newest]
    for name, cursor in (("starting_after", start), ("ending_before", end)):
        if cursor is not None and cursor not in ids:
            raise missing(noun, cursor, param=name)
    if end is not None:
        before = newest[: ids.index(end)]
        shown, more = before[-limit:], len(before) > limit
    else:
        rest = newest[ids.index(start) + 1 :] if start is not None else newest
        shown, more = rest[:limit], len(rest) > limit
    return {"object": "list", "url": url, "has_more": more, "data": [item.json() for item in shown]}


def _within(item: Listed, created: int | dict[str, int] | None) -> bool:
    if created is None:
        return True
    at = unix(item.created_at if isinstance(item, Intent) else item.at)
    if isinstance(created, int):
        return at == created
    return (
        at > created.get("gt", at - 1)
        and at >= created.get("gte", at)
        and at < created.get("lt", at + 1)
        and at <= created.get("lte", at)
    )


def _route(name: str, method: str, path: str, params: str, run: Callable[[Books, dict[str, str], Json], Json]) -> Route:
    pattern = re.compile("^/v1/" + path.replace("{id}", r"(?P<id>[^/]+)") + "$")
    return Route(name, method, pattern, params, run)


ROUTES: tuple[Route, ...] = (
    _route("payment_intents.create", "POST", "payment_intents", "PaymentIntentCreateParams", _create),
    _route("payment_intents.list", "GET", "payment_intents", "PaymentIntentListParams", _intents),
    _route("payment_intents.confirm", "POST", "payment_intents/{id}/confirm", "PaymentIntentConfirmParams", _confirm),
    _route("payment_intents.cancel", "POST", "payment_intents/{id}/cancel", "PaymentIntentCancelParams", _cancel),
    _route("payment_intents.retrieve", "GET", "payment_intents/{id}", "PaymentIntentRetrieveParams", _retrieve("pi")),
    _route("customers.retrieve", "GET", "customers/{id}", "CustomerRetrieveParams", _retrieve("cus")),
    _route(
        "payment_methods.list", "GET", "customers/{id}/payment_methods", "CustomerPaymentMethodListParams", _methods
    ),
    _route("payment_methods.list", "GET", "payment_methods", "PaymentMethodListParams", _methods),
    _route("payment_methods.retrieve", "GET", "payment_methods/{id}", "PaymentMethodRetrieveParams", _retrieve("pm")),
    _route("events.list", "GET", "events", "EventListParams", _events),
    _route("events.retrieve", "GET", "events/{id}", "EventRetrieveParams", _retrieve("evt")),
    _route("charges.list", "GET", "charges", "ChargeListParams", _charges),
    _route("charges.retrieve", "GET", "charges/{id}", "ChargeRetrieveParams", _retrieve("ch")),
    _route("refunds.list", "GET", "refunds", "RefundListParams", _refunds),
    _route("refunds.retrieve", "GET", "refunds/{id}", "RefundRetrieveParams", _retrieve("re")),
    _route("disputes.list", "GET", "disputes", "DisputeListParams", _disputes),
    _route("disputes.retrieve", "GET", "disputes/{id}", "DisputeRetrieveParams", _retrieve("dp")),
)


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the endpoint of a URL with the values in its path."""
    for route in ROUTES:
        if route.method == method and (match := route.pattern.match(path)):
            return route, match.groupdict()
    return None
