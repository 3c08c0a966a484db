"""Changes by API beside the running daemon: through its own registry, or through another process's on the same disk."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from alerts.model.money import MICRO
from alerts.model.values import replace
from daemon.clock import SeededIds
from daemon.config.model import ApiConfig
from daemon.demo.standins.stripe import SUCCEED, Intent, Outcome, declined, processing
from daemon.resources.model import Actor, Change, ChangeOutcome, Kind, RequestRefused, Role
from daemon.resources.registry import Registry
from daemon.store import Store
from daemon.store.outbox import Outbox, known_store_id
from tests.sim.api_acts import ACCOUNTS, OWNER, ApiAct, ApiEvent, ApiPlan, Moment, other_ceiling
from tests.sim.api_truth import stored_topup
from tests.sim.box import KilledError, of_life
from tests.sim.disks import ledger_has_open
from tests.sim.source import Ledger

if TYPE_CHECKING:
    from tests.sim.box import Box
    from tests.sim.world import World

OPERATOR = Actor(name="token:tok_sim", source="api", role=Role.ADMIN)
CUSTOMER_TOKEN = Actor(name="token:tok_acme", source="api", role=Role.SUBSCRIBE, owner=OWNER)


class ApiWorld:
    """Who changes what by API, and what came of it."""

    def __init__(self, world: World, plan: ApiPlan) -> None:
        self.world = world
        self.plan = plan
        self.rng = random.Random(world.seed + 7)
        self.ceilings: dict[str, ApiConfig] = {}
        """By machine: what its running daemon was started with."""
        self.least_total = plan.config.max_per_day_total_microusd
        """The lowest total that ever held."""
        self.promoted: set[str] = set()
        """The accounts for which somebody ever asked that they charge."""
        self.violations: list[str] = []
        self.done = 0
        self._waiting: dict[Moment, list[ApiEvent]] = defaultdict(list)
        self._subscriptions: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._drawn = 0

    def begin(self) -> None:
        """Open the purses and the cards of the accounts that the API may make."""
        for account in ACCOUNTS:
            balance, videos = self.rng.randrange(5, 60) * MICRO, self.rng.choice([70, 140, 200])
            self.world.ledgers[account] = Ledger(self.world.truth, balance, videos)
            for number in (1, 2):
                self.world.stripe.add_customer(f"cus_{account}_{number}", card=f"pm_{account}_{number}")

    def opened(self, box: str, ceiling: ApiConfig | None) -> None:
        """A daemon is started with a ceiling."""
        assert ceiling is not None
        self.ceilings[box] = ceiling
        self.least_total = min(self.least_total, ceiling.max_per_day_total_microusd)

    def befall(self, event: ApiEvent) -> None:
        """Let a change happen now, or in the moment that it waits for."""
        if event.moment is Moment.NOW:
            self._start(event)
        else:
            self._waiting[event.moment].append(event)

    def at_request(self, box: str, request: httpx.Request, *, answered: bool = False) -> None:
        """A request to Stripe is on its way, or was answered: what waits for such a one of the account begins."""
        moment = _moment(request, answered=answered)
        if box != "one" or moment is None or not self._waiting[moment] or self.world.faults_over:
            return
        account = self._account_of(request)
        due = [event for event in self._waiting[moment] if event.account == account]
        self._waiting[moment] = [event for event in self._waiting[moment] if event.account != account]
        for event in due:
            self._start(event)

    def _account_of(self, request: httpx.Request) -> str:
        """Return whose request it is: the customers of accounts made by API bear their names."""
        intent = self.world.stripe.books.objects.get(request.url.path.split("/")[3]) if _is_about_one(request) else None
        said = f"{request.url.query!r} {request.content!r} {intent.customer if isinstance(intent, Intent) else ''}"
        return next((account for account in ACCOUNTS if f"cus_{account}_" in said), "")

    def heal(self) -> None:
        """Nothing is changed any more."""
        self._waiting.clear()
        for account in ACCOUNTS:
            for number in (1, 2):
                self.world.stripe.method(f"pm_{account}_{number}").queue.clear()

    # --- one change -----------------------------------------------------------------------------------------------

    def _start(self, event: ApiEvent) -> None:
        box = self.world.boxes[0]
        where = " elsewhere" if event.elsewhere else ""
        self.world.note("api", f"{event.act} {event.account} {event.value:.2f} {event.moment}{where}")
        if event.act is ApiAct.CEILING:
            box.kill(1.0, partial(self._edit_file, box, event.value))
        elif event.act is ApiAct.CARD:
            method = f"pm_{event.account}_{1 + int(event.value * 10) % 2}"
            self.world.stripe.next_outcome(method, _outcome(event.value))
        elif box.life is not None and box.service is not None:
            life = box.life if not event.elsewhere else None
            task = of_life(life, self._make(box, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _edit_file(self, box: Box, value: float) -> None:
        config = self.world.configs[box.name]
        assert config.api is not None
        self.world.configs[box.name] = replace(config, api=other_ceiling(self.plan.config, value))

    async def _make(self, box: Box, event: ApiEvent) -> None:
        """Make a change by the daemon's own registry, or by that of a command beside it."""
        try:
            if event.elsewhere:
                await self._make_elsewhere(box, event)
            elif box.service is not None and box.service.registry is not None:
                await self._change(box, box.service.registry, event)
        except KilledError:
            self.world.note("api", f"{event.act} {event.account}: went down meanwhile")
        except sqlite3.OperationalError as error:
            if "full" not in str(error):
                raise
            self.world.note("api", f"{event.act} {event.account}: {error}")

    async def _make_elsewhere(self, box: Box, event: ApiEvent) -> None:
        config = self.world.configs[box.name]
        if box.name in self.world.misplaced or not box.database.exists():
            return
        with closing(Store(box.database)) as store:
            ids = SeededIds(self.rng.getrandbits(64))
            outbox = Outbox(known_store_id(store.reader), config.receivers, ids)
            registry = Registry(config, store=store, outbox=outbox, clock=self.world.clock_of(box), ids=ids, environ={})
            outbox.receivers = registry.config.receivers
            await self._change(box, registry, event)
        self.world.later(self.rng.uniform(0.0, 1.0), box.notice_changes)

    async def _change(self, box: Box, registry: Registry, event: ApiEvent) -> None:
        id, act = event.account, event.act
        stored = stored_topup(box.database, id)
        match act:
            case ApiAct.ADD:
                made = await self._try(registry, [_account(id, f"key-{id}"), self._topup(id, event.value)])
                self._expect_shadow(id, made)
            case ApiAct.TOPUP if stored is None:
                self._expect_shadow(id, await self._try(registry, [self._topup(id, event.value)]))
            case ApiAct.ARCHIVE:
                await self._end(box, registry, Change(kind=Kind.ACCOUNT, id=id, body=None))
            case ApiAct.KEY:
                self._drawn += 1
                body = {"api_key": f"key-{id}-{self._drawn}"}
                await self._try(registry, [Change(kind=Kind.ACCOUNT, id=id, body=body, merge=True)])
            case ApiAct.SUBSCRIBE | ApiAct.UNSUBSCRIBE:
                await self._subscribe(registry, event)
            case ApiAct.RACE if stored is not None:
                await self._race(registry, id, stored.version)
            case _ if stored is not None and act in _PATCHES:
                if act is ApiAct.PROMOTE:
                    self.promoted.add(id)
                body = _PATCHES[act](event.value, id)
                await self._try(registry, [_patch(id, body, stored.version)])
            case ApiAct.UNTOP if stored is not None:
                await self._end(box, registry, Change(kind=Kind.TOPUP, id=id, body=None, if_version=stored.version))

    async def _try(
        self, registry: Registry, changes: Sequence[Change], actor: Actor = OPERATOR
    ) -> list[ChangeOutcome] | RequestRefused:
        try:
            outcomes = await registry.change(actor, changes)
        except RequestRefused as refused:
            self.world.note("api", f"  {refused.status} {refused.type}: {refused}")
            faults = {fault.id for fault in refused.faults}
            if refused.status == 422 and not faults <= {"over-the-ceiling", "account-unknown"}:
                self.violations.append(f"{self.world.truth.now()}: {changes} was refused: {refused} {refused.faults}")
            return refused
        self.done += 1
        self.world.boxes[0].wake()
        self.world.note("api", f"  done: {', '.join(f'{one.resource.kind}/{one.resource.id}' for one in outcomes)}")
        return outcomes

    async def _end(self, box: Box, registry: Registry, change: Change) -> None:
        """Archive an account, or delete its top-up: none goes while a charge of it is open."""
        done = await self._try(registry, [change])
        if not isinstance(done, RequestRefused) and ledger_has_open(box.database, change.id):
            self.violations.append(f"{self.world.truth.now()}: {change.kind} {change.id} went, its charge is open")

    def _expect_shadow(self, id: str, made: list[ChangeOutcome] | RequestRefused) -> None:
        """One that is new begins as the file says."""
        if isinstance(made, RequestRefused):
            return
        mode = self.plan.config.first_charge.value
        said = [one.resource.body.get("mode") for one in made if one.resource.kind is Kind.TOPUP]
        if said != [mode]:
            self.violations.append(f"a new top-up of {id} begins in {said}, not in {mode}")

    async def _race(self, registry: Registry, id: str, version: int) -> None:
        """Two writers name the same version: one of them is refused."""
        self._drawn += 2
        caps = (f"60.{self._drawn % 100:02}", f"61.{self._drawn % 100:02}")
        both = [self._try(registry, [_patch(id, {"max_per_day_usd": usd}, version)]) for usd in caps]
        done = [one for one in await asyncio.gather(*both) if not isinstance(one, RequestRefused)]
        if len(done) > 1:
            self.violations.append(f"{self.world.truth.now()}: two writers of version {version} of {id} both succeeded")

    async def _subscribe(self, registry: Registry, event: ApiEvent) -> None:
        if event.act is ApiAct.SUBSCRIBE:
            number = len(self._subscriptions)
            body: dict[str, Any] = {"event": "*", "account": event.account, "url": f"https://hook.sim/sub{number}"}
            made = await self._try(registry, [Change(kind=Kind.SUBSCRIPTION, id="", body=body)], CUSTOMER_TOKEN)
            if not isinstance(made, RequestRefused):
                self._subscriptions.append(made[0].resource.id)
        elif self._subscriptions:
            gone = self._subscriptions.pop(int(event.value * len(self._subscriptions)))
            await self._try(registry, [Change(kind=Kind.SUBSCRIPTION, id=gone, body=None)], CUSTOMER_TOKEN)

    def _topup(self, id: str, value: float) -> Change:
        most = self.plan.config
        body = {
            "when_below_usd": "10" if value < 0.5 else "20",
            "amount_usd": "20" if int(value * 10) % 2 else "50",
            "customer": f"cus_{id}_1",
            "payment_method": f"pm_{id}_1",
            "max_charge_usd": str(most.max_charge_microusd // MICRO),
            "max_per_day_usd": str(most.max_per_day_microusd // MICRO),
            "max_per_month_usd": str(most.max_per_month_microusd // MICRO),
            "cooldown": "60m",
        }
        return Change(kind=Kind.TOPUP, id=id, body=body, only_create=True)


def _is_about_one(request: httpx.Request) -> bool:
    return request.url.path.endswith(("/confirm", "/cancel"))


def _moment(request: httpx.Request, *, answered: bool) -> Moment | None:
    last = request.url.path.rsplit("/", 1)[-1]
    if last == "confirm":
        return Moment.AFTER_CONFIRM if answered else Moment.AT_CONFIRM
    if last != "payment_intents" or answered:
        return None
    return Moment.AT_CREATE if request.method == "POST" else Moment.AT_LIST


def _account(id: str, key: str) -> Change:
    body: dict[str, Any] = {
        "provider": "contentstats",
        "base_url": f"https://usage.sim/{id}",
        "api_key": key,
        "poll": "*/5 * * * *",
    }
    if id != ACCOUNTS[-1]:
        body["owner"] = OWNER
    return Change(kind=Kind.ACCOUNT, id=id, body=body)


def _patch(id: str, body: dict[str, Any], version: int) -> Change:
    return Change(kind=Kind.TOPUP, id=id, body=body, merge=True, if_version=version)


_PATCHES = {
    ApiAct.PROMOTE: lambda value, id: {"mode": "charge"},
    ApiAct.SHADOW: lambda value, id: {"mode": "shadow"},
    ApiAct.OFF: lambda value, id: {"mode": "off"},
    ApiAct.CAPS: lambda value, id: {"max_per_day_usd": str(50 + int(value * 8) * 50)},
    ApiAct.CUSTOMER: lambda value, id: {
        "customer": f"cus_{id}_{1 + int(value * 2)}",
        "payment_method": f"pm_{id}_{1 + int(value * 2)}",
    },
}


def _outcome(value: float) -> Outcome:
    if value < 0.4:
        return declined("insufficient_funds")
    if value < 0.5:
        return declined("do_not_honor")
    return processing(then_fails=value < 0.7) if value < 0.9 else SUCCEED
