"""Composition: creates every part of the process once, with real defaults, and closes it. Nothing else does."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.delivery import Deliverer
from alerts.mail import Mailer
from alerts.rules.state import TopupStatus
from daemon import journal
from daemon.clock import Clock, Ids, RandomIds, SystemClock
from daemon.config.model import Config
from daemon.limits import BEAT_S
from daemon.net.heartbeat import Heartbeat
from daemon.net.http import HttpClient
from daemon.reports.reporter import Reporter
from daemon.sources.fetcher import Fetcher
from daemon.status.topups import topup_status
from daemon.store import Store
from daemon.store.deliveries import StoredQueue
from daemon.store.lock import held
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from daemon.work.channels import build_channels
from daemon.work.evaluator import Evaluator
from daemon.work.preflight import refuse_lost
from daemon.work.retention import Retention
from daemon.work.service import Service
from daemon.work.smtp import SmtpMailer

if TYPE_CHECKING:
    import httpx

    from daemon.reconcile.reconciler import Reconciler
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

    Raises DatabaseHeldError if another process has the database, StoreError if it cannot be used, ConfigError if an
    open top-up in it would lose its account, its customer or Stripe.
    """
    clock, ids = clock or SystemClock(), ids or RandomIds()
    rng = rng or random.SystemRandom()
    async with AsyncExitStack() as stack:
        stack.enter_context(held(config.store.place))
        store = Store(config.store.place, probe=probe)
        stack.callback(store.close)
        store.check()
        migrate(store)
        refuse_lost(config, store.reader)
        with store.write(durable=True) as tx:
            name = store_id(tx, ids)
        outbox = Outbox(name, config.receivers, ids)
        queue = StoredQueue(store, outbox)
        queue.abandon_unconfigured([receiver.key for receiver in config.receivers.all], clock.now())
        http = HttpClient(transport=transport)
        stack.push_async_callback(http.aclose)
        if mailer is None and config.smtp is not None:
            mailer = SmtpMailer(config.smtp)
        topups = _open_topups(config, store, outbox, http, clock, rng)

        def status_now(account: str) -> TopupStatus | None:
            return None if topups is None else topup_status(config, store.reader, account, clock.now())

        evaluator = Evaluator(
            config,
            store=store,
            outbox=outbox,
            clock=clock,
            ids=ids,
            topup_status=status_now,
            first_look_after=timedelta(seconds=BEAT_S if overlap else 0.0),
        )
        stack.callback(evaluator.close)
        yield Service(
            config,
            store=store,
            outbox=outbox,
            fetcher=Fetcher(http, clock),
            evaluator=evaluator,
            topups=topups,
            reconciler=_open_reconciler(topups),
            deliverer=Deliverer(
                queue,
                build_channels(config, http=http, mailer=mailer, clock=clock),
                clock,
                rng,
                observe=journal.delivery,
            ),
            reporter=Reporter(config, store=store, mailer=mailer, name=name, outbox=outbox),
            retention=Retention(config, store),
            heartbeat=Heartbeat(config.heartbeat_url, http) if config.heartbeat_url is not None else None,
            clock=clock,
            overlap=overlap,
            wake=wake,
        )


def _open_topups(
    config: Config, store: Store, outbox: Outbox, http: HttpClient, clock: Clock, rng: random.Random
) -> TopupService | None:
    """Return the top-up service, None if no account is topped up; the Stripe SDK is imported only if needed."""
    if config.stripe is None or not any(account.topup is not None for account in config.accounts.values()):
        return None
    from daemon.stripe.gateway import StripeGateway
    from daemon.topups.service import TopupService

    gateway = StripeGateway(config.stripe, http, clock)
    return TopupService(config=config, store=store, outbox=outbox, gateway=gateway, clock=clock, rng=rng)


def _open_reconciler(topups: TopupService | None) -> Reconciler | None:
    if topups is None:
        return None
    from daemon.reconcile.reconciler import Reconciler

    return Reconciler(topups)
