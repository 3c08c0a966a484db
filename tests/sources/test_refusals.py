"""Answers that are no reading."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.readings import Known, Reading, Reason, Unavailable
from daemon.net.http import FailureKind, HttpAnswer, HttpFailure
from daemon.sources.fetcher import failed
from daemon.sources.provider import Parser
from daemon.sources.refusals import one_line, refused
from daemon.sources.waits import rate_reset, retry_after
from tests.helpers_sources import CONTENTSTATS_PAGE, NOW, read_mapped, read_prepaid, read_storage


def unavailable(status: int, body: bytes = b"", **headers: str) -> Unavailable:
    return refused(
        "clips", NOW, HttpAnswer(status, {name.replace("_", "-"): v for name, v in headers.items()}, body, 1)
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, Reason.REDIRECTED),
        (304, Reason.REDIRECTED),
        (400, Reason.NOT_FOUND),
        (401, Reason.UNAUTHORIZED),
        (402, Reason.PAYMENT_REQUIRED),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_FOUND),
        (408, Reason.TIMEOUT),
        (410, Reason.NOT_FOUND),
        (418, Reason.NOT_FOUND),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (599, Reason.SERVER_ERROR),
        (199, Reason.BAD_PAYLOAD),
        (999, Reason.SERVER_ERROR),
    ],
)
def test_every_status_has_its_reason(status: int, reason: Reason) -> None:
    assert unavailable(status).reason is reason


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_has_its_reason(kind: FailureKind) -> None:
    reading = failed("clips", NOW, HttpFailure(kind, "words"))
    expected = {"timeout": Reason.TIMEOUT, "too_large": Reason.TOO_LARGE}.get(kind.value, Reason.UNREACHABLE)
    assert reading.reason is expected


def test_a_full_quota_is_told_with_its_numbers() -> None:
    body = b'{"error":"Storage quota exceeded","limit_gb":"1024.00","used_gb":"1024.00","message":"Contact us"}'
    assert unavailable(403, body).detail == "403: Storage quota exceeded (1024.00 of 1024.00 GB)"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"error": "API key required"}', "401: API key required"),
        (b'{"error": {"message": "no\\nkey"}}', "401: no key"),
        (b'{"message": "nope"}', "401: nope"),
        (b'{"error": {"code": 40101}, "message": "nope"}', "401: nope"),
        (b'{"error": true, "message": "nope"}', "401: nope"),
        (b'{"error": {"error": {"message": "nope"}}}', "401: nope"),
        (b'{"errors": [{"code": 3, "message": "nope"}, {"message": "later"}]}', "401: nope"),
        (b'{"errors": ["", "nope"]}', "401: nope"),
        (b'{"errors": {"api_key": ["is wrong"]}}', "401: api_key: is wrong"),
        (b'{"error": {"type": "auth_error"}}', "401: auth_error"),
        (b'{"errors": []}', "status 401"),
        (b'{"error": 7}', "status 401"),
        (b"<html>secret</html>", "401: an HTML page"),
        (b"plain secret", "status 401"),
        (b"[" * 50_000, "status 401"),
        (b"", "status 401"),
    ],
)
def test_the_detail_is_the_providers_error_and_never_the_raw_body(body: bytes, detail: str) -> None:
    assert unavailable(401, body).detail == detail


def test_a_redirect_is_told_without_path_and_query() -> None:
    detail = unavailable(302, location="https://user:pass@login.example/path?token=sk_test_123").detail
    assert detail == "302: redirects to https://login.example"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "Sun, 01 Nov 2026 12:02:00 GMT"}, 120),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "90000"}, 3600),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "1793534445"}, 45),
        ({"retry-after": "2026-11-01T12:00:30Z"}, 30),
        ({"retry-after": "999999999999"}, 60),
        ({"retry-after": "9" * 30}, 60),
        ({"retry-after": "-30"}, 60),
        ({"retry-after": "Sun, 01 Nov 2020 12:02:00 GMT"}, 60),
        ({"retry-after": "Sun, 01 Nov 2126 12:02:00 GMT"}, 60),
        ({"retry-after": "later"}, 60),
        ({"retry-after": "Sun, 01 Nov 2020 12:02:00 GMT", "x-ratelimit-reset": "1793534445"}, 45),
        ({"x-ratelimit-reset": "1793534445"}, 45),
        ({"x-ratelimit-reset": "1793534445.25"}, 45.25),
        ({"x-ratelimit-reset": "1793534445000"}, 45),
        ({"x-ratelimit-reset": "1793534445250"}, 45.25),
        ({"x-ratelimit-reset": "1793534445000000"}, 45),
        ({"x-ratelimit-reset": "1793534445000000000"}, 45),
        ({"x-ratelimit-reset": "2026-11-01T12:00:45Z"}, 45),
        ({"x-ratelimit-reset": "2026-11-01T13:00:45.000+01:00"}, 45),
        ({"x-ratelimit-reset": "2026-11-01T12:00:45"}, 45),
        ({"x-ratelimit-reset": "Sun, 01 Nov 2026 12:00:45 GMT"}, 45),
        ({"x-ratelimit-reset": "20"}, 20),
        ({"x-ratelimit-reset": "0.2"}, 1),
        ({"x-ratelimit-reset": "1793577600"}, 3600),
        ({"x-ratelimit-reset": "1793534399"}, 60),
        ({"x-ratelimit-reset": "1793534399000"}, 60),
        ({"x-ratelimit-reset": "1893534445"}, 60),
        ({"x-ratelimit-reset": "99999999"}, 60),
        ({"x-ratelimit-reset": "99999999999"}, 60),
        ({"x-ratelimit-reset": "-5"}, 60),
        ({"x-ratelimit-reset": "1e9"}, 60),
        ({"date": "Sun, 01 Nov 2026 12:10:00 GMT", "retry-after": "Sun, 01 Nov 2026 12:10:20 GMT"}, 20),
        ({"date": "Sun, 01 Nov 2026 11:50:00 GMT", "x-ratelimit-reset": "1793533830"}, 30),
        ({"date": "Sun, 01 Nov 2026 12:10:00 GMT", "x-ratelimit-reset": "1793534995000"}, 60),
        ({"date": "Sun, 01 Nov 2026 12:10:00 GMT", "retry-after": "20"}, 20),
        ({"date": "today", "x-ratelimit-reset": "1793534445"}, 45),
        ({"retry-after": "7", "x-ratelimit-reset": "1793534445"}, 7),
        ({}, 60),
    ],
    ids=repr,
)
def test_a_rate_limit_says_when_to_ask_again(headers: dict[str, str], seconds: float) -> None:
    assert datetime(2026, 11, 1, 12, tzinfo=UTC) == NOW
    reading = refused("clips", NOW, HttpAnswer(429, headers, b"", 1))
    assert reading.retry_at == NOW + timedelta(seconds=seconds)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,30}(\.[0-9]{0,9})?", fullmatch=True))
def test_any_header_value_is_survived(value: str) -> None:
    for read, name in ((retry_after, "retry-after"), (rate_reset, "x-ratelimit-reset")):
        moment = read({name: value}, NOW)
        assert moment is None or NOW < moment <= NOW + timedelta(hours=1)


@given(st.text(max_size=300))
def test_a_detail_is_always_one_clean_line(words: str) -> None:
    line = one_line(words)
    assert len(line) <= 160
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in line)
    line.encode()


@pytest.mark.parametrize(
    "words",
    ["key cs_live_abcdef123 is wrong", "use Bearer abc.def.ghi", "sk_test_123456", "whsec_MfKQ9r8GKYqrTwjUPD8I"],
)
def test_what_looks_like_a_key_is_masked(words: str) -> None:
    line = one_line(words)
    assert "…" in line
    assert not any(secret in line for secret in ("abcdef123", "abc.def", "123456", "MfKQ9r8"))


def parsed(provider: str, body: object) -> Reading:
    third = read_mapped({"balance_usd": "data.balance", "uncharged_usage_usd": "sum(data.parts)"})
    parsers: dict[str, Parser] = {"contentstats": read_prepaid, "tornado": read_storage, "json": third}
    return parsers[provider]("clips", NOW, HttpAnswer(200, {}, json.dumps(body).encode(), 1))


MISSING = {
    "contentstats": "balance_usd is missing",
    "tornado": "storage_usage_gb is missing",
    "json": "balance_usd is missing",
}


@pytest.mark.parametrize("provider", MISSING)
@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid api key"},
        {"error": {"message": "invalid api key", "code": 401}},
        {"message": "invalid api key"},
        {"errors": [{"message": "invalid api key"}]},
        {"errors": ["invalid api key"]},
        {"success": False, "message": "invalid api key", "data": None},
        {"status": "error", "detail": "invalid api key"},
        {"error": "\ninvalid\u2028api key "},
    ],
    ids=json.dumps,
)
def test_an_error_in_a_good_status_is_told_in_the_apis_words(provider: str, body: object) -> None:
    reading = parsed(provider, body)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.BAD_PAYLOAD
    assert reading.detail == f"{MISSING[provider]}; the API says: invalid api key"


def test_an_expression_that_fails_for_want_of_data_is_told_with_the_apis_words_too() -> None:
    reading = parsed("json", {"data": {"balance": 5}, "error": "invalid api key"})
    assert isinstance(reading, Unavailable)
    assert reading.detail.startswith("uncharged_usage_usd: ")
    assert reading.detail.endswith("; the API says: invalid api key")


def test_a_message_beside_the_fields_is_no_error() -> None:
    for name in ("message", "error", "errors"):
        assert isinstance(parsed("contentstats", {**CONTENTSTATS_PAGE, name: "prices change in May"}), Known)
    broken = parsed("contentstats", {**CONTENTSTATS_PAGE, "balance_usd": "lots", "message": "prices change in May"})
    assert isinstance(broken, Unavailable)
    assert broken.detail == "balance_usd is a text, not a number"


@given(st.text(max_size=3000))
def test_the_apis_words_are_bounded(words: str) -> None:
    reading = parsed("contentstats", {"error": {"message": words}})
    assert isinstance(reading, Unavailable)
    assert len(reading.detail) <= 160
    assert reading.detail.startswith("balance_usd is missing")
