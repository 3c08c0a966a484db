"""Every preset over real HTTP: it reads its documented answer, sends its key as it says, and believes nothing else."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Known, Reason, Unavailable
from alerts.model.units import CURRENCIES, UNIT
from daemon.config.cron import parse_cron
from daemon.config.model import AccountConfig
from daemon.sources.preset import Preset, preset, preset_names
from daemon.sources.registry import PROVIDERS, find
from tests.helpers_apis import Api, ask, configured, serving_api

EVERY = pytest.mark.parametrize("name", preset_names())
KEY = "user:k3y/with+odd=signs&%20x"
TABLE = PROVIDERS["json"].table

NOT_OK: dict[str, Any] = {
    "firecrawl": {"success": False, "error": "out of order"},
    "moonshot": {"code": 5, "message": "out of order"},
    "runpod": {"errors": [{"message": "out of order"}]},
    "siliconflow": {"code": 50000, "message": "out of order"},
    "skywork": {"code": 500, "message": "out of order"},
    "zenmux": {"success": False, "message": "out of order"},
}
"""By preset, what makes its documented answer one that says no."""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving_api() as served:
        yield served


@pytest.fixture(autouse=True)
def _fresh(api: Api) -> None:
    api.status, api.headers = 200, {}
    api.asked.clear()


def account(folder: Path, api: Api, name: str) -> AccountConfig:
    one = preset(name)
    url = api.url + one.url.removeprefix("https://" + urlsplit(one.url).netloc)
    params = ", ".join(f'{param} = "{param}-1"' for param in one.params)
    text = f'[accounts.one]\nprovider = "{name}"\napi_key = "env:KEY"\nurl = "{url}"\nparams = {{ {params} }}\n'
    return configured(folder, text, {"KEY": KEY})


def everywhere(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with every leaf of it changed."""
    if isinstance(value, dict):
        return {name: everywhere(inner, change) for name, inner in value.items()}
    return [everywhere(inner, change) for inner in value] if isinstance(value, list) else change(value)


def expected(name: str, said: str) -> Any:
    metric, _ = TABLE[name]
    return datetime.fromisoformat(said) if metric.endswith("_at") else to_micro(Decimal(said))


def check_auth(one: Preset, path: str, headers: Any) -> None:
    kind, _, rest = one.auth.partition(":")
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if kind == "query":
        assert query[rest] == [KEY]
        assert "authorization" not in headers
        return
    assert KEY not in str(query)
    if kind == "header":
        header, _, prefix = rest.partition(":")
        assert headers[header.lower()] == (f"{prefix} {KEY}" if prefix else KEY)
    else:
        basic = f"Basic {b64encode(KEY.encode()).decode()}"
        assert headers["authorization"] == (f"Bearer {KEY}" if kind == "bearer" else basic)


def test_there_are_as_many_as_promised() -> None:
    assert len(preset_names()) >= 36


@EVERY
async def test_it_reads_its_documented_answer_to_the_millionth(name: str, api: Api, tmp_path: Path) -> None:
    one = preset(name)
    api.body = one.answer
    reading = await ask(account(tmp_path, api, name))
    assert isinstance(reading, Known), reading
    assert reading.metrics.unusable == ()
    assert set(one.reads) == set(one.fields)
    for field, said in one.reads.items():
        assert getattr(reading.metrics, TABLE[field][0]) == expected(field, said), field
    (asked,) = api.asked
    assert asked.method == one.method
    assert asked.body == one.body
    place = urlsplit(one.url)
    for param in one.params:
        place = place._replace(path=place.path.replace(f"{{{param}}}", f"{param}-1"))
    assert urlsplit(asked.path).path == place.path
    assert parse_qs(place.query).items() <= parse_qs(urlsplit(asked.path).query).items()
    check_auth(one, asked.path, asked.headers)


@EVERY
@pytest.mark.parametrize(
    "change",
    [
        lambda answer: everywhere(answer, lambda _: None),
        lambda _: None,
        lambda answer: [answer],
        lambda _: [],
        lambda _: {},
        lambda _: {"error": {"message": "no such account"}},
        lambda _: {"errors": [{"message": "no such account"}]},
        lambda answer: everywhere(answer, lambda _: "much"),
        lambda answer: everywhere(answer, lambda _: True),
        lambda answer: everywhere(answer, lambda _: [1]),
    ],
    ids=["nulls", "null", "in-a-list", "empty-list", "nothing", "error", "errors", "words", "true", "lists"],
)
async def test_what_is_no_answer_of_it_is_no_reading(
    name: str, change: Callable[[Any], Any], api: Api, tmp_path: Path
) -> None:
    api.body = json.dumps(change(json.loads(preset(name).answer)))
    reading = await ask(account(tmp_path, api, name))
    assert isinstance(reading, Unavailable), api.body
    assert reading.reason in (Reason.BAD_PAYLOAD, Reason.REFUSED, Reason.WRONG_CURRENCY)


@pytest.mark.parametrize("name", NOT_OK)
async def test_an_answer_that_says_no_is_refused_in_the_apis_own_words(name: str, api: Api, tmp_path: Path) -> None:
    api.body = json.dumps(json.loads(preset(name).answer) | NOT_OK[name])
    reading = await ask(account(tmp_path, api, name))
    assert isinstance(reading, Unavailable)
    assert (reading.reason, reading.detail) == (Reason.REFUSED, "the API says: out of order")


def test_each_that_can_say_no_is_tried() -> None:
    assert {name for name in preset_names() if preset(name).ok} == set(NOT_OK)


@pytest.mark.parametrize("name", [name for name in preset_names() if preset(name).unit in CURRENCIES])
async def test_another_currency_is_none_of_its_unit(name: str, api: Api, tmp_path: Path) -> None:
    def change(value: Any) -> Any:
        return "GBP" if value in ("USD", "usd", "euros") else value

    one, said = preset(name), json.loads(preset(name).answer)
    api.body = json.dumps(everywhere(said, change) if one.currency else said | {"currency": "GBP"})
    reading = await ask(account(tmp_path, api, name))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.WRONG_CURRENCY
    assert one.unit in reading.detail


@EVERY
async def test_a_redirect_takes_the_key_nowhere(name: str, api: Api, tmp_path: Path) -> None:
    with serving_api() as other:
        api.status, api.headers, api.body = 302, {"location": f"{other.url}/elsewhere"}, ""
        reading = await ask(account(tmp_path, api, name))
        assert other.asked == []
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.REDIRECTED
    assert KEY not in reading.detail


@EVERY
@pytest.mark.parametrize("status", [200, 401, 500])
async def test_a_key_that_is_repeated_is_in_no_word_of_a_reading(
    name: str, status: int, api: Api, tmp_path: Path
) -> None:
    asked = account(tmp_path, api, name)
    api.status = status
    forms = {KEY}
    if preset(name).auth == "basic":
        forms |= {KEY.partition(":")[2], b64encode(KEY.encode()).decode()}
    elif preset(name).auth.startswith("query"):
        forms.add(quote(KEY, safe=""))
    for form in forms:
        api.body = json.dumps({"code": 1, "success": False, "message": f"no key {form} is known", "errors": [form]})
        reading = await ask(asked)
        assert isinstance(reading, Unavailable)
        assert not any(one in reading.detail for one in forms), reading.detail
    assert not any(form in repr(asked) for form in forms)


@EVERY
def test_it_says_all_that_a_person_needs(name: str) -> None:
    one, provider = preset(name), find(name)
    assert provider is not None
    assert provider.provides
    assert all((one.title, one.documented, one.key))
    assert UNIT.fullmatch(one.unit)
    assert parse_cron(one.poll)
    assert set(one.fields) <= set(TABLE)
    assert not [field for field in one.fields if field.endswith(("_usd", "_gb"))]
    assert one.url.startswith("https://")
    assert not one.topup_safe or (one.unit == "USD" and "balance" in one.fields)
