"""A world for the top-ups: an account that burns and is credited, a stand-in for Stripe, daemons on their own disks."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from pydantic import SecretStr

from alerts.forecast.memory import BurnMemory
from alerts.forecast.pace import burn_now
from alerts.model.accounts import AccountInfo
from alerts.model.readings import Known, Metrics, Reason, Unavailable
from alerts.model.receivers import Receivers
from alerts.model.values import replace
from alerts.rules.falls import NO_FALL, fold
from alerts.rules.state import TopupStatus
from daemon.clock import ManualClock, SeededIds
from daemon.config.model import (
    AccountConfig,
    ApiConfig,
    Config,
    ManagedBy,
    StoreConfig,
    StripeConfig,
    StripeMode,
    TopupConfig,
)
from daemon.demo.standins.stripe import Charge, StripeStandin
from daemon.net.http import HttpClient
from daemon.reconcile.reconciler import Reconciler
from daemon.sources.registry import PROVIDERS
from daemon.status.topups import needs_person, topup_status
from daemon.store import ledger, ledger_reads, states
from daemon.store.connection import Store
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox
from daemon.store.topup_rows import Topup
from daemon.stripe.gateway import StripeGateway
from daemon.topups.executor import run
from daemon.topups.policy.builder import Builder
from daemon.topups.policy.step import Snapshot, Time
from daemon.topups.second_read import ReadAgain as Reread
from daemon.topups.service import TopupService

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
DOLLAR = 1_000_000
CUSTOMER, CARD = "cus_1", "pm_1"


def topup_config(**changes: Any) -> TopupConfig:
    """The contract's example: 50 below 10, at most 200 a charge, 100 a day, 500 a month."""
    plain = TopupConfig(
        when_below_microusd=10 * DOLLAR,
        amount_microusd=50 * DOLLAR,
        customer=CUSTOMER,
        payment_method=CARD,
        min_charge_microusd=10 * DOLLAR,
        max_charge_microusd=200 * DOLLAR,
        max_per_day_microusd=100 * DOLLAR,
        max_per_month_microusd=500 * DOLLAR,
        cooldown=timedelta(minutes=60),
    )
    return replace(plain, **changes)


def config(topup: TopupConfig, path: Path, account: str = "clips", zone: str = "UTC") -> Config:
    base = "http://127.0.0.1:9"
    one = AccountConfig(
        info=AccountInfo(account, "contentstats"),
        provider=PROVIDERS["contentstats"],
        base_url=base,
        url=f"{base}/usage",
        api_key=SecretStr("key"),
        poll="*/5 * * * *",
        topup=topup,
    )
    return Config(
        path=path / "config.toml",
        timezone=ZoneInfo(zone),
        store=StoreConfig(path=path / "brimful.db"),
        accounts={account: one},
        rules=(),
        receivers=Receivers(),
        stripe=StripeConfig(api_key=SecretStr("sk_test_123"), mode=StripeMode.TEST, api_base="http://127.0.0.1:9"),
    )


@dataclass
class World:
    """The truth: what the account was credited with and has used. Money in micro-dollars."""

    clock: ManualClock
    balance: int = 4_960_000
    uncharged: int = 750_000
    charged: int = 100 * DOLLAR
    lag: timedelta = timedelta(minutes=7)
    lost: bool = False
    """Credits never arrive."""
    totals: bool = True
    stripe: StripeStandin = field(init=False)

    def __post_init__(self) -> None:
        self.stripe = StripeStandin(self.clock, seed=1, credit=self._credit, credit_lag=lambda charge: self.lag)
        self.stripe.add_customer(CUSTOMER, card=CARD)

    def _credit(self, charge: Charge) -> None:
        if not self.lost:
            self.balance += charge.amount * 10_000

    def burn(self, microusd: int) -> None:
        self.balance -= microusd
        self.charged += microusd

    def read(self, account: str = "clips") -> Known:
        self.stripe.settle()
        metrics = Metrics(
            balance_microusd=self.balance,
            uncharged_microusd=self.uncharged,
            total_charged_microusd=self.charged if self.totals else None,
        )
        return Known(account, self.clock.now(), metrics)

    @property
    def successes(self) -> int:
        self.stripe.settle()
        return len(self.stripe.successes())


class Jittery(httpx.AsyncBaseTransport):
    """Lets others run before and after each request, as often as chance says: two daemons interleave in many ways."""

    def __init__(self, inner: httpx.AsyncBaseTransport, seed: int) -> None:
        self._inner = inner
        self._rng = random.Random(seed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(self._rng.randrange(8)):
            await asyncio.sleep(0)
        response = await self._inner.handle_async_request(request)
        for _ in range(self._rng.randrange(8)):
            await asyncio.sleep(0)
        return response


class Daemon:
    """A daemon on a disk of its own; `restart` drops the process, `wipe` the disk too."""

    def __init__(
        self,
        world: World,
        folder: Path,
        topup: TopupConfig | None = None,
        seed: int = 7,
        account: str = "clips",
        api: ApiConfig | None = None,
        managed_by: ManagedBy = ManagedBy.FILE,
    ) -> None:
        self.world = world
        self.account = account
        self.folder = folder
        self.topup = topup or topup_config()
        self.seed = seed
        self.api = api
        self.managed_by = managed_by
        self.memory = BurnMemory()
        self.falls = NO_FALL
        self.failing_reread = False
        self._disks = 0
        self.start()

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"disk-{self._disks}.db"
        self.store = Store(path)
        migrate(self.store)
        self.ids = SeededIds(self.seed)
        self.outbox = Outbox("store_test", Receivers(), self.ids)
        plain = config(self.topup, self.folder, self.account)
        mine = replace(plain.accounts[self.account], managed_by=self.managed_by)
        self.config = replace(plain, accounts={self.account: mine}, api=self.api)
        assert self.config.stripe is not None
        self.http = HttpClient(transport=Jittery(self.world.stripe.transport(), self.seed))
        self.service = TopupService(
            config=self.config,
            store=self.store.lane("money"),
            outbox=self.outbox,
            gateway=StripeGateway(self.config.stripe, self.http, self.world.clock),
            clock=self.world.clock,
            rng=random.Random(self.seed),
        )
        self.reconciler = Reconciler(self.service)

    async def restart(self, *, wipe: bool = False, topup: TopupConfig | None = None) -> None:
        self.store.close()
        if wipe:
            self._disks += 1
        if topup is not None:
            self.topup = topup
        self.start()
        await self.service.recover(self.world.clock.now())

    async def poll(self) -> None:
        """One pass: a believed reading is attended, then time's work is done."""
        await self.attend(self.world.read())
        await self.run_due()

    async def run_due(self) -> datetime | None:
        """Do what time brings: top-ups, then reconciliation. Returns when to come back."""
        now = self.world.clock.now()
        due_at = await self.service.run_due(now)
        wakes = (due_at, await self.reconciler.run_due(now))
        return min((at for at in wakes if at is not None), default=None)

    async def attend(self, known: Known, reread: Reread | None = None, memory: BurnMemory | None = None) -> None:
        """Attend a believed reading, as the service does: what it shows less of than before is remembered."""
        self.falls = fold(self.falls, known, None, accepted_at=states.accepted(self.store.reader).get(known.account))
        burn = burn_now(memory or self.memory, known.metrics, self.world.clock.now())
        await self.service.on_reading(known.account, known, reread or self.reread, burn, self.falls)

    async def reread(self) -> Known | Unavailable:
        if self.failing_reread:
            return Unavailable("clips", self.world.clock.now(), Reason.TIMEOUT)
        return self.world.read()

    async def run(self, duration: timedelta, every: timedelta | None = None) -> None:
        """Live on: polls every five minutes (a long life: every fifteen), and between them what time brings."""
        every = every or timedelta(minutes=5 if duration <= timedelta(hours=6) else 15)
        clock = self.world.clock
        end = clock.now() + duration
        next_poll = clock.now()
        while clock.now() < end:
            if clock.now() >= next_poll:
                await self.poll()
                next_poll = clock.now() + every
            wake = await self.run_due()
            step = min(t for t in (wake, next_poll, end) if t is not None)
            clock.set(max(step, clock.now() + timedelta(seconds=1)))

    async def resume(self, topup: Topup) -> Topup:
        """Go on with a top-up by time alone, whether its time has come or not."""
        return await run(self.service.context, topup.id, Time())

    def review(self, topup: Topup, reason: str) -> None:
        """Freeze a top-up until a person acknowledges it."""
        context, now = self.service.context, self.world.clock.now()
        builder = Builder(Snapshot(topup=topup, account=context.account(topup.account), sends=()), now)
        builder.review(reason)
        step = builder.step()
        with self.store.write(durable=True) as tx:
            for after in step.rows:
                topup = ledger.save(tx, topup, after, now)
            context.apply(tx, step.changes)

    def topup_status(self, account: str) -> TopupStatus | None:
        return topup_status(self.config, self.store.reader, account, self.world.clock.now())

    def needs_person(self) -> list[str]:
        return needs_person(self.config, self.store.reader, self.service.context.last_errors)

    def topups(self) -> tuple[Topup, ...]:
        return ledger_reads.of_account(self.store.reader, "clips")

    def states(self) -> list[str]:
        return [topup.state.value for topup in self.topups()]

    def events(self) -> list[str]:
        return [row[0] for row in self.store.reader.execute("SELECT type FROM event ORDER BY number")]

    def events_of(self, type_: str) -> list[Mapping[str, Any]]:
        rows = self.store.reader.execute("SELECT body FROM event WHERE type = ? ORDER BY number", (type_,))
        return [json.loads(row[0])["data"] for row in rows]
