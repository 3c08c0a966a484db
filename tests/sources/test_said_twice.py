"""A key that stands twice in one object of an answer: which value is meant cannot be told, so there is no reading."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from alerts.model.readings import Reading, Reason, Unavailable
from daemon.clock import ManualClock
from daemon.demo.standins.usage import BadJson, UsageStandin
from daemon.net.http import HttpAnswer, HttpClient
from daemon.sources.fetcher import Fetcher
from daemon.sources.registry import PROVIDERS
from tests.helpers_sources import (
    CONTENTSTATS_PAGE,
    NOW,
    TORNADO_PAGE,
    account,
    json_mapping,
    read_mapped,
    read_prepaid,
    read_storage,
)

PREPAID, STORAGE = json.dumps(dict(CONTENTSTATS_PAGE)), json.dumps(dict(TORNADO_PAGE))
THIRD = read_mapped({"balance_usd": "data.balance", "uncharged_usage_usd": "sum(data.items[].usd)"})


def twice(body: str, name: str, value: str) -> bytes:
    return f'{body[:-1]}, "{name}": {value}}}'.encode()


@pytest.mark.parametrize(
    ("parse", "body", "name"),
    [
        (read_prepaid, twice(PREPAID, "balance_usd", "0.4"), "balance_usd"),
        (read_prepaid, twice(PREPAID, "balance_usd", "12.45"), "balance_usd"),
        (read_prepaid, twice(PREPAID, "\\u0062alance_usd", "0.4"), "balance_usd"),
        (read_prepaid, twice(PREPAID, "active_videos", "9000"), "active_videos"),
        (read_prepaid, twice(PREPAID, "plan", '{"name": 1, "name": 2}'), "name"),
        (read_prepaid, twice(PREPAID, "plans", '[[{"deep": 1, "deep": 1}]]'), "deep"),
        (read_storage, twice(STORAGE, "storage_usage_gb", "1024"), "storage_usage_gb"),
        (read_storage, twice(STORAGE, "limits", '[{"a": 0}, {"of": {"b": 1, "b": 1}}]'), "b"),
        (THIRD, b'{"data": {"balance": 49.9, "items": [], "balance": 0.4}}', "balance"),
        (THIRD, b'{"data": {"balance": 49.9, "items": [{"usd": 1, "usd": 2}]}}', "usd"),
        (THIRD, b'{"data": {"balance": 49.9, "items": []}, "data": {"balance": 0.4, "items": []}}', "data"),
        (THIRD, b'{"data": {"balance": 49.9, "items": []}, "unread": {"x": 1, "x": 1}}', "x"),
    ],
)
def test_a_key_that_stands_twice_is_a_bad_payload_that_names_it(
    parse: Callable[..., Reading], body: bytes, name: str
) -> None:
    reading = parse("clips", NOW, HttpAnswer(200, {}, body, 1))
    assert isinstance(reading, Unavailable)
    assert (reading.reason, reading.detail) == (Reason.BAD_PAYLOAD, f"{name} stands in the answer twice")


def test_a_key_may_stand_once_in_each_of_many_objects() -> None:
    body = b'{"data": {"balance": 5, "items": [{"usd": 1}, {"usd": 2}]}, "usd": 3}'
    reading = THIRD("clips", NOW, HttpAnswer(200, {}, body, 1))
    assert not isinstance(reading, Unavailable)
    assert reading.metrics.available_microusd == 2_000_000


def test_a_body_full_of_keys_is_refused_in_no_time() -> None:
    names = ", ".join(f'"{number:x}": 1' for number in range(20_000))
    began = time.monotonic()
    reading = read_prepaid("clips", NOW, HttpAnswer(200, {}, twice(f"{{{names}}}", "4e1f", "2"), 1))
    assert time.monotonic() - began < 1
    assert isinstance(reading, Unavailable)
    assert reading.detail == "4e1f stands in the answer twice"


@pytest.mark.parametrize(
    ("body", "provider"),
    [
        (twice(PREPAID, "balance_usd", "0.4"), "contentstats"),
        (b'{"balance": 49.9, "balance": 0.4}', "json"),
    ],
)
async def test_over_a_socket_it_is_no_reading_either(body: bytes, provider: str) -> None:
    clock = ManualClock(NOW)
    standin = UsageStandin(clock)
    standin.prepaid("cs_test_clips", balance_usd=5)
    standin.fail("cs_test_clips", BadJson(body))
    http = HttpClient()
    async with standin.serve() as url:
        asked = account(base_url=url)
        if provider == "json":
            mapping = json_mapping({"balance_usd": "balance"}, {"x-api-key": "cs_test_clips"})
            asked = replace(asked, provider=PROVIDERS["json"], json=mapping)
        reading = await Fetcher(http, clock).fetch(asked)
        await http.aclose()
    assert isinstance(reading, Unavailable)
    assert "balance" in reading.detail
    assert reading.detail.endswith("stands in the answer twice")
