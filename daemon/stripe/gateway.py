"""The gateway: the one place that talks to Stripe, by its SDK on our own HTTP client.

Every call returns an `Answered` or a `Refused` and never raises: each error of the SDK, odd body and network failure is
mapped to an `AnswerKind`. Retries are ours, not the SDK's; telemetry is off; the idempotency key goes into the options.
Every object's `livemode` is compared with the configured mode.

    StripeError …… by HTTP status, then type and code; any other exception, and any unreadable body ▸ UNKNOWN
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Protocol, TypeVar
from urllib.parse import quote_plus

import stripe

from alerts.model.instants import to_ms
from daemon import journal
from daemon.clock import Clock
from daemon.config.model import StripeConfig, StripeMode
from daemon.jobs import note_progress
from daemon.net.http import HttpClient, HttpFailure
from daemon.stripe.answers import REFUSED_KEY, Answered, AnswerKind, Outcome, Refused
from daemon.stripe.objects import (
    Charge,
    Customer,
    Deleted,
    Page,
    PaymentIntent,
    PaymentMethod,
    StripeEvent,
    Unreadable,
    read_charge,
    read_customer,
    read_error,
    read_event,
    read_intent,
    read_method,
    read_page,
)

stripe.enable_telemetry = False  # it would write a file into the home directory

TIME_VALID_FOR = timedelta(minutes=5)
"""How long Stripe's time from its last answer is used: our clock may be set meanwhile."""
DEADLINE_S = 30.0
"""One exchange with Stripe, from connecting to the last byte: a confirm waits for the bank."""
BODY_BYTES = 4_000_000
PAGE_SIZE = 100
REFUND_EVENTS = ["charge.refunded", "charge.dispute.created"]
_ODD = (AttributeError, TypeError, LookupError, ValueError, RecursionError)
"""What the SDK raises for unexpected bodies (`"error": "text"`, `[]`, `null`)."""

T = TypeVar("T")
_Object = TypeVar("_Object", PaymentIntent, Charge, PaymentMethod, Customer, StripeEvent)


class Gateway(Protocol):
    """The Stripe calls of the top-ups. `params`: the exact parameters recorded in the ledger."""

    def stripe_now(self, now: datetime) -> datetime | None: ...
    async def send(self, kind: str, intent: str | None, params: Mapping[str, Any], key: str) -> Outcome: ...
    async def create(self, params: Mapping[str, Any], key: str) -> Outcome: ...
    async def confirm(self, intent: str, params: Mapping[str, Any], key: str) -> Outcome: ...
    async def cancel(self, intent: str, params: Mapping[str, Any], key: str) -> Outcome: ...
    async def retrieve(self, intent: str) -> Outcome: ...
    async def intents(
        self, customer: str, after: str | None = None, limit: int = PAGE_SIZE
    ) -> Answered[Page[PaymentIntent]] | Refused: ...
    async def charges(self, intent: str) -> Answered[Page[Charge]] | Refused: ...
    async def charges_of(
        self, customer: str, since: datetime, after: str | None = None
    ) -> Answered[Page[Charge]] | Refused: ...
    async def events(
        self, *, newer_than: str | None = None, older_than: str | None = None
    ) -> Answered[Page[StripeEvent]] | Refused: ...
    async def default_method(self, customer: str) -> Answered[str | None] | Refused: ...
    async def method(self, method: str) -> Answered[PaymentMethod] | Refused: ...


class StripeGateway:
    """`Gateway` with the SDK. The HTTP client is shared; its creator closes it."""

    def __init__(self, config: StripeConfig, http: HttpClient, clock: Clock) -> None:
        self._livemode = config.mode is StripeMode.LIVE
        key = config.api_key.get_secret_value()
        problem = key_problem(key, config.mode)
        if problem:
            raise ValueError(problem)
        self._transport = _SharedClient(http, clock)
        self._client = stripe.StripeClient(
            key,
            http_client=self._transport,
            base_addresses={"api": config.api_base.rstrip("/")},
            max_network_retries=0,
        )

    def stripe_now(self, now: datetime) -> datetime | None:
        """Return the time of Stripe's clock at `now`, from the `Date` of its last answer; None without a recent one."""
        answered_at, ahead = self._transport.answered_at, self._transport.ahead
        if answered_at is None or not timedelta() <= now - answered_at <= TIME_VALID_FOR:
            return None
        return now + ahead

    async def send(self, kind: str, intent: str | None, params: Mapping[str, Any], key: str) -> Outcome:
        """Send a request that the ledger holds: a create, or the confirm or cancel of a PaymentIntent."""
        if kind == "create":
            return await self.create(params, key)
        assert intent is not None, "what is confirmed or canceled was created"
        return await (self.confirm if kind == "confirm" else self.cancel)(intent, params, key)

    async def create(self, params: Mapping[str, Any], key: str) -> Outcome:
        """Create a PaymentIntent; moves no money."""
        asked: Any = _in_order(params)
        return await self._ask(
            "payment_intents.create",
            lambda: self._client.v1.payment_intents.create_async(asked, {"idempotency_key": key}),
            self._intent,
        )

    async def confirm(self, intent: str, params: Mapping[str, Any], key: str) -> Outcome:
        """Confirm a PaymentIntent: the only call that moves money."""
        asked: Any = _in_order(params)
        return await self._ask(
            "payment_intents.confirm",
            lambda: self._client.v1.payment_intents.confirm_async(intent, asked, {"idempotency_key": key}),
            self._intent,
        )

    async def cancel(self, intent: str, params: Mapping[str, Any], key: str) -> Outcome:
        """Cancel a PaymentIntent, so that it can never be charged."""
        asked: Any = _in_order(params)
        return await self._ask(
            "payment_intents.cancel",
            lambda: self._client.v1.payment_intents.cancel_async(intent, asked, {"idempotency_key": key}),
            self._intent,
        )

    async def retrieve(self, intent: str) -> Outcome:
        """Read a PaymentIntent back by its id, with its latest charge."""
        params: Any = {"expand": ["latest_charge"]}
        return await self._ask(
            "payment_intents.retrieve", self._get(f"payment_intents/{quote_plus(intent)}", params), self._intent
        )

    async def intents(
        self, customer: str, after: str | None = None, limit: int = PAGE_SIZE
    ) -> Answered[Page[PaymentIntent]] | Refused:
        """List a customer's PaymentIntents, newest first: a list shows the latest writes, a search may not."""
        params: Any = {"customer": customer, "limit": limit, "expand": ["data.latest_charge"]}
        if after is not None:
            params["starting_after"] = after
        return await self._ask(
            "payment_intents.list",
            self._get("payment_intents", params),
            lambda data: read_page(data, self._intent),
        )

    async def charges(self, intent: str) -> Answered[Page[Charge]] | Refused:
        """List the charges of a PaymentIntent: every attempt on the card."""
        params: Any = {"payment_intent": intent, "limit": PAGE_SIZE}
        return await self._ask(
            "charges.list",
            self._get("charges", params),
            lambda data: read_page(data, lambda item: self._in_mode(read_charge(item))),
        )

    async def charges_of(
        self, customer: str, since: datetime, after: str | None = None
    ) -> Answered[Page[Charge]] | Refused:
        """List a customer's charges since then by Stripe's clock, newest first; unreadable ones are left out.

        Other systems may have made them, so an unreadable one is no error.
        """
        params: Any = {"customer": customer, "created": {"gte": to_ms(since) // 1000}, "limit": PAGE_SIZE}
        if after is not None:
            params["starting_after"] = after
        return await self._ask(
            "charges.list",
            self._get("charges", params),
            lambda data: read_page(data, read_charge, lenient=True),
        )

    async def events(
        self, *, newer_than: str | None = None, older_than: str | None = None
    ) -> Answered[Page[StripeEvent]] | Refused:
        """List refunds and disputes, a page beside a cursor."""
        params: Any = {"types": REFUND_EVENTS, "limit": PAGE_SIZE}
        if newer_than is not None:
            params["ending_before"] = newer_than
        if older_than is not None:
            params["starting_after"] = older_than
        return await self._ask(
            "events.list",
            self._get("events", params),
            lambda data: read_page(data, lambda item: self._in_mode(read_event(item))),
        )

    async def default_method(self, customer: str) -> Answered[str | None] | Refused:
        """Return the customer's default payment method."""
        return await self._ask(
            "customers.retrieve",
            self._get(f"customers/{quote_plus(customer)}", {}),
            lambda data: self._in_mode(read_customer(data)).default_method,
        )

    async def method(self, method: str) -> Answered[PaymentMethod] | Refused:
        """Return a payment method with its card's fingerprint."""
        return await self._ask(
            "payment_methods.retrieve",
            self._get(f"payment_methods/{quote_plus(method)}", {}),
            lambda data: self._in_mode(read_method(data)),
        )

    def _get(self, path: str, params: Mapping[str, Any]) -> Callable[[], Awaitable[Any]]:
        """Return a raw GET request: building the SDK's objects would cost time for nothing."""
        return lambda: self._client.raw_request_async("get", f"/v1/{path}", **params)

    def _intent(self, data: Any) -> PaymentIntent:
        return self._in_mode(read_intent(data))

    def _in_mode(self, value: _Object) -> _Object:
        if value.livemode is not self._livemode:
            raise _OtherMode(value.id)
        return value

    async def _ask(
        self, name: str, call: Callable[[], Awaitable[Any]], read: Callable[[Any], T]
    ) -> Answered[T] | Refused:
        """Make one call, write its line, and map whatever comes of it. Cancellation alone passes through."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        came = await self._call(call, read)
        refused = came if isinstance(came, Refused) else None
        journal.stripe(
            name,
            ms=int((loop.time() - started_s) * 1000),
            status=came.http_status,
            request_id=came.request_id,
            refused=refused.kind.value if refused is not None else "",
            detail=refused.message if refused is not None else "",
            dead=came.kind in REFUSED_KEY,
        )
        note_progress()
        return came

    async def _call(self, call: Callable[[], Awaitable[Any]], read: Callable[[Any], T]) -> Answered[T] | Refused:
        try:
            answer = await call()
            response = answer if isinstance(answer, stripe.StripeResponse) else answer.last_response
            value = read(response.data)
        except stripe.StripeError as error:
            return refusal(error)
        except _OtherMode as error:
            return Refused(AnswerKind.WRONG_MODE, f"{error} is of the other mode (livemode)")
        except Deleted as error:
            return Refused(AnswerKind.MISSING, str(error))
        except Unreadable as error:
            return Refused(AnswerKind.UNKNOWN, f"unreadable answer: {error}")
        except _ODD as error:
            return Refused(AnswerKind.UNKNOWN, f"unreadable answer: {type(error).__name__}")
        replayed = response.headers.get("idempotent-replayed") == "true"
        return Answered(value, response.request_id, response.code, replayed)


def _in_order(value: Any) -> Any:
    """Return the parameters sorted by name, so that equal parameters are equal bytes for the idempotency key."""
    return {name: _in_order(value[name]) for name in sorted(value)} if isinstance(value, Mapping) else value


class _OtherMode(Exception):  # noqa: N818 – a state of the object
    """An object's livemode is not the configured mode."""


def key_problem(key: str, mode: StripeMode) -> str | None:
    """Return why a key cannot be used in this mode, or None. Only secret and restricted keys can charge."""
    prefix, _, rest = key.partition("_")
    if prefix not in ("sk", "rk"):
        return "only a secret (sk_) or restricted (rk_) key can charge unattended"
    if rest.partition("_")[0] != mode.value:
        return f"the key is not a {mode.value} key, but mode = {mode.value!r}"
    return None


def refusal(error: stripe.StripeError) -> Refused:
    """Map an error of the SDK by the HTTP status, then by the error's type and code, not by the SDK's classes."""
    status = error.http_status
    body = error.json_body if isinstance(error.json_body, Mapping) else {}
    inner = body.get("error")
    said: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    kind = _kind(status, str(said.get("type") or ""), str(said.get("code") or ""), bool(said))
    headers = error.headers or {}
    advice = headers.get("stripe-should-retry")
    return Refused(
        kind,
        str(said.get("message") or error.user_message or type(error).__name__)[:500],
        status,
        error.request_id,
        read_error(said) if kind is AnswerKind.DECLINED else None,
        None if advice is None else advice == "true",
    )


def _kind(status: int | None, type_: str, code: str, readable: bool) -> AnswerKind:
    if status is None or status < 400:
        return AnswerKind.UNKNOWN
    if status >= 500:
        return AnswerKind.SERVER_ERROR
    if status == 429:
        return AnswerKind.RATE_LIMITED
    if not readable:
        return AnswerKind.UNKNOWN  # a proxy's page: Stripe may not have been reached
    if status == 409:
        return AnswerKind.KEY_IN_USE
    if status == 401:
        return AnswerKind.UNAUTHORIZED
    if status == 403:
        return AnswerKind.FORBIDDEN
    if type_ == "idempotency_error":
        return AnswerKind.OTHER_PARAMETERS
    if status == 402 and type_ == "card_error":
        return AnswerKind.DECLINED
    if code == "payment_intent_unexpected_state":
        return AnswerKind.UNEXPECTED_STATE
    if code == "resource_missing":
        return AnswerKind.INTENT_MISSING if status == 404 else AnswerKind.MISSING
    return AnswerKind.BAD_REQUEST


class _SharedClient(stripe.HTTPClient):
    """The SDK's transport with our HTTP client. A failure is an `APIConnectionError`; it never means "not sent"."""

    name = "brimful"

    def __init__(self, http: HttpClient, clock: Clock) -> None:
        super().__init__()
        self._http = http
        self._clock = clock
        self.ahead = timedelta(0)
        """How far Stripe's clock was ahead of ours, at `answered_at` by ours."""
        self.answered_at: datetime | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content = post_data.encode() if isinstance(post_data, str) else post_data
        try:
            answer = await self._http.exchange(
                method.upper(),
                url,
                headers=dict(headers or {}),
                content=content,
                deadline_s=DEADLINE_S,
                max_bytes=BODY_BYTES,
            )
        except HttpFailure as failure:
            raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]  # the SDK's own constructor
                f"{failure.kind}: {failure.detail}", should_retry=False
            ) from failure
        self._compare_clocks(answer.headers.get("date"))
        return answer.body, answer.status, answer.headers

    def _compare_clocks(self, said: str | None) -> None:
        now = self._clock.now()
        try:
            self.ahead = parsedate_to_datetime(said or "") - now
        except (ValueError, TypeError, OverflowError):
            return
        self.answered_at = now

    def request(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("Stripe is asked asynchronously only")

    def sleep_async(self, secs: float) -> Awaitable[None]:
        return self._clock.sleep(secs)

    async def close_async(self) -> None:
        """Do nothing: the client is shared."""

    def close(self) -> None:
        """Do nothing: the client is shared."""
