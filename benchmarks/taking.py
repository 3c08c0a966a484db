"""What a changed configuration costs a running service: ten thousand accounts, each with a subscription of its own.

    python -m benchmarks.taking [--accounts 10000] [--json]

The service lives in virtual time, in this process: the figures are CPU of the call, for which the event loop waits.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerts.model.receivers import Receivers, WebhookReceiver
from alerts.model.specs import LowBalance
from alerts.model.values import replace
from benchmarks.report import Figure, finish
from benchmarks.virtual import Usage
from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import AccountConfig, Config
from daemon.demo.standins.receiver import TEST_SECRET
from daemon.process import logs
from daemon.work.service import Service
from tests.sim.clocks import TrueClock, run

BEGIN = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
FILE = f"""
timezone = "Europe/Berlin"
[store]
path = "{{folder}}/brimful.db"
[accounts.first]
provider = "contentstats"
base_url = "https://usage.example/first"
api_key = "key"
poll = "*/5 * * * *"
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
[[webhooks]]
id = "app"
url = "https://hook.example/"
secret = "{TEST_SECRET}"
"""
TIMES = 20
MOST_MS = 25.0
"""A change may hold up the event loop for so long; the store's writes of a batch of polls take as much."""


def account(config: Config, number: int) -> AccountConfig:
    first = config.accounts["first"]
    url = f"https://usage.example/{number}/"
    return replace(first, info=replace(first.info, id=f"a{number}"), base_url=url, url=url)


def subscription(config: Config, number: int) -> tuple[WebhookReceiver, LowBalance]:
    app = config.receivers.all[0]
    assert isinstance(app, WebhookReceiver)
    id, accounts = f"sub_{number}", (f"a{number}",)
    mine = replace(app, id=id, accounts=accounts, owner=f"o{number}", untrusted=True, own_threshold_microusd=5_000_000)
    rule = LowBalance(
        id=mine.key,
        accounts=accounts,
        below_microusd=5_000_000,
        clear_above_microusd=5_500_000,
        only_receiver=mine.key,
    )
    return mine, rule


def vendor(config: Config, accounts: int) -> Config:
    """The configuration of a vendor with so many customers."""
    made = [account(config, number) for number in range(accounts)]
    subscribed = [subscription(config, number) for number in range(accounts)]
    return replace(
        config,
        accounts={**config.accounts, **{one.id: one for one in made}},
        receivers=Receivers((*config.receivers.all, *(one for one, _ in subscribed))),
        rules=(*config.rules, *(rule for _, rule in subscribed)),
    )


def with_accounts(config: Config, *changed: AccountConfig) -> Config:
    return replace(config, accounts={**config.accounts, **{one.id: one for one in changed}})


def edited(config: Config, number: int) -> Config:
    one = config.accounts[f"a{number}"]
    return with_accounts(config, replace(one, info=replace(one.info, label=f"Account {number}")))


def many_edited(config: Config, number: int) -> Config:
    some = [config.accounts[f"a{500 + one}"] for one in range(500)]
    return with_accounts(config, *(replace(one, url=f"{one.base_url}{number}") for one in some))


def added(config: Config, number: int) -> Config:
    return with_accounts(config, account(config, 1_000_000 + number))


def gone(config: Config, number: int) -> Config:
    return replace(config, accounts={id: one for id, one in config.accounts.items() if id != f"a{2000 + number}"})


def subscribed(config: Config, number: int) -> Config:
    mine, rule = subscription(config, number)
    mine, rule = replace(mine, id=f"more_{number}"), replace(rule, id=f"webhook:more_{number}", below_microusd=10**12)
    return replace(config, receivers=Receivers((*config.receivers.all, mine)), rules=(*config.rules, rule))


def unsubscribed(config: Config, number: int) -> Config:
    key = f"webhook:sub_{3000 + number}"
    kept = tuple(one for one in config.receivers.all if one.key != key)
    return replace(config, receivers=Receivers(kept), rules=tuple(one for one in config.rules if one.id != key))


def ruled(config: Config, number: int) -> Config:
    """The rule over all accounts, edited."""
    rules = [replace(rule, below_microusd=10**6 * (1 + number)) if rule.id == "low" else rule for rule in config.rules]
    return replace(config, rules=tuple(rules))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: list[Figure] = []
    logs.set_up("warning")  # else each poll is printed

    async def live(service: Service, woken: asyncio.Event, clock: TrueClock, seconds: float) -> None:
        until = clock.now() + timedelta(seconds=seconds)
        while clock.now() < until:
            woken.clear()
            delay_s = ((await service.step(clock.now())) - clock.now()).total_seconds()
            try:
                async with asyncio.timeout(min(max(delay_s, 0.0), (until - clock.now()).total_seconds())):
                    await woken.wait()
            except TimeoutError:
                continue

    async def measure(folder: Path) -> None:
        (folder / "config.toml").write_text(FILE.format(folder=folder))
        clock, woken = TrueClock(BEGIN), asyncio.Event()
        config = vendor(load(folder / "config.toml"), options.accounts)
        usage = Usage(clock, BEGIN)
        async with open_service(
            config, clock=clock, ids=SeededIds(1), transport=usage, overlap=True, wake=woken.set
        ) as service:
            gc.collect()
            gc.freeze()  # as `run` does with what it has loaded
            await live(service, woken, clock, 120)
            if len(service.polls.last) != len(config.accounts):
                raise SystemExit(f"only {len(service.polls.last)} accounts were read")
            changes = {
                "an account's label": edited,
                "the URLs of 500 accounts": many_edited,
                "an account added": added,
                "an account gone": gone,
                "a subscription added, with its threshold": subscribed,
                "a subscription gone": unsubscribed,
                "a rule over all accounts": ruled,
            }
            for name, change in changes.items():
                took_ms = 0.0
                for number in range(TIMES):
                    other = change(service.config, number)
                    began = time.process_time()
                    service.take(other)
                    took_ms = max(took_ms, 1000 * (time.process_time() - began))
                    await live(service, woken, clock, 2)
                figures.append(Figure(name, took_ms, "ms", None if change is ruled else MOST_MS))
            await service.drain(1.0)

    with tempfile.TemporaryDirectory(prefix="brimful-taking-") as folder:
        run(lambda: measure(Path(folder)))
    finish(
        f"Another configuration of {options.accounts} accounts, the longest of {TIMES} calls",
        figures,
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
