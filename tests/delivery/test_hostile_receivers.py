"""Receivers that are dead, drip, overflow or lead astray: each ends as a failure in time, unnoticed by the others."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import timedelta
from typing import Any

import pytest

from alerts.model.outbox import DeliveryState
from daemon.clock import SystemClock
from daemon.demo.standins.receiver import Fault, Received, ReceiverStandin
from tests.delivery.conftest import WorldOf, dead_webhook, webhook


async def test_a_dead_receiver_costs_little_whatever_waits_for_it(world_of: WorldOf) -> None:
    world = world_of(dead_webhook("gone"))
    for number in range(300):
        world.tell(account=f"a{number}")
    await world.go_on(timedelta(hours=6))
    assert len(world.attempted) < 40
    assert world.states().count(DeliveryState.PENDING) == 300


async def test_a_huge_answer_is_read_to_its_limit_and_is_a_failure(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(body=b"x" * 10_000_000)
    world.tell()
    started = time.monotonic()
    await world.deliver()
    assert time.monotonic() - started < 2
    (row,) = world.log()
    assert row.last_error == "too_large: the answer is longer than 4096 bytes"


async def test_a_redirect_to_a_metadata_address_is_not_followed(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver))
    receiver.fault = Fault(status=307, headers={"location": "http://169.254.169.254/latest/meta-data"})
    world.tell()
    await world.deliver()
    (row,) = world.log()
    assert row.last_error == "HTTP 307, a redirect, which is never followed"


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x?token=s3cret", "http://[::ffff:169.254.169.254]/x?token=s3cret"]
)
async def test_link_local_addresses_are_refused_and_the_query_is_never_stored(
    world_of: WorldOf, receiver: ReceiverStandin, url: str
) -> None:
    world = world_of(webhook(receiver, url=url))
    world.tell()
    await world.deliver()
    (row,) = world.log()
    assert row.last_error.startswith("forbidden_address")
    assert "s3cret" not in row.last_error


async def test_plain_http_is_refused_unless_allowed(world_of: WorldOf, receiver: ReceiverStandin) -> None:
    world = world_of(webhook(receiver, allow_http=False))
    world.tell()
    await world.deliver()
    assert receiver.received == []
    assert "https" in world.log()[0].last_error


async def test_a_drip_ends_inside_the_deadline_and_the_others_are_not_delayed(
    world_of: WorldOf, receiver: ReceiverStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.channels.webhook.DELIVERY_DEADLINE_S", 1.0)
    async with ReceiverStandin() as dripping:
        dripping.fault = Fault(body=b"slowly" * 100, drip_s=0.1)
        world = world_of(webhook(dripping, "drip"), webhook(receiver))
        heard: list[float] = []
        receiver._on_event = lambda one: heard.append(time.monotonic())
        world.tell()
        started = time.monotonic()
        await world.deliver()
        assert heard[0] - started < 0.5
        assert time.monotonic() - started < 2
        (row,) = world.log(receiver="webhook:drip")
        assert row.last_error.startswith("timeout")


async def test_with_three_of_four_receivers_dead_the_fourth_hears_within_a_second(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    async with ReceiverStandin() as hanging, ReceiverStandin() as failing:
        hanging.fault = Fault(delay_s=60)
        failing.fault = Fault(status=500)
        world = world_of(webhook(hanging, "hangs"), webhook(failing, "fails"), dead_webhook("down"), webhook(receiver))
        world.clock = SystemClock()  # type: ignore[assignment]  # real time: lanes overlap as in `run`
        world.deliverer = world.new_deliverer()
        heard: dict[str, float] = {}

        def hear(one: Received) -> None:
            heard.setdefault(one.id, time.monotonic())

        receiver._on_event = hear
        committed: dict[str, float] = {}
        for _ in range(100):
            committed[world.tell().id] = time.monotonic()
            await world.deliverer.start_due(world.clock.now())
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        waits = sorted(heard[id] - committed[id] for id in committed)
        assert waits[50] < 1
        assert waits[-1] < 1
        await world.deliverer.drain(0.1)


async def test_a_name_that_turns_to_a_link_local_address_is_refused_when_it_connects(
    world_of: WorldOf, receiver: ReceiverStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["127.0.0.1", "169.254.169.254"]
    real = socket.getaddrinfo

    def turning(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "hooks.example.com":
            return real(host, port, *args, **kwargs)
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", turning)
    world = world_of(webhook(receiver, url=f"http://hooks.example.com:{receiver.port}/hook"))
    receiver.fault = Fault(headers={"connection": "close"})
    first = world.tell()
    await world.deliver()
    world.tell()
    started = time.monotonic()
    await world.deliver()

    assert time.monotonic() - started < 1
    assert [one.id for one in receiver.received] == [first.id]
    assert "169.254.169.254 is never connected to" in world.log()[1].last_error
