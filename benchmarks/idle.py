"""What `brimful run` costs when there is nothing to do, and with sixty accounts polled every minute.

python -m benchmarks.idle [--seconds 60] [--json]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.process import Server, accounts_toml, brimful, configuration, free_port, server, wait_for
from benchmarks.report import Figure, finish

FEW, SOME = 2, 60


def cpu_s(served: Server, accounts: int, poll: str, seconds: float) -> tuple[float, float]:
    """Return the CPU that so many seconds took once the first polls were over, and the memory, in MB."""
    with tempfile.TemporaryDirectory(prefix="brimful-idle-") as folder:
        port = free_port()
        tables = accounts_toml(served.url, accounts, poll=poll)
        path = configuration(Path(folder), served, port, tables)
        with brimful(path, log=Path(folder) / "log") as process:
            wait_for(f"http://127.0.0.1:{port}/healthz", 30)
            time.sleep(3)
            before = process.sample()
            time.sleep(seconds)
            process.check()
            after = process.sample()
    return after.cpu_s - before.cpu_s, after.memory_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with server() as served:
        idle, memory_mb = cpu_s(served, FEW, "0 0 1 1 *", options.seconds)
        busy, _ = cpu_s(served, SOME, "* * * * *", options.seconds)
    finish(
        "idle",
        [
            Figure(f"{FEW} accounts, nothing to do: of a core", 100 * idle / options.seconds, "%", 0.5),
            Figure(f"{SOME} accounts each minute: CPU a minute", 60 * busy / options.seconds, "s", 1.0),
            Figure("memory", memory_mb, "MB"),
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
