"""`python -m tests.fleet.charging`: three real daemons on one PostgreSQL charge, and are killed, paused and cut off.

The stand-ins know the truth: a charge made while its account was not low is a double one; an event in the database
that no receiver got is a lost one; an event that came twice must have had the same id and bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alerts.model.money import MICRO, from_cents
from benchmarks.process import ROOT
from daemon.clock import SystemClock
from daemon.demo.standins.receiver import TEST_SECRET, ReceiverStandin
from daemon.demo.standins.stripe import Charge, StripeStandin
from daemon.demo.standins.usage import UsageStandin
from daemon.demo.standins.usage.prepaid import PrepaidAccount
from daemon.places import ServerUrl
from daemon.store import Store, ledger_notes, ledger_reads, states
from tests.fleet.behind import Behind, paired, pooled
from tests.postgres import MISSING, PostgresServer, programs, serving

NAMES = ("a", "b", "c")
THRESHOLD_USD = 10
SETTLES_WITHIN_S = 150.0
PAUSE_S = 12.0
BEHIND: dict[str, Callable[[Path], AbstractContextManager[Behind]]] = {
    "postgresql": serving,
    "pgbouncer": pooled,
    "standby": partial(paired, synchronous=True),
    "asynchronous": partial(paired, synchronous=False),
}
_CONFIG = """
timezone = "UTC"
[store]
url = "env:DATABASE_URL"
[stripe]
api_key = "sk_test_123"
mode = "test"
api_base = "{stripe}"
[http]
listen = ""
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 10
[[webhooks]]
id = "app"
url = "{hook}"
secret = "{secret}"
allow_http = true
"""
_ACCOUNT = """
[accounts.a{number}]
provider = "contentstats"
base_url = "{usage}"
api_key = "cs_test_{number}"
poll = "* * * * *"
[accounts.a{number}.topup]
when_below_usd = 10
amount_usd = 20
customer = "cus_{number}"
max_charge_usd = 20
max_per_day_usd = 1000000
max_per_month_usd = 1000000
cooldown = "1s"
"""


@dataclass
class Truth:
    """What the stand-ins know."""

    usage: UsageStandin
    stripe: StripeStandin
    receiver: ReceiverStandin
    behind: Behind
    url: ServerUrl
    config: Path
    accounts: dict[str, PrepaidAccount]
    """By their keys."""
    running: dict[str, Process] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)
    needs: int = 0
    forgets: bool = False

    def available(self, key: str) -> int:
        account = self.accounts[key]
        account.live(SystemClock().now())
        return account.balance - account.uncharged

    def credit(self, charge: Charge) -> None:
        """A charge succeeded: it must have met a need. Its credit is there at once."""
        key = (charge.customer or "").replace("cus_", "cs_test_")
        if self.available(key) >= THRESHOLD_USD * MICRO:
            self.doubles.append(f"{charge.intent} charged {charge.customer} while it was not low")
        self.usage.credit(key, from_cents(charge.amount) // MICRO)

    def burn(self, key: str) -> None:
        """Use up what there is, so that there is a need."""
        if self.available(key) >= THRESHOLD_USD * MICRO:
            self.needs += 1
            self.accounts[key].uncharged += self.available(key) - 5 * MICRO
            self.accounts[key].deduct()

    def low(self) -> list[str]:
        return [key for key in self.accounts if self.available(key) < THRESHOLD_USD * MICRO]

    def lost(self) -> list[str]:
        """Events of the database that the receiver never got, or got with other bytes, too.

        A database that forgets (an asynchronous standby) makes some anew, with the same id.
        """
        got: dict[str, set[bytes]] = {}
        for one in self.receiver.received:
            got.setdefault(one.id, set()).add(one.body)
        return [
            f"{kind} {id}"
            for id, (kind, body) in self.events().items()
            if not (got.get(id) == {body} or (self.forgets and body in got.get(id, ())))
        ]

    def events(self) -> dict[str, tuple[str, bytes]]:
        """The events of the database by their ids: type and body."""
        with closing(Store(self.url, readonly=True)) as store:
            rows = store.reader.execute("SELECT id, type, body FROM event").fetchall()
        return {id: (kind, bytes(body)) for id, kind, body in rows}

    def about(self, key: str) -> str:
        """Say what the database knows of an account whose need was not met."""
        account = key.replace("cs_test_", "a")
        with closing(Store(self.url, readonly=True)) as store:
            topups = ledger_reads.of_account(store.reader, account)
            stops = [(one.kind.value, one.reason) for one in ledger_notes.stops(store.reader, account)]
            counts = ledger_notes.decisions(store.reader, account)
            last = states.load(store.reader, account).last
        refused = max(counts, key=lambda one: one.last_at, default=None)
        at = None if last is None else f"{last.at:%H:%M:%S} {last.metrics.available_microusd}"
        ended = topups[-1] if topups else None
        return f"unmet: {account}: read {at}, {ended and (ended.state, ended.reason)}, stops {stops}, {refused}"

    async def start(self, name: str) -> None:
        self.running[name] = await create_subprocess_exec(
            *(sys.executable, "-m", "daemon", "--config", str(self.config), "run", "--name", name),
            *("--log-level", "error"),
            env={
                **os.environ,
                "DATABASE_URL": self.url.text,
                "PYTHONPATH": str(ROOT),
                "NOTIFY_SOCKET": str(self.config.with_name("notify")),  # as under systemd: a start is tried again
            },
            stdout=None if os.environ.get("CRASH_LOGS") else DEVNULL,
            stderr=None if os.environ.get("CRASH_LOGS") else DEVNULL,
        )

    async def kill(self, name: str) -> None:
        process = self.running.pop(name)
        if process.returncode is not None:
            raise RuntimeError(f"brimful run ended by itself with {process.returncode}: see CRASH_LOGS=1")
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def charging(kills: int, accounts: int, seed: int, *, minutes: float, restarts: bool, behind: str) -> int:
    """Kill so many times, let it settle, and return 0 where nothing was charged twice and nothing was lost."""
    where = programs()
    if where is None:
        raise SystemExit(MISSING)
    with BEHIND[behind](where) as database, tempfile.TemporaryDirectory(prefix="brimful-fleet-") as disk:
        async with AsyncExitStack() as stack:
            truth = await set_up(stack, Path(disk), database, accounts)
            for name in NAMES:
                await truth.start(name)
            try:
                done = await _disturb(truth, random.Random(seed), kills, time.monotonic() + minutes * 60, restarts)
                await settle(truth)
                return verdict(truth, done)
            finally:
                for name in list(truth.running):
                    await truth.kill(name)


async def set_up(stack: AsyncExitStack, disk: Path, behind: Behind, accounts: int) -> Truth:
    clock = SystemClock()
    usage = UsageStandin(clock, requests_per_minute=None)
    known: list[Truth] = []
    stripe = StripeStandin(clock, seed=1, credit=lambda charge: known[0].credit(charge))
    prepaid = {}
    for number in range(accounts):
        stripe.add_customer(f"cus_{number}", card=f"pm_{number}")
        prepaid[f"cs_test_{number}"] = usage.prepaid(f"cs_test_{number}", balance_usd=5, total_charged_usd=100)
    manager = stack.enter_context(closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)))
    manager.bind(str(disk / "notify"))
    asyncio.get_running_loop().add_reader(manager, manager.recv, 4096)
    stack.callback(asyncio.get_running_loop().remove_reader, manager)
    receiver = await stack.enter_async_context(ReceiverStandin())
    at_stripe = await stack.enter_async_context(stripe.serve())
    at_usage = await stack.enter_async_context(usage.serve())
    config = disk / "config.toml"
    text = _CONFIG.format(stripe=at_stripe, hook=receiver.url, secret=TEST_SECRET)
    config.write_text(text + "".join(_ACCOUNT.format(number=number, usage=at_usage) for number in range(accounts)))
    config.chmod(0o600)
    known.append(Truth(usage, stripe, receiver, behind, behind.database(), config, prepaid, needs=accounts))
    return known[0]


async def _disturb(truth: Truth, rng: random.Random, kills: int, until: float, restarts: bool) -> dict[str, int]:
    done = {"kills": 0, "pauses": 0, "restarts": 0, "hangs": 0}
    while done["kills"] < kills and time.monotonic() < until:
        for key in rng.sample(sorted(truth.accounts), len(truth.accounts) // 3):
            truth.burn(key)
        await asyncio.sleep(rng.expovariate(1 / 1.5))
        name = rng.choice(NAMES)
        roll = rng.random()
        if roll < 0.05:
            truth.running[name].send_signal(signal.SIGSTOP)
            await asyncio.sleep(PAUSE_S)
            truth.running[name].send_signal(signal.SIGCONT)
            done["pauses"] += 1
        elif roll < 0.12 and restarts:
            await asyncio.to_thread(truth.behind.stop)
            await asyncio.sleep(rng.choice([0.1, 3.0, 11.0]))
            await asyncio.to_thread(truth.behind.start)
            done["restarts"] += 1
        elif roll < 0.14 and restarts and isinstance(truth.behind, PostgresServer):
            with truth.behind.hanging():
                await asyncio.sleep(PAUSE_S)
            done["hangs"] += 1
        else:
            await truth.kill(name)
            if rng.random() < 0.2:
                await asyncio.sleep(rng.choice([3.0, 11.0]))
            await truth.start(name)
            done["kills"] += 1
    return done


async def settle(truth: Truth) -> None:
    """Let the fleet bring everything in order, for so long at the most."""
    until = time.monotonic() + SETTLES_WITHIN_S
    while time.monotonic() < until:
        await asyncio.sleep(1)
        open_intents = [one for one in truth.stripe.intents() if one.status not in ("succeeded", "canceled")]
        if not open_intents and not truth.low() and not truth.lost():
            return


def verdict(truth: Truth, done: dict[str, int]) -> int:
    lost, low, charges = truth.lost(), truth.low(), len(truth.stripe.successes())
    for line in [*truth.doubles[:10], *(f"lost: {one}" for one in lost[:10]), *map(truth.about, low[:10])]:
        print(line)
    ids = [one.id for one in truth.receiver.received]
    print(
        f"{done}: {truth.needs} needs, {charges} charges, {len(truth.doubles)} double, {len(low)} unmet; "
        f"{len(ids)} deliveries of {len(set(ids))} events, {len(lost)} lost"
    )
    return 1 if truth.doubles or lost or not charges else 0  # a need may wait: for its gates, for an unknown outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.charging", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--accounts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop by then, however many kills there were")
    parser.add_argument(
        "--restarts", action="store_true", help="restart what is before the database, or it; let it hang"
    )
    parser.add_argument("--behind", choices=BEHIND, default="postgresql")
    said = parser.parse_args()
    work = charging(
        said.kills, said.accounts, said.seed, minutes=said.minutes, restarts=said.restarts, behind=said.behind
    )
    return asyncio.run(work)


if __name__ == "__main__":
    sys.exit(main())
