"""The world of one run: the provider, Stripe, the receivers and the machines, and the faults that befall them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from alerts.model.money import from_cents
from alerts.model.values import replace
from daemon.config.model import Config
from daemon.demo.standins.stripe import Charge, Exchange, Outcome, Strike, StripeStandin, declined, processing
from tests.sim import api_acts, scenario, swarm
from tests.sim.api import ApiWorld
from tests.sim.api_acts import ApiEvent
from tests.sim.box import Box, Life
from tests.sim.clocks import SkewedClock, TrueClock
from tests.sim.disks import HEAL, Committed, burn_number, ledger_has_open, read_events
from tests.sim.receivers import Receivers
from tests.sim.source import Ledger, Outage, Source
from tests.sim.swarm import Act, ScriptedEvent

LONG_AGO = timedelta(days=40)
LAST_MOMENT = timedelta(minutes=31, seconds=40)
"""After the last look, so that what it caused is delivered."""


class World:
    """Everything outside the daemon, and the list of what happened."""

    peace = HEAL

    def __init__(
        self,
        seed: int,
        days: float,
        disks: Path,
        open_service: Callable[..., Any],
        focus: frozenset[str] = frozenset(),
    ) -> None:
        self.seed = seed
        self.focus = focus
        self.rng = random.Random(seed)
        self.days = days
        self.scenario = scenario.draw(self.rng, focus)
        plan = api_acts.draw(seed, self.scenario.start, max(days - self.peace.days, 1.0), focus)
        self.api = None if plan is None else ApiWorld(self, plan)
        if plan is not None:
            self.scenario = replace(self.scenario, config=replace(self.scenario.config, api=plan.config))
        self.truth = TrueClock(self.scenario.start)
        self.end = self.scenario.start + timedelta(days=days)
        self.swarm = swarm.draw(self.rng, self.scenario.start, max(days - self.peace.days, 1.0), focus)
        self.ledgers: dict[str, Ledger] = {}
        self.source = Source(random.Random(seed + 1), self.ledgers)
        self.receivers = Receivers(self.truth, random.Random(seed + 2))
        self.stripe = StripeStandin(self.truth, seed=seed, credit=self._credit, credit_lag=self._credit_lag)
        self.stripe_transport = self.stripe.transport(wait=asyncio.sleep)
        self.senders: list[str] = []
        """Which disk of which machine sent each of the exchanges with Stripe."""
        self.trace: list[str] = []
        self.crashes: list[str] = []
        self.watch: Callable[[str, str], None] = lambda intent, box: None
        """Called with a PaymentIntent's id and a machine in the moment before its confirm reaches Stripe."""
        self.paused: set[tuple[str, str]] = set()
        """Where a person said that nothing is charged: machine and account, or `*`."""
        self.returned: list[tuple[datetime, Charge]] = []
        """The charges that were given back or disputed."""
        self.purses: dict[str, str] = {"reels": "clips"} if self.scenario.keys else {}
        """Whose balance is shown under another name, by the name: a second key, or an account that was renamed."""
        self.misplaced: set[str] = set()
        """The machines whose database is not at its path."""
        self.boxes: list[Box] = []
        self.clocks: dict[str, SkewedClock] = {}
        self.configs: dict[str, Config] = {}
        self.buried: list[Committed] = []
        self.faults_over = False
        self.resumes: list[datetime] = []
        self.lost_disks: list[datetime] = []
        self.retired: list[datetime] = []
        self.most_skew = timedelta(0)
        self._jumped_at: datetime | None = None
        self.losing = False
        """Whether the next charge is never credited: a person buys the amount by hand later."""
        self._disks = disks
        self._open_service = open_service
        self._lag = random.Random(seed + 3)
        self._latency = random.Random(seed + 5)
        self._tasks: list[asyncio.Task[None]] = []

    # --- beginning ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the accounts, the shop and the first machine. Called inside the loop."""
        for name in self.scenario.config.accounts.keys() - self.purses.keys():
            self.ledgers[name] = Ledger(self.truth, self.scenario.balances[name], self.scenario.videos[name])
        self.stripe.add_customer("cus_1", card="pm_1")
        if self.api is not None:
            self.api.begin()
        if self.rng.random() < 0.3:
            self._charge_long_ago()
        self.source.lie_rate = self.swarm.lie_rate
        self.source.slow_rate = self.swarm.slow_rate
        self.receivers.lost_rate = self.swarm.lost_rate
        self.receivers.fail_rate = self.swarm.fail_rate
        self.receivers.slow_rate = self.swarm.slow_rate
        self.add_box("one")

    def _charge_long_ago(self) -> None:
        """The last top-up of an account was 40 days ago, and no disk knows of it."""
        account = self.rng.choice(sorted(self.of_the_file))
        ledger, at = self.ledgers[account], self.truth.now() - LONG_AGO
        metadata = {
            "app": "brimful",
            "account": account,
            "seq": "7",
            "topup": f"{account}-7",
            "funded": str(ledger.funded - 30_000_000),
        }
        intent = self.stripe.books.add_past(2000, "cus_1", "pm_1", metadata, at)
        ledger.credits.append((at, 20_000_000, intent.id))

    def add_box(self, name: str, *, other_amount: bool = False) -> Box:
        """Start a machine with an empty disk."""
        disk = self._disks / name
        disk.mkdir(parents=True)
        self.clocks[name] = clock = SkewedClock(self.truth)
        self.configs[name] = scenario.on_disk(self.scenario.config, disk, other_amount=other_amount)
        lives = [0]

        def open_service(life: Life) -> Any:
            lives[0] += 1
            if not (disk / "brimful.db").exists():
                self.source.falsehood = ""  # who has no past believes the first that it hears
            if self.api is not None:
                self.api.opened(name, self.configs[name].api)
            return self._open_service(self.configs[name], clock, life, f"{self.seed}/{name}/{lives[0]}")

        box = Box(self, name, disk, open_service)
        self.boxes.append(box)
        self._tasks.append(asyncio.create_task(box.live()))
        return box

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.truth.now():%m-%d %H:%M:%S} {who:8} {what}")

    def latency(self) -> float:
        """How many seconds a request is under way to Stripe."""
        return self._latency.uniform(0.05, 1.5)

    @property
    def of_the_file(self) -> frozenset[str]:
        """The purses of the file's accounts."""
        return frozenset(self.ledgers) - frozenset(api_acts.ACCOUNTS)

    def box(self, name: str) -> Box:
        return next(box for box in self.boxes if box.name == name)

    def clock_of(self, box: Box) -> SkewedClock:
        return self.clocks[box.name]

    def until_next(self, step: timedelta) -> timedelta:
        """How long until the next whole multiple of `step`."""
        return step - (self.truth.now() - self.truth.start) % step

    # --- credit --------------------------------------------------------------------------------------------------

    def _credit_lag(self, charge: Charge) -> timedelta:
        low, high = self.swarm.lag_minutes
        lag = timedelta(minutes=self._lag.uniform(low, high))
        self.note(
            "stripe", f"CHARGED {charge.amount} for {charge.metadata.get('topup')} {charge.intent}, credit in {lag}"
        )
        self.later(lag.total_seconds() + 0.001, self.stripe.settle)
        return lag

    def purse(self, account: str) -> str:
        """Whose balance it is."""
        return self.purses.get(account, account)

    def names(self, account: str) -> tuple[str, ...]:
        """The account's own name, and every other under which its balance is charged."""
        return (account, *(name for name, purse in self.purses.items() if purse == account))

    def _credit(self, charge: Charge) -> None:
        account = self.purse(charge.metadata.get("account", ""))
        if account in self.ledgers:
            if self.losing and self.truth.now() < self.end - self.peace:
                self.losing = False
                self.note("provider", f"LOST the credit of {charge.intent}")
                by_hand = partial(self.ledgers[account].credit, from_cents(charge.amount), charge.intent)
                self.later(timedelta(hours=self._lag.uniform(3, 6)).total_seconds(), by_hand)
                return
            self.note("provider", f"credited {charge.amount} to {account}")
            self.ledgers[account].credit(from_cents(charge.amount), charge.intent)

    # --- faults --------------------------------------------------------------------------------------------------

    async def befall(self) -> None:
        """Let the swarm's faults happen, each at its time; then heal the world and let it converge."""
        changes = self.api.plan.events if self.api is not None else ()
        script: list[ScriptedEvent | ApiEvent] = [*self.swarm.happenings, *changes]
        for happening in sorted(script, key=lambda one: one.at):
            await self._until(happening.at)
            if isinstance(happening, ApiEvent):
                assert self.api is not None, "who changes nothing by API has drawn none"
                self.api.befall(happening)
                continue
            self.note("fault", f"{happening.act} {happening.value} {happening.seconds:.0f}")
            self._act(happening)
        await self._until(self.end - self.peace)
        self.heal()
        await self._until(self.end + LAST_MOMENT)

    async def _until(self, at: datetime) -> None:
        seconds = (at - self.truth.now()).total_seconds()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, do)

    def _act(self, happening: ScriptedEvent) -> None:
        box = self.boxes[0]
        match happening.act:
            case Act.OUTAGE:
                self.source.outage = Outage(happening.value)
                self.later(happening.seconds, self._end_outage)
            case Act.FREEZE:
                self.source.freeze()
                self.later(min(happening.seconds, 7200.0), self.source.thaw)
            case Act.CREDIT:
                self._act_on_ledger(lambda ledger: ledger.credit(int(happening.value) * 1_000_000, "by hand"))
            case Act.BURN:
                self._act_on_ledger(lambda ledger: self._change_burn(ledger, happening.value))
            case Act.RECEIVER_DOWN:
                self.receivers.down.add(happening.value)
                self.later(happening.seconds, lambda: self.receivers.down.discard(happening.value))
            case Act.KILL:
                box.kill(happening.seconds)
            case Act.KILL_AT_COMMIT if box.life is not None:
                box.life.kill_at_commit = (happening.value, int(happening.seconds))
            case Act.KILL_AT_REQUEST if box.life is not None:
                box.life.kill_at_request = (happening.value, int(happening.seconds))
            case Act.BACKUP:
                box.back_up()
            case Act.RESTORE if (box.disk / "backup.db").exists():
                box.kill(happening.seconds, lambda: self._lose(box, box.restore))
            case Act.WIPE:
                box.kill(happening.seconds, lambda: self._lose(box, box.wipe))
            case Act.TWIN if len(self.boxes) < 3:
                twin = self.add_box(f"twin{len(self.boxes)}", other_amount=happening.value == "other_amount")
                self.later(happening.seconds, partial(self._retire, twin))
                if happening.value == "burnt":
                    self.later(60.0, partial(burn_number, twin, sorted(self.of_the_file)[0]))
            case Act.CLOCK_STEP:
                clock = self.clock_of(box)
                clock.skew += timedelta(seconds=happening.seconds)
                self.most_skew = max(self.most_skew, abs(clock.skew))
            case Act.STRIKE:
                strike, endpoint = happening.value.split(" ")
                self.stripe.fail(Strike(strike), endpoint, delay_s=happening.seconds)
            case Act.CARD:
                self.stripe.next_outcome("pm_1", _outcome(happening))
            case Act.REFUND:
                self._give_back(happening.value)
            case Act.STRIPE_OUT:
                fault = self.stripe.fail(Strike(happening.value), "*", times=1_000_000)
                self.later(happening.seconds, lambda: setattr(fault, "times", 0))
            case Act.FALSE_ZERO | Act.SAID_TWICE:
                self._say_falsely(happening.value or "twice", happening.seconds)
            case Act.PENDING_JUMP:  # over a poll of a full hour
                before = max((self.until_next(timedelta(hours=1)) - timedelta(seconds=30)).total_seconds(), 0.0)
                if self._jumped_at is None or self.truth.now() - self._jumped_at > timedelta(days=1):
                    self._jumped_at = self.truth.now()  # two in a row would stand for longer than any rule waits
                    self.later(before, lambda: self._say_falsely("pending", 800.0))
            case Act.RENAME:
                box.kill(happening.seconds, lambda: self._rename(box))
            case Act.MOVE_DATABASE if box.life is not None and not self.misplaced:
                self._misplace(box, happening.seconds)
            case Act.DISK_FULL if box.service is not None:
                box.fill_disk()
                self.later(happening.seconds, box.free_disk)
            case Act.LOST_CREDIT:
                self.losing = True
            case _:
                return

    def _say_falsely(self, what: str, seconds: float) -> None:
        if not self.source.falsehood and not self.faults_over:
            self.source.falsehood = what
            self.later(seconds, lambda: setattr(self.source, "falsehood", ""))

    def _rename(self, box: Box) -> None:
        """Give an account another name; where a top-up of it is open the daemon would not start."""
        if "films" in self.purses or ledger_has_open(box.database, "clips"):
            return
        self.source.falsehood = ""  # an account without a past believes the first that it hears
        self.note("person", "renamed clips to films")
        self.purses["films"] = "clips"
        config = self.configs[box.name]
        accounts = dict(config.accounts)
        clips = accounts.pop("clips")
        accounts["films"] = replace(clips, info=replace(clips.info, id="films"))
        self.configs[box.name] = replace(config, accounts=accounts)

    def _misplace(self, box: Box, seconds: float) -> None:
        """Move the database away under the daemon, and back; what was begun at its path meanwhile stays."""
        if not box.database.exists():
            return
        away = box.database.rename(box.disk / "away.db")
        self.misplaced.add(box.name)
        self.later(seconds, lambda: self._put_back(box, away))

    def began(self, box: Box) -> None:
        """A daemon has started with what lies at its path: where its database was moved away, with a new one."""
        if box.name in self.misplaced:
            self.misplaced.discard(box.name)
            self.paused = {(name, scope) for name, scope in self.paused if name != box.name}  # with the old one
            self.lost_disks.append(self.truth.now())
            box.lost_at.append(self.truth.now())

    def _put_back(self, box: Box, away: Path) -> None:
        self.misplaced.discard(box.name)
        if not away.exists():
            return
        if box.database.exists():  # it was killed meanwhile, and began anew
            away.unlink()
        else:
            away.rename(box.database)

    def _give_back(self, how: str) -> None:
        charges = [one for one in self.stripe.successes() if not one.disputed and not one.amount_refunded]
        if not charges or charges[-1].at < self.truth.start:
            return
        charge = charges[-1]
        self.note("person", f"{how} of {charge.intent}")
        if how == "refund":
            self.stripe.books.refund(charge)
        else:
            self.stripe.books.dispute(charge)
        self.returned.append((self.truth.now(), charge))

    def _end_outage(self) -> None:
        self.source.outage = None

    def _act_on_ledger(self, do: Callable[[Ledger], None]) -> None:
        ledger = self.ledgers[self.rng.choice(sorted(self.of_the_file))]
        ledger.settle()
        do(ledger)

    def _change_burn(self, ledger: Ledger, factor: str) -> None:
        ledger.videos = min(max(1, ledger.videos * int(10 * float(factor)) // 10), 200)

    def _retire(self, twin: Box) -> None:
        """End a twin for good: what only its disk knew of, nobody follows up."""
        if not twin.is_stopped():
            self.retired.append(self.truth.now())
            twin.stop()

    def _lose(self, box: Box, do: Callable[[], None]) -> None:
        self.lost_disks.append(self.truth.now())
        do()

    def heal(self) -> None:
        """End every fault: what is left is for the daemon, and its operator, to bring in order."""
        self.note("world", "HEALED")
        self.faults_over = True
        self.source.outage = None
        self.source.thaw()
        self.source.lie_rate = self.source.slow_rate = 0.0
        self.receivers.down.clear()
        self.receivers.fail_rate = self.receivers.lost_rate = self.receivers.slow_rate = 0.0
        self.stripe.faults.clear()
        self.stripe.method("pm_1").queue.clear()
        if self.api is not None:
            self.api.heal()
        self.source.falsehood = ""
        self.losing = False
        for box in self.boxes:
            box.free_disk()
            self._put_back(box, box.disk / "away.db")
        for clock in self.clocks.values():
            clock.skew = clock.skew if timedelta() <= clock.skew <= timedelta(minutes=4) else timedelta()
        for box in self.boxes[1:]:
            self._retire(box)

    # --- ending --------------------------------------------------------------------------------------------------

    def bury(self, box: Box) -> None:
        """Read what a database had committed before it is gone: it may still have been delivered, not more."""
        self.buried += read_events(box, certain=False)

    async def end_all(self) -> None:
        for box in self.boxes:
            box.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def exchanges(self) -> list[Exchange]:
        return self.stripe.exchanges


def _outcome(happening: ScriptedEvent) -> Outcome:
    kind, _, name = happening.value.partition(" ")
    if kind == "declined":
        return declined(name)
    return processing(then_fails=kind == "processing_fail", after=timedelta(seconds=happening.seconds))
