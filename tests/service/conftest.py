"""A town: every stand-in on loopback, a configuration file that names them, one clock, and the real service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from alerts.model.money import from_cents
from daemon.clock import ManualClock, SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import TEST_SECRET, ReceiverStandin
from daemon.demo.standins.stripe.standin import StripeStandin
from daemon.demo.standins.usage import UsageStandin
from daemon.work.outcome import PassOutcome
from daemon.work.service import Service
from tests.helpers_events import watch_events
from tests.sim.hastened import HastenedClock

START = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
KEY = "cs_test_clips"

LOW = """
[[rules]]
id = "low"
kind = "low_balance"
accounts = ["clips"]
below_usd = 5.00
"""
MEDIA = """
[accounts.media]
provider = "tornado"
base_url = "{url}"
api_key = "trn_media"
poll = "*/5 * * * *"
[[rules]]
id = "quota"
kind = "quota"
at_percent = [80, 90, 100]
"""
TOPUP = """
[accounts.clips.topup]
when_below_usd = 10.00
amount_usd = 50.00
customer = "cus_123"
payment_method = "pm_123"
max_charge_usd = 200.00
max_per_day_usd = 100.00
max_per_month_usd = 500.00
"""


@dataclass
class Town:
    folder: Path
    clock: ManualClock | HastenedClock
    usage: UsageStandin
    usage_url: str
    stripe: StripeStandin
    stripe_url: str
    receiver: ReceiverStandin
    mailbox: MailboxStandin
    ids: SeededIds = field(default_factory=lambda: SeededIds(1))
    rng: Random = field(default_factory=lambda: Random(1))
    credit_after: timedelta = timedelta()
    passes: list[PassOutcome] = field(default_factory=list)

    def configure(self, more: str = LOW, *, topup: str = "", name: str = "config.toml", database: str = "a.db") -> Path:
        """Write a configuration of the account `clips`, the webhook `app` and a mail recipient, and `more`."""
        stripe = f'[stripe]\napi_key = "sk_test_123"\nmode = "test"\napi_base = "{self.stripe_url}"\n' if topup else ""
        path = self.folder / name
        path.write_text(
            f"""
timezone = "Europe/Berlin"
[store]
path = "{self.folder / database}"
[smtp]
host = "127.0.0.1"
port = {self.mailbox.port}
security = "none"
sender = "Brimful <brimful@example.com>"
[http]
listen = ""
{stripe}
[accounts.clips]
provider = "contentstats"
base_url = "{self.usage_url}"
api_key = "{KEY}"
poll = "*/5 * * * *"
{topup}
[[webhooks]]
id = "app"
url = "{self.receiver.url}"
secret = "{TEST_SECRET}"
allow_http = true
[[emails]]
id = "ops"
to = ["ops@example.com"]
{more}
"""
        )
        return path

    @asynccontextmanager
    async def service(self, path: Path | None = None) -> AsyncIterator[Service]:
        config = load(path or self.folder / "config.toml")
        async with open_service(config, clock=self.clock, ids=self.ids, rng=self.rng) as service:
            yield service
            await service.drain(0.0)

    async def once(self, path: Path | None = None) -> list[str]:
        """One pass in a process of its own, as it were; returns the types that the receiver accepted during it."""
        before = len(self.receiver.accepted)
        async with self.service(path) as service:
            self.passes.append(await service.once())
        self.clock.advance(300)
        return [one.payload["type"] for one in self.receiver.accepted[before:]]

    def events_of(self, kind: str) -> list[dict[str, object]]:
        """Return the data of each event of a type that the receiver accepted."""
        return [one.payload["data"] for one in self.receiver.accepted if one.payload["type"] == kind]


@asynccontextmanager
async def open_town(
    folder: Path, start: datetime = START, *, clock: ManualClock | HastenedClock | None = None
) -> AsyncIterator[Town]:
    """A town whose configuration and database lie in `folder`."""
    clock = clock or ManualClock(start)
    usage = UsageStandin(clock, requests_per_minute=None)
    async with AsyncExitStack() as stack:
        usage_url = await stack.enter_async_context(usage.serve())
        receiver = await stack.enter_async_context(ReceiverStandin())
        mailbox = await stack.enter_async_context(MailboxStandin())
        made: list[Town] = []
        stripe = StripeStandin(
            clock,
            credit=lambda charge: usage.credit(KEY, f"{from_cents(charge.amount) // 1_000_000}"),
            credit_lag=lambda charge: made[0].credit_after,
        )
        stripe.add_customer("cus_123", card="pm_123")
        stripe_url = await stack.enter_async_context(stripe.serve())
        made.append(Town(folder, clock, usage, usage_url, stripe, stripe_url, receiver, mailbox))
        yield made[0]


@pytest.fixture(autouse=True)
def every_event_is_what_the_catalogue_says(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = watch_events(monkeypatch)
    yield
    assert found == []


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(tmp_path) as made:
        yield made
