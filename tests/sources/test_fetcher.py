"""Fetching over real sockets: every answer becomes a reading, and every bound is kept."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from alerts.model.readings import Known, Reason, Unavailable
from daemon.clock import ManualClock
from daemon.demo.standins.usage import (
    ALWAYS,
    BadJson,
    Cut,
    Disconnect,
    Drip,
    Fault,
    Html,
    Lie,
    Missing,
    NotHttp,
    OverLong,
    RateLimited,
    Redirect,
    Silence,
    Slow,
    Status,
    UsageStandin,
)
from daemon.net.http import HttpClient
from daemon.sources.fetcher import Fetcher
from tests.helpers_sources import CONTENTSTATS_PAGE, NOW, account, json_mapping

KEY = "cs_test_clips"


class Bench:
    def __init__(self, clock: ManualClock, standin: UsageStandin, fetcher: Fetcher, url: str) -> None:
        self.clock = clock
        self.standin = standin
        self.fetcher = fetcher
        self.clips = account(base_url=url)
        self.media = account("media", "tornado", url, "trn_test_media")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = ManualClock(NOW)
    standin = UsageStandin(clock)
    standin.prepaid(KEY, balance_usd="12.45", uncharged_usd="0.75", total_charged_usd="6.75", active_videos=3)
    standin.storage("trn_test_media", used_gb="942.08", limit_gb=1024)
    http = HttpClient()
    async with standin.serve() as url:
        yield Bench(clock, standin, Fetcher(http, clock, deadline_s=0.4, max_bytes=64 * 1024), url)
        await http.aclose()


async def test_both_apis_are_read(bench: Bench) -> None:
    clips, media = await bench.fetcher.fetch(bench.clips), await bench.fetcher.fetch(bench.media)
    assert isinstance(clips, Known)
    assert isinstance(media, Known)
    assert clips.metrics.available_microusd == 11_700_000
    assert media.metrics.limit_microgb == 1_024_000_000
    assert clips.at == NOW


async def test_a_poll_that_is_cancelled_ends_as_one(bench: Bench) -> None:
    bench.standin.fail(KEY, Silence())
    polling = asyncio.ensure_future(bench.fetcher.fetch(bench.clips))
    await asyncio.sleep(0.1)
    polling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await polling


BAD: list[tuple[Fault, Reason]] = [
    (Status(401, "API key required"), Reason.UNAUTHORIZED),
    (Status(402, "insufficient balance"), Reason.PAYMENT_REQUIRED),
    (Status(403, "key lacks permission"), Reason.FORBIDDEN),
    (Status(404), Reason.NOT_FOUND),
    (Status(500), Reason.SERVER_ERROR),
    (Status(502, body=b"<html>Bad gateway</html>"), Reason.SERVER_ERROR),
    (Status(204, body=b""), Reason.BAD_PAYLOAD),
    (RateLimited(), Reason.RATE_LIMITED),
    (Html(), Reason.BAD_PAYLOAD),
    (Html(503), Reason.SERVER_ERROR),
    (BadJson(), Reason.BAD_PAYLOAD),
    (BadJson(b""), Reason.BAD_PAYLOAD),
    (BadJson(b"[" * 50_000), Reason.BAD_PAYLOAD),
    (BadJson(b"null"), Reason.BAD_PAYLOAD),
    (Lie({"balance_usd": float("nan")}), Reason.BAD_PAYLOAD),
    (Lie({"balance_usd": float("inf")}), Reason.BAD_PAYLOAD),
    (Lie({"balance_usd": [1]}), Reason.BAD_PAYLOAD),
    (Lie({"balance_usd": True}), Reason.BAD_PAYLOAD),
    (Missing(("balance_usd",)), Reason.BAD_PAYLOAD),
    (Redirect("http://169.254.169.254/latest"), Reason.REDIRECTED),
    (OverLong(), Reason.TOO_LARGE),
    (Silence(), Reason.TIMEOUT),
    (Drip(), Reason.TIMEOUT),
    (Slow(5), Reason.TIMEOUT),
    (Cut(), Reason.UNREACHABLE),
    (Disconnect(), Reason.UNREACHABLE),
    (NotHttp(), Reason.UNREACHABLE),
]


@pytest.mark.parametrize(("fault", "reason"), BAD, ids=lambda value: str(value)[:50])
async def test_every_bad_answer_is_an_unavailable_reading_and_the_next_good_one_is_read(
    bench: Bench, fault: Fault, reason: Reason
) -> None:
    bench.standin.fail(KEY, fault)
    began = time.monotonic()
    reading = await bench.fetcher.fetch(bench.clips)
    assert time.monotonic() - began < 2
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert "\n" not in reading.detail
    bench.clock.advance(120)
    assert isinstance(await bench.fetcher.fetch(bench.clips), Known)


async def test_a_key_that_is_echoed_by_the_provider_is_masked(bench: Bench) -> None:
    bench.standin.fail("cs_test_clips", Status(401, f"no such key: {KEY}"))
    reading = await bench.fetcher.fetch(bench.clips)
    assert isinstance(reading, Unavailable)
    assert KEY not in reading.detail
    assert "no such key" in reading.detail


@pytest.mark.parametrize("words", [f"no such key: {KEY}", f"{'x' * 105} {KEY}", f"{'x' * 112} {KEY} and more"])
async def test_a_key_in_the_words_of_a_good_status_is_masked_even_where_they_are_cut(bench: Bench, words: str) -> None:
    odd = account(base_url=bench.clips.base_url, key="odd-Key.9f8e7d6c5b4a")
    bench.standin.prepaid("odd-Key.9f8e7d6c5b4a", balance_usd=5)
    body = json.dumps({"error": words.replace(KEY, "odd-Key.9f8e7d6c5b4a")}).encode()
    bench.standin.fail("odd-Key.9f8e7d6c5b4a", BadJson(body))
    reading = await bench.fetcher.fetch(odd)
    assert isinstance(reading, Unavailable)
    assert reading.detail.startswith("balance_usd is missing; the API says: ")
    assert "odd-" not in reading.detail


async def test_after_a_429_nothing_is_sent_until_it_says(bench: Bench) -> None:
    bench.standin.fail(KEY, RateLimited({"Retry-After": "30"}))
    first = await bench.fetcher.fetch(bench.clips)
    asked = bench.standin.asked[KEY]
    bench.clock.advance(29)
    second = await bench.fetcher.fetch(bench.clips)
    assert isinstance(first, Unavailable)
    assert isinstance(second, Unavailable)
    assert second.reason is Reason.RATE_LIMITED
    assert second.retry_at == first.retry_at == NOW + timedelta(seconds=30)
    assert bench.standin.asked[KEY] == asked
    bench.clock.advance(1)
    assert isinstance(await bench.fetcher.fetch(bench.clips), Known)


@pytest.mark.parametrize(("reset", "quiet_s"), [("1793534430000", 30), ("1793534430", 30), ("1793534000", 60)])
async def test_a_reset_in_milliseconds_or_in_the_past_is_no_silence_of_an_hour(
    bench: Bench, reset: str, quiet_s: int
) -> None:
    bench.standin.fail(KEY, RateLimited({"X-RateLimit-Reset": reset}))
    first = await bench.fetcher.fetch(bench.clips)
    assert isinstance(first, Unavailable)
    assert first.retry_at == NOW + timedelta(seconds=quiet_s)
    bench.clock.advance(quiet_s)
    assert isinstance(await bench.fetcher.fetch(bench.clips), Known)


async def test_a_429_of_one_key_leaves_the_others_alone(bench: Bench) -> None:
    bench.standin.fail(KEY, RateLimited({"Retry-After": "30"}))
    await bench.fetcher.fetch(bench.clips)
    assert isinstance(await bench.fetcher.fetch(bench.media), Known)


async def test_accounts_that_share_a_key_share_its_pace_and_meet_no_429() -> None:
    clock = ManualClock(NOW)
    standin = UsageStandin(clock, requests_per_minute=10)
    standin.prepaid(KEY, balance_usd=5)
    http = HttpClient()
    async with standin.serve() as url:
        fetcher = Fetcher(http, clock)
        accounts = [account(f"clips{number}", base_url=url) for number in range(25)]
        readings = await asyncio.gather(*(fetcher.fetch(one) for one in accounts))
        await http.aclose()
    assert all(isinstance(reading, Known) for reading in readings)
    assert standin.asked[KEY] == 25
    assert clock.now() - NOW >= timedelta(minutes=2)


async def test_a_spent_key_that_resets_too_late_is_not_asked() -> None:
    clock = ManualClock(NOW)
    standin = UsageStandin(clock, requests_per_minute=1)
    standin.prepaid(KEY, balance_usd=5)
    http = HttpClient(transport=standin.transport())
    fetcher = Fetcher(http, clock, rate_limit_wait_s=5)
    await fetcher.fetch(account())
    reading = await fetcher.fetch(account())
    assert isinstance(reading, Unavailable)
    assert (reading.reason, reading.retry_at) == (Reason.RATE_LIMITED, NOW + timedelta(minutes=1))
    assert standin.asked[KEY] == 1


async def test_a_key_that_waits_for_its_reset_holds_up_no_other_key_of_the_host() -> None:
    class Waiting(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0.2)
            self.advance(seconds)

    clock = Waiting(NOW)
    standin = UsageStandin(clock, requests_per_minute=1)
    standin.prepaid(KEY, balance_usd=5)
    standin.prepaid("cs_test_other", balance_usd=6)
    fetcher = Fetcher(HttpClient(transport=standin.transport()), clock)
    await fetcher.fetch(account())
    waiting = [asyncio.ensure_future(fetcher.fetch(account(f"clips{number}"))) for number in range(10)]
    await asyncio.sleep(0)
    async with asyncio.timeout(0.1):
        assert isinstance(await fetcher.fetch(account("other", key="cs_test_other")), Known)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_clock_stepped_back_silences_no_key(bench: Bench) -> None:
    bench.standin.fail(KEY, RateLimited({"Retry-After": "30"}))
    await bench.fetcher.fetch(bench.clips)
    bench.clock.set(NOW - timedelta(days=2))
    assert isinstance(await bench.fetcher.fetch(bench.clips), Known)


async def test_requests_to_one_host_are_bounded_and_another_host_is_not_held_up() -> None:
    clock = ManualClock(NOW)
    under_way = {"slow.example": 0, "quick.example": 0}
    most = dict(under_way)
    release = asyncio.Event()

    async def handle(request: httpx.Request) -> httpx.Response:
        host = request.url.host
        under_way[host] += 1
        most[host] = max(most[host], under_way[host])
        if host == "slow.example":
            await release.wait()
        under_way[host] -= 1
        return httpx.Response(200, json=dict(CONTENTSTATS_PAGE))

    fetcher = Fetcher(HttpClient(transport=httpx.MockTransport(handle)), clock)
    slow = [
        asyncio.ensure_future(fetcher.fetch(account(f"s{n}", base_url="https://slow.example", key=f"k{n}")))
        for n in range(100)
    ]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        assert isinstance(await fetcher.fetch(account("q", base_url="https://quick.example", key="kq")), Known)
    release.set()
    assert len(await asyncio.gather(*slow)) == 100
    assert most["slow.example"] == 8


async def test_the_same_bytes_again_are_the_same_metrics(bench: Bench) -> None:
    first, second = await bench.fetcher.fetch(bench.clips), await bench.fetcher.fetch(bench.clips)
    assert isinstance(first, Known)
    assert isinstance(second, Known)
    assert first.metrics is second.metrics


async def test_a_json_api_is_asked_with_its_own_headers() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=json.dumps({"credits": {"left": "7.50"}}))

    http = HttpClient(transport=httpx.MockTransport(handle))
    mapping = json_mapping({"balance_usd": "credits.left"}, {"Authorization": "Bearer sk_test_123"})
    third = account("third", "json", "https://third.example", json=mapping)
    reading = await Fetcher(http, ManualClock(NOW)).fetch(third)
    assert isinstance(reading, Known)
    assert reading.metrics.balance_microusd == 7_500_000
    assert seen[0].headers["authorization"] == "Bearer sk_test_123"
    assert "x-api-key" not in seen[0].headers


async def test_a_token_is_masked_without_its_scheme_too() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"error": "token tok-9f8e7d6c is unknown"})

    http = HttpClient(transport=httpx.MockTransport(handle))
    mapping = json_mapping({"balance_usd": "left"}, {"Authorization": "Token tok-9f8e7d6c"})
    third = account("third", "json", "https://third.example", json=mapping)
    reading = await Fetcher(http, ManualClock(NOW)).fetch(third)
    assert isinstance(reading, Unavailable)
    assert reading.detail == "balance_usd is missing; the API says: token … is unknown"


async def test_an_account_that_was_reconfigured_is_asked_anew(bench: Bench) -> None:
    assert isinstance(await bench.fetcher.fetch(bench.clips), Known)
    elsewhere = account(base_url=bench.clips.base_url, key="cs_test_unknown")
    reading = await bench.fetcher.fetch(elsewhere)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.UNAUTHORIZED


async def test_a_source_that_lies_is_read_as_it_says(bench: Bench) -> None:
    bench.standin.fail(KEY, Lie({"total_charged_usd": 1}), times=ALWAYS)
    reading = await bench.fetcher.fetch(bench.clips)
    assert isinstance(reading, Known)
    assert reading.metrics.total_charged_microusd == 1_000_000
    bench.standin.heal(KEY)
    again: Any = await bench.fetcher.fetch(bench.clips)
    assert again.metrics.total_charged_microusd == 6_750_000
