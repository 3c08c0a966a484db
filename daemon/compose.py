"""Composition: creates every part of the process once, with real defaults, and closes it. Nothing else does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

from alerts.delivery import Deliverer
from alerts.mail import Mailer
from alerts.rules.state import TopupStatus
from daemon import journal
from daemon.clock import Clock, Ids, RandomIds, SystemClock
from daemon.config.model import AccountConfig, ApiConfig, Config, needs_topups
from daemon.fleet.holdings import EVERYTHING, NOTHING, STRIPE
from daemon.limits import BEAT_S
from daemon.net.addresses import Reach
from daemon.net.heartbeat import Heartbeat
from daemon.net.http import HttpClient
from daemon.reports.reporter import Reporter
from daemon.sources.fetcher import Fetcher
from daemon.status.topups import topup_status
from daemon.store import Store
from daemon.store.connection import Connection, Fence
from daemon.store.deliveries import StoredQueue
from daemon.store.lock import held
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from daemon.work.channels import Channels
from daemon.work.evaluator import Evaluator
from daemon.work.preflight import refuse_lost
from daemon.work.retention import Retention
from daemon.work.service import Service
from daemon.work.smtp import SmtpMailer

if TYPE_CHECKING:
    import httpx

    from daemon.reconcile.reconciler import Reconciler
    from daemon.resources.registry import Registry
    from daemon.topups.service import TopupService


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    rng: random.Random | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    mailer: Mailer | None = None,
    probe: Callable[[str], None] | None = None,
    overlap: bool = False,
    wake: Callable[[], None] = lambda: None,
) -> AsyncIterator[Service]:
    """Lock the database, compose the parts with real defaults, and yield the service; close everything after.

    With `overlap` and a store on a server nothing is held until a fleet hands it out (`daemon.process.membership`).
    Raises DatabaseHeldError if another process has the database, StoreError if it cannot be used, ConfigError if an
    open top-up in it would lose its account, its customer or Stripe.
    """
    clock, ids = clock or SystemClock(), ids or RandomIds()
    rng = rng or random.SystemRandom()
    async with AsyncExitStack() as stack:
        shared = overlap and config.store.url is not None
        holdings = NOTHING if shared else EVERYTHING
        if not shared:
            stack.enter_context(held(config.store.place))
        store = Store(config.store.place, probe=probe)
        stack.callback(store.close)
        if shared:
            store.dialect.fence = Fence()
            store.changed_elsewhere()  # from now on it is told, and tells nobody
        store.check()
        migrate(store)
        with store.write(durable=True) as tx:
            name = store_id(tx, ids)
        outbox = Outbox(name, config.receivers, ids)
        registry = _open_registry(config, store, outbox, clock, ids)
        if registry is not None:
            stack.callback(registry.store.close_lane)
            config = registry.config
            outbox.receivers = config.receivers
        refuse_lost(config, store.reader)
        queue = StoredQueue(store, outbox)
        stack.callback(queue.close)
        await queue.apart(queue.abandon_unconfigured, [one.key for one in config.receivers.all], clock.now())
        http = HttpClient(transport=transport)
        at_accounts, at_receivers = (HttpClient(transport=transport, reach=reach) for reach in strangers(config.api))
        for client in (http, at_accounts, at_receivers):
            stack.push_async_callback(client.aclose)
        if mailer is None and config.smtp is not None:
            mailer = SmtpMailer(config.smtp)

        def account_now(account: str) -> AccountConfig | None:
            return service.config.accounts.get(account)

        def status_now(conn: Connection, account: str) -> TopupStatus | None:
            return None if service.topups is None else topup_status(service.config, conn, account, clock.now())

        def open_topups(lane: Store) -> tuple[TopupService, Reconciler]:
            stack.callback(lane.close_lane)
            topups, reconciler = _open_topups(service.config, lane, outbox, http, clock, rng)
            if registry is not None:
                topups.context.is_current = registry.is_current
            topups.context.holds = lambda account: service.holdings.account(account)
            reconciler.reads_events = lambda: service.holdings.duty(STRIPE)
            return topups, reconciler

        async def open_topups_later() -> tuple[TopupService, Reconciler]:
            def prepare() -> Store:
                import_module("daemon.reconcile.reconciler")  # with Stripe's SDK: half a second
                return store.lane("money")

            return open_topups(await asyncio.to_thread(prepare))

        channels = Channels(config, account=account_now, http=http, strangers=at_receivers, mailer=mailer, clock=clock)
        evaluator = Evaluator(
            holdings.of(config),
            store=store,
            outbox=outbox,
            clock=clock,
            ids=ids,
            topup_status=status_now,
            first_look_after=timedelta(seconds=BEAT_S if overlap else 0.0),
        )
        stack.callback(evaluator.close)
        upkeep = store.lane("upkeep")
        stack.callback(upkeep.close_lane)
        service = Service(
            config,
            store=store,
            outbox=outbox,
            fetcher=Fetcher(http, clock, strangers=at_accounts),
            evaluator=evaluator,
            deliverer=Deliverer(
                queue,
                map(channels.of, holdings.of(config).receivers.all),
                clock,
                rng,
                observe=journal.delivery,
            ),
            reporter=Reporter(config, store=upkeep, mailer=mailer, name=name, outbox=outbox),
            retention=Retention(config, upkeep),
            heartbeat=Heartbeat(config.heartbeat_url, http) if config.heartbeat_url is not None else None,
            clock=clock,
            channel=channels.of,
            open_topups=open_topups_later,
            holdings=holdings,
            overlap=overlap,
            wake=wake,
        )
        if registry is not None:
            service.registry, service.catch_up, registry.taken = registry, registry.catch_up, service.take
        if needs_topups(config):
            service.topups, service.reconciler = open_topups(store.lane("money"))
        yield service


def _open_registry(config: Config, store: Store, outbox: Outbox, clock: Clock, ids: Ids) -> Registry | None:
    """Return what is managed as data, None where `[api]` is off; it is imported only where it is needed."""
    if config.api is None:
        return None
    from daemon.resources.registry import Registry

    store = store.lane("api")
    return Registry(config, store=store, outbox=outbox, clock=clock, ids=ids, told=journal.object_broken)


def strangers(api: ApiConfig | None) -> tuple[Reach, Reach]:
    """Return where accounts that the API made may be polled at, and where receivers of customers may be posted to."""
    accounts, subscriptions = (api.allow_accounts_at, api.allow_subscriptions_at) if api is not None else ((), ())
    return Reach(True, accounts, "[api] allow_accounts_at"), Reach(True, subscriptions, "[api] allow_subscriptions_at")


def _open_topups(
    config: Config, store: Store, outbox: Outbox, http: HttpClient, clock: Clock, rng: random.Random
) -> tuple[TopupService, Reconciler]:
    """Return the top-up service and its reconciler. The Stripe SDK is imported only here: only if needed."""
    from daemon.reconcile.reconciler import Reconciler
    from daemon.stripe.gateway import StripeGateway
    from daemon.topups.service import TopupService

    assert config.stripe is not None
    gateway = StripeGateway(config.stripe, http, clock)
    topups = TopupService(config=config, store=store, outbox=outbox, gateway=gateway, clock=clock, rng=rng)
    return topups, Reconciler(topups)
