"""A token of one owner neither sees, counts, guesses nor changes what is another's: every route of the document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.api.conftest import Api, wait_until

TOPUP = {
    "when_below_usd": "10.00",
    "amount_usd": "50.00",
    "customer": "cus_theirs",
    "max_charge_usd": "50.00",
    "max_per_day_usd": "100.00",
    "max_per_month_usd": "500.00",
}
BODIES: dict[str, Any] = {
    "put_account": {"provider": "contentstats", "base_url": "http://127.0.0.1:9", "api_key": "cs_x"},
    "patch_account": {"label": "taken"},
    "change_accounts": {"accounts": [{"id": "theirs", "provider": "contentstats", "api_key": "cs_y"}]},
    "put_topup": TOPUP,
    "subscribe": {"event": "balance.low", "threshold": 5, "url": "https://mine.example/hook", "account": "theirs"},
    "patch_subscription": {"threshold": 1},
    "rotate_secret": {"overlap": "1h"},
    "put_rule": {"kind": "low_balance", "below": "1.00", "accounts": ["theirs"]},
    "make_token": {"role": "read", "owner": "bertha"},
    "plan_config": {},
    "apply_config": {},
}


@dataclass
class Theirs:
    """What is the other owner's, and the words that only it has."""

    ids: dict[str, str]
    words: tuple[str, ...]


@pytest.fixture(scope="module")
def theirs(api: Api) -> Theirs:
    url, receiver = api.standins.usage_url, api.standins.receiver
    api.standins.usage.prepaid("cs_test_theirs", balance_usd="3.21")
    api.standins.usage.prepaid("cs_test_mine", balance_usd=80)
    with api.client(api.admin) as admin:
        for id, owner in (("theirs", "bertha"), ("mine", "anna"), ("mine-too", "anna")):
            key = "cs_test_theirs" if id == "theirs" else f"cs_test_{id}"
            body = {"provider": "contentstats", "base_url": url, "api_key": key, "owner": owner, "label": f"of {owner}"}
            answer = admin.put(f"/accounts/{id}", json=body)
            assert answer.status_code == 201, answer.text
        answer = admin.put("/accounts/theirs/topup", json=TOPUP)
        assert answer.status_code == 201, answer.text
    with api.client(api.token("write", owner="bertha")) as bertha:
        made = bertha.post(
            "/subscriptions", json={"event": "balance.low", "threshold": 5, "url": receiver.url, "account": "theirs"}
        )
        assert made.status_code == 201, made.text
        subscription = made.json()["id"]
        rule = bertha.put("/rules/bertha-low", json={"kind": "low_balance", "below": "4.00", "accounts": ["theirs"]})
        assert rule.status_code == 201, rule.text
        event = wait_until(lambda: bertha.get("/events").json()["data"])[0]["id"]
        delivery = wait_until(lambda: bertha.get("/deliveries").json()["data"])[0]["id"]
        episode = wait_until(lambda: bertha.get("/accounts/theirs/episodes").json()["data"])[0]["id"]
    ids = {
        "account": "theirs",
        "subscription": subscription,
        "rule": "bertha-low",
        "event": event,
        "delivery": delivery,
        "episode": episode,
    }
    return Theirs(ids, ("theirs", "bertha", "3.21", "cus_theirs", subscription, event, episode))


def operations(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    document = httpx.get(f"{api.base}/api/v1/openapi.json").json()
    return [
        (method.upper(), path.removeprefix("/api/v1"), one)
        for path, of in document["paths"].items()
        for method, one in of.items()
    ]


QUERIES = {"get_statement": "?period=2026-11"}
KINDS = {
    "/accounts/": "account",
    "/subscriptions/": "subscription",
    "/rules/": "rule",
    "/deliveries/": "delivery",
    "/pauses/": "account",
    "/tokens/": "token",
}
ABSENT = {
    "account": "absent",
    "subscription": "sub_00000000000000000000000000000000",
    "rule": "absent-rule",
    "delivery": "evt_00000000000000000000000000000000.webhook:sub_0",
    "token": "tok_00000000000000000000000000000000",
}
MAKES = {"put_account", "put_rule"}
"""What an id that is nobody's makes: there it is compared with what a GET says."""


@pytest.mark.parametrize("role", ["money", "admin"])
def test_every_route_hides_what_is_anothers(api: Api, theirs: Theirs, role: str) -> None:
    ids = {**theirs.ids, "token": "tok_11111111111111111111111111111111"}
    every = operations(api)
    assert len(every) > 35
    with api.client(api.admin) as admin, api.client(api.token(role, owner="anna")) as anna:
        before = snapshot(admin, theirs)
        for method, path, operation in every:
            name = operation["operationId"]
            body = {"json": BODIES[name]} if name in BODIES else {}
            kind = next((kind for start, kind in KINDS.items() if path.startswith(start)), "")
            if "{" not in path:
                answer = anna.request(method, path, **body)
                hidden = [word for word in theirs.words if word in answer.text and word not in json.dumps(body)]
                assert hidden == [], (method, path, answer.text)
                continue
            filled, absent = (path.replace("{id}", one[kind]).replace("{scope}", one[kind]) for one in (ids, ABSENT))
            filled, absent = (one + QUERIES.get(name, "") for one in (filled, absent))
            answer = anna.request(method, filled, **body)
            if name in MAKES:
                method, body = "GET", {}
            other = anna.request(method, absent, **body)
            assert answer.status_code == other.status_code, (method, path, answer.text, other.text)
            assert answer.status_code in (403, 404, 412), (method, path, answer.text)
            assert answer.text.replace(ids[kind], "ID") == other.text.replace(ABSENT[kind], "ID"), (method, path)
        assert snapshot(admin, theirs) == before


def snapshot(admin: httpx.Client, theirs: Theirs) -> list[Any]:
    paths = (
        "/accounts/theirs",
        "/accounts/theirs/topup",
        f"/subscriptions/{theirs.ids['subscription']}",
        "/rules/bertha-low",
        "/pauses",
    )
    found = [admin.get(path).json() for path in paths]
    found[0].pop("status")
    return found


def test_nothing_is_guessed_by_a_filter_or_a_cursor(api: Api, theirs: Theirs) -> None:
    """A filter or a cursor that names what is another's answers as one that names nothing."""
    asked = {
        "/accounts": ({"owner": "bertha"}, {"q": "bertha"}, {"q": "theirs"}),
        "/events": ({"account": theirs.ids["account"]}, {"after": theirs.ids["event"]}),
        "/deliveries": (
            {"event": theirs.ids["event"]},
            {"receiver": f"webhook:{theirs.ids['subscription']}"},
            {"after": theirs.ids["delivery"]},
        ),
        "/accounts/mine/episodes": ({"after": theirs.ids["episode"]},),
        "/audit": ({"resource": "account/theirs"},),
    }
    nothing = {
        "owner": "nobody",
        "q": "nobody",
        "account": ABSENT["account"],
        "after": ABSENT["delivery"],
        "event": "evt_0",
        "receiver": "webhook:sub_0",
        "resource": "account/absent",
    }
    with api.client(api.token("money", owner="anna")) as anna:
        for path, every in asked.items():
            for one in every:
                absent = {key: nothing[key].partition(".")[0] if path != "/deliveries" else nothing[key] for key in one}
                answer, other = anna.get(path, params=one), anna.get(path, params=absent)
                assert (answer.status_code, answer.text) == (other.status_code, other.text), (path, one)
        assert [one["id"] for one in anna.get("/accounts").json()["data"]] == ["mine", "mine-too"]
        assert anna.get("/accounts", params={"limit": 1}).json()["next"] == "mine"


def test_an_account_is_not_moved_to_or_made_for_another(api: Api, theirs: Theirs) -> None:
    body = {"provider": "contentstats", "base_url": api.standins.usage_url, "api_key": "cs_test_new"}
    with api.client(api.token("money", owner="anna")) as anna:
        assert anna.put("/accounts/new", json={**body, "owner": "bertha"}).status_code == 403
        assert anna.patch("/accounts/mine", json={"owner": "bertha"}).status_code in (403, 409)
        answer = anna.post("/subscriptions", json={"url": "https://x.example/", "accounts": ["mine", "theirs"]})
        absent = anna.post("/subscriptions", json={"url": "https://x.example/", "accounts": ["mine", "absent"]})
        assert answer.status_code == absent.status_code == 422
        assert answer.text.replace("theirs", "ID") == absent.text.replace("absent", "ID")
        assert anna.post("/subscriptions", json={"url": "https://x.example/", "accounts": ["*"]}).status_code == 422
        for scope in ("*", "own"):
            assert anna.put(f"/pauses/{scope}").status_code == 404


def test_a_token_of_some_accounts_sees_those_alone(api: Api, theirs: Theirs) -> None:
    with api.client(api.token("read", accounts=["mine-too", "own"])) as some:
        assert [one["id"] for one in some.get("/accounts").json()["data"]] == ["mine-too", "own"]
        assert some.get("/accounts/mine").status_code == 404
        assert some.get("/accounts/theirs").status_code == 404
        assert some.get("/tokens").status_code == 403
