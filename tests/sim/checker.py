"""The invariants, held by someone who knows the truth: what was really charged, credited, burnt and told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from alerts.model.money import from_cents
from alerts.model.receivers import WebhookReceiver
from daemon.config.model import TopupConfig
from daemon.demo.standins.stripe import Charge, Intent
from daemon.store.topup_rows import EVERYWHERE
from daemon.stripe.declines import BAD_CARDS
from tests.helpers_events import wrong
from tests.sim import api_checks
from tests.sim.api_acts import ACCOUNTS
from tests.sim.disks import Committed, read_events, read_given_up, read_waiting
from tests.sim.swarm import Act
from tests.sim.world import World

_OPENERS = {
    "balance.low": "balance.recovered",
    "runway.short": "runway.recovered",
    "usage.spike": "usage.spike_ended",
    "reading.unavailable": "reading.restored",
}
_HARD = frozenset(
    {
        "stolen_card",
        "lost_card",
        "fraudulent",
        "expired_card",
        "do_not_try_again",
        "authentication_required",
    }
)
_OVER = frozenset({"succeeded", "canceled"})
KEY_LIFE = timedelta(hours=24)
FOLLOWED_WITHIN = timedelta(hours=3)
"""By when a charge's credit is seen, or told as missing: a twin that goes for good before takes its word with it."""
_NEAR = timedelta(hours=2)
_DOLLAR = 1_000_000


class Watch:
    """Looks at the world in the moment a confirm reaches Stripe: what was true then is judged then."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []

    def look(self, intent_id: str, box: str) -> None:
        """Judge one confirm, before it is executed."""
        intent = self.world.stripe.books.objects.get(intent_id)
        account = intent.metadata.get("account", "") if isinstance(intent, Intent) else ""
        name, account = account, self.world.purse(account)
        if account not in self.world.ledgers or not isinstance(intent, Intent) or intent.status in _OVER:
            return  # another machine was faster, with the same key: this one moves no money
        now = self.world.truth.now()
        if self.world.api is not None:
            self.violations += api_checks.look(self.world.api, intent, name, box)
        if name in ACCOUNTS:
            self._credited(now, intent_id, account)
            return
        topup = self.world.scenario.config.accounts[account if name == "films" else name].topup
        assert topup is not None
        available = min(self.world.source.visible(account)[0], self.world.ledgers[account].available)
        if available >= topup.when_below_microusd:
            self.violations.append(
                f"{now}: {intent_id} is confirmed though {account} has {available / 1e6:.2f}: a false reading"
            )
        self._credited(now, intent_id, account)
        if box in self.world.misplaced:
            self.violations.append(f"{now}: {intent_id} is confirmed by {box}, whose database is not in its place")
        if {(box, name), (box, EVERYWHERE)} & self.world.paused:
            self.violations.append(f"{now}: {intent_id} is confirmed by {box}, where a person paused it")

    def _credited(self, now: datetime, intent_id: str, account: str) -> None:
        credited = {why for _, _, why in self.world.ledgers[account].credits}
        others = [one for name in self.world.names(account) for one in self.world.stripe.intents(name)]
        for other in others:
            if other.id == intent_id:
                continue
            if other.status == "processing":
                self.violations.append(f"{now}: {intent_id} is confirmed while {other.id} is processing")
            if other.status == "succeeded" and other.id not in credited:
                self.violations.append(f"{now}: {intent_id} is confirmed, the credit of {other.id} is unseen")


def check(world: World, watch: Watch) -> list[str]:
    """Return every violation of a run that has ended."""
    found = list(watch.violations)
    committed = [event for box in world.boxes for event in read_events(box, certain=not box.restored)]
    for account, config in world.scenario.config.accounts.items():
        if config.topup is None:
            continue
        charges = _charges(world, account, "films")
        found += _caps(world, charges, config.topup)
        found += _attempts(world, account, config.topup)
        found += _cards(world, account)
        if account in world.purses:
            continue
        charges = _charges(world, *world.names(account))
        found += _one_a_need(world, account, charges, config.topup)
        found += _told(world, account, charges, committed)
        found += _converged(world, account, config.topup)
    if not world.lost_disks and len(world.boxes) == 1:
        found += _bad_cards(world)
    found += _keys(world)
    found += _refused(world)
    found += _returned(world)
    found += _mails(world)
    found += _deliveries(world, committed)
    found += _episodes(world, committed)
    found += [found for event in committed for found in wrong(event.body)]
    found += _false_alarms(world, committed)
    if world.api is not None:
        found += api_checks.check(world.api, committed)
    return found


def _charges(world: World, *names: str) -> list[Charge]:
    """The charges of a purse under these names, in order."""
    known = [name for name in names if name in world.names(names[0])]
    found = [charge for name in known for charge in world.stripe.successes(name)]
    return sorted((charge for charge in found if charge.at >= world.truth.start), key=lambda charge: charge.at)


# --- money --------------------------------------------------------------------------------------------------------


def _caps(world: World, charges: list[Charge], topup: TopupConfig) -> Iterator[str]:
    zone = world.scenario.config.timezone
    months: dict[str, int] = defaultdict(int)
    for index, charge in enumerate(charges):
        amount = from_cents(charge.amount)
        if amount > topup.max_charge_microusd:
            yield f"{charge.intent}: {amount / 1e6} in one charge"
        months[f"{charge.at.astimezone(zone):%Y-%m}"] += amount
        day = [other for other in charges[: index + 1] if other.at > charge.at - timedelta(hours=24)]
        total = sum(from_cents(other.amount) for other in day)
        if total > topup.max_per_day_microusd:
            yield f"{charge.at}: {total / 1e6} within 24 h, the cap is {topup.max_per_day_microusd / 1e6}"
    for month, total in months.items():
        if total > topup.max_per_month_microusd:
            yield f"{month}: {total / 1e6}, the cap is {topup.max_per_month_microusd / 1e6}"


def _one_a_need(world: World, account: str, charges: list[Charge], topup: TopupConfig) -> Iterator[str]:
    """Between two successes the credit of the first has come: else both met the same need."""
    came = {why: at for at, _, why in world.ledgers[account].credits}
    for first, second in pairwise(charges):
        credited_at = came.get(first.intent)
        if credited_at is None or credited_at > second.at:
            yield f"{second.at}: {second.intent} charged before the credit of {first.intent} came: one need twice"
    for charge in charges:
        if sum(other.intent == charge.intent for other in charges) > 1:
            yield f"{charge.intent} was charged twice"


def _cards(world: World, account: str) -> Iterator[str]:
    """A card that was refused for good is not tried again until a person said so; no card more than 15 times."""
    by_card: dict[str, list[Charge]] = defaultdict(list)
    for charge in world.stripe.books.charges:
        if charge.metadata.get("account") == account and charge.fingerprint:
            by_card[charge.fingerprint].append(charge)
    for card, tries in by_card.items():
        for first, second in pairwise(tries):
            code = (first.decline.decline_code or first.decline.code) if first.decline else ""
            asked = any(first.at <= at <= second.at for at in world.resumes)
            if first.status == "failed" and code in _HARD and not asked:
                yield f"{second.at}: card {card} tried again after {code} at {first.at}"
        for charge in tries:
            window = [other for other in tries if charge.at - timedelta(days=30) < other.at <= charge.at]
            if sum(other.status == "failed" for other in window) > 15:
                yield f"{charge.at}: card {card} failed more than 15 times in 30 days"


def _bad_cards(world: World) -> Iterator[str]:
    """A card that is lost, stolen or fraudulent for one account is not tried by another before a person said so."""
    bad: dict[str, tuple[datetime, str]] = {}
    for charge in world.stripe.books.charges:
        account, card = charge.metadata.get("account", ""), str(charge.fingerprint)
        if card in bad and bad[card][1] != account and not any(bad[card][0] <= at <= charge.at for at in world.resumes):
            yield f"{charge.at}: {account} tried card {card}, which is bad since {bad[card][0]} for {bad[card][1]}"
        if charge.decline is not None and charge.decline.decline_code in BAD_CARDS:
            bad[card] = (charge.at, account)


def _attempts(world: World, account: str, topup: TopupConfig) -> Iterator[str]:
    """A new key only after a refusal that is known, and a new PaymentIntent only after the cooldown."""
    keys: dict[str, set[str]] = defaultdict(set)
    began: dict[str, datetime] = {}
    for exchange in world.exchanges():
        intent = exchange.path.split("/")[3] if exchange.endpoint == "payment_intents.confirm" else ""
        found = world.stripe.books.objects.get(intent)
        if isinstance(found, Intent) and found.metadata.get("account") == account:
            keys[intent].add(str(exchange.key))
            began.setdefault(intent, exchange.at)
    for intent, minted in keys.items():
        charges = [one for one in world.stripe.books.charges if one.intent == intent]
        if len(minted) > max(len(charges), 1) + 1:
            yield f"{intent}: {len(minted)} keys for {len(charges)} attempts"
    if Act.CLOCK_STEP in world.swarm.acts or world.lost_disks or len(world.boxes) > 1:
        return
    for first, second in pairwise(sorted(began.values())):
        if second - first < topup.cooldown:
            yield f"{second}: another attempt {second - first} after the last, the cooldown is {topup.cooldown}"


def _keys(world: World) -> Iterator[str]:
    """No key is sent again that Stripe has forgotten.

    A create moves no money, and its key is its number's: where a disk that gave the number up is gone, another machine
    sends it for the first time.
    """
    first: dict[tuple[str, str], datetime] = {}
    for exchange, sender in zip(world.exchanges(), world.senders, strict=True):
        if exchange.key is None:
            continue
        by = sender if exchange.endpoint == "payment_intents.create" else ""
        since = exchange.at - first.setdefault((by, exchange.key), exchange.at)
        if since >= KEY_LIFE and exchange.endpoint != "payment_intents.cancel":
            yield f"{exchange.at}: key {exchange.key} is {since} old and protects nothing"


# --- what was told --------------------------------------------------------------------------------------------------


def _told(world: World, account: str, charges: list[Charge], committed: list[Committed]) -> Iterator[str]:
    """Every charge is told once an id, and its credit is followed up, unless the disk that knew it was lost.

    What a twin had committed and not delivered yet went with it.
    """
    went = {(one.type, json.loads(one.body)["data"].get("payment_intent")) for one in committed if one.box != "one"}
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in world.receivers.firsts("app"):
        data = one.data
        if world.purse(str(data.get("account"))) == account and "payment_intent" in data:
            told[one.type, str(data["payment_intent"])].add(one.id)
    yield from _late(world, account)
    really = {charge.intent for name in world.names(account) for charge in world.stripe.successes(name)}
    for type_, intent in told:
        if type_ in ("topup.succeeded", "topup.credited") and intent not in really:
            yield f"{type_} was told of {intent}, which never charged"
    for charge in charges:
        if charge.at > world.end - timedelta(hours=6):
            continue
        lost = any(charge.at - timedelta(hours=2) <= at for at in world.lost_disks) or any(
            charge.at <= at <= charge.at + FOLLOWED_WITHIN for at in world.retired
        )
        ids = told["topup.succeeded", charge.intent]
        if not ids and not lost and ("topup.succeeded", charge.intent) not in went:
            yield f"{charge.intent} of {charge.at} was never told"
        if len(ids) > 1:
            yield f"{charge.intent} was told under {len(ids)} ids"
        followed = told["topup.credited", charge.intent] | told["topup.not_credited", charge.intent]
        lost = lost or not went.isdisjoint({("topup.credited", charge.intent), ("topup.not_credited", charge.intent)})
        if not followed and not lost:
            yield f"{charge.intent} of {charge.at} was not followed up"


def _late(world: World, account: str) -> Iterator[str]:
    """A credit that came after the same database told it as missing is told as late, and another is not."""
    for box in world.boxes:
        missing: set[str] = set()
        for event in read_events(box, certain=True):
            data = json.loads(event.body)["data"]
            if world.purse(str(event.account)) != account or "payment_intent" not in data:
                continue
            intent = str(data["payment_intent"])
            if event.type == "topup.not_credited":
                missing.add(intent)
            by_balance = event.type == "topup.credited" and data["credited_by"] == "the balance"
            if by_balance and data["late"] is not (intent in missing):
                yield f"{event.id}: the credit of {intent} is told with late = {data['late']}"


def _refused(world: World) -> Iterator[str]:
    """Stripe calls no request wrong, but one that another machine was faster with."""
    alone = len(world.boxes) == 1 and not world.lost_disks
    for one in world.exchanges():
        overtaken = "has a status of" in one.refused or ("idempotent" in one.refused and not alone)
        if one.status == 400 and one.strike is None and not overtaken:
            yield f"{one.at}: {one.endpoint} was refused: {one.refused[:100]}"


def _returned(world: World) -> Iterator[str]:
    """A charge that was refunded or is disputed stops its account, and is told."""
    if world.lost_disks:
        return
    told = [one for one in world.receivers.firsts("app") if one.type == "topup.suspended"]
    for at, charge in world.returned:
        if not any(one.at >= at and one.data.get("payment_intent") == charge.intent for one in told):
            yield f"{charge.intent} was given back at {at} and nobody was told"


def _mails(world: World) -> Iterator[str]:
    """Once healed, no mail is left that was not handed over, but one that had failed at every attempt before."""
    waiting = read_waiting(world.boxes[0], "email:ops")
    if waiting:
        yield f"{waiting} mails of events from before the healing were never handed over"


def _deliveries(world: World, committed: list[Committed]) -> Iterator[str]:
    """Each committed event arrived at least once at each receiver, always with the bytes that were committed: but for
    one that failed at every attempt of its schedule.

    Two databases that tell the same charge do so under one id, each with its own sequence: bytes are a store's. One
    that went back to a backup does not know what it has told, and may tell it again in other words.
    """
    went_back = any(box.restored for box in world.boxes)
    hooks = {one.id for one in world.scenario.config.receivers.all if isinstance(one, WebhookReceiver)}
    heard: dict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)
    for told in world.receivers.told:
        if told.receiver not in hooks:
            continue  # a customer's copy says less, and a test is nobody else's
        key = (str(told.data.get("store", "")), told.id)
        first = heard[key].setdefault(told.receiver, told.body)
        if first != told.body and not went_back:
            yield f"{told.id} arrived with other bytes"
    known = {event.key: event for event in [*world.buried, *committed]}
    given_up = read_given_up(world.boxes[0])
    for key, bodies in heard.items():
        event = known.get(key)
        if event is None and not world.lost_disks:
            yield f"{key[1]} was told and never committed"
        if event is not None and not went_back and any(body != event.body for body in bodies.values()):
            yield f"{key[1]} was delivered with other bytes than were committed"
    for event in committed:
        missing = {name for name in hooks - heard[event.key].keys() if (event.id, name) not in given_up}
        if event.box == "one" and event.certain and missing and not event.type.startswith(("delivery.", "test.")):
            yield f"{event.type} {event.id} never reached {', '.join(sorted(missing))}"


def _episodes(world: World, committed: list[Committed]) -> Iterator[str]:
    """Sequences have no gap, and episodes strictly alternate for each rule and account."""
    sequences: dict[tuple[str, str], list[int]] = defaultdict(list)
    open_now: dict[tuple[str, str, str, str], str] = {}
    reasons: dict[tuple[str, str, str, str], str | None] = {}
    for event in committed:
        if event.account is None or event.sequence is None:
            continue
        sequences[event.store, event.account].append(event.sequence)
        data = json.loads(event.body)["data"]
        episode, rule = str(data.get("episode")), str(data.get("rule"))
        for opener, closer in _OPENERS.items():
            key = (event.store, event.account, rule, opener)
            if event.type == opener:
                if key in open_now and open_now[key] != episode:
                    yield f"{event.id}: {opener} of {rule} opened twice without an end"
                elif key in open_now and not data.get("reminder") and data.get("reason") == reasons.get(key):
                    yield f"{event.id}: {opener} of {rule} told twice in one episode"
                open_now[key] = episode
                reasons[key] = data.get("reason")
            elif event.type == closer and open_now.pop(key, None) != episode:
                yield f"{event.id}: {closer} of {rule} closes no open episode"
    for (store, account), numbers in sequences.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{account} in {store}: sequence {numbers[:5]}… has a gap or repeats"


def _false_alarms(world: World, committed: list[Committed]) -> Iterator[str]:
    """Nobody is told that an account is depleted which was not. A first reading has nothing to be doubted by."""
    lasting = {Act.FALSE_ZERO, Act.PENDING_JUMP} & world.swarm.acts  # believed by rules, which charge nobody
    if world.lost_disks or len(world.boxes) > 1 or lasting:
        return
    for event in committed:
        if event.type != "balance.depleted" or event.account is None:
            continue
        at = datetime.fromisoformat(json.loads(event.body)["data"]["observed_at"])
        within = _NEAR + world.most_skew  # `at` is by the machine's clock
        near = [
            available for when, available in world.source.honest[world.purse(event.account)] if abs(when - at) < within
        ]
        first = world.source.honest[world.purse(event.account)][0][0]
        is_first = at <= first + timedelta(minutes=1)  # there is nothing to doubt it by
        if near and min(near) > _DOLLAR and not is_first:
            yield f"{event.id}: {event.account} was told to be depleted and had {min(near) / 1e6:.2f}"


# --- what healed ----------------------------------------------------------------------------------------------------


def _converged(world: World, account: str, topup: TopupConfig) -> Iterator[str]:
    """Once healed, nothing hangs: no live PaymentIntent is left, and the account has what it needs or may have.

    One whose create came through late, and which nobody ever confirmed, is met and canceled with the next need. One
    that was declined for now waits for as long as a cap says no.
    """
    confirmed = {one.path.split("/")[3] for one in world.exchanges() if one.endpoint == "payment_intents.confirm"}
    living = []
    for name in world.names(account):  # an account that was renamed has no next need
        intents = world.stripe.intents(name)
        last_need = max((one.created_at for one in intents if one.id in confirmed), default=world.truth.start)
        living += [
            one.id
            for one in intents
            if one.status not in ("succeeded", "canceled")
            and one.created_at < world.end - world.peace
            and (one.id in confirmed or one.created_at < last_need)
        ]
    if _spent(world, account, topup):
        living = [id for id in living if _intent(world, id).status != "requires_payment_method"]
    if living:
        yield f"{account}: {', '.join(living)} never ended"
    available = world.ledgers[account].available
    if available < topup.when_below_microusd - 3 * 3_000_000 and not _spent(world, account, topup):
        yield f"{account} was left at {available / 1e6:.2f}, the threshold is {topup.when_below_microusd / 1e6}"


def _intent(world: World, id: str) -> Intent:
    intent = world.stripe.books.objects[id]
    assert isinstance(intent, Intent)
    return intent


def _spent(world: World, account: str, topup: TopupConfig) -> bool:
    """Whether a cap explains that nothing was charged: by the machine's clock, too, which may have been off."""
    zone = world.scenario.config.timezone
    former = ("clips",) if "films" in world.purses else ()  # its charges count for every account of the customer
    charges = [one for name in {*world.names(account), *former} for one in world.stripe.successes(name)]
    month_start = world.end.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    by_month = sum(from_cents(one.amount) for one in charges if one.at >= month_start - world.most_skew)
    by_day = sum(
        from_cents(one.amount) for one in charges if one.at > world.end - timedelta(hours=24) - world.most_skew
    )
    room = 60_000_000
    if world.api is not None:
        since = world.end - timedelta(hours=24) - world.most_skew
        total = sum(from_cents(one.amount) for one in world.stripe.successes() if one.at > since)
        if total > world.api.least_total - room:
            return True
    return by_month > topup.max_per_month_microusd - room or by_day > topup.max_per_day_microusd - room
