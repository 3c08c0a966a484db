"""What is changed by API in a run, drawn by the seed from a stream of its own: runs without it stay as they were."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from alerts.model.money import MICRO
from alerts.model.values import replace
from daemon.config.model import ApiConfig, TopupMode
from tests.sim.scenario import MASTER_KEY

ACCOUNTS = ("a1", "a2", "a3")
OWNER = "acme"
"""Whose `a1` and `a2` are; `a3` is nobody's."""


class ApiAct(StrEnum):
    ADD = "add"  # an account, and a top-up with it
    TOPUP = "topup"  # a top-up for an account that has none
    PROMOTE = "promote"
    SHADOW = "shadow"
    OFF = "off"
    CAPS = "caps"  # another day's cap, raised or lowered
    CUSTOMER = "customer"
    KEY = "key"  # another key at the provider
    UNTOP = "untop"  # the top-up is deleted
    ARCHIVE = "archive"
    RACE = "race"  # two writers name the same version
    SUBSCRIBE = "subscribe"  # a customer
    UNSUBSCRIBE = "unsubscribe"
    CEILING = "ceiling"  # the file has another one: stopped, and started with it
    CARD = "card"  # what the card of an account does next


class Moment(StrEnum):
    """In which moment a change comes: at once, or with the account's next request to Stripe of a kind."""

    NOW = "now"
    AT_LIST = "payment_intents.list"
    AT_CREATE = "payment_intents.create"
    AT_CONFIRM = "payment_intents.confirm"
    AFTER_CONFIRM = "after"


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """One change: when, of which account, its number, in which moment, and whether another process makes it."""

    at: datetime
    act: ApiAct
    account: str
    value: float
    moment: Moment
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class ApiPlan:
    """What the file says of the API, and what is changed by it over a run."""

    config: ApiConfig
    events: tuple[ApiEvent, ...]


_A_DAY = {
    ApiAct.TOPUP: 0.4,
    ApiAct.PROMOTE: 1.0,
    ApiAct.SHADOW: 0.2,
    ApiAct.OFF: 0.15,
    ApiAct.CAPS: 1.0,
    ApiAct.CUSTOMER: 0.3,
    ApiAct.KEY: 0.2,
    ApiAct.UNTOP: 0.1,
    ApiAct.ARCHIVE: 0.1,
    ApiAct.RACE: 0.3,
    ApiAct.SUBSCRIBE: 0.2,
    ApiAct.UNSUBSCRIBE: 0.1,
    ApiAct.CEILING: 0.05,
    ApiAct.CARD: 0.5,
}
"""How often a day each happens."""
_INSIDE = frozenset({ApiAct.CEILING, ApiAct.CARD, ApiAct.ADD})
"""What is no change of the stored objects beside a charge."""


def draw(seed: int, start: datetime, days: float, focus: frozenset[str]) -> ApiPlan | None:
    """Draw a run's changes; None where it has no API, as two thirds of all have."""
    rng = random.Random(seed + 6)
    often_of = _A_DAY | {act: 1.0 for act in ApiAct if act in focus}
    if rng.random() >= 0.35 and "api" not in focus:
        return None
    events = []
    for account in ACCOUNTS[: rng.choice([1, 2, 3, 3])]:
        added = start + timedelta(seconds=rng.uniform(300, days * 20_000))
        events += [_event(rng, ApiAct.ADD, added, account)]
        events += [_event(rng, ApiAct.PROMOTE, added + timedelta(hours=rng.uniform(0.1, 12)), account)]
        for act, often in often_of.items():
            for _ in range(_times(rng, often * days)):
                seconds = rng.uniform(0, max(days * 86400 - (added - start).total_seconds(), 1.0))
                events.append(_event(rng, act, added + timedelta(seconds=seconds), account))
    return ApiPlan(_ceiling(rng), tuple(sorted(events, key=lambda event: event.at)))


def _times(rng: random.Random, mean: float) -> int:
    whole = int(mean)
    return whole + (rng.random() < mean - whole)


def _event(rng: random.Random, act: ApiAct, at: datetime, account: str) -> ApiEvent:
    moment = Moment.NOW if act in _INSIDE or rng.random() < 0.5 else rng.choice(list(Moment))
    elsewhere = act not in _INSIDE and moment in (Moment.NOW, Moment.AFTER_CONFIRM) and rng.random() < 0.3
    return ApiEvent(at, act, account, rng.random(), moment, elsewhere)


def _ceiling(rng: random.Random) -> ApiConfig:
    return ApiConfig(
        max_charge_microusd=rng.choice([100, 200]) * MICRO,
        max_per_day_microusd=rng.choice([100, 200, 400]) * MICRO,
        max_per_month_microusd=rng.choice([500, 2000]) * MICRO,
        max_per_day_total_microusd=rng.choice([100, 150, 300, 1000]) * MICRO,
        master_keys=(MASTER_KEY,),
        first_charge=rng.choice([TopupMode.SHADOW, TopupMode.SHADOW, TopupMode.CHARGE]),
    )


def other_ceiling(api: ApiConfig, value: float) -> ApiConfig:
    """Return the ceiling that a person writes into the file next: a lower or a higher one."""
    factor = (0.3, 0.6, 1.0, 2.0)[int(value * 4)]
    return replace(
        api,
        max_charge_microusd=_scaled(api.max_charge_microusd, factor),
        max_per_day_microusd=_scaled(api.max_per_day_microusd, factor),
        max_per_month_microusd=_scaled(api.max_per_month_microusd, factor),
        max_per_day_total_microusd=_scaled(api.max_per_day_total_microusd, factor),
    )


def _scaled(microusd: int, factor: float) -> int:
    return min(max(int(microusd * factor) // MICRO, 20), 2000) * MICRO
