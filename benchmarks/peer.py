"""Brimful beside Prometheus on the same accounts, one after the other in one run.

    python -m benchmarks.peer [--accounts 10000] [--minutes 2] [--json]

Prometheus scrapes the same server every minute, with one alert rule that is Brimful's `low`, and hands its alerts to
Alertmanager. Both have to be installed (Debian: prometheus, prometheus-alertmanager); else this says so and ends well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import many
from benchmarks.process import Process, Server, free_port, server
from benchmarks.report import Figure, finish

RULE = "groups: [{name: low, rules: [{alert: BalanceLow, expr: 'balance_usd - uncharged_usage_usd < 5'}]}]\n"


def prometheus(served: Server, accounts: int, minutes: float) -> tuple[float, float]:
    """Return the CPU of 10,000 scrapes in seconds, and the memory of Prometheus in MB."""
    with tempfile.TemporaryDirectory(prefix="brimful-peer-") as name:
        folder = Path(name)
        alerts, web = free_port(), free_port()
        targets = [
            {
                "targets": [f"127.0.0.1:{served.port}"],
                "labels": {"__metrics_path__": f"/a/a{number}/metrics", "account": f"a{number}"},
            }
            for number in range(accounts)
        ]
        (folder / "targets.json").write_text(json.dumps(targets))
        (folder / "rules.yml").write_text(RULE)
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: 1m, evaluation_interval: 1m}}\n"
            f"rule_files: [{folder}/rules.yml]\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts}']}}]}}]}}\n"
            f"scrape_configs: [{{job_name: usage, file_sd_configs: [{{files: [{folder}/targets.json]}}]}}]\n"
        )
        (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
        manager = Process(
            [
                "prometheus-alertmanager",
                f"--config.file={folder}/alertmanager.yml",
                f"--storage.path={folder}/alerts",
                f"--web.listen-address=127.0.0.1:{alerts}",
                "--cluster.listen-address=",
            ]
        )
        process = Process(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{web}",
            ]
        )
        try:
            served.ask("/reset")
            while served.ask("/stats")["asked"] < accounts:
                process.check()
                time.sleep(0.5)
            served.ask("/reset")
            before = process.sample()
            time.sleep(60 * minutes)
            process.check()
            after, scrapes = process.sample(), served.ask("/stats")["asked"]
        finally:
            process.stop()
            manager.stop()
    return (after.cpu_s - before.cpu_s) / scrapes * 10_000, after.memory_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if missing := [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]:
        print(f"peer: not measured, {' and '.join(missing)} is not installed")
        sys.exit(0)
    with server() as served:
        ours = many.run(served, options.accounts, options.minutes)
        theirs_s, theirs_mb = prometheus(served, options.accounts, options.minutes)
    finish(
        f"peer: {options.accounts:,} accounts each minute",
        [
            Figure("CPU of 10,000 polls, Brimful", ours.cpu_per_10k_s, "s"),
            Figure("CPU of 10,000 scrapes, Prometheus", theirs_s, "s"),
            Figure("Brimful / Prometheus", ours.cpu_per_10k_s / theirs_s, "", 1.0),
            Figure("memory, Brimful", ours.memory_mb, "MB", 150.0),
            Figure("memory, Prometheus", theirs_mb, "MB"),
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
