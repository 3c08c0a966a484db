"""Chats and pagers through Apprise, and the heartbeat to an outside watcher."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import apprise
import pytest
from pydantic import SecretStr

from alerts.channels.base import Batch, Result
from alerts.channels.chat import MISSING, ChatChannel
from alerts.events.messages.context import MessageContext
from alerts.model.events import EventType
from alerts.model.outbox import Delivery
from alerts.model.receivers import ChatReceiver
from daemon.demo.standins.receiver import Fault, ReceiverStandin
from daemon.net.heartbeat import Heartbeat
from daemon.net.http import HttpClient
from tests.delivery.conftest import BERLIN
from tests.helpers_events import example_event

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # the library's own
NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


def chat(url: str) -> ChatReceiver:
    return ChatReceiver(id="team", url=SecretStr(url))


def batch(*types: EventType) -> Batch:
    deliveries = tuple(Delivery(number, "chat:team", example_event(type)) for number, type in enumerate(types))
    return Batch("name", deliveries)


async def test_apprise_really_posts_to_the_service(receiver: ReceiverStandin) -> None:
    channel = ChatChannel(chat(f"json://127.0.0.1:{receiver.port}/hook"), MessageContext(BERLIN))
    outcome = await channel.send(batch(EventType.BALANCE_LOW))
    assert outcome.result is Result.OK
    payload = receiver.received[0].payload
    assert payload["title"] == "clips: balance low, $4.21 left"
    assert "At $1.08 a day it lasts 3.8 days." in payload["message"]


async def test_several_events_are_one_message(receiver: ReceiverStandin) -> None:
    channel = ChatChannel(chat(f"json://127.0.0.1:{receiver.port}/hook"), MessageContext(BERLIN))
    await channel.send(batch(*[EventType.BALANCE_LOW] * 30))
    assert len(receiver.received) == 1
    assert receiver.received[0].payload["title"].startswith("30 events")


async def test_a_service_that_refuses_is_a_failure_and_its_url_is_not_told(receiver: ReceiverStandin) -> None:
    receiver.fault = Fault(status=500)
    channel = ChatChannel(chat(f"json://user:s3cret@127.0.0.1:{receiver.port}/t0ken"), MessageContext(BERLIN))
    outcome = await channel.send(batch(EventType.TEST_PING))
    assert outcome.result is Result.FAILED
    assert outcome.error == "the chat service refused the message or could not be reached"
    assert "s3cret" not in repr(outcome)
    assert (await ChatChannel(chat("nonsense"), MessageContext(BERLIN)).send(batch(EventType.TEST_PING))).error


async def test_a_missing_extra_is_said_with_the_command_to_install_it() -> None:
    def load() -> Any:
        raise ImportError("apprise")

    outcome = await ChatChannel(chat("json://127.0.0.1/x"), MessageContext(BERLIN), load).send(
        batch(EventType.TEST_PING)
    )
    assert outcome.error == MISSING
    assert "brimful[chat]" in outcome.error


async def test_a_service_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.channels.chat.DELIVERY_DEADLINE_S", 0.2)

    class Hanging(apprise.Apprise):
        def notify(self, *args: object, **kwargs: object) -> bool:  # type: ignore[override]  # whatever is asked
            time.sleep(1)
            return True

    channel = ChatChannel(chat("json://127.0.0.1/x"), MessageContext(BERLIN), lambda: SimpleNamespace(Apprise=Hanging))
    started = time.monotonic()
    outcome = await channel.send(batch(EventType.TEST_PING))
    assert time.monotonic() - started < 0.8
    assert outcome.result is Result.FAILED
    assert outcome.maybe_arrived
    assert "still hangs" in (await channel.send(batch(EventType.TEST_PING))).error


async def test_the_watcher_is_pinged_once_a_minute_while_every_job_is_fresh(receiver: ReceiverStandin) -> None:
    http = HttpClient()
    beat = Heartbeat(SecretStr(f"{receiver.url}?token=s3cret"), http)
    assert await beat.beat(NOW, [])
    assert not await beat.beat(NOW + timedelta(seconds=30), [])
    assert not await beat.beat(NOW + timedelta(seconds=90), ["poll */5: due since 08:00"])
    assert await beat.beat(NOW + timedelta(seconds=91), [])
    assert len(receiver.received) == 2

    receiver.fault = Fault(status=500, times=1)
    assert not await beat.beat(NOW + timedelta(minutes=5), [])
    await receiver.stop()
    assert not await beat.beat(NOW + timedelta(minutes=7), [])
    assert beat.missed == 2
    await http.aclose()


async def test_a_watcher_that_is_slow_holds_up_nothing_and_is_cut_on_stop(receiver: ReceiverStandin) -> None:
    http = HttpClient()
    beat = Heartbeat(SecretStr(receiver.url), http)
    receiver.fault = Fault(delay_s=60)
    started = time.monotonic()
    beat.start(NOW, [])
    beat.start(NOW + timedelta(minutes=2), [])
    await asyncio.sleep(0.1)
    await beat.aclose()
    assert time.monotonic() - started < 1
    assert len(receiver.received) == 1
    await http.aclose()
