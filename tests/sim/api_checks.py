"""What must hold whatever is changed by API, by Stripe's own books and by what was committed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from alerts.model.money import from_cents
from daemon.config.model import ApiConfig, TopupMode
from daemon.demo.standins.stripe import Intent
from tests.sim.api_acts import ACCOUNTS, OWNER
from tests.sim.api_truth import StoredTopup, stored_topup
from tests.sim.disks import HEAL, Committed

if TYPE_CHECKING:
    from tests.sim.api import ApiWorld
    from tests.sim.world import World

DAY = timedelta(hours=24)


def look(api: ApiWorld, intent: Intent, account: str, box: str) -> Iterator[str]:
    """Judge a confirm in the moment in which it reaches Stripe, by what was committed then."""
    world, ceiling = api.world, api.ceilings[box]
    yield from _over_total(api, intent, ceiling)
    if account not in ACCOUNTS:
        return
    now = world.truth.now()
    stored = stored_topup(world.box(box).database, account)
    if stored is None or stored.is_archived:
        yield f"{now}: {intent.id} is confirmed for {account}, which is archived or has no top-up"
        return
    if stored.mode != TopupMode.CHARGE and len(world.boxes) == 1:
        yield f"{now}: {intent.id} is confirmed for {account}, whose mode is {stored.mode}"
    if account not in api.promoted and ceiling.first_charge is TopupMode.SHADOW:
        yield f"{now}: {intent.id} is confirmed for {account}, which nobody ever let charge"
    if stored.customer != intent.customer:
        yield f"{now}: {intent.id} is confirmed for {intent.customer}, the customer of {account} is {stored.customer}"
    yield from _over_caps(world, intent, account, stored, ceiling)


def _over_caps(world: World, intent: Intent, account: str, stored: StoredTopup, ceiling: ApiConfig) -> Iterator[str]:
    now, amount = world.truth.now(), from_cents(intent.amount)
    if amount > min(stored.max_charge_microusd, ceiling.max_charge_microusd):
        yield f"{now}: {intent.id} of {account} is {amount / 1e6}, beyond what a charge may be"
    day = _spent(world, now - DAY, intent.id, account) + amount
    if day > min(stored.max_per_day_microusd, ceiling.max_per_day_microusd):
        yield f"{now}: {intent.id} makes {day / 1e6} in a day of {account}"
    month_start = now.astimezone(world.scenario.config.timezone).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    month = _spent(world, month_start, intent.id, account) + amount
    if month > min(stored.max_per_month_microusd, ceiling.max_per_month_microusd):
        yield f"{now}: {intent.id} makes {month / 1e6} in a month of {account}"


def _over_total(api: ApiWorld, intent: Intent, ceiling: ApiConfig) -> Iterator[str]:
    """All accounts together: what a disk that is lost had charged, a new one does not know."""
    world = api.world
    if world.lost_disks or len(world.boxes) > 1:
        return
    now = world.truth.now()
    most = ceiling.max_per_day_total_microusd
    total = _spent(world, now - DAY, intent.id, None) + from_cents(intent.amount)
    if total > most:
        yield f"{now}: {intent.id} makes {total / 1e6} in a day of all accounts, the total is {most / 1e6}"


def _spent(world: World, since: datetime, but_of: str, account: str | None) -> int:
    """Return what was charged since then, or still is to be by a bank that takes its time."""
    charged = (one for one in world.stripe.successes(account) if one.at > since and one.intent != but_of)
    open_ = (one for one in world.stripe.intents(account) if one.status == "processing" and one.id != but_of)
    return from_cents(sum(one.amount for one in charged) + sum(one.amount for one in open_))


def check(api: ApiWorld, committed: list[Committed]) -> Iterator[str]:
    """Yield every violation of a run that has ended."""
    yield from api.violations
    yield from _customers(api)
    world = api.world
    if world.lost_disks or len(world.boxes) > 1:
        return
    told = {event.account for event in committed if event.type == "topup.limits_changed"}
    confirmed = {one.path.split("/")[3] for one in world.exchanges() if one.endpoint == "payment_intents.confirm"}
    for account in ACCOUNTS:
        if world.stripe.successes(account) and account not in told:
            yield f"{account} was charged, and nobody was told what it may be charged"
        living = [
            one.id
            for one in world.stripe.intents(account)
            if one.id in confirmed and one.status not in ("succeeded", "canceled", "requires_payment_method")
            if one.created_at < world.end - HEAL
        ]
        if living:
            yield f"{account}: {', '.join(living)} never ended"


def _customers(api: ApiWorld) -> Iterator[str]:
    """A customer's receiver hears of its owner's accounts alone, and never what they may be charged."""
    for told in api.world.receivers.told:
        if not told.receiver.startswith("sub") or told.type == "test.ping":
            continue
        if told.data.get("account") not in ACCOUNTS[:-1]:
            yield f"{told.id} of {told.data.get('account')} was told to {told.receiver}, which is {OWNER}'s"
        if told.type == "topup.limits_changed":
            yield f"{told.id}: what an account may be charged was told to {told.receiver}"
