"""The gateway's mapping is total: whatever comes back, an answer or a kind of refusal, and never an exception."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from daemon.clock import ManualClock
from daemon.config.model import StripeConfig, StripeMode
from daemon.demo.standins.stripe import Strike, StripeStandin, declined
from daemon.net.http import HttpClient
from daemon.stripe.answers import Answered, AnswerKind, Outcome, Refused
from daemon.stripe.gateway import StripeGateway, key_problem
from daemon.stripe.requests import confirm_params
from tests.helpers_topups import CARD, CUSTOMER, START
from tests.topups.test_plan import example

INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 5000,
    "currency": "usd",
    "customer": CUSTOMER,
    "created": 1_790_000_000,
    "livemode": False,
    "metadata": {},
}


def gateway(transport: httpx.AsyncBaseTransport, mode: StripeMode = StripeMode.TEST) -> StripeGateway:
    config = StripeConfig(api_key=SecretStr(f"sk_{mode}_123"), mode=mode, api_base="http://127.0.0.1:9/")
    return StripeGateway(config, HttpClient(transport=transport), ManualClock(START))


async def ask(status: int, body: Any, headers: dict[str, str] | None = None) -> Outcome:
    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(body, str):
            return httpx.Response(status, text=body, headers=headers)
        return httpx.Response(status, json=body, headers=headers)

    return await gateway(httpx.MockTransport(answer)).retrieve("pi_1")


def error(type_: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"type": type_, "code": code, "message": "no"}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (409, error(code="idempotency_key_in_use"), AnswerKind.KEY_IN_USE),
        (400, error("idempotency_error"), AnswerKind.OTHER_PARAMETERS),
        (429, error(code="lock_timeout"), AnswerKind.RATE_LIMITED),
        (429, "slow down", AnswerKind.RATE_LIMITED),
        (500, error("api_error"), AnswerKind.SERVER_ERROR),
        (502, "<html>", AnswerKind.SERVER_ERROR),
        (401, error(), AnswerKind.UNAUTHORIZED),
        (403, error(), AnswerKind.FORBIDDEN),
        (402, error("card_error", "card_declined"), AnswerKind.DECLINED),
        (402, error(), AnswerKind.BAD_REQUEST),
        (400, error("card_error"), AnswerKind.BAD_REQUEST),
        (400, error(code="payment_intent_unexpected_state"), AnswerKind.UNEXPECTED_STATE),
        (404, error(code="resource_missing"), AnswerKind.INTENT_MISSING),
        (400, error(code="resource_missing"), AnswerKind.MISSING),
        (400, "<html>", AnswerKind.UNKNOWN),
        (403, "<html>blocked by a proxy", AnswerKind.UNKNOWN),
        (424, {"error": "oauthish"}, AnswerKind.UNKNOWN),
        (400, {"error": []}, AnswerKind.UNKNOWN),
        (400, [], AnswerKind.UNKNOWN),
        (200, "<html>", AnswerKind.UNKNOWN),
        (200, "", AnswerKind.UNKNOWN),
        (200, [], AnswerKind.UNKNOWN),
        (200, "null", AnswerKind.UNKNOWN),
        (200, "7", AnswerKind.UNKNOWN),
        (200, {}, AnswerKind.UNKNOWN),
        (302, "", AnswerKind.UNKNOWN),
        (200, {**INTENT, "object": "charge"}, AnswerKind.UNKNOWN),
        (200, {**INTENT, "amount": "5000.0"}, AnswerKind.UNKNOWN),
        (200, {**INTENT, "amount": True}, AnswerKind.UNKNOWN),
        (200, {**INTENT, "livemode": None}, AnswerKind.UNKNOWN),
        (200, {**INTENT, "created": -1}, AnswerKind.UNKNOWN),
        (200, {**INTENT, "latest_charge": {"id": "ch_1"}}, AnswerKind.UNKNOWN),
        (200, {**INTENT, "livemode": True}, AnswerKind.WRONG_MODE),
    ],
)
async def test_every_answer_has_a_kind(status: int, body: Any, kind: AnswerKind) -> None:
    said = await ask(status, body)
    assert isinstance(said, Refused)
    assert said.kind is kind


@pytest.mark.parametrize("key", sorted(INTENT))
@pytest.mark.parametrize("value", [None, [], {}, "x", 7, -1.5, True])
async def test_no_odd_field_raises(key: str, value: Any) -> None:
    assert isinstance(await ask(200, {**INTENT, key: value}), Answered | Refused)


@pytest.mark.parametrize(
    "raised", [httpx.ConnectTimeout("t"), httpx.ReadError("r"), OSError(104, "reset"), ValueError("v")]
)
async def test_every_failure_of_the_network_is_an_unknown_outcome(raised: Exception) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise raised

    said = await gateway(httpx.MockTransport(fail)).confirm("pi_1", confirm_params("pm_1"), "key")
    assert isinstance(said, Refused)
    assert said.kind is AnswerKind.UNKNOWN


async def test_the_key_goes_into_the_header_and_a_replay_is_told() -> None:
    standin = StripeStandin(ManualClock(START))
    standin.add_customer(CUSTOMER, card=CARD)
    stripe = gateway(standin.transport())
    first = await stripe.create(example(), "key")
    again = await stripe.create(example(), "key")
    assert isinstance(first, Answered)
    assert isinstance(again, Answered)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.value.id == again.value.id
    assert first.request_id != again.request_id
    assert [e.key for e in standin.exchanges] == ["key"] * 2


async def test_the_same_parameters_are_the_same_bytes_in_whatever_order_they_come() -> None:
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, json=INTENT)

    stripe = gateway(httpx.MockTransport(answer))
    params = example()
    for one in (params, dict(reversed(params.items())), json.loads(json.dumps(params, sort_keys=True))):
        await stripe.create(one, "k1")
    confirm = confirm_params(CARD)
    for one in (confirm, dict(sorted(confirm.items()))):
        await stripe.confirm("pi_1", one, "k2")
    assert len(bodies) == 5
    assert len(set(bodies)) == 2


async def test_a_decline_brings_the_codes_and_the_card() -> None:
    standin = StripeStandin(ManualClock(START))
    standin.add_customer(CUSTOMER, card=CARD, outcome=declined("insufficient_funds"))
    stripe = gateway(standin.transport())
    created = await stripe.create(example(), "k")
    assert isinstance(created, Answered)
    said = await stripe.confirm(created.value.id, confirm_params(CARD), "k2")
    assert isinstance(said, Refused)
    assert said.error is not None
    assert (said.kind, said.error.decline_code) == (AnswerKind.DECLINED, "insufficient_funds")
    back = await stripe.retrieve(created.value.id)
    assert isinstance(back, Answered)
    assert back.value.why_declined is not None
    assert back.value.charge is not None
    assert back.value.charge.fingerprint == standin.method(CARD).fingerprint


async def test_the_sdk_retries_nothing_by_itself() -> None:
    standin = StripeStandin(ManualClock(START))
    standin.fail(Strike.RATE_LIMITED, times=5)
    await gateway(standin.transport()).retrieve("pi_1")
    assert len(standin.exchanges) == 1


@pytest.mark.parametrize(
    ("key", "mode", "usable"),
    [
        ("sk_test_1", StripeMode.TEST, True),
        ("rk_live_1", StripeMode.LIVE, True),
        ("sk_live_1", StripeMode.TEST, False),
        ("sk_test_1", StripeMode.LIVE, False),
        ("pk_test_1", StripeMode.TEST, False),
        ("", StripeMode.TEST, False),
        ("whsec_1", StripeMode.TEST, False),
    ],
)
def test_only_secret_keys_of_the_configured_mode_are_used(key: str, mode: StripeMode, usable: bool) -> None:
    assert (key_problem(key, mode) is None) is usable


def test_telemetry_writes_nothing_into_the_home_directory() -> None:
    import stripe

    assert stripe.enable_telemetry is False


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        (START - timedelta(minutes=90), -timedelta(minutes=90)),
        (START + timedelta(hours=23), timedelta(hours=23)),
        (START + timedelta(days=40), timedelta(days=40)),
        ("yesterday", None),
        ("Thu, 01 Oct 2026 00:00:00 -0000", None),
        (None, None),
    ],
)
async def test_stripes_clock_is_what_its_last_answer_says(date: datetime | str | None, ahead: timedelta | None) -> None:
    said = format_datetime(date, usegmt=True) if isinstance(date, datetime) else date
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json=INTENT, headers={"date": said} if said else {}))
    stripe = gateway(answers)
    assert stripe.stripe_now(START) is None
    await stripe.retrieve("pi_1")
    assert stripe.stripe_now(START) == (None if ahead is None else START + ahead)
    assert stripe.stripe_now(START + timedelta(minutes=6)) is None
    assert stripe.stripe_now(START - timedelta(seconds=1)) is None


async def test_a_customer_that_was_deleted_is_missing() -> None:
    deleted = {"id": CUSTOMER, "object": "customer", "deleted": True}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=deleted))
    said = await gateway(transport).default_method(CUSTOMER)
    assert isinstance(said, Refused)
    assert (said.kind, said.message) == (AnswerKind.MISSING, "the customer was deleted")
