"""How fast a queue drains to one fast receiver, on one core, and whether memory stays flat; the same to many receivers.

    python -m benchmarks.delivery [EVENTS] [--receivers N]

With `--receivers`, each event goes to another one of so many: what a wake costs at which nothing is due, what one event
costs, how long the first look at all takes, and how fast one event for each drains, as `brimful run` delivers.

The receiver is a process of its own and verifies nothing, so that what is measured is ours: taking from the outbox,
signing, sending, marking. Both processes share one core (where the system lets us say so).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from pydantic import SecretStr

from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Deliverer
from alerts.model.events import EventDraft, EventType, JsonValue
from alerts.model.receivers import Receivers, WebhookReceiver
from alerts.model.values import replace
from daemon.clock import ManualClock, SeededIds
from daemon.demo.standins.receiver import TEST_SECRET
from daemon.net.http import HttpClient
from daemon.store import Store
from daemon.store.deliveries import StoredQueue
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from daemon.work.channels import HttpPoster

AT_LEAST_PER_S = 300
ACCOUNTS = 50
WAKES = 20
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class _Fast(asyncio.Protocol):
    """Answers 200 to every POST, as soon as its body is complete."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at : head.find(b"\r", at) if head.find(b"\r", at) >= 0 else None])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            assert self._transport is not None
            self._transport.write(ANSWER)


def _receive(pipe: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Fast, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def receiver() -> Iterator[int]:
    """Run the receiver and yield its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


async def run(events: int, port: int, folder: Path) -> float:
    """Queue `events`, drain them, and return events a second."""
    store = Store(folder / "bench.db")
    migrate(store)
    clock = ManualClock(datetime(2026, 11, 1, 8, tzinfo=UTC))
    target = WebhookReceiver(
        id="app", url=f"http://127.0.0.1:{port}/hook", secrets=(SecretStr(TEST_SECRET),), allow_http=True
    )
    ids = SeededIds(1)
    with store.write(durable=True) as tx:
        outbox = Outbox(store_id(tx, ids), Receivers((target,)), ids)
        for number in range(events):
            outbox.append(tx, _draft(number, clock.now()), clock.now())
    http = HttpClient()
    channel = WebhookChannel(target, HttpPoster(http), clock.wall)
    deliverer = Deliverer(StoredQueue(store, outbox), [channel], clock, Random(1))
    started = time.perf_counter()
    assert await deliverer.deliver_due(clock.now()) is None
    took_s = time.perf_counter() - started
    (done,) = store.reader.execute("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'").fetchone()
    assert done == events, done
    await http.aclose()
    store.close()
    return events / took_s


async def run_many(receivers: int, port: int, folder: Path) -> None:
    """Print what so many receivers cost, and how fast one event for each of them drains."""
    store = Store(folder / "bench.db")
    migrate(store)
    clock = ManualClock(datetime(2026, 11, 1, 8, tzinfo=UTC))
    url, ids, http = f"http://127.0.0.1:{port}/hook", SeededIds(1), HttpClient()
    secrets = (SecretStr(TEST_SECRET),)
    targets = [
        WebhookReceiver(id=f"r{number}", url=url, secrets=secrets, allow_http=True, accounts=(f"a{number}",))
        for number in range(receivers)
    ]
    with store.write(durable=True) as tx:
        outbox = Outbox(store_id(tx, ids), Receivers(tuple(targets)), ids)

    def tell(number: int) -> None:
        with store.write(durable=False) as tx:
            draft = replace(_draft(number, clock.now()), account=f"a{number}", only_receiver=targets[number].key)
            outbox.append(tx, draft, clock.now())

    gc.collect()
    before_mb, started = _now_mb(), time.perf_counter()
    poster = HttpPoster(http)
    channels = [WebhookChannel(target, poster, clock.wall) for target in targets]
    deliverer = Deliverer(StoredQueue(store, outbox), channels, clock, Random(1))
    del channels
    while await deliverer.start_due(clock.now()) is not None:
        pass
    looked_s = time.perf_counter() - started
    gc.collect()
    kb = (_now_mb() - before_mb) * 1024 / receivers
    started = time.perf_counter()
    for _ in range(WAKES):
        await deliverer.start_due(clock.now())
    wake_ms = (time.perf_counter() - started) / WAKES * 1000
    tell(receivers - 1)
    started = time.perf_counter()
    await deliverer.start_due(clock.now())
    event_ms = (time.perf_counter() - started) * 1000
    await deliverer.settle()
    for number in range(receivers):
        tell(number)
    idle = asyncio.Event()
    deliverer.idle = idle.set
    started = time.perf_counter()
    while True:
        idle.clear()
        due_at = await deliverer.start_due(clock.now())
        (left,) = store.reader.execute("SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 'pending')").fetchone()
        if not left:
            break
        if due_at is None:
            await idle.wait()
        else:
            await asyncio.sleep(0)
    took_s = time.perf_counter() - started
    await deliverer.settle()
    (done,) = store.reader.execute("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'").fetchone()
    assert done == receivers + 1, done
    await http.aclose()
    store.close()
    print(f"delivery: {receivers:,} receivers: {kb:.2f} KB each; first look at all of them {looked_s:.2f} s")
    print(f"delivery: a wake with nothing due {wake_ms:.3f} ms; with one event {event_ms:.2f} ms")
    print(f"delivery: one event for each in {took_s:.1f} s: {receivers / took_s:,.0f} events/s on one core")


def _now_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _draft(number: int, at: datetime) -> EventDraft:
    data: dict[str, JsonValue] = {
        "account": f"a{number % ACCOUNTS}",
        "available_usd": 4.21,
        "threshold_usd": 5,
        "burn_usd_per_day": 1.08,
    }
    return EventDraft(type=EventType.BALANCE_LOW, at=at, data=data, account=f"a{number % ACCOUNTS}", episode="ep_1")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=10_000)
    parser.add_argument("--receivers", type=int, default=0)
    options = parser.parse_args()
    events = options.events
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with receiver() as port, tempfile.TemporaryDirectory() as folder:
        if options.receivers:
            asyncio.run(run_many(options.receivers, port, _made(folder, "many")))
            return 0
        warm = asyncio.run(run(events // 10, port, _made(folder, "warm")))
        before_mb = _peak_mb()
        rate = asyncio.run(run(events, port, _made(folder, "full")))
        grown_mb = _peak_mb() - before_mb
    print(f"delivery: {rate:,.0f} events/s of {events:,} on one core (warm-up {warm:,.0f}); floor {AT_LEAST_PER_S}")
    print(f"delivery: peak memory grew by {grown_mb:.1f} MB beyond a tenth of the queue")
    return 0 if rate >= AT_LEAST_PER_S else 1


def _made(folder: str, name: str) -> Path:
    path = Path(folder) / name
    path.mkdir()
    return path


if __name__ == "__main__":
    sys.exit(main())
