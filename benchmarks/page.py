"""What the page costs: thirty accounts with a year of history behind them, through `brimful run` as a process.

    python -m benchmarks.page [--days 365] [--asked 40] [--folder DIR] [--run COMMAND] [--json]

The year is lived in virtual time with usage that rises and falls by the hour, charges, quotas and outages. `--folder`
keeps it, and uses it again. `--run` runs a command beside the daemon instead, with the page's address for {page}.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import shlex
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import httpx

from alerts.model.money import from_cents, to_decimal
from benchmarks.process import Process, brimful, free_port, get, wait_for
from benchmarks.report import Figure, finish
from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.demo.standins.stripe import Charge, StripeStandin
from daemon.demo.standins.usage import ALWAYS, PrepaidAccount, Status, StorageAccount, UsageStandin
from tests.sim.clocks import TrueClock, run

PREPAID, STORAGE = 22, 6
HEAD = """
timezone = "Europe/Berlin"
[store]
path = "{folder}/brimful.db"
[http]
listen = "127.0.0.1:{port}"
[stripe]
api_key = "sk_test_123"
mode = "test"
api_base = "http://127.0.0.1:{stripe}"
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 12.00
[[rules]]
id = "nearly-empty"
kind = "low_balance"
below_usd = 3.00
severity = "critical"
[[rules]]
id = "quota"
kind = "quota"
at_percent = [80, 90, 100]
[[rules]]
id = "month"
kind = "budget"
period = "month"
limit_usd = 150.00
[[webhooks]]
id = "app"
url = "http://127.0.0.1:1/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
allow_http = true
events = ["balance.*"]
"""
ACCOUNT = """
[accounts.{id}]
provider = "{provider}"
base_url = "http://127.0.0.1:{usage}"
api_key = "key_{id}"
poll = "{poll}"
label = "{label}"
tags = ["{tag}"]
"""
TOPUP = """
[accounts.{id}.topup]
when_below_usd = 10.00
amount_usd = 50.00
customer = "cus_{id}"
max_charge_usd = 50.00
max_per_day_usd = 100.00
max_per_month_usd = 500.00
"""


class Times:
    """A clock that is virtual while the year is lived, and the machine's afterwards."""

    def __init__(self) -> None:
        self.virtual: TrueClock | None = None

    def now(self) -> datetime:
        return datetime.now(UTC) if self.virtual is None else self.virtual.now()

    wall = now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Year(httpx.AsyncBaseTransport):
    """The usage APIs and Stripe; the receiver of webhooks fails one attempt in three."""

    def __init__(self) -> None:
        self.times = Times()
        self.chance = random.Random(30)
        self.usage = UsageStandin(self.times, requests_per_minute=None)
        self.stripe = StripeStandin(self.times, credit=self._credit, credit_lag=lambda charge: timedelta(minutes=20))
        self.prepaid: dict[str, PrepaidAccount] = {}
        self.storages: dict[str, StorageAccount] = {}
        self.stripe_port, self.usage_port = free_port(), free_port()

    def furnish(self, begin: TrueClock | None) -> None:
        """Open every account."""
        self.times.virtual = begin
        for number in range(PREPAID):
            key = f"key_p{number:02}"
            self.prepaid[key] = self.usage.prepaid(key, balance_usd=40 + 7 * number, active_videos=8)
            self.stripe.add_customer(f"cus_p{number:02}", card=f"pm_p{number:02}")
        for number in range(STORAGE):
            key, grows = f"key_s{number:02}", f"0.0{number + 1}"
            self.storages[key] = self.usage.storage(key, used_gb=300, limit_gb=1024, grows_gb_per_hour=grows)
        self.usage.prepaid("key_flat", balance_usd="25.00")
        self.usage.prepaid("key_gone", balance_usd="25.00")
        self.usage.fail("key_gone", Status(401, "Invalid API key"), times=ALWAYS)

    def resume(self, database: Path) -> None:
        """Let the accounts say what they said last."""
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(
                "SELECT account, balance_microusd, uncharged_microusd, total_charged_microusd, used_microgb FROM latest"
            ).fetchall()
        for name, balance, uncharged, charged, used in rows:
            if (prepaid := self.prepaid.get(f"key_{name}")) is not None:
                prepaid.balance, prepaid.uncharged, prepaid.total_charged = balance, uncharged, charged
            if (storage := self.storages.get(f"key_{name}")) is not None:
                storage.used = used

    def configuration(self, folder: Path, poll: str, port: int) -> Path:
        names = [f"p{number:02}" for number in range(PREPAID)] + [f"s{number:02}" for number in range(STORAGE)]
        text = HEAD.format(folder=folder, stripe=self.stripe_port, port=port)
        for number, name in enumerate([*names, "flat", "gone"]):
            provider, tag = ("tornado" if name.startswith("s") else "contentstats"), ("prod", "dev")[number % 2]
            text += ACCOUNT.format(
                id=name, provider=provider, usage=self.usage_port, poll=poll, label=f"Team {number + 1}", tag=tag
            )
            if name.startswith("p") and number % 3:
                text += TOPUP.format(id=name)
        path = folder / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.port == self.usage_port:
            return await self.usage.transport().handle_async_request(request)
        if request.url.port == self.stripe_port:
            return await self.stripe.transport().handle_async_request(request)
        return httpx.Response(503 if self.chance.random() < 0.3 else 200)

    def live_an_hour(self, now: datetime) -> None:
        """Let usage follow the hour of the day and the day of the week; now and then an API is out, or money comes."""
        busy = 1 + math.sin((now.hour - 9) / 24 * 2 * math.pi) - (0.6 if now.weekday() > 4 else 0)
        for number in range(PREPAID):
            key = f"key_p{number:02}"
            account = self.prepaid[key]
            account.active_videos = round(max(busy, 0.1) * (2 + number % 7) * self.chance.uniform(0.7, 1.3))
            if number % 3 == 0 and account.balance < 2_000_000 and self.chance.random() < 0.02:
                self.usage.credit(key, 100)
            if self.chance.random() < 0.0005:
                self.usage.fail(key, Status(503), times=5)
        for number in range(STORAGE):
            account_s = self.storages[f"key_s{number:02}"]
            if account_s.used > 1_000_000_000 and self.chance.random() < 0.01:
                account_s.used -= 700_000_000
        self.stripe.settle()

    def _credit(self, charge: Charge) -> None:
        self.usage.credit(f"key_{charge.metadata['account']}", to_decimal(from_cents(charge.amount)))

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve what the daemon asks, in a thread, by the machine's clock."""
        self.times.virtual = None
        end = Event()

        async def serve() -> None:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self.usage.serve(port=self.usage_port))
                await stack.enter_async_context(self.stripe.serve(port=self.stripe_port))
                await asyncio.to_thread(end.wait)

        thread = Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def live(year: Year, config: Path, days: int) -> None:
    """Live so many days, up to now."""

    async def main() -> None:
        begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
        clock, woken = TrueClock(begin), asyncio.Event()
        year.furnish(clock)
        next_hour = begin
        async with open_service(
            load(config), clock=clock, ids=SeededIds(1), transport=year, overlap=True, wake=woken.set
        ) as service:
            while (now := clock.now()) < begin + timedelta(days=days):
                if now >= next_hour:
                    year.live_an_hour(now)
                    next_hour += timedelta(hours=1)
                woken.clear()
                delay_s = ((await service.step(now)) - clock.now()).total_seconds()
                try:
                    async with asyncio.timeout(max(delay_s, 0.0)):
                        await woken.wait()
                except TimeoutError:
                    continue
            await service.drain(1.0)

    run(main)


def asked(process: Process, url: str, times: int) -> tuple[float, float, int]:
    """Return the CPU that the process spends on one request, the median wait, both in ms, and the bytes."""
    body, _ = get(url)
    before, waits = process.sample(), []
    for _ in range(times):
        waits.append(get(url)[1])
        time.sleep(0.02)
    after = process.sample()
    return 1000 * (after.cpu_s - before.cpu_s) / times, 1000 * sorted(waits)[times // 2], len(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--asked", type=int, default=40)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brimful-page-") as made:
        folder = options.folder or Path(made)
        folder.mkdir(exist_ok=True)
        year, port = Year(), free_port()
        if not (folder / "brimful.db").exists():
            live(year, year.configuration(folder, "0 * * * *", port), options.days)
        else:
            year.furnish(None)
            year.resume(folder / "brimful.db")
        page = f"http://127.0.0.1:{port}"
        with year.served(), brimful(year.configuration(folder, "*/30 * * * *", port)) as process:
            wait_for(f"{page}/healthz", 60)
            time.sleep(5)  # what the start has to do is over
            if options.run:
                raise SystemExit(subprocess.run(shlex.split(options.run.format(page=page)), check=False).returncode)
            paths = {"the front page": "/", "an account, a month": "/accounts/p01", "/metrics": "/metrics"}
            paths |= {"an account, a year": "/accounts/p01?days=365"}
            found = {name: asked(process, page + path, options.asked) for name, path in paths.items()}
            size_mb = (folder / "brimful.db").stat().st_size / 1e6
    figures = [Figure("the store", size_mb, "MB")]
    for name, (cpu_ms, wait_ms, size) in found.items():
        figures.append(Figure(f"CPU of {name}", cpu_ms, "ms", 50.0))
        figures += [Figure(f"wait for {name}", wait_ms, "ms"), Figure(f"size of {name}", size / 1000, "kB")]
    finish(f"page: 30 accounts, {options.days} days of history", figures, as_json=options.json)


if __name__ == "__main__":
    main()
