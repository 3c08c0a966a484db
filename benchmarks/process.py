"""The real process, measured from outside: `brimful run` beside a server of its own, by what the kernel counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process: CPU of all its threads in seconds, resident memory in MB."""

    at: float
    cpu_s: float
    memory_mb: float


class Process:
    """A process that was started here, and is ended here."""

    def __init__(self, arguments: Sequence[str], *, log: Path | None = None, **environ: str) -> None:
        self.started_at = time.time()
        self._log = log.open("wb") if log is not None else None
        self._process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=self._log or subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )

    def sample(self) -> Sample:
        """Return what the process has used so far."""
        pid = self._process.pid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
        resident_kb = int(status.partition("VmRSS:")[2].split()[0])
        return Sample(time.time(), (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND, resident_kb / 1024)

    def peak_mb(self) -> float:
        """Return the most memory that the process ever had resident, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self, within_s: float = 60.0) -> tuple[int, float]:
        """Ask it to end; returns its exit code and how many seconds it took."""
        asked_at = time.monotonic()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(10)
        if self._log is not None:
            self._log.close()
        return code, time.monotonic() - asked_at

    def check(self) -> None:
        """Raise SystemExit where it has ended by itself."""
        if (code := self._process.poll()) is not None:
            raise SystemExit(f"the process ended by itself with {code}")


class Server:
    """`benchmarks.usage_server` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.usage_server"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, path: str) -> dict[str, Any]:
        """Return the JSON of a path."""
        return dict(json.loads(get(self.url + path)[0]))

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def get(url: str, timeout_s: float = 60.0) -> tuple[bytes, float]:
    """Return the body at `url` and how many seconds the whole exchange took."""
    started = time.perf_counter()
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
    return body, time.perf_counter() - started


def wait_for(url: str, until_s: float) -> None:
    """Return when something answers there."""
    ends_at = time.monotonic() + until_s
    while True:
        try:
            get(url)
        except (urllib.error.URLError, OSError):
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    """Return a port that nothing listens on just now."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def server() -> Iterator[Server]:
    """Serve while the block runs."""
    running = Server()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def brimful(config: Path, *, log: Path | None = None, **environ: str) -> Iterator[Process]:
    """Run the daemon while the block runs, as users run it."""
    running = Process(
        [str(Path(sys.executable).with_name("brimful")), "--config", str(config), "run"], log=log, **environ
    )
    try:
        yield running
    finally:
        running.stop()


CONFIG = """
[http]
listen = "127.0.0.1:{port}"
[store]
path = "{folder}/brimful.db"
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
[[rules]]
id = "runway"
kind = "runway"
below_days = 3
[[webhooks]]
id = "app"
url = "{url}/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
allow_http = true
events = ["balance.*"]
"""
STRIPE = """
[stripe]
api_key = "sk_test_1"
mode = "test"
api_base = "{url}"
"""


def configuration(folder: Path, served: Server, port: int, accounts: str, *, topups: bool = False) -> Path:
    """Write a configuration of these accounts with two rules and a receiver; its page listens at `port`."""
    path = folder / "config.toml"
    text = CONFIG.format(folder=folder, url=served.url, port=port) + (STRIPE.format(url=served.url) if topups else "")
    path.write_text(text + accounts)
    return path


def accounts_toml(base_url: str, count: int, *, poll: str = "* * * * *", topup: bool = False) -> str:
    """Return the tables of `count` accounts, each with a path and a key of its own."""
    tables = []
    for number in range(count):
        tables.append(
            f'[accounts.a{number}]\nprovider = "contentstats"\nbase_url = "{base_url}/a/a{number}"\n'
            f'api_key = "cs_test_{number:06d}"\npoll = "{poll}"\n'
        )
        if topup:
            tables.append(
                f'[accounts.a{number}.topup]\nwhen_below_usd = 2.00\namount_usd = 50.00\ncustomer = "cus_{number}"\n'
                f'payment_method = "pm_{number}"\nmax_charge_usd = 200.00\nmax_per_day_usd = 200.00\n'
                f"max_per_month_usd = 500.00\n"
            )
    return "\n".join(tables)
