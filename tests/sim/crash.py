"""`python -m tests.sim.crash`: a real `brimful run`, real sockets, a real database, and SIGKILL at random instants.

The stand-ins outlive every kill and know the truth: a charge made while the account was not low, or before the last
credit, is a double charge; an event in the database that no receiver ever got is a lost one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from alerts.model.money import MICRO, from_cents
from daemon.demo.standins.receiver import TEST_SECRET, ReceiverStandin
from daemon.demo.standins.stripe import Charge, Strike, StripeStandin
from daemon.demo.standins.usage import UsageStandin
from daemon.demo.standins.usage.prepaid import PrepaidAccount
from tests.sim.hastened import HastenedClock

_KEY = "cs_test_crash"
_THRESHOLD_USD = 10
_SETTLE_S = 90.0
_CONFIG = """
timezone = "UTC"

[store]
path = "{disk}/brimful.db"

[stripe]
api_key = "sk_test_123"
mode = "test"
api_base = "{stripe}"

[http]
listen = ""

[accounts.clips]
provider = "contentstats"
base_url = "{usage}"
api_key = "{key}"
poll = "* * * * *"

[accounts.clips.topup]
when_below_usd = {threshold}
amount_usd = 20
customer = "cus_1"
max_charge_usd = 20
max_per_day_usd = 1000000
max_per_month_usd = 1000000
cooldown = "1s"

[[rules]]
id = "low"
kind = "low_balance"
below_usd = {threshold}

[[webhooks]]
id = "app"
url = "{hook}"
secret = "{secret}"
allow_http = true
"""
_DOWN_S = (0, 0, 10, 60, 240, 900)
"""How long a killed daemon stays down, by the clocks: nobody waits for it."""
_STRIKES = (Strike.COMMIT_THEN_DROP, Strike.COMMIT_THEN_500, Strike.DROP, Strike.KEY_IN_USE, Strike.LOCK_TIMEOUT)


@dataclass
class Proof:
    """The truth about one loop of kills."""

    usage: UsageStandin
    account: PrepaidAccount
    stripe: StripeStandin
    receiver: ReceiverStandin
    config: Path
    database: Path
    rng: random.Random
    clock: HastenedClock
    doubles: list[str] = field(default_factory=list)
    needs: int = 0

    def credit(self, charge: Charge) -> None:
        """A charge succeeded: it must have met a need. Its credit is there at once."""
        if self._available() >= _THRESHOLD_USD * MICRO:
            self.doubles.append(f"{charge.intent} charged while {self._available() / MICRO:.2f} were available")
        self.usage.credit(_KEY, from_cents(charge.amount) // MICRO)

    def burn(self) -> None:
        """Use up what there is, so that there is a need."""
        if self._available() >= _THRESHOLD_USD * MICRO:
            self.needs += 1
            self.account.uncharged += self._available() - 5 * MICRO
            self.account.deduct()

    def _available(self) -> int:
        self.account.live(self.clock.now())
        return self.account.balance - self.account.uncharged

    def lost(self) -> list[str]:
        """Events of the database that the receiver never got, or got with other bytes."""
        got = {one.id: one.body for one in self.receiver.received}
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("SELECT id, type, body FROM event").fetchall()
        return [f"{type_} {id}" for id, type_, body in rows if got.get(id) != bytes(body)]


async def crash(kills: int, seed: int, *, minutes: float) -> int:
    """Kill so many times, let it settle, and return 0 where nothing was charged twice and nothing was lost."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="brimful-crash-") as disk:
        async with AsyncExitStack() as stack:
            proof = await _set_up(stack, Path(disk), rng)
            done = await _kill_loop(proof, kills, until=time.monotonic() + minutes * 60)
            await _settle(proof)
            return _verdict(proof, done)


async def _set_up(stack: AsyncExitStack, disk: Path, rng: random.Random) -> Proof:
    clock = HastenedClock()
    usage = UsageStandin(clock, requests_per_minute=None)
    proof_of: list[Proof] = []
    stripe = StripeStandin(clock, seed=1, credit=lambda charge: proof_of[0].credit(charge))
    stripe.add_customer("cus_1", card="pm_1")
    account = usage.prepaid(_KEY, balance_usd=5, total_charged_usd=100)
    receiver = await stack.enter_async_context(ReceiverStandin())
    config = disk / "config.toml"
    config.write_text(
        _CONFIG.format(
            disk=disk,
            stripe=await stack.enter_async_context(stripe.serve()),
            usage=await stack.enter_async_context(usage.serve()),
            key=_KEY,
            threshold=_THRESHOLD_USD,
            hook=receiver.url,
            secret=TEST_SECRET,
        )
    )
    config.chmod(0o600)
    proof = Proof(usage, account, stripe, receiver, config, disk / "brimful.db", rng, clock)
    proof_of.append(proof)
    return proof


async def _kill_loop(proof: Proof, kills: int, *, until: float) -> int:
    done = 0
    while done < kills and time.monotonic() < until:
        proof.burn()
        if proof.rng.random() < 0.3:
            proof.stripe.fail(proof.rng.choice(_STRIKES), "payment_intents.c*", nth=proof.rng.randrange(1, 4))
        before = len(proof.stripe.exchanges)
        process = await _start(proof)
        await _first_exchange(proof, before)
        await asyncio.sleep(proof.rng.expovariate(1 / proof.rng.choice([0.08, 0.5, 1.0])))
        if process.returncode is not None:
            raise RuntimeError(f"brimful run ended by itself with {process.returncode}: see CRASH_LOGS=1")
        done += 1
        await _kill(process)
        proof.clock.ahead += timedelta(seconds=proof.rng.choice(_DOWN_S))
        if done and done % 25 == 0:
            print(f"{done} kills, {len(proof.stripe.successes())} charges", flush=True)
    return done


async def _first_exchange(proof: Proof, before: int) -> None:
    """Wait until the daemon is at work, however slow the machine; now and then it is killed before."""
    early = proof.rng.random() < 0.15
    for _ in range(proof.rng.randrange(20, 400) if early else 2400):
        if len(proof.stripe.exchanges) > before:
            return
        await asyncio.sleep(0.005)


async def _start(proof: Proof) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.sim.hastened",
        str(proof.clock.ahead.total_seconds()),
        "--config",
        str(proof.config),
        "run",
        "--log-level",
        "error",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=None if os.environ.get("CRASH_LOGS") else asyncio.subprocess.DEVNULL,
    )


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def _settle(proof: Proof) -> None:
    """Let the last daemon bring everything in order, for so long at the most."""
    proof.stripe.faults.clear()
    process = await _start(proof)
    deadline = time.monotonic() + _SETTLE_S
    try:
        while time.monotonic() < deadline and process.returncode is None:
            await asyncio.sleep(1)
            open_intents = [one for one in proof.stripe.intents() if one.status not in ("succeeded", "canceled")]
            if not open_intents and not proof.lost():
                return
    finally:
        await _kill(process)


def _verdict(proof: Proof, done: int) -> int:
    lost = proof.lost()
    charges = len(proof.stripe.successes())
    for line in [*proof.doubles[:10], *(f"lost: {one}" for one in lost[:10])]:
        print(line)
    print(
        f"{done} kills, {proof.needs} needs, {charges} charges, {len(proof.receiver.received)} deliveries: "
        f"{len(proof.doubles)} double charges, {len(lost)} lost events"
    )
    return 1 if proof.doubles or lost or not charges else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop by then, however many kills there were")
    options = parser.parse_args()
    return asyncio.run(crash(options.kills, options.seed, minutes=options.minutes))


if __name__ == "__main__":
    sys.exit(main())
