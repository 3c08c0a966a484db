"""The delivery table from outside: a receiver that is down, hostile ones, a mail server that is down for a day."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from daemon.demo.standins.receiver import TEST_SECRET, Fault, Received, ReceiverStandin
from daemon.limits import BATCH_WAIT_OF_A_FLEET_S
from tests.outside.conftest import Outside
from tests.service.conftest import KEY, LOW

pytestmark = pytest.mark.timeout(300)  # many processes
EVENTS = 100
_ACCOUNT = '[accounts.a{number}]\nprovider = "contentstats"\nbase_url = "{url}"\napi_key = "cs_test_{number}"\n'
_WEBHOOK = '[[webhooks]]\nid = "{id}"\nurl = "{url}"\nsecret = "{secret}"\nallow_http = true\n'
_ALL_LOW = '[[rules]]\nid = "low"\nkind = "low_balance"\nbelow_usd = 5\nremind_every = "30d"\n'


def configure(outside: Outside, accounts: int, receivers: dict[str, str]) -> None:
    """Configure so many low accounts and these receivers beside the usual ones."""
    town = outside.town
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    for number in range(accounts - 1):
        town.usage.prepaid(f"cs_test_{number}", balance_usd="4.50", active_videos=0)
    told = "".join(_WEBHOOK.format(id=id, url=url, secret=TEST_SECRET) for id, url in receivers.items())
    asked = "".join(_ACCOUNT.format(number=number, url=town.usage_url) for number in range(accounts - 1))
    town.configure(asked + told + _ALL_LOW)


async def test_503_for_three_hours_ends_in_one_2xx_and_a_replay_sends_the_same_again(outside: Outside) -> None:
    receiver = outside.town.receiver
    outside.town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    outside.town.configure(LOW)
    receiver.fault = Fault(status=503)
    for minutes in (0.2, 7, 40, 133):
        await outside.passes(every=timedelta(minutes=minutes))
    receiver.fault = None
    assert len(receiver.received) >= 4
    assert outside.told("balance.low") == []
    for _ in range(12):
        await outside.passes(every=timedelta(minutes=30))
        if outside.told("balance.low"):
            break
    [low] = [one for one in receiver.accepted if one.payload["type"] == "balance.low"]
    attempts = [one for one in receiver.received if one.id == low.id]
    assert {one.body for one in attempts} == {low.body}
    signed = {one.headers["webhook-timestamp"]: one.headers["webhook-signature"] for one in attempts}
    assert len({*signed.values()}) == len(signed) > 1  # two passes may fall into one second of the wall's time
    assert (await outside.brimful("deliveries", "replay", low.id, "--to", "app")).code == 0
    again = receiver.received[-1]
    assert (again.id, again.body, again.status) == (low.id, low.body, 200)


@pytest.mark.long
async def test_receivers_that_are_hostile_end_inside_the_deadline_and_delay_nobody(outside: Outside) -> None:
    faults = {
        "drip": Fault(body=b"x" * 1000, drip_s=1.0),
        "huge": Fault(body=b"x" * 10_000_000),
        "moved": Fault(status=302, headers={"location": "http://169.254.169.254/latest/meta-data"}),
    }
    async with AsyncExitStack() as stack:
        urls = {}
        for id, fault in faults.items():
            standin = await stack.enter_async_context(ReceiverStandin())
            standin.fault = fault
            urls[id] = standin.url
        configure(outside, 1, urls)
        run = await outside.start("run")
        await outside.until(lambda: outside.told("balance.low"))
        arrived = time.monotonic()

        async def failed() -> dict[str, str]:
            rows = (await outside.brimful("deliveries", "--event", "balance.low", "--json")).json
            return {row["receiver"]: row["last_error"] for row in rows if row["attempts"]}

        while "webhook:drip" not in await failed():
            assert time.monotonic() - arrived < 25
            await asyncio.sleep(1)
        run.send_signal(signal.SIGTERM)
        await asyncio.wait_for(run.communicate(), 10)
        assert run.returncode == 0
        assert await failed() == {
            "webhook:app": "",
            "email:ops": "",
            "webhook:drip": "timeout: no complete answer from 127.0.0.1 within 15 s",
            "webhook:huge": "too_large: the answer is longer than 4096 bytes",
            "webhook:moved": "HTTP 302, a redirect, which is never followed",
        }


async def test_with_three_of_four_receivers_dead_the_fourth_hears_within_a_second(outside: Outside) -> None:
    delays: list[float] = []

    def heard(one: Received) -> None:
        delays.append((datetime.now(UTC) - datetime.fromisoformat(one.payload["timestamp"])).total_seconds())

    outside.town.receiver._on_event = heard
    configure(outside, EVENTS, {f"dead{number}": f"http://127.0.0.1:{number}/" for number in (7, 8, 9)})
    run = await outside.start("run")
    await outside.until(lambda: len(outside.told("balance.low")) == EVENTS)
    run.send_signal(signal.SIGTERM)
    await asyncio.wait_for(run.communicate(), 10)
    assert run.returncode == 0
    assert statistics.median(delays) < 1 + BATCH_WAIT_OF_A_FLEET_S, delays  # from the reading, which waits for others


@pytest.mark.long
async def test_an_attempt_in_flight_is_cut_by_sigterm_and_made_again(outside: Outside) -> None:
    receiver = outside.town.receiver
    configure(outside, 1, {})
    receiver.fault = Fault(delay_s=60)
    run = await outside.start("run")
    await outside.until(lambda: receiver.received)
    began = time.monotonic()
    run.send_signal(signal.SIGTERM)
    await asyncio.wait_for(run.communicate(), 10)
    assert run.returncode == 0
    assert time.monotonic() - began < 10
    receiver.fault = None
    outside.clock.advance(10)
    await outside.passes()
    assert len({one.id for one in receiver.received}) == 1 < len(receiver.received)
    assert len({one.body for one in receiver.received}) == 1


@pytest.mark.long
async def test_after_a_day_without_a_mail_server_all_mails_arrive_as_digests_and_none_twice(outside: Outside) -> None:
    mailbox = outside.town.mailbox
    configure(outside, 8, {})
    await mailbox.stop()
    for hours in (0.1, 1, 23):
        await outside.passes(every=timedelta(hours=hours))
    await mailbox.start()
    await outside.passes(3, timedelta(hours=8))
    lows = [one["data"]["account"] for one in outside.told("balance.low")]
    assert len(lows) == 8
    [digest] = mailbox.kept
    assert str(digest.message["subject"]).startswith("8 events: ")
    assert [digest.part("plain").count(f"{account}: balance low") for account in lows] == [1] * 8
