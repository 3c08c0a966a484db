"""The configuration of one run, drawn by the seed: which accounts, rules and receivers it has, and their numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from alerts.model.accounts import AccountInfo
from alerts.model.money import MICRO
from alerts.model.polling import AutoPoll
from alerts.model.receivers import EmailReceiver, Receivers, WebhookReceiver
from alerts.model.specs import Budget, LowBalance, Period, Runway, Spike, Stale
from alerts.model.values import replace
from daemon.config.model import AccountConfig, Config, StoreConfig, StripeConfig, StripeMode, TopupConfig
from daemon.sources.registry import PROVIDERS

STARTS = (
    datetime(2026, 3, 24, 5, 0, tzinfo=UTC),  # Europe's clocks go forward on the 29th
    datetime(2026, 10, 20, 5, 0, tzinfo=UTC),  # and back on the 25th
    datetime(2026, 12, 26, 5, 0, tzinfo=UTC),  # a month and a year end
    datetime(2026, 6, 3, 5, 0, tzinfo=UTC),
)
AUTO = (
    AutoPoll(),
    AutoPoll(timedelta(minutes=5), timedelta(hours=1)),
    AutoPoll(timedelta(minutes=2), timedelta(hours=3)),
)
ZONES = ("Europe/Berlin", "America/New_York", "UTC")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MASTER_KEY = SecretStr("c2ltdWxhdGVkIGtleSBvZiAzMiBieXRlcywgYmFzZTY=")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is the same for every machine of a run."""

    config: Config
    start: datetime
    balances: dict[str, int]
    videos: dict[str, int]
    keys: bool = False
    """Whether both accounts are keys of one at the provider: one purse, one need."""


def draw(rng: random.Random, focus: frozenset[str] = frozenset()) -> Scenario:
    """Draw a scenario; where its database lies is for each machine to say."""
    start, zone = rng.choice(STARTS), ZoneInfo(rng.choice(ZONES))
    names = ("clips",) if rng.random() < 0.8 and not focus & {"two", "keys"} else ("clips", "reels")
    accounts = {name: _account(rng, name) for name in names}
    keys = "reels" in names and (rng.random() < 0.3 or "keys" in focus) and "two" not in focus
    if keys:
        accounts["reels"] = replace(accounts["reels"], url=accounts["clips"].url)
    hooks = (_webhook("app"), _webhook("audit")) if rng.random() < 0.5 else (_webhook("app"),)
    mails = (EmailReceiver(id="ops", to=("ops@example.com",)),) if rng.random() < 0.3 else ()
    config = Config(
        path=Path("config.toml"),
        timezone=zone,
        store=StoreConfig(path=Path("brimful.db")),
        accounts=accounts,
        rules=tuple(rule for rule in _rules() if rng.random() < 0.6),
        receivers=Receivers((*hooks, *mails)),
        stripe=StripeConfig(api_key=SecretStr("sk_test_123"), mode=StripeMode.TEST, api_base="http://stripe.sim"),
    )
    balances = {name: rng.randrange(5, 60) * MICRO for name in names}
    videos = {name: rng.choice([10, 30, 70, 140]) for name in names}
    return Scenario(_some_by_auto(config, balances), start, balances, videos, keys)


def _some_by_auto(config: Config, balances: dict[str, int]) -> Config:
    """Poll some accounts by how long they last. Drawn apart, so that the rest of a seed's world is what it was."""
    rng = random.Random(repr((config.timezone, balances)))
    accounts = {
        name: replace(account, poll=rng.choice(AUTO)) if rng.random() < 0.4 else account
        for name, account in config.accounts.items()
    }
    return replace(config, accounts=accounts)


def _account(rng: random.Random, name: str) -> AccountConfig:
    amount = rng.choice([20, 50]) * MICRO
    topup = TopupConfig(
        when_below_microusd=rng.choice([10, 20]) * MICRO,
        customer="cus_1",
        max_charge_microusd=200 * MICRO,
        max_per_day_microusd=rng.choice([100, 200, 400]) * MICRO,
        max_per_month_microusd=rng.choice([500, 2000]) * MICRO,
        min_charge_microusd=10 * MICRO,
        payment_method=rng.choice([None, "pm_1"]),
        cooldown=timedelta(minutes=rng.choice([0, 60, 120])),
    )
    size = rng.choice(["fixed", "fixed", "restore", "cover"])
    if size == "fixed":
        topup = replace(topup, amount_microusd=amount)
    elif size == "restore":
        topup = replace(topup, to_microusd=topup.when_below_microusd + amount)
    else:
        topup = replace(topup, cover_days=Decimal(3))
    return AccountConfig(
        info=AccountInfo(id=name, provider="contentstats"),
        provider=PROVIDERS["contentstats"],
        base_url="http://usage.sim",
        url=f"http://usage.sim/{name}",
        api_key=SecretStr(f"cs_test_{name}"),
        poll="*/5 * * * *",
        topup=topup,
    )


def _rules() -> tuple[LowBalance | Runway | Budget | Spike | Stale, ...]:
    return (
        LowBalance(id="low", below_microusd=8 * MICRO, clear_above_microusd=10 * MICRO),
        Runway(id="runway", below_days=Decimal(1), clear_above_days=Decimal("1.2")),
        Budget(id="budget", period=Period.MONTH, limit_microusd=300 * MICRO),
        Spike(id="spike"),
        Stale(id="stale", after=timedelta(hours=3)),
    )


def _webhook(id: str) -> WebhookReceiver:
    return WebhookReceiver(id=id, url=f"http://hook.sim/{id}", secrets=(SecretStr(SECRET),), allow_http=True)


def on_disk(config: Config, disk: Path, *, other_amount: bool = False) -> Config:
    """Return the configuration of one machine; a twin may have been given another amount."""
    config = replace(config, store=replace(config.store, path=disk / "brimful.db"))
    if not other_amount:
        return config
    accounts = {}
    for name, account in config.accounts.items():
        assert account.topup is not None
        topup = replace(account.topup, amount_microusd=30 * MICRO, to_microusd=None, cover_days=None)
        accounts[name] = replace(account, topup=topup)
    return replace(config, accounts=accounts)
