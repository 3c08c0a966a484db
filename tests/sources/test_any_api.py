"""`provider = "json"` over real HTTP: APIs that nobody named before, and how a key is sent and never shown."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Known, Reason, Unavailable
from daemon.sources.registry import PROVIDERS
from tests.helpers_apis import Api, ask, configured, serving_api

TABLE = PROVIDERS["json"].table
SECRET = 'k3y/with+odd=signs&"x"'

# Documented at: anti-captcha.com, getBalance; docs.capsolver.com, getBalance; remove.bg API, account; docs.evomi.com,
# Get scraper data; developers.wpengine.com, Get account credit balance; Lit Protocol, billing balance; locationiq.com,
# Balance; Linode API, account; hunter.io API, account; docs.scraperapi.com, Account information; ScrapingBee, usage;
# D-ID, credits
DOCUMENTED: dict[str, tuple[str, dict[str, Any], Mapping[str, Any]]] = {
    "anti-captcha": (
        """path = "/getBalance"
        method = "POST"
        body = '{"clientKey": "${env:KEY}"}'
        ok = "errorId == `0`"
        error = "errorDescription"
        fields = { balance = "balance" }""",
        {"errorId": 0, "balance": 12.3456, "captchaCredits": 85000},
        {"balance": "12.3456"},
    ),
    "capsolver": (
        """path = "/getBalance"
        method = "POST"
        body = '{"clientKey": "${env:KEY}"}'
        ok = "errorId == `0`"
        fields = { balance = "balance" }""",
        {"errorId": 0, "balance": 1071810, "packages": []},
        {"balance": "1071810"},
    ),
    "remove-bg": (
        """path = "/v1.0/account"
        auth = "header:X-API-Key"
        api_key = "env:KEY"
        unit = "credits"
        fields = { balance = "data.attributes.credits.total" }""",
        {"data": {"attributes": {"credits": {"total": 200, "payg": 50}, "api": {"free_calls": 50, "sizes": "all"}}}},
        {"balance": "200"},
    ),
    "evomi": (
        """path = "/public/scraper"
        auth = "header:x-apikey"
        api_key = "env:KEY"
        unit = "credits"
        ok = "success && has_access"
        fields = { balance = "credits" }""",
        {"success": True, "has_access": True, "credits": 847.5, "concurrency": 5, "api_key": "abc123def456ghi"},
        {"balance": "847.5"},
    ),
    "wp-engine": (
        """path = "/v1/credits"
        api_key = "env:KEY"
        unit = "credits"
        fields = { balance = "div(credits_nano, `1000000000`)" }""",
        {"credits_nano": 42500000001},
        {"balance": "42.5"},
    ),
    "lit": (
        """path = "/billing/balance"
        api_key = "env:KEY"
        fields = { balance = "div(balance_cents, `-100`)" }""",
        {"balance_cents": -512, "balance_display": "$5.12 credit"},
        {"balance": "5.12"},
    ),
    "locationiq": (
        """path = "/v1/balance"
        auth = "query:key"
        api_key = "env:KEY"
        unit = "requests"
        ok = "status == 'ok'"
        fields = { balance = "add(balance.day, balance.bonus)" }""",
        {"status": "ok", "balance": {"day": 9900, "bonus": 100}},
        {"balance": "10000"},
    ),
    "linode": (
        """path = "/v4/account"
        api_key = "env:KEY"
        fields = { balance = "neg(balance)", uncharged = "balance_uninvoiced" }""",
        {"balance": -25.5, "balance_uninvoiced": 14.25, "company": "Example", "tax_id": ""},
        {"balance": "25.5", "uncharged": "14.25"},
    ),
    "hunter": (
        """path = "/v2/account"
        auth = "query:api_key"
        api_key = "env:KEY"
        unit = "searches"
        fields = { used = "data.requests.searches.used", limit = "data.requests.searches.available" }""",
        {"data": {"reset_date": "2026-12-01", "requests": {"searches": {"used": 3, "available": 50}}}},
        {"used": "3", "limit": "50"},
    ),
    "scraperapi": (
        """path = "/account"
        auth = "query:api_key"
        api_key = "env:KEY"
        unit = "requests"
        fields = { used = "requestCount", limit = "requestLimit" }""",
        {"concurrentRequests": 0, "requestCount": 6655888, "failedRequestCount": 1118, "requestLimit": "10000000"},
        {"used": "6655888", "limit": "10000000"},
    ),
    "scrapingbee": (
        """path = "/api/v1/usage"
        auth = "query:api_key"
        api_key = "env:KEY"
        unit = "credits"
        fields = { used = "used_api_credit", limit = "max_api_credit" }""",
        {"max_api_credit": 8000000, "used_api_credit": 1000023, "max_concurrency": 200, "current_concurrency": 1},
        {"used": "1000023", "limit": "8000000"},
    ),
    "d-id": (
        """path = "/credits"
        auth = "basic"
        api_key = "env:PAIR"
        unit = "credits"
        fields = { used = "sub(total, remaining)", limit = "total", remaining = "remaining" }""",
        {"credits": [{"remaining": 57, "total": 60}], "remaining": 57, "total": 60},
        {"used": "3", "limit": "60", "remaining": "57"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving_api() as served:
        yield served


@pytest.fixture(autouse=True)
def _fresh(api: Api) -> None:
    api.status, api.headers, api.body = 200, {}, '{"balance": 5}'
    api.asked.clear()


ENVIRON = {"KEY": SECRET, "PAIR": "user:pass word", "URL": "", "SCHEME": "Bearer abc12345678"}


def text(api: Api, keys: str) -> str:
    """Return an account; `path` is below the server, and the fields are a balance where nothing is said."""
    lines = [line.strip() for line in keys.splitlines()]
    said = [f'url = "{api.url}{line[8:]}' if line.startswith("path = ") else line for line in lines]
    if not any(line.startswith("url") for line in said):
        said.append(f'url = "{api.url}/usage"')
    fields = [] if any(line.startswith("fields") for line in said) else ['fields = { balance = "balance" }']
    return "\n".join(['[accounts.one]\nprovider = "json"', *said, *fields])


@pytest.mark.parametrize("name", DOCUMENTED)
async def test_an_api_that_nobody_named_is_read_from_its_documentation(name: str, api: Api, tmp_path: Path) -> None:
    keys, answer, reads = DOCUMENTED[name]
    api.body = json.dumps(answer)
    reading = await ask(configured(tmp_path, text(api, keys), ENVIRON))
    assert isinstance(reading, Known), reading
    for field, said in reads.items():
        assert getattr(reading.metrics, TABLE[field][0]) == to_micro(said)
    (asked,) = api.asked
    sent = asked.path + asked.body + "".join(asked.headers.values())
    assert "k3y" in sent or b64encode(b"user:pass word").decode() in sent


@pytest.mark.parametrize(
    ("keys", "header", "value"),
    [
        ('api_key = "env:KEY"', "authorization", f"Bearer {SECRET}"),
        ('auth = "bearer"\napi_key = "env:KEY"', "authorization", f"Bearer {SECRET}"),
        ('auth = "basic"\napi_key = "env:PAIR"', "authorization", f"Basic {b64encode(b'user:pass word').decode()}"),
        ('auth = "header:X-Key"\napi_key = "env:KEY"', "x-key", SECRET),
        ('auth = "header:Authorization:Token"\napi_key = "env:KEY"', "authorization", f"Token {SECRET}"),
        ('auth = "header:Authorization:Token "\napi_key = "env:KEY"', "authorization", f"Token {SECRET}"),
        ('auth = "header:Authorization:key="\napi_key = "env:KEY"', "authorization", f"key={SECRET}"),
        ('headers = { Authorization = "env:SCHEME" }', "authorization", "Bearer abc12345678"),
        ('headers = { Authorization = "Key ${env:KEY}" }', "authorization", f"Key {SECRET}"),
        ('headers = { Accept = "text/json" }', "accept", "text/json"),
    ],
)
async def test_a_key_is_sent_as_the_account_says(keys: str, header: str, value: str, api: Api, tmp_path: Path) -> None:
    reading = await ask(configured(tmp_path, text(api, keys), ENVIRON))
    assert isinstance(reading, Known)
    assert api.asked[0].headers[header] == value
    assert "authorization" not in api.asked[0].headers or header == "authorization"


@pytest.mark.parametrize(
    "keys",
    [
        'auth = "query:key"\napi_key = "env:KEY"\npath = "/usage"',
        'auth = "query:key"\napi_key = "env:KEY"\npath = "/usage?a=b"',
        'path = "/usage?a=b&key=${env:KEY}"',
    ],
)
async def test_a_key_in_a_url_is_percent_encoded_and_in_no_word(keys: str, api: Api, tmp_path: Path) -> None:
    account = configured(tmp_path, text(api, keys), ENVIRON)
    assert isinstance(await ask(account), Known)
    assert parse_qs(urlsplit(api.asked[0].path).query)["key"] == [SECRET]
    assert "k3y" not in repr(account) + account.url
    for status in (200, 400, 503):
        api.status, api.body = status, json.dumps({"error": f"GET {api.asked[0].path} with {SECRET}"})
        reading = await ask(account)
        assert isinstance(reading, Unavailable)
        assert "k3y" not in reading.detail


async def test_a_key_in_a_body_is_json_and_in_no_word(api: Api, tmp_path: Path) -> None:
    keys = """method = "POST"\nbody = '{"key": "${env:KEY}"}'\nok = "ok"\nerror = "why" """
    account = configured(tmp_path, text(api, keys), ENVIRON)
    api.body = json.dumps({"ok": False, "why": f"the key {SECRET} is unknown", "balance": 0})
    reading = await ask(account)
    assert isinstance(reading, Unavailable)
    assert (reading.reason, reading.detail) == (Reason.REFUSED, "the API says: the key … is unknown")
    (asked,) = api.asked
    assert (asked.method, json.loads(asked.body)) == ("POST", {"key": SECRET})
    assert asked.headers["content-type"] == "application/json"


async def test_a_body_may_be_of_another_kind_and_of_several_lines(api: Api, tmp_path: Path) -> None:
    keys = 'method = "POST"\nbody = """a=b\n&c=${env:KEY}"""\nheaders = { Content-Type = "text/plain" }'
    assert isinstance(await ask(configured(tmp_path, text(api, keys), ENVIRON)), Known)
    assert api.asked[0].body == f"a=b &c={SECRET}"
    assert api.asked[0].headers["content-type"] == "text/plain"


async def test_a_key_that_an_answer_repeats_is_not_kept(api: Api, tmp_path: Path) -> None:
    keys = 'api_key = "env:KEY"\nfields = { balance = "balance", client_name = "who", billing_error = "error" }'
    api.body = json.dumps({"balance": 5, "who": f"owner of {SECRET}", "error": SECRET})
    reading = await ask(configured(tmp_path, text(api, keys), ENVIRON))
    assert isinstance(reading, Known)
    assert (reading.metrics.client_name, reading.metrics.billing_error) == ("owner of …", "…")
    assert "k3y" not in str(reading)


async def test_a_whole_url_may_be_a_secret(api: Api, tmp_path: Path) -> None:
    account = configured(tmp_path, text(api, 'url = "env:URL"'), ENVIRON | {"URL": f"{api.url}/s3cret-path?x=1"})
    assert isinstance(await ask(account), Known)
    assert api.asked[0].path == "/s3cret-path?x=1"
    assert account.url == api.url
    assert "s3cret" not in repr(account)


async def test_places_of_a_url_are_filled_in(api: Api, tmp_path: Path) -> None:
    keys = 'path = "/v2/{team}/{project}?t={team}"\nparams = { team = "t_1", project = "env:PROJECT" }'
    assert isinstance(await ask(configured(tmp_path, text(api, keys), ENVIRON | {"PROJECT": "p-2.x"})), Known)
    assert api.asked[0].path == "/v2/t_1/p-2.x?t=t_1"


@pytest.mark.parametrize(
    ("answer", "unlimited"),
    [
        ({"used": 5, "limit": 0}, True),
        ({"used": 5, "limit": -1}, True),
        ({"used": 5, "limit": None}, True),
        ({"used": 5}, True),
        ({"used": 5, "limit": 10}, False),
    ],
)
async def test_an_answer_can_say_that_there_is_no_limit(
    answer: dict[str, Any], unlimited: bool, api: Api, tmp_path: Path
) -> None:
    keys = 'unit = "calls"\nunlimited = "limit <= `0`"\nfields = { used = "used", limit = "limit" }'
    api.body = json.dumps(answer)
    reading = await ask(configured(tmp_path, text(api, keys), ENVIRON))
    assert isinstance(reading, Known)
    assert reading.metrics.unusable == ()
    assert (reading.metrics.limit_microgb is None) is unlimited


@pytest.mark.parametrize(
    ("keys", "answer", "words"),
    [
        ('unit = "EUR"', {"balance": 5, "currency": "EUR"}, None),
        ('unit = "EUR"', {"balance": 5, "account": {"currency": "eur"}}, None),
        ('unit = "EUR"', {"balance": 5, "account": {"currency": "euro"}}, None),
        ("", {"balance": 5, "currency": "EUR"}, "the answer names EUR (currency), and the unit is USD"),
        ("", {"balance": 5, "account": {"currency_code": "chf"}}, "names chf (account.currency_code)"),
        ('unit = "credits"', {"balance": 5, "currency": "EUR"}, None),
        ('unit = "EUR"\ncurrency = "c"', {"balance": 5, "c": "eur", "currency": "USD"}, None),
        ('currency = "c"', {"balance": 5, "c": "EUR"}, "the answer is in EUR, and the unit is USD"),
        ('currency = "c"', {"balance": 5}, "the answer names no currency where it should"),
        ('currency = "c"', {"balance": 5, "c": 840}, "the answer names no currency where it should"),
        ('currency = "c[].x"', {"balance": 5, "c": [{"x": "USD"}, {"x": "usd"}]}, None),
        ('currency = "c[].x"', {"balance": 5, "c": [{"x": "USD"}, {"x": "EUR"}]}, "in EUR"),
        ('currency = "c[].x"', {"balance": 5, "c": []}, "names no currency"),
        ('currency = "sum(c)"', {"balance": 5, "c": "x"}, "names no currency"),
        ('unit = "points"\ncurrency = "c"', {"balance": 5, "c": "points"}, None),
    ],
)
async def test_the_answers_currency_must_be_the_unit(
    keys: str, answer: dict[str, Any], words: str | None, api: Api, tmp_path: Path
) -> None:
    api.body = json.dumps(answer)
    reading = await ask(configured(tmp_path, text(api, keys), ENVIRON))
    if words is None:
        assert isinstance(reading, Known), reading
        return
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.WRONG_CURRENCY
    assert words in reading.detail


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ({"code": 0, "balance": 5}, None),
        ({"code": 5, "balance": 0, "message": "out of order"}, "the API says: out of order"),
        ({"code": 5, "balance": 0, "error": {"message": "no"}}, "the API says: no"),
        ({"code": "0", "balance": 5}, "the answer says that it is none"),
        ({"balance": 5}, "the answer says that it is none"),
        ({"code": 5, "message": [1], "balance": 0}, "the API says: [1]"),
    ],
)
async def test_a_good_status_with_a_no_inside_is_refused(
    answer: dict[str, Any], detail: str | None, api: Api, tmp_path: Path
) -> None:
    api.body = json.dumps(answer)
    reading = await ask(configured(tmp_path, text(api, 'ok = "code == `0`"\nerror = "message"'), ENVIRON))
    if detail is None:
        assert isinstance(reading, Known)
        return
    assert isinstance(reading, Unavailable)
    assert (reading.reason, reading.detail) == (Reason.REFUSED, detail)


async def test_what_an_account_says_overrides_its_preset(api: Api, tmp_path: Path) -> None:
    own = f"""[accounts.one]
provider = "deepseek"
api_key = "env:KEY"
url = "{api.url}/other"
unit = "CNY"
poll = "7 * * * *"
currency = "balance_infos[?currency=='CNY'] | [0].currency"
headers = {{ X-Team = "a" }}
[accounts.one.fields]
balance = "balance_infos[?currency=='CNY'] | [0].total_balance"
"""
    account = configured(tmp_path, own, ENVIRON)
    api.body = json.dumps({"balance_infos": [{"currency": "CNY", "total_balance": "110.00"}]})
    reading = await ask(account)
    assert isinstance(reading, Known)
    assert reading.metrics.balance_microusd == 110_000_000
    assert account.poll == "7 * * * *"
    assert api.asked[0].headers["x-team"] == "a"
