"""A stand-in for Stripe: stateful, driven by a clock, deterministic for a seed, and faulty on command.

It is reached over HTTP on the loopback (`async with standin.serve() as base_url`) or inside the process as an httpx
transport (`standin.transport()`). `successes()` says what really happened, whatever a client was answered.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from email.utils import format_datetime

from daemon.clock import Clock
from daemon.demo.standins.stripe import errors
from daemon.demo.standins.stripe.books import API_VERSION, Books
from daemon.demo.standins.stripe.errors import ApiError
from daemon.demo.standins.stripe.faults import Fault, Strike
from daemon.demo.standins.stripe.keys import IdempotencyKeys, Saved
from daemon.demo.standins.stripe.objects import Charge, Intent, Json, Method
from daemon.demo.standins.stripe.outcomes import Outcome
from daemon.demo.standins.stripe.params import check, decode
from daemon.demo.standins.stripe.routes import Route, find
from daemon.demo.standins.stripe.serving import Transport, serve
from daemon.demo.standins.stripe.wire import Exchange, Reply, Request

EVERYTHING = frozenset({"*"})

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode

Found = tuple[Route, dict[str, str]] | None


class StripeStandin:
    """One Stripe account in one mode.

    `keys` maps secret keys to permissions (`payment_intents.write`; `*` is everything). `credit` is called with a
    charge once its credit is due: `credit_lag(charge)` after it succeeded.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 0,
        api_key: str = "sk_test_123",
        credit: Callable[[Charge], None] | None = None,
        credit_lag: Callable[[Charge], timedelta] = lambda charge: timedelta(0),
    ) -> None:
        self.clock = clock
        self.keys: dict[str, frozenset[str]] = {api_key: EVERYTHING}
        self.books = Books(clock, seed=seed, livemode="_live_" in api_key)
        self.faults: list[Fault] = []
        self.exchanges: list[Exchange] = []
        self.idempotency = IdempotencyKeys()
        self._dated: tuple[datetime | None, str] = (None, "")
        self._credit = credit
        self._credit_lag = credit_lag
        self.books.on_succeeded = self._on_succeeded

    # --- setting the scene ------------------------------------------------------------------------------------

    def add_customer(self, id: str, *, card: str | None = None, outcome: Outcome | None = None) -> Method | None:
        """Make a customer; with `card`, its default payment method of that id."""
        self.books.add_customer(id, default_method=card)
        if card is None:
            return None
        method = self.books.add_method(card, customer=id)
        if outcome is not None:
            method.outcome = outcome
        return method

    def method(self, id: str) -> Method:
        return self.books.method(id)

    def fail(
        self, strike: Strike, endpoint: str = "*", *, nth: int = 1, times: int = 1, delay_s: float = 120.0
    ) -> Fault:
        """Let the `nth` request from now to `endpoint` meet a fault."""
        fault = Fault(strike, endpoint, nth, times, delay_s)
        self.faults.append(fault)
        return fault

    def next_outcome(self, method: str, outcome: Outcome) -> None:
        """Queue what the next charge of a card does."""
        self.books.method(method).queue.append(outcome)

    def settle(self) -> datetime | None:
        """Let happen what the clock has made due (late executions, processing, credits); say when the next is."""
        return self.books.settle()

    # --- the truth --------------------------------------------------------------------------------------------

    def successes(self, account: str | None = None) -> list[Charge]:
        """Every charge that took money, oldest first; those of one account by its metadata."""
        return [
            charge
            for charge in self.books.charges
            if charge.succeeded and (account is None or charge.metadata.get("account") == account)
        ]

    def intents(self, account: str | None = None) -> list[Intent]:
        """Every PaymentIntent, oldest first."""
        return [intent for intent in self.books.intents if account is None or intent.metadata.get("account") == account]

    def _on_succeeded(self, charge: Charge) -> None:
        credit = self._credit
        if credit is not None:
            self.books.after(self._credit_lag(charge), lambda: credit(charge))

    # --- being reached ----------------------------------------------------------------------------------------

    def transport(self, *, wait: Callable[[float], Awaitable[object]] | None = None) -> Transport:
        """An httpx transport inside the process. Without `wait` an answer that outlives the client's time-out raises
        `httpx.ReadTimeout` at once; with it (under virtual time, `asyncio.sleep`) it is waited for."""
        return Transport(self, wait)

    def serve(self, *, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve over HTTP on the loopback; yields the base URL."""
        return serve(self, port)

    def handle(self, request: Request) -> Reply:
        """Answer one request, as Stripe would or as a fault commands. Never raises."""
        self.settle()
        found = find(request.method, request.path)
        fault = self._fault(found[0].name if found else "unknown")
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        reply, params = self._reply(request, found, fault.strike if fault else None, key, fault)
        self.settle()
        answer = reply.answer
        self.exchanges.append(
            Exchange(
                self.clock.now(),
                found[0].name if found else "unknown",
                request.path,
                params,
                key,
                answer.status if answer and not reply.truncated else 0,
                bool(answer and "idempotent-replayed" in answer.headers),
                fault.strike if fault else None,
                _words(answer) if answer else "",
            )
        )
        return reply

    def _fault(self, endpoint: str) -> Fault | None:
        """The first fault that strikes; every waiting fault counts the request."""
        taken = [fault for fault in self.faults if fault.takes(endpoint)]
        self.faults = [fault for fault in self.faults if not fault.spent]
        return taken[0] if taken else None

    def _reply(
        self,
        request: Request,
        found: Found,
        strike: Strike | None,
        key: str | None,
        fault: Fault | None,
    ) -> tuple[Reply, Json]:
        params: Json = {}
        try:
            if strike is Strike.DROP:
                return Reply(None), params
            if strike is Strike.PROXY:
                return Reply(Saved(503, {"content-type": "text/html"}, b"<html><h1>503</h1></html>")), params
            self._authenticate(request, found, strike)
            if found is None:
                message = f"Unrecognized request URL ({request.method}: {request.path})."
                raise ApiError(404, "invalid_request_error", message, saved=False)
            route, path = found
            self._turn_away(strike, key)
            params = decode(request.body)
            if key is not None and len(key) > 255:
                raise errors.invalid("Idempotency keys hold at most 255 characters.")
            if key is None:
                return self._execute(route, path, params, None, fault), params
            saved = self.idempotency.begin(key, f"{request.method} {request.path}", request.body, self.clock.now())
            if saved is not None:
                replay = {
                    **saved.headers,
                    "idempotent-replayed": "true",
                    "original-request": saved.headers["request-id"],
                }
                replay |= {"request-id": self._request_id(), "date": self._date()}
                return _shape(strike, Saved(saved.status, replay, saved.body), fault), params
            return self._execute(route, path, params, key, fault), params
        except ApiError as error:
            return Reply(self._answer(error.status, error.body(), error.headers, key)), params

    def _authenticate(self, request: Request, found: Found, strike: Strike | None) -> None:
        secret = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        allowed = self.keys.get(secret)
        if allowed is None or strike is Strike.UNAUTHORIZED:
            raise errors.bad_key(secret)
        needed = found[0].permission if found else ""
        if strike is Strike.FORBIDDEN or ("*" not in allowed and needed not in allowed):
            raise errors.forbidden(secret, needed)

    def _turn_away(self, strike: Strike | None, key: str | None) -> None:
        if strike is Strike.KEY_IN_USE:
            raise errors.key_in_use(key or "")
        if strike is Strike.LOCK_TIMEOUT:
            raise errors.lock_timeout()
        if strike is Strike.RATE_LIMITED:
            raise errors.rate_limited()
        if strike is Strike.INVALID:
            raise errors.invalid("A parameter is refused.")
        if strike is Strike.KEY_MISMATCH:
            raise errors.key_mismatch(key or "", "with the same parameters")
        if strike is Strike.UNEXPECTED_STATE:
            raise errors.invalid("Its status allows no such call.", code="payment_intent_unexpected_state")

    # --- executing --------------------------------------------------------------------------------------------

    def _execute(self, route: Route, path: dict[str, str], params: Json, key: str | None, fault: Fault | None) -> Reply:
        """Run the endpoint, now or later, and keep its answer with the key."""
        strike = fault.strike if fault else None
        delay = fault.delay_s if fault else 0.0
        try:
            checked = check(route.params, params)
        except ApiError:
            if key is not None:
                self.idempotency.release(key)
            raise
        if strike is Strike.LATE:
            lock = path.get("id", "")
            if lock and route.method == "POST":
                self.books.locked.add(lock)

            def arrive() -> None:
                self.books.locked.discard(lock)
                self._keep(key, self._run(route, path, checked, key))

            self.books.after(timedelta(seconds=delay), arrive)
            return Reply(None, wait_s=delay)
        if strike in (Strike.FAIL_500, Strike.ROLL_FORWARD):
            failed = self._answer(500, errors.api_error().body(), {"stripe-should-retry": "true"}, key)
            self._keep(key, (failed, True))
            if strike is Strike.ROLL_FORWARD:
                self.books.after(timedelta(seconds=delay), lambda: self._roll_forward(route, path, checked))
            return Reply(failed)
        answer, saved = self._run(route, path, checked, key)
        if strike is Strike.COMMIT_THEN_500:
            answer, saved = self._answer(500, errors.api_error().body(), {"stripe-should-retry": "true"}, key), True
        self._keep(key, (answer, saved))
        return _shape(strike, answer, fault)

    def _run(self, route: Route, path: dict[str, str], params: Json, key: str | None) -> tuple[Saved, bool]:
        expand = params.get("expand", [])
        try:
            body = self.books.expand(route.run(self.books, path, params), expand)
            return self._answer(200, body, {}, key), True
        except ApiError as error:
            return self._answer(error.status, error.body(), error.headers, key), error.saved

    def _roll_forward(self, route: Route, path: dict[str, str], params: Json) -> None:
        try:
            route.run(self.books, path, params)
        except ApiError:
            return

    def _keep(self, key: str | None, outcome: tuple[Saved, bool]) -> None:
        answer, saved = outcome
        if key is None:
            return
        if saved:
            self.idempotency.save(key, answer)
        else:
            self.idempotency.release(key)

    def _answer(self, status: int, body: Json, headers: Mapping[str, str], key: str | None) -> Saved:
        sent = {
            "content-type": "application/json",
            "date": self._date(),
            "request-id": self._request_id(),
            "stripe-version": API_VERSION,
        }
        if key is not None:
            sent["idempotency-key"] = key
        return Saved(status, {**sent, **headers}, _ENCODE(body).encode())

    def _date(self) -> str:
        second = self.clock.now().replace(microsecond=0)
        if second != self._dated[0]:
            self._dated = (second, format_datetime(second, usegmt=True))
        return self._dated[1]

    def _request_id(self) -> str:
        return self.books.new_id("req", 14)


def _words(answer: Saved) -> str:
    """What an error says; empty for an answer that is none, or a proxy's page."""
    if answer.status < 400 or answer.headers.get("content-type") != "application/json":
        return ""
    return str(json.loads(answer.body)["error"]["message"])


def _shape(strike: Strike | None, answer: Saved, fault: Fault | None) -> Reply:
    """What the client gets to see of an answer that was given."""
    match strike:
        case Strike.COMMIT_THEN_DROP:
            return Reply(None)
        case Strike.SLOW:
            return Reply(answer, wait_s=fault.delay_s if fault else 0.0)
        case Strike.GARBAGE:
            return Reply(Saved(200, {"content-type": "text/html"}, b"<html>welcome</html>"))
        case Strike.EMPTY_LIST:
            return Reply(Saved(200, answer.headers, b"[]"))
        case Strike.TRUNCATED:
            return Reply(answer, truncated=True)
        case _:
            return Reply(answer)
