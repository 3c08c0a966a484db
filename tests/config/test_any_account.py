"""What `check` says of accounts of any API: each mistake at its key, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.problems import Level
from tests.helpers_config import STRIPE, TOPUP, look

ENVIRON = {"KEY": "k3y-s3cret", "PAIR": "user:pass", "UMLAUT": "schlüssel"}
JSON = 'provider = "json"\nurl = "https://api.example.com/usage"\n'
FIELDS = 'fields = { balance = "balance" }\n'
WHOLE = JSON + FIELDS
DEEPGRAM = 'provider = "deepgram"\napi_key = "env:KEY"\n'
EXPRESSION, INVALID, VALUE = "field-expression", "secret-invalid", "value-invalid"


def errors(folder: Path, account: str, more: str = "") -> dict[str, tuple[str, str]]:
    """Return by key what is wrong, and what is said to do."""
    found = look(folder, f"[accounts.one]\n{account}\n{more}", ENVIRON)
    said = str([str(problem) for problem in found.problems])
    assert "k3y" not in said
    assert "pass" not in said.replace("password", "").replace("passes", "")
    return {
        problem.key_path.removeprefix("accounts.one").removeprefix("."): (
            problem.id.value,
            f"{problem.message}: {problem.hint}",
        )
        for problem in found.problems
        if problem.severity is Level.ERROR
    }


@pytest.mark.parametrize(
    ("account", "key", "id", "words"),
    [
        ('provider = "openruter"\napi_key = "env:KEY"', "provider", VALUE, 'did you mean "openrouter"?'),
        ('provider = "nothing-like-it"', "provider", VALUE, "`brimful providers` lists them"),
        ('provider = "openrouter"', "api_key", "key-missing", "the key is a management key"),
        (DEEPGRAM, "params.project", "key-missing", 'params = { project = "…" }'),
        (
            'provider = "deepgram"\napi_key = "env:KEY"\nparams = { project = "x", team = "y" }',
            "params.team", "key-unknown", "known: project",
        ),
        (DEEPGRAM + 'params = { project = "a/b" }', "params.project", VALUE, "letters"),
        (DEEPGRAM + 'params = { project = ".." }', "params.project", VALUE, "letters"),
        (DEEPGRAM + 'params = { project = "env:NONE" }', "params.project", "secret-unset", "NONE"),
        ('provider = "twilio"\napi_key = "env:KEY"\nparams = { sid = "AC1" }', "api_key", INVALID, "user:password"),
        ('provider = "contentstats"\napi_key = "env:KEY"\nunit = "EUR"', "unit", "account-keys", "has no unit"),
        (JSON, "fields", "key-missing", "needs this key"),
        (JSON + 'fields = { limit = "a" }', "fields", "key-missing", "neither balance nor used"),
        (JSON + 'fields = { balance = "minus(a, b)" }', "fields.balance", EXPRESSION, 'did you mean "min"?'),
        (JSON + 'fields = { balance = "subtract(a, b)" }', "fields.balance", EXPRESSION, "no function subtract()"),
        (JSON + 'fields = { balance = "sub(a)" }', "fields.balance", EXPRESSION, "sub() takes 2 arguments, not 1"),
        (JSON + 'fields = { balance = "a[" }', "fields.balance", EXPRESSION, "bad syntax at character 3"),
        (WHOLE + 'ok = "is_ok(code)"', "ok", EXPRESSION, "there is no function is_ok()"),
        (WHOLE + 'currency = "a["', "currency", EXPRESSION, "bad syntax"),
        (JSON + 'fields = { blance = "a", used = "b" }', "fields.blance", "field-unknown", 'did you mean "balance"?'),
        (JSON + 'fields = { balance = "a", balance_usd = "b" }', "fields.balance_usd", "account-keys", "says the same"),
        (JSON + 'unit = "EUR"\nfields = { balance_usd = "b" }', "fields.balance_usd", "account-unit", "write balance"),
        (
            JSON + 'unit = "EUR"\nfields = { balance = "b", uncharged_usage_usd = "c" }',
            "fields.uncharged_usage_usd", "account-unit", "write uncharged",
        ),
        (JSON + 'fields = { used = "a", limit_gb = "b" }', "fields", "account-unit", "with _gb, or none"),
        (WHOLE + 'unit = "eur"', "unit", VALUE, 'write "EUR"'),
        (WHOLE + 'unit = "gb"', "unit", VALUE, 'write "GB"'),
        (WHOLE + 'unit = "two words"', "unit", VALUE, "one word"),
        (WHOLE + 'auth = "digest"\napi_key = "env:KEY"', "auth", VALUE, '"header:NAME:PREFIX"'),
        (WHOLE + 'auth = "header:"\napi_key = "env:KEY"', "auth", VALUE, '"header:NAME"'),
        (WHOLE + 'auth = "bearer"', "api_key", "key-missing", 'write "env:NAME"'),
        (WHOLE + 'auth = "none"\napi_key = "env:KEY"', "api_key", "account-keys", "no key is sent"),
        (WHOLE + 'auth = "basic"\napi_key = "env:KEY"', "api_key", INVALID, "it holds no colon"),
        (WHOLE + 'api_key = "env:UMLAUT"', "api_key", INVALID, "cannot carry"),
        (WHOLE + 'headers = { "X Key" = "a" }', "headers.X Key", VALUE, "not the name of a header"),
        (WHOLE + 'headers = { Authorization = "Bearer env:KEY" }', "headers.Authorization", INVALID, "${env:NAME}"),
        (WHOLE + 'headers = { A = "Bearer ${ENV:KEY}" }', "headers.A", INVALID, "${ENV:KEY} names no secret"),
        (WHOLE + 'headers = { A = "Bearer ${env:NONE}" }', "headers.A", "secret-unset", "NONE is not set"),
        (WHOLE + 'method = "PUT"', "method", VALUE, '"GET" or "POST"'),
        (WHOLE + 'body = "x"', "body", "account-keys", 'write method = "POST"'),
        (WHOLE + 'method = "POST"\nbody = "key=env:KEY"', "body", INVALID, "${env:NAME}"),
        (JSON.replace("/usage", "/usage?key=env:KEY") + FIELDS, "url", INVALID, "${env:NAME}"),
        (JSON.replace("/usage", "/{team}") + FIELDS, "params.team", "key-missing", "{team}"),
        (JSON.replace("https", "http") + FIELDS, "url", "url-plain-http", "use https"),
        (JSON.replace("api.example.com", "169.254.169.254") + FIELDS, "url", "url-forbidden-address", "metadata"),
    ],
)  # fmt: skip
def test_a_mistake_is_explained_at_its_key(tmp_path: Path, account: str, key: str, id: str, words: str) -> None:
    found = errors(tmp_path, account)
    assert list(found) == [key], found
    assert found[key][0] == id
    assert words in found[key][1]


@pytest.mark.parametrize(
    ("account", "id", "words"),
    [
        ('provider = "openrouter"\napi_key = "env:KEY"', "topup-unsafe", '"openrouter" is late or partial'),
        ('provider = "openrouter"\napi_key = "env:KEY"\ntopup_safe = true', "topup-unsafe", "late or partial"),
        (WHOLE + "topup_safe = false", "topup-unsafe", "late or partial"),
        (WHOLE + 'unit = "EUR"', "topup-unit", "the account is in EUR"),
        ('provider = "deepseek"\napi_key = "env:KEY"\nunit = "CNY"', "topup-unit", "the account is in CNY"),
    ],
)
def test_a_topup_needs_dollars_and_a_balance_that_is_prompt(tmp_path: Path, account: str, id: str, words: str) -> None:
    found = errors(tmp_path, account, TOPUP.replace("clips", "one") + STRIPE.replace("env:STRIPE_KEY", "sk_test_123"))
    assert {key: said[0] for key, said in found.items()} == {"topup": id}
    assert words in found["topup"][1]


@pytest.mark.parametrize(
    "account",
    [
        'provider = "deepseek"\napi_key = "env:KEY"',
        'provider = "twilio"\napi_key = "env:PAIR"\nparams = { sid = "AC1" }',
        JSON + FIELDS + 'headers = { Authorization = "Bearer ${env:KEY}" }',
        JSON.replace("/usage", "/usage?key=${env:KEY}") + FIELDS,
        JSON + FIELDS + 'method = "POST"\nbody = \'{"env": "x", "key": "${env:KEY}"}\'',
        JSON + 'fields = { balance = "a", used_gb = "b", limit_gb = "c" }',
        JSON + 'unit = "GB"\nfields = { used = "a", limit_gb = "b" }',
        JSON
        + 'fields = { balance = "a" }\nunit = "EUR"\ncurrency = "currency"\nunlimited = "x < `0`"\nok = "a == `1`"',
    ],
)
def test_a_good_account_is_accepted(tmp_path: Path, account: str) -> None:
    assert errors(tmp_path, account) == {}


def test_a_secret_that_is_unset_stops_no_check_without_secrets(tmp_path: Path) -> None:
    text = (
        f'[accounts.one]\n{JSON.replace("/usage", "/{team}?key=${env:NONE}")}{FIELDS}params = {{ team = "env:TEAM" }}\n'
    )
    found = look(tmp_path, text, {}, secrets=False)
    assert [problem for problem in found.problems if problem.severity is Level.ERROR] == []
    assert found.config is not None


@pytest.mark.parametrize(
    ("query", "warned"),
    [
        ("?api_key=abcdefgh12", True),
        ("?a=b&access_token=abcdefgh12", True),
        ("?key=${env:KEY}", False),
        ("?expand=credits", False),
    ],
)
def test_a_key_that_is_written_into_a_url_draws_a_warning_and_is_not_shown(
    tmp_path: Path, query: str, warned: bool
) -> None:
    found = look(tmp_path, f"[accounts.one]\n{JSON.replace('/usage', '/usage' + query)}{FIELDS}", ENVIRON)
    assert [one.key_path for one in found.problems if one.id.value == "secret-literal"] == ["accounts.one.url"] * warned
    assert found.config is not None
    assert "abcdefgh12" not in found.config.accounts["one"].url + repr(found.config)
