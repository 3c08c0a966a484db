"""The stand-in is held to what Stripe documents, through the real SDK over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from daemon.clock import ManualClock
from daemon.demo.standins.stripe import AUTHENTICATE, DECLINES, Charge, Strike, StripeStandin, declined, processing

START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}
OFF_SESSION: dict[str, Any] = {"payment_method": "pm_1", "off_session": True, "error_on_requires_action": True}


@dataclass
class Shop:
    """A stand-in with one customer and card, and the SDK's client of it."""

    standin: StripeStandin
    clock: ManualClock
    client: stripe.StripeClient
    base_url: str

    async def create(self, *, key: str | None = None, **changes: Any) -> stripe.PaymentIntent:
        params: dict[str, Any] = {
            "amount": 5000,
            "currency": "usd",
            "customer": "cus_1",
            "payment_method": "pm_1",
            "automatic_payment_methods": NO_REDIRECTS,
            "metadata": {"app": "brimful", "account": "clips", "seq": "1"},
            **changes,
        }
        params = {name: value for name, value in params.items() if value is not None}
        options: Any = {"idempotency_key": key} if key else {}
        return await self.client.v1.payment_intents.create_async(params, options)  # type: ignore[arg-type]  # on purpose

    async def confirm(self, id: str, *, key: str | None = None, **changes: Any) -> stripe.PaymentIntent:
        options: Any = {"idempotency_key": key} if key else {}
        params: Any = {**OFF_SESSION, **changes}
        return await self.client.v1.payment_intents.confirm_async(id, params, options)

    async def read(self, id: str) -> stripe.PaymentIntent:
        return await self.client.v1.payment_intents.retrieve_async(id)


@asynccontextmanager
async def open_shop(**options: Any) -> AsyncIterator[Shop]:
    clock = ManualClock(START)
    standin = StripeStandin(clock, seed=7, **options)
    standin.add_customer("cus_1", card="pm_1")
    stripe.enable_telemetry = False
    async with standin.serve() as base_url, httpx.AsyncClient(timeout=2.0, trust_env=False) as raw:
        client = stripe.StripeClient(
            "sk_test_123", http_client=_Sdk(raw), base_addresses={"api": base_url}, max_network_retries=0
        )
        yield Shop(standin, clock, client, base_url)


class _Sdk(stripe.HTTPClient):
    """The SDK on an httpx client, with no retries of its own."""

    name = "httpx"

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__()
        self._client = client

    async def request_async(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        try:
            answer = await self._client.request(method.upper(), url, headers=dict(headers), content=post_data)
        except httpx.HTTPError as error:
            failed = stripe.APIConnectionError(type(error).__name__, should_retry=False)  # type: ignore[no-untyped-call]
            raise failed from error
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        return None


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def test_a_confirmed_intent_has_charged_once(shop: Shop) -> None:
    intent = await shop.create()
    assert (intent.status, intent.livemode, intent.latest_charge) == ("requires_confirmation", False, None)
    done = await shop.confirm(intent.id)
    assert (done.status, done.amount_received) == ("succeeded", 5000)
    [charge] = shop.standin.successes("clips")
    assert (charge.id, charge.amount, charge.intent) == (done.latest_charge, 5000, intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.confirm(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert len(shop.standin.successes()) == 1


async def test_the_same_key_answers_the_same_and_says_so(shop: Shop) -> None:
    first = await shop.create(key="k1")
    again = await shop.create(key="k1")
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert first.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers
    assert len(shop.standin.intents()) == 1


async def test_the_same_key_with_other_parameters_is_refused(shop: Shop) -> None:
    await shop.create(key="k1")
    with pytest.raises(stripe.IdempotencyError) as refused:
        await shop.create(key="k1", amount=6000)
    assert refused.value.http_status == 400


async def test_a_key_is_forgotten_after_24_hours(shop: Shop) -> None:
    first = await shop.create(key="k1")
    shop.clock.advance(24 * 3600 - 1)
    assert (await shop.create(key="k1")).id == first.id
    shop.clock.advance(1)
    assert (await shop.create(key="k1")).id != first.id


async def test_a_request_that_fails_validation_leaves_its_key_unused(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.create(key="k1", nonsense=1)
    assert refused.value.code == "parameter_unknown"
    assert (await shop.create(key="k1")).status == "requires_confirmation"


async def test_a_decline_is_saved_with_its_key(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.next_outcome("pm_1", declined("insufficient_funds"))
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            await shop.confirm(intent.id, key="c1")
    assert [charge.status for charge in shop.standin.books.charges] == ["failed"]
    assert (await shop.confirm(intent.id, key="c2")).status == "succeeded"


async def test_a_500_is_saved_with_its_key_though_the_charge_was_made(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.fail(Strike.COMMIT_THEN_500, "payment_intents.confirm")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await shop.confirm(intent.id, key="c1")
    assert (await shop.read(intent.id)).status == "succeeded"
    assert len(shop.standin.successes()) == 1


@pytest.mark.parametrize("name", sorted(DECLINES))
async def test_every_decline_comes_in_stripes_own_shape(name: str) -> None:
    async with open_shop() as shop:
        intent = await shop.create()
        shop.standin.next_outcome("pm_1", declined(name))
        with pytest.raises(stripe.CardError) as caught:
            await shop.confirm(intent.id)
        known = DECLINES[name]
        error: Any = caught.value.error
        assert (caught.value.http_status, error.code) == (402, known.code)
        assert getattr(error, "decline_code", None) == known.decline_code
        assert getattr(error, "advice_code", None) == known.advice_code
        read: Any = await shop.read(intent.id)
        assert (read.status, read.payment_method) == ("requires_payment_method", None)
        assert read.last_payment_error.payment_method.card.fingerprint == shop.standin.method("pm_1").fingerprint
        assert read.last_payment_error.charge == read.latest_charge


async def test_a_declined_intent_wants_its_payment_method_again(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.next_outcome("pm_1", declined("generic_decline"))
    with pytest.raises(stripe.CardError):
        await shop.confirm(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.client.v1.payment_intents.confirm_async(intent.id, {"off_session": True})
    assert refused.value.code == "payment_intent_unexpected_state"
    assert (await shop.confirm(intent.id)).status == "succeeded"


async def test_without_redirects_switched_off_a_confirm_must_name_a_return_url(shop: Shop) -> None:
    intent = await shop.create(automatic_payment_methods=None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.confirm(intent.id)
    assert refused.value.param == "return_url"
    assert shop.standin.successes() == []
    cards = await shop.create(automatic_payment_methods=None, allowed_payment_method_types=["card"])
    assert (await shop.confirm(cards.id)).status == "succeeded"


async def test_payment_method_types_are_refused_at_the_pinned_version(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.create(automatic_payment_methods=None, payment_method_types=["card"])
    assert refused.value.code == "payment_method_types_no_longer_supported"


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": "50.0"}, "parameter_invalid_integer", "amount"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"idempotency_key": "k"}, "parameter_unknown", "idempotency_key"),
        ({"payment_method_options": {"card": {"nope": 1}}}, "parameter_unknown", "payment_method_options[card][nope]"),
        ({"metadata": {"a": {"b": 1}}}, None, "metadata[a]"),
        ({"capture_method": "auto"}, None, "capture_method"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"off_session": True}, None, "off_session"),
    ],
)
async def test_parameters_are_held_to_the_types_of_the_sdk(
    shop: Shop, changes: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.create(**changes)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert shop.standin.intents() == []


async def test_authentication_is_asked_for_or_declined_as_the_caller_wishes(shop: Shop) -> None:
    shop.standin.method("pm_1").outcome = AUTHENTICATE
    intent = await shop.create()
    with pytest.raises(stripe.CardError) as caught:
        await shop.confirm(intent.id)
    assert caught.value.code == "authentication_required"
    assert (await shop.read(intent.id)).status == "requires_payment_method"
    present = await shop.client.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_1"})
    assert present.status == "requires_action"
    assert (await shop.client.v1.payment_intents.cancel_async(intent.id)).status == "canceled"


@pytest.mark.parametrize(("fails", "status"), [(False, "succeeded"), (True, "requires_payment_method")])
async def test_processing_ends_when_the_clock_says(shop: Shop, fails: bool, status: str) -> None:
    shop.standin.next_outcome("pm_1", processing(then_fails=fails, after=timedelta(minutes=90)))
    intent = await shop.create()
    assert (await shop.confirm(intent.id)).status == "processing"
    with pytest.raises(stripe.InvalidRequestError):
        await shop.client.v1.payment_intents.cancel_async(intent.id)
    shop.clock.advance(89 * 60)
    assert (await shop.read(intent.id)).status == "processing"
    shop.clock.advance(60)
    assert (await shop.read(intent.id)).status == status
    assert len(shop.standin.successes()) == (0 if fails else 1)


async def test_manual_capture_takes_no_money(shop: Shop) -> None:
    intent = await shop.create(capture_method="manual")
    assert (await shop.confirm(intent.id)).status == "requires_capture"
    assert shop.standin.successes() == []


async def test_lists_are_newest_first_and_paged(shop: Shop) -> None:
    made = []
    for minute in range(7):
        shop.clock.set(START + timedelta(minutes=minute))
        made.append((await shop.create(metadata={"n": str(minute)})).id)
    page = await shop.client.v1.payment_intents.list_async({"customer": "cus_1", "limit": 3})
    assert [item.id for item in page.data] == made[:3:-1]
    assert page.has_more
    assert [item.id async for item in page.auto_paging_iter()] == made[::-1]
    last = await shop.client.v1.payment_intents.list_async({"limit": 3, "starting_after": made[2]})
    assert ([item.id for item in last.data], last.has_more) == ([made[1], made[0]], False)
    since = int((START + timedelta(minutes=5)).timestamp())
    recent = await shop.client.v1.payment_intents.list_async({"created": {"gte": since}})
    assert [item.id for item in recent.data] == [made[6], made[5]]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.client.v1.payment_intents.list_async({"starting_after": "pi_none"})
    assert refused.value.code == "resource_missing"


async def test_charges_refunds_disputes_and_events_can_be_read(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.next_outcome("pm_1", declined("do_not_honor"))
    with pytest.raises(stripe.CardError):
        await shop.confirm(intent.id)
    await shop.confirm(intent.id)
    charges = await shop.client.v1.charges.list_async({"payment_intent": intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]
    [truth] = shop.standin.successes()
    shop.clock.advance(60)
    shop.standin.books.refund(truth, 2000)
    shop.standin.books.dispute(truth)
    read = await shop.client.v1.charges.retrieve_async(truth.id)
    assert (read.amount_refunded, read.refunded, read.disputed) == (2000, False, True)
    events = await shop.client.v1.events.list_async({"types": ["charge.refunded", "charge.dispute.created"]})
    assert [event.type for event in events.data] == ["charge.dispute.created", "charge.refunded"]
    event = await shop.client.v1.events.retrieve_async(events.data[1].id)
    assert event.data.object["payment_intent"] == intent.id
    refunds = await shop.client.v1.refunds.list_async({"payment_intent": intent.id})
    assert [refund.amount for refund in refunds.data] == [2000]
    assert len((await shop.client.v1.disputes.list_async({"charge": truth.id})).data) == 1
    shop.clock.advance(31 * 86400)
    assert (await shop.client.v1.events.list_async({"types": ["charge.refunded"]})).data == []


async def test_customers_and_methods_are_read_and_expanded(shop: Shop) -> None:
    params: Any = {"expand": ["invoice_settings.default_payment_method"]}
    customer: Any = await shop.client.v1.customers.retrieve_async("cus_1", params)
    assert customer.invoice_settings.default_payment_method.card.brand == "visa"
    methods = await shop.client.v1.customers.payment_methods.list_async("cus_1", {"type": "card"})
    assert [method.id for method in methods.data] == ["pm_1"]
    intent = await shop.create()
    await shop.confirm(intent.id)
    read: Any = await shop.client.v1.payment_intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    assert read.latest_charge.paid is True
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await shop.read("pi_none")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


async def test_a_key_opens_only_what_it_may(shop: Shop) -> None:
    shop.standin.keys["rk_test_readonly"] = frozenset({"payment_intents.read", "customers.read"})
    async with httpx.AsyncClient(base_url=shop.base_url, trust_env=False) as raw:
        wrong = await raw.get("/v1/payment_intents", headers={"authorization": "Bearer sk_test_wrong"})
        assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "invalid_request_error")
        reader = {"authorization": "Bearer rk_test_readonly"}
        assert (await raw.get("/v1/payment_intents", headers=reader)).status_code == 200
        assert (await raw.get("/v1/events", headers=reader)).status_code == 403
        assert (await raw.post("/v1/payment_intents", headers=reader, content="amount=1")).status_code == 403
        assert (await raw.get("/v1/nowhere", headers={"authorization": "Bearer sk_test_123"})).status_code == 404


@pytest.mark.parametrize(
    ("strike", "charged"),
    [
        (Strike.DROP, 0),
        (Strike.COMMIT_THEN_DROP, 1),
        (Strike.COMMIT_THEN_500, 1),
        (Strike.FAIL_500, 0),
        (Strike.PROXY, 0),
        (Strike.KEY_IN_USE, 0),
        (Strike.LOCK_TIMEOUT, 0),
        (Strike.RATE_LIMITED, 0),
        (Strike.UNAUTHORIZED, 0),
        (Strike.FORBIDDEN, 0),
        (Strike.GARBAGE, 1),
        (Strike.TRUNCATED, 1),
    ],
)
async def test_a_fault_tells_the_client_one_thing_and_does_another(shop: Shop, strike: Strike, charged: int) -> None:
    intent = await shop.create()
    shop.standin.fail(strike, "payment_intents.confirm")
    with pytest.raises(stripe.StripeError):
        await shop.confirm(intent.id, key="c1")
    assert len(shop.standin.successes()) == charged


async def test_an_answer_may_outlive_the_time_out_though_the_charge_is_made(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.fail(Strike.SLOW, "payment_intents.confirm", delay_s=5)
    with pytest.raises(stripe.APIConnectionError):
        await shop.confirm(intent.id, key="c1")
    assert (await shop.read(intent.id)).status == "succeeded"


async def test_a_late_request_holds_key_and_object_until_it_arrives() -> None:
    clock = ManualClock(START)
    standin = StripeStandin(clock)
    standin.add_customer("cus_1", card="pm_1")
    async with httpx.AsyncClient(transport=standin.transport(), base_url="http://stripe") as raw:
        headers = {"authorization": "Bearer sk_test_123"}
        form = "amount=5000&currency=usd&customer=cus_1&payment_method=pm_1&allowed_payment_method_types[0]=card"
        intent = (await raw.post("/v1/payment_intents", headers=headers, content=form)).json()
        standin.fail(Strike.LATE, "payment_intents.confirm", delay_s=90)
        url = f"/v1/payment_intents/{intent['id']}"
        keyed = {**headers, "idempotency-key": "c1"}
        with pytest.raises(httpx.ReadTimeout):
            await raw.post(f"{url}/confirm", headers=keyed)
        assert (await raw.post(f"{url}/confirm", headers=keyed)).status_code == 409
        assert (await raw.post(f"{url}/cancel", headers=headers)).status_code == 429
        clock.advance(90)
        assert (await raw.get(url, headers=headers)).json()["status"] == "succeeded"
        again = await raw.post(f"{url}/confirm", headers=keyed)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert len(standin.successes()) == 1


async def test_a_500_may_be_rolled_forward_an_hour_later(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.fail(Strike.ROLL_FORWARD, "payment_intents.confirm", delay_s=3600)
    with pytest.raises(stripe.APIError):
        await shop.confirm(intent.id, key="c1")
    assert (await shop.read(intent.id)).status == "requires_confirmation"
    shop.clock.advance(3600)
    assert (await shop.read(intent.id)).status == "succeeded"


async def test_a_canceled_intent_is_not_rolled_forward(shop: Shop) -> None:
    intent = await shop.create()
    shop.standin.fail(Strike.ROLL_FORWARD, "payment_intents.confirm", delay_s=3600)
    with pytest.raises(stripe.APIError):
        await shop.confirm(intent.id, key="c1")
    await shop.client.v1.payment_intents.cancel_async(intent.id)
    shop.clock.advance(3600)
    assert (await shop.read(intent.id)).status == "canceled"
    assert shop.standin.successes() == []


async def test_the_credit_of_a_charge_lags_as_told() -> None:
    credited: list[Charge] = []
    async with open_shop(credit=credited.append, credit_lag=lambda charge: timedelta(minutes=100)) as shop:
        intent = await shop.create()
        await shop.confirm(intent.id)
        shop.clock.advance(99 * 60)
        shop.standin.settle()
        assert credited == []
        shop.clock.advance(60)
        shop.standin.settle()
        assert [charge.intent for charge in credited] == [intent.id]
        shop.standin.settle()
        assert len(credited) == 1


async def test_a_fault_strikes_the_nth_request_only(shop: Shop) -> None:
    shop.standin.fail(Strike.FAIL_500, "payment_intents.*", nth=2)
    intent = await shop.create()
    with pytest.raises(stripe.APIError):
        await shop.read(intent.id)
    assert (await shop.read(intent.id)).id == intent.id
    strikes = [exchange.strike for exchange in shop.standin.exchanges]
    assert strikes == [None, Strike.FAIL_500, None]


async def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        async with open_shop() as shop:
            ids.append((await shop.create()).id)
    assert ids[0] == ids[1]
