"""Ten thousand accounts polled every minute, through `brimful run` as a process.

    python -m benchmarks.many [--accounts 10000] [--minutes 2] [--every 60] [--topups] [--json]

`--every`: the numbers of an account move with every so many of its answers (60: hourly, as usage that is counted by the
hour; 1: with every poll, the worst case). CPU and memory are what the kernel counted for the process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.process import Process, Server, accounts_toml, brimful, configuration, free_port, get, server, wait_for
from benchmarks.report import Figure, finish

LOWERED = 50
WATCHED_S = 75.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the run of one process came to. Seconds, MB, polls."""

    first_poll_s: float
    sweep_s: float
    cpu_per_10k_s: float
    polls: int
    memory_mb: float
    peak_mb: float
    told_after_s: float
    told: int
    page_s: float
    metrics_s: float
    stop_s: float
    exit_code: int


def run(served: Server, accounts: int, minutes: float, *, topups: bool = False) -> Found:
    """Start the daemon on so many accounts, watch it for so long, let some balances sink, and stop it."""
    served.ask("/reset")
    with tempfile.TemporaryDirectory(prefix="brimful-many-") as folder:
        port = free_port()
        path = configuration(
            Path(folder), served, port, accounts_toml(served.url, accounts, topup=topups), topups=topups
        )
        with brimful(path, log=Path(folder) / "log") as process:
            page = f"http://127.0.0.1:{port}"
            wait_for(f"{page}/healthz", 60)
            first_poll_s, sweep_s = first_sweep(served, process, accounts)
            polls, cpu_per_10k_s = _steady(served, process, minutes)
            told = _lower(served, process, accounts)
            page_s = min(get(f"{page}/")[1] for _ in range(3))
            metrics_s = min(get(f"{page}/metrics")[1] for _ in range(3))
            memory_mb, peak_mb = process.sample().memory_mb, process.peak_mb()
            exit_code, stop_s = process.stop()
    return Found(
        first_poll_s,
        sweep_s,
        cpu_per_10k_s,
        polls,
        memory_mb,
        peak_mb,
        median(told) if told else float("inf"),
        len(told),
        page_s,
        metrics_s,
        stop_s,
        exit_code,
    )


def first_sweep(served: Server, process: Process, accounts: int) -> tuple[float, float]:
    """Wait until each account was asked; return when the first was, after the start, and how long all took. Seconds."""
    ends_at = time.monotonic() + 300
    while (said := served.ask("/stats"))["asked"] < accounts:
        process.check()
        if time.monotonic() > ends_at:
            raise SystemExit("the first sweep did not end within five minutes")
        time.sleep(0.2)
    return said["first_at"] - process.started_at, said["last_at"] - said["first_at"]


def _steady(served: Server, process: Process, minutes: float) -> tuple[int, float]:
    time.sleep(60 - time.time() % 60 + 2)  # a minute's sweep is spread over its first half: whole minutes are watched
    served.ask("/reset")
    before = process.sample()
    time.sleep(60 * minutes)
    process.check()
    after, polls = process.sample(), served.ask("/stats")["asked"]
    return polls, (after.cpu_s - before.cpu_s) / max(polls, 1) * 10_000


def _lower(served: Server, process: Process, accounts: int) -> list[float]:
    """Let some balances sink; returns how many seconds after each low answer its webhook arrived."""
    names = [f"a{number}" for number in range(0, accounts, max(accounts // LOWERED, 1))]
    served.ask("/drop?accounts=" + ",".join(names))
    ends_at = time.monotonic() + WATCHED_S
    while time.monotonic() < ends_at:
        said = served.ask("/stats")
        if said["hooked_at"].keys() >= set(names):
            break
        time.sleep(0.5)
        process.check()
    return [said["hooked_at"][name] - at for name, at in said["low_answered_at"].items() if name in said["hooked_at"]]


def figures(found: Found, accounts: int, *, topups: bool = False) -> list[Figure]:
    """Return the figures with what is wanted of each at ten thousand accounts."""
    many = accounts >= 10_000
    return [
        Figure("first poll after the start", found.first_poll_s, "s", 3.0 if topups else 2.0),
        Figure("first sweep", found.sweep_s, "s"),
        Figure(f"CPU of 10,000 polls (of {found.polls})", found.cpu_per_10k_s, "s"),
        Figure("memory", found.memory_mb, "MB", 150.0 if many else None),
        Figure("memory, at its most", found.peak_mb, "MB"),
        Figure(f"from a low answer to its webhook, median of {found.told}", found.told_after_s, "s", 0.25),
        Figure("front page", found.page_s, "s", 0.2),
        Figure("/metrics", found.metrics_s, "s", 0.5),
        Figure("from SIGTERM to the end", found.stop_s, "s", 10.0),
        Figure("exit code", found.exit_code, "", 0.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--every", type=int, default=60)
    parser.add_argument("--topups", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with server() as served:
        served.ask(f"/every?polls={options.every}")
        found = run(served, options.accounts, options.minutes, topups=options.topups)
    title = f"many: {options.accounts:,} accounts each minute, numbers that move with every {options.every}. answer"
    finish(title, figures(found, options.accounts, topups=options.topups), as_json=options.json)


if __name__ == "__main__":
    main()
