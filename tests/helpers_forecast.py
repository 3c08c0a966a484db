"""A database with a history that was judged and stored as the daemon does it, and a configuration that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from alerts.model.instants import EPOCH
from alerts.model.readings import Known, Metrics, Reading
from alerts.rules.evaluation import Context, evaluate
from alerts.rules.state import AccountState
from daemon.clock import SeededIds
from daemon.config.load import load
from daemon.config.model import Config
from daemon.store import Store
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from daemon.store.readings import record
from daemon.store.states import save

POLL = timedelta(minutes=30)
CONFIG = """
store.path = "{folder}/brimful.db"
stripe = {{ api_key = "env:STRIPE_API_KEY", mode = "test" }}

[accounts.clips]
provider = "contentstats"
api_key = "env:CONTENTSTATS_API_KEY"
poll = "*/30 * * * *"
{topup}

[[rules]]
id = "low"
kind = "low_balance"
below_usd = {below}
"""
TOPUP = """
[accounts.clips.topup]
when_below_usd = {when_below}
amount_usd = {amount}
customer = "cus_123"
max_charge_usd = 400.00
max_per_day_usd = 400.00
max_per_month_usd = {month}
"""


def write_config(
    folder: Path,
    *,
    name: str = "config.toml",
    below: str = "5.00",
    when_below: str | None = None,
    amount: str = "50.00",
    month: str = "4000.00",
    extra: str = "",
) -> Config:
    """Write and load a configuration; without `when_below` there is no top-up table."""
    topup = "" if when_below is None else TOPUP.format(when_below=when_below, amount=amount, month=month)
    path = folder / name
    path.write_text(CONFIG.format(folder=folder, topup=topup, below=below) + extra)
    return load(path, secrets=False)


def metrics(funded_usd: int, spent_microusd: int, active: int = 10) -> Metrics:
    return Metrics(
        balance_microusd=funded_usd * 1_000_000 - spent_microusd,
        uncharged_microusd=0,
        total_charged_microusd=spent_microusd,
        active_videos=active,
        cost_per_snapshot_microusd=15_000,
    )


def known(at: datetime, said: Metrics) -> Known:
    return Known("clips", at, said)


def spending(
    begin: datetime, days: int, a_day_microusd: int, funded: Callable[[datetime, int], int]
) -> Iterable[Reading]:
    """Yield readings of a steady spend; `funded` says in dollars what was credited so far, by instant and spend."""
    polls = timedelta(days=days) // POLL
    for poll in range(polls + 1):
        at, spent = begin + POLL * poll, a_day_microusd * poll * (POLL // timedelta(minutes=1)) // 1440
        yield known(at, metrics(funded(at, spent), spent))


def live(folder: Path, config: Config, readings: Iterable[Reading]) -> None:
    """Judge and store the readings, with the events that they caused."""
    store = Store(folder / "brimful.db")
    migrate(store)
    ids = SeededIds(1)
    context = Context(
        info=config.accounts["clips"].info,
        rules=tuple(config.rules),
        zone=config.timezone,
        now=EPOCH,
        poll_interval=POLL,
        mutes={},
        topup=lambda account: None,
        new_id=ids.new,
        watching_since=EPOCH,
    )
    state, previous = AccountState.new("clips"), None
    with store.write(durable=False) as tx:
        outbox = Outbox(store_id(tx, ids), config.receivers, ids)
        for reading in readings:
            evaluation = evaluate(state, reading, reading, context.at(reading.at, {}, reading.at))
            state = evaluation.state
            record(tx, [evaluation.recorded])
            save(tx, evaluation, previous)
            previous = state
            for draft in evaluation.drafts:
                outbox.append(tx, draft, reading.at)
    store.close()
