"""From outside: what a customer types, hears and verifies; and where no secret lies afterwards."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

from tests.api.conftest import HOUSE_SECRET, MASTER_KEY, Api, wait_until


def heard(api: Api, secret: str, kind: str) -> list[dict[str, Any]]:
    """Return the events of a type that the receiver got, signed with this secret."""
    found = []
    for one in tuple(api.standins.receiver.received):
        with suppress(WebhookVerificationError):
            Webhook(secret).verify(one.body, dict(one.headers), json_parse=False)
            found += [one.payload] if one.payload["type"] == kind else []
    return found


def test_the_shortest_body_hears_of_its_own_threshold_signed_with_the_secret_shown_once(api: Api) -> None:
    usage, receiver = api.standins.usage, api.standins.receiver
    usage.prepaid("cs_test_seed", balance_usd="6.00")
    with api.client(api.admin) as admin:
        body = {"provider": "contentstats", "base_url": api.standins.usage_url, "api_key": "cs_test_seed"}
        made = admin.put("/accounts/seed", json={**body, "owner": "seed"})
        assert made.status_code == 201, made.text
    with api.client(api.token("subscribe", owner="seed")) as customer:
        text = json.dumps({"event": "balance.low", "threshold": 5.0, "url": receiver.url})
        made = customer.post("/subscriptions", content=text, headers={"content-type": "application/json"})
        assert made.status_code == 201, made.text
        subscription, secret = made.json(), made.json()["secret"]
        assert secret.startswith("whsec_")
        assert subscription["threshold"] == "5.0"
        assert subscription["status"] == {"phase": "pending", "since": None, "last_error": None}
        assert customer.get(f"/subscriptions/{subscription['id']}").json().get("secret") is None
        receiver_key = f"webhook:{subscription['id']}"

        assert customer.post(f"/subscriptions/{subscription['id']}/test").status_code == 202
        wait_until(lambda: heard(api, secret, "test.ping"))
        with api.client(api.admin) as admin:
            usage.prepaid("cs_test_seed_2", balance_usd="4.99")
            assert admin.patch("/accounts/seed", json={"api_key": "cs_test_seed_2"}).status_code == 200  # asked at once
        (event, *_) = wait_until(lambda: heard(api, secret, "balance.low"), 90)
        assert event["data"]["available_usd"] == 4.99
        assert event["data"]["threshold_usd"] == 5
        feed = customer.get("/events", params={"type": "balance.low"}).json()["data"]
        assert [one["body"] for one in feed] == [event]
        assert customer.get("/deliveries", params={"receiver": receiver_key}).json()["data"][0]["state"] == "delivered"
        status = customer.get(f"/subscriptions/{subscription['id']}").json()["status"]
        assert (status["phase"], status["last_error"]) == ("active", None)


def test_no_secret_lies_in_clear_in_the_database_the_log_or_an_answer(api: Api) -> None:
    secrets = {
        "key": "cs_test_very_secret_key_1",
        "header": "very_secret_header_2",
        "later": "cs_test_very_secret_key_4",
    }
    said = {"provider": "json", "url": api.standins.usage_url + "/x", "fields": {"balance": "balance"}}
    said |= {"api_key": secrets["key"], "headers": {"x-secret": secrets["header"]}}
    answers: list[httpx.Response] = []
    with api.client(api.admin) as admin:
        answers.append(admin.put("/accounts/hidden", json=said))
        assert answers[0].status_code == 201, answers[0].text
        answers.append(admin.put("/accounts/hidden", json={**said, "poll": "never"}))
        answers.append(admin.put("/accounts/hidden-too", json={**said, "id": 3, "url": 7}))
        answers.append(admin.patch("/accounts/hidden", json={"api_key": secrets["later"]}))
        answers.append(admin.get("/accounts/hidden"))
        answers.append(admin.get("/config:export"))
        answers.append(admin.get("/audit"))
        token = admin.post("/tokens", json={"role": "read"}, headers={"idempotency-key": "hidden"})
        made = admin.post(
            "/subscriptions",
            json={"url": api.standins.receiver.url, "account": "own"},
            headers={"idempotency-key": "hidden-too"},
        )
        rotated = admin.post(f"/subscriptions/{made.json()['id']}/rotate", json={})
        shown = [token.json()["token"], made.json()["secret"], rotated.json()["secret"]]
        answers += [admin.get("/tokens"), admin.get("/subscriptions"), admin.get("/audit?limit=500")]
        admin.delete(f"/subscriptions/{made.json()['id']}")
    everything = [*secrets.values(), *shown, api.admin, MASTER_KEY, HOUSE_SECRET]
    files = [*api.folder.glob("brimful.db*"), api.folder / "log"]
    assert len(files) >= 3
    for file in files:
        content = file.read_bytes()
        assert [one for one in everything if one.encode() in content] == [], file.name
    for answer in answers:
        assert [one for one in everything if one in answer.text] == [], answer.request.url
