"""A store, a clock, stand-ins for receivers and the mail server, and the real delivery between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from alerts.channels.base import Channel
from alerts.channels.email import EmailChannel
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Attempted, Deliverer
from alerts.events.messages.context import MessageContext
from alerts.mail import Mailer
from alerts.model.events import Event, EventDraft, EventType, JsonValue, Severity
from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver, Receiver, Receivers, WebhookReceiver
from alerts.templating import Templates
from daemon.clock import ManualClock, SeededIds
from daemon.config.model import SmtpConfig, SmtpSecurity
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import TEST_SECRET, ReceiverStandin
from daemon.net.http import HttpClient
from daemon.places import Place
from daemon.store import Store
from daemon.store.deliveries import StoredQueue
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from daemon.store.replays import Filter, Logged, find
from daemon.work.channels import HttpPoster
from daemon.work.smtp import SmtpMailer

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
SENDER = "Brimful <brimful@example.com>"


class World:
    """One database with its receivers. `tell` commits an event, `go_on` lets time pass and delivers what falls due."""

    def __init__(
        self,
        place: Place,
        receivers: tuple[Receiver, ...],
        mailer: Mailer | None = None,
        probe: Callable[[str], None] | None = None,
    ) -> None:
        self.store = Store(place, probe=probe)
        migrate(self.store)
        self.clock = ManualClock(START)
        self.receivers = Receivers(receivers)
        self.http = HttpClient()
        self.mailer = mailer
        self.attempted: list[Attempted] = []
        ids = SeededIds(7)
        with self.store.write(durable=True) as tx:
            identity = store_id(tx, ids)
        self.outbox = Outbox(identity, self.receivers, ids)
        self.queue = StoredQueue(self.store, self.outbox)
        self.deliverer = self.new_deliverer()

    def new_deliverer(self, observe: Callable[[Attempted], None] | None = None) -> Deliverer:
        """As after a restart: nothing is remembered but the store."""
        return Deliverer(
            self.queue,
            [self._channel(receiver) for receiver in self.receivers.all],
            self.clock,
            Random(3),
            observe=self.attempted.append if observe is None else observe,
        )

    def _channel(self, receiver: Receiver) -> Channel:
        if isinstance(receiver, WebhookReceiver):
            return WebhookChannel(receiver, HttpPoster(self.http), self.clock.wall)
        assert isinstance(receiver, EmailReceiver)
        assert self.mailer is not None
        return EmailChannel(receiver, self.mailer, Templates(), MessageContext(BERLIN), self.clock.now)

    def tell(
        self,
        type: EventType = EventType.BALANCE_LOW,
        *,
        account: str | None = "clips",
        episode: str | None = "ep_1",
        data: Mapping[str, JsonValue] | None = None,
        id: str | None = None,
    ) -> Event:
        body: dict[str, JsonValue] = {"account": account, "available_usd": 4.21, "threshold_usd": 5}
        draft = EventDraft(
            type=type,
            at=self.clock.now(),
            data=data if data is not None else body,
            account=account,
            severity=Severity.WARNING,
            rule="low",
            episode=episode,
            id=id,
        )
        with self.store.write(durable=True) as tx:
            return self.outbox.append(tx, draft, self.clock.now())

    async def deliver(self) -> datetime | None:
        return await self.deliverer.deliver_due(self.clock.now())

    async def go_on(self, until: timedelta, stop: Callable[[], bool] = lambda: False) -> None:
        """Deliver whatever falls due until then, jumping from one due instant to the next."""
        end = self.clock.now() + until
        while not stop():
            due = await self.deliver()
            if due is None or due > end:
                break
            self.clock.set(max(due, self.clock.now()))
        if self.clock.now() < end and not stop():
            self.clock.set(end)

    def log(self, **wanted: object) -> list[Logged]:
        rows = find(self.store.reader, Filter(**wanted), 20_000)  # type: ignore[arg-type]  # a filter's own fields
        return rows[::-1]

    def states(self) -> list[DeliveryState]:
        return [row.state for row in self.log()]

    async def aclose(self) -> None:
        await self.http.aclose()
        self.queue.close()
        self.store.close()


def webhook(standin: ReceiverStandin, id: str = "app", **more: object) -> WebhookReceiver:
    fields: dict[str, object] = {"secrets": (SecretStr(TEST_SECRET),), "allow_http": True, "url": standin.url, **more}
    return WebhookReceiver(id=id, **fields)  # type: ignore[arg-type]  # a receiver's own fields


def dead_webhook(id: str) -> WebhookReceiver:
    """A receiver that nothing listens for."""
    return WebhookReceiver(id=id, url="http://127.0.0.1:9/hook", secrets=(SecretStr(TEST_SECRET),), allow_http=True)


def mailer_of(box: MailboxStandin, security: SmtpSecurity = SmtpSecurity.NONE) -> SmtpMailer:
    return SmtpMailer(SmtpConfig(host="127.0.0.1", port=box.port, security=security, sender=SENDER))


@pytest.fixture
async def receiver() -> AsyncIterator[ReceiverStandin]:
    async with ReceiverStandin() as standin:
        yield standin


@pytest.fixture
async def mailbox() -> AsyncIterator[MailboxStandin]:
    async with MailboxStandin() as standin:
        yield standin


WorldOf = Callable[..., World]


@pytest.fixture
async def world_of(tmp_path: Path) -> AsyncIterator[WorldOf]:
    """Make worlds that are closed at the end."""
    worlds: list[World] = []

    def make(*receivers: Receiver, mailer: Mailer | None = None, probe: Callable[[str], None] | None = None) -> World:
        world = World(tmp_path / f"world{len(worlds)}.db", receivers, mailer, probe)
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        await world.aclose()
    await asyncio.sleep(0)
