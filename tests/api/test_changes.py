"""Changes over HTTP: versions, dry runs, repeated POSTs, pages, refusals as problems, limits."""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import httpx
import pytest

from daemon.limits import API_BODY_BYTES
from tests.api.conftest import Api, brimful, wait_until

TOPUP = {
    "when_below_usd": "10.00",
    "amount_usd": 50,
    "customer": "cus_1",
    "max_charge_usd": "50.00",
    "max_per_day_usd": "100.00",
    "max_per_month_usd": "500.00",
}


def body(api: Api, key: str, **more: Any) -> dict[str, Any]:
    return {"provider": "contentstats", "base_url": api.standins.usage_url, "api_key": f"cs_test_{key}", **more}


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["type"], found["status"]) == (slug, status)
    assert set(found) == {"type", "title", "status", "detail", "errors"}
    return found


def test_an_account_is_made_read_changed_and_archived(api: Api) -> None:
    api.standins.usage.prepaid("cs_test_first", balance_usd="12.45")
    with api.client(api.admin) as client:
        made = client.put("/accounts/first", json=body(api, "first", label="First", tags=["pro"], owner="acme"))
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert "api_key" not in made.json()
        assert made.json()["managed_by"] == "api"
        wait_until(lambda: client.get("/accounts/first").json()["status"]["observed_at"])
        status = client.get("/accounts/first").json()["status"]
        assert (status["available"], status["unit"], status["state"]) == ("12.45", "USD", "good")
        changed = client.patch(
            "/accounts/first",
            content=b'{"label": "Second", "tags": null}',
            headers={"content-type": "application/merge-patch+json", "if-match": '"1"'},
        )
        assert (changed.status_code, changed.headers["etag"], changed.json()["label"]) == (200, '"2"', "Second")
        assert "tags" not in changed.json()
        again = client.patch("/accounts/first", json={"label": "Third"}, headers={"if-match": '"1"'})
        assert again.status_code == 412
        only_new = client.put("/accounts/first", json=body(api, "first"), headers={"if-none-match": "*"})
        assert only_new.status_code == 412
        assert client.put("/accounts/none", json=body(api, "none"), headers={"if-match": "*"}).status_code == 412
        assert client.get("/accounts/first/readings").json()["data"][0]["available"] == "12.45"
        assert client.delete("/accounts/first").status_code == 204
        assert client.get("/accounts/first").status_code == 404
        assert client.get("/accounts/first/readings").json()["data"]
        refused(client.put("/accounts/first", json=body(api, "first")), 409, "id-archived")


def test_an_account_is_polled_by_how_long_it_lasts_and_says_when_next(api: Api) -> None:
    api.standins.usage.prepaid("cs_test_auto", balance_usd="900.00")
    with api.client(api.admin) as client:
        wrong = client.put("/accounts/auto", json=body(api, "auto", poll="automatic", poll_fastest="5s"))
        faults = {one["path"]: one for one in refused(wrong, 422, "invalid")["errors"]}
        assert faults["poll"]["hint"] == 'did you mean "auto"?'
        assert faults["poll_fastest"]["id"] == "value-range"
        made = client.put("/accounts/auto", json=body(api, "auto", poll="auto", poll_fastest="10s"))
        assert (made.json()["poll"], made.json()["poll_fastest"]) == ("auto", "10s")
        assert made.json()["status"]["next_poll"]["why"] == "never read"
        wait_until(lambda: client.get("/accounts/auto").json()["status"]["observed_at"])
        found = client.get("/accounts/auto").json()["status"]["next_poll"]
        assert (found["interval_s"], found["why"]) == (10, "known for 0 min")
        assert client.get("/accounts/own").json()["status"]["next_poll"] is None
        asked = api.standins.usage.asked["cs_test_auto"]
        wait_until(lambda: api.standins.usage.asked["cs_test_auto"] > asked, 15)
        hourly = client.patch("/accounts/auto", json={"poll": "0 * * * *", "poll_fastest": None})
        assert hourly.json()["status"]["next_poll"] is None


def test_a_dry_run_says_what_would_change_and_changes_nothing(api: Api) -> None:
    with api.client(api.admin) as client:
        planned = client.put("/accounts/dry?dry_run=true", json=body(api, "dry", label="Dry"))
        assert planned.status_code == 200, planned.text
        (change,) = planned.json()["changes"]
        assert (change["kind"], change["id"], change["created"], change["changes"]["label"]) == (
            *("account", "dry", True),
            [None, "Dry"],
        )
        assert change["changes"]["api_key"] == [None, "(changed)"]
        assert client.get("/accounts/dry").status_code == 404
        before = client.get("/tokens").json()
        assert client.post("/tokens?dry_run=true", json={"role": "read"}).status_code == 200
        assert client.get("/tokens").json()["data"] == before["data"]
        batch = {"accounts": [{"id": "dry", **body(api, "dry")}]}
        assert client.post("/accounts:batch?dry_run=true", json=batch).json()["changes"]


def test_a_post_that_comes_twice_is_done_once_and_its_secret_shown_once(api: Api) -> None:
    url = api.standins.receiver.url
    with api.client(api.admin) as client:
        for path, said, other in (
            ("/tokens", {"role": "read", "name": "twice"}, {"role": "write"}),
            (
                "/subscriptions",
                {"event": "balance.low", "threshold": 5, "url": url, "account": "own"},
                {"event": "balance.low", "threshold": 6, "url": url, "account": "own"},
            ),
        ):
            key = {"idempotency-key": f"once-{path}"}
            first, second = client.post(path, json=said, headers=key), client.post(path, json=said, headers=key)
            secret = "token" if path == "/tokens" else "secret"
            assert first.status_code == second.status_code == 201, (first.text, second.text)
            assert first.json()[secret]
            assert second.json() == {**first.json(), secret: None}
            assert second.headers["idempotent-replay"] == "true"
            refused(client.post(path, json=other, headers=key), 422, "idempotency-key-reused")
        subscription = second.json()["id"]
        key = {"idempotency-key": "ping"}
        pings = [client.post(f"/subscriptions/{subscription}/test", headers=key) for _ in range(2)]
        assert pings[0].status_code == 202, pings[0].text
        assert pings[0].json() == pings[1].json()
        key = {"idempotency-key": "rotation"}
        path = f"/subscriptions/{subscription}/rotate"
        rotated = [client.post(path, json={"overlap": "1h"}, headers=key) for _ in range(2)]
        assert rotated[0].json()["secret"].startswith("whsec_")
        assert rotated[1].json()["secret"] is None
        delivery = wait_until(
            lambda: client.get("/deliveries", params={"event": pings[0].json()["event"]}).json()["data"]
        )[0]
        assert delivery["id"] == pings[0].json()["delivery"]
        assert client.post(f"/deliveries/{delivery['id']}/replay").status_code == 202
        assert client.delete(f"/subscriptions/{subscription}").status_code == 204


def test_the_files_own_webhooks_are_for_the_role_write(api: Api) -> None:
    with api.client(api.token("subscribe")) as subscriber, api.client(api.token("write")) as writer:
        refused(subscriber.post("/subscriptions/house/test"), 403, "role-needed")
        sent = writer.post("/subscriptions/house/test")
        assert sent.status_code == 202, sent.text
        path = f"/deliveries/{sent.json()['delivery']}/replay"
        refused(subscriber.post(path), 403, "role-needed")
        assert writer.post(path).status_code == 202


def test_a_batch_is_all_or_nothing_and_every_fault_is_named(api: Api) -> None:
    with api.client(api.admin) as client:
        good = [{"id": f"batch-{number}", **body(api, f"batch{number}", tags=["batch"])} for number in range(3)]
        bad = [*good, {"id": "batch-3", "provider": "nobody", "api_key": "x"}, {"id": "batch-4", "poll": "never"}]
        found = refused(client.post("/accounts:batch", json={"accounts": bad}), 422, "invalid")
        assert {"accounts[3].provider", "accounts[4].poll", "accounts[4].provider"} <= {
            one["path"] for one in found["errors"]
        }
        assert client.get("/accounts?tag=batch").json()["data"] == []
        made = client.post("/accounts:batch", json={"accounts": good})
        assert [one["created"] for one in made.json()["data"]] == [True, True, True]
        first = client.get("/accounts", params={"tag": "batch", "limit": 2}).json()
        second = client.get("/accounts", params={"tag": "batch", "limit": 2, "after": first["next"]}).json()
        assert [one["id"] for one in first["data"]] == ["batch-0", "batch-1"]
        assert [one["id"] for one in second["data"]] == ["batch-2"]
        assert second["next"] is None
        bodies: tuple[Any, ...] = (
            {},
            {"accounts": []},
            {"accounts": {}},
            {"accounts": [3]},
            {"accounts": good, "x": 1},
        )
        for wrong in bodies:
            refused(client.post("/accounts:batch", json=wrong), 422, "invalid")


def test_a_topup_is_money_bounded_by_the_file_and_replaced_by_version(api: Api) -> None:
    with api.client(api.admin) as admin, api.client(api.token("write")) as writer:
        admin.put("/accounts/paid", json=body(api, "paid"))
        assert "money" in refused(writer.put("/accounts/paid/topup", json=TOPUP), 403, "role-needed")["detail"]
        over = refused(
            admin.put("/accounts/paid/topup", json={**TOPUP, "max_charge_usd": 5000}), 422, "over-the-ceiling"
        )
        assert "200" in str(over["errors"])
        made = admin.put("/accounts/paid/topup", json=TOPUP)
        assert (made.status_code, made.json()["mode"], made.json()["amount_usd"]) == (201, "shadow", "50")
        assert admin.put("/accounts/paid/topup", json=TOPUP).status_code == 412
        promoted = admin.put("/accounts/paid/topup", json={**TOPUP, "mode": "charge"}, headers={"if-match": '"1"'})
        assert (promoted.status_code, promoted.json()["mode"]) == (200, "charge")
        assert admin.delete("/accounts/paid/topup").status_code == 204
        assert admin.get("/accounts/own/topup").json()["managed_by"] == "file"


def test_what_the_file_manages_is_read_only(api: Api) -> None:
    with api.client(api.admin) as client:
        own = client.get("/accounts/own").json()
        assert (own["managed_by"], own["tags"], own["id"]) == ("file", ["house"], "own")
        for method, path, said in (
            ("PUT", "/accounts/own", body(api, "own")),
            ("PATCH", "/accounts/own", {"label": "mine"}),
            ("DELETE", "/accounts/own", None),
            ("PUT", "/rules/low", {"kind": "low_balance", "below": 1}),
        ):
            found = refused(client.request(method, path, json=said), 409, "managed-by-file")
            assert "config.toml, line" in found["detail"]


def test_the_page_says_whose_an_account_is_and_who_manages_it(api: Api) -> None:
    with api.client(api.admin) as client:
        assert client.put("/accounts/shown", json=body(api, "shown", owner="whoever")).status_code == 201
    for path in ("/?q=whoever", "/accounts/shown"):
        assert "of whoever · managed by the API" in httpx.get(f"{api.base}{path}").text
    assert "managed by the file" in httpx.get(f"{api.base}/accounts/own").text
    shown_on_a_phone = re.sub(r'<span class="more">.*?</span>', "", httpx.get(f"{api.base}/?q=whoever").text)
    assert "of whoever · managed by the API" in shown_on_a_phone


def test_a_pause_is_the_kill_switch_of_the_command_line(api: Api) -> None:
    with api.client(api.admin) as client, api.client(api.token("write")) as writer:
        refused(writer.put("/pauses/own"), 403, "role-needed")
        assert client.put("/pauses/own").json() == {"scope": "own", "paused": True, "already": False}
        assert client.put("/pauses/own").json()["already"] is True
        assert '"own"' in brimful(api.folder, "topups", "--json")
        assert [one["scope"] for one in client.get("/pauses").json()["data"]] == ["own"]
        assert client.delete("/pauses/own").json()["ended"]
        assert client.put("/pauses/*").status_code == client.delete("/pauses/*").status_code == 200
        refused(client.put("/pauses/absent"), 404, "not-found")
        entries = client.get("/audit", params={"resource": "pause/own"}).json()["data"]
        assert [one["action"] for one in entries] == ["pause", "resume"]


def test_a_token_is_shown_once_and_refused_once_revoked(api: Api) -> None:
    token = api.token("read", name="short-lived")
    with api.client(token) as client, api.client(api.admin) as admin:
        assert client.get("/accounts").status_code == 200
        (one,) = (one for one in admin.get("/tokens").json()["data"] if one["name"] == "short-lived")
        assert one["last_used_at"] is not None
        assert "token" not in one
        assert admin.delete(f"/tokens/{one['id']}").status_code == 204
        answer = client.get("/accounts")
        refused(answer, 401, "token-needed")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer brim_0000", "Basic YTpi", "Bearer sk_test_123"])
def test_nobody_enters_without_a_token(api: Api, said: str) -> None:
    for method, path in (("GET", "/accounts"), ("PUT", "/accounts/x"), ("GET", "/nothing"), ("POST", "/tokens")):
        answer = httpx.request(method, f"{api.base}/api/v1{path}", headers={"authorization": said} if said else {})
        refused(answer, 401, "token-needed")
        assert answer.headers["cache-control"] == "no-store"
    assert httpx.get(f"{api.base}/api/v1/openapi.json").json()["openapi"].startswith("3.1")
    assert httpx.get(f"{api.base}/api/v1/usage/own").status_code in (200, 503)


def test_unknown_paths_methods_and_parameters_are_problems(api: Api) -> None:
    with api.client(api.admin) as client:
        refused(client.get("/nothing"), 404, "not-found")
        refused(client.get("/accounts/"), 404, "not-found")
        wrong = client.post("/accounts/own", json={})
        refused(wrong, 405, "method-not-allowed")
        assert wrong.headers["allow"] == "DELETE, GET, PATCH, PUT"
        found = refused(client.get("/accounts?ower=acme&limit=0"), 422, "invalid")
        assert found["errors"][0]["hint"] == 'did you mean "owner"?'
        found = refused(client.get("/accounts?limit=501&state=bad"), 422, "invalid")
        assert {one["path"] for one in found["errors"]} == {"limit", "state"}
        refused(client.get("/accounts/UPPER"), 422, "invalid")
        refused(client.get("/accounts/own/statement?period=2026-13"), 422, "invalid")
        refused(client.get("/accounts/own/statement?period=0001-01"), 422, "invalid")


def test_bodies_of_another_kind_or_size_are_refused_before_they_are_read(api: Api) -> None:
    with api.client(api.admin) as client:
        text = {"content-type": "text/plain"}
        refused(client.put("/accounts/x", content=b"{}", headers=text), 415, "media-type")
        latin = {"content-type": "application/json; charset=latin-1"}
        refused(client.put("/accounts/x", content=b"{}", headers=latin), 415, "media-type")
        refused(client.put("/accounts/x", content=b'{"a":1,"a":2}', headers=JSON), 422, "json-syntax")
        refused(client.put("/accounts/x", content=b"[]", headers=JSON), 422, "invalid")
        refused(client.put("/accounts/x", content=b"", headers=JSON), 422, "invalid")
    with api.client(api.admin) as client:
        refused(client.put("/accounts/x", content=b" " * (API_BODY_BYTES + 1), headers=JSON), 413, "body-too-large")
    with api.client(api.admin) as client:
        chunks = (b" " * 65536 for _ in range(2 + API_BODY_BYTES // 65536))
        refused(client.put("/accounts/x", content=chunks, headers=JSON), 413, "body-too-large")


JSON = {"content-type": "application/json"}


def test_half_a_body_holds_up_nobody(api: Api) -> None:
    host, port = api.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        head = f"PUT /api/v1/accounts/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api.admin}\r\n"
        slow.sendall(f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode())
        with api.client(api.admin) as client:
            started = time.monotonic()
            for _ in range(10):
                assert client.get("/accounts").status_code == 200
            assert time.monotonic() - started < 5
