"""Bytes on the disk for each poll, over a year of virtual time with the default retention.

    python -m benchmarks.disk [--days 365] [--accounts 4] [--poll "*/5 * * * *"] [--json]

An account's numbers move once an hour, as usage that is counted by the hour; readings older than 90 days are folded
into hourly and daily summaries, which are kept.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.process import accounts_toml
from benchmarks.report import Figure, finish
from benchmarks.virtual import live

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = '[store]\npath = "{folder}/brimful.db"\n[http]\nlisten = ""\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--accounts", type=int, default=4)
    parser.add_argument("--poll", default="*/5 * * * *")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brimful-disk-") as folder:
        config, database = Path(folder) / "config.toml", Path(folder) / "brimful.db"
        tables = accounts_toml("https://usage.example", options.accounts, poll=options.poll)
        config.write_text(CONFIG.format(folder=folder) + tables)
        lived = live(config, BEGIN, timedelta(days=options.days))
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        connection.close()
        size = database.stat().st_size
    finish(
        f"disk: {options.accounts} accounts at {options.poll} for {options.days} days",
        [
            Figure("polls", lived.polls, ""),
            Figure("the database", size / 1e6, "MB"),
            Figure("of it free for what comes", free * 4096 / 1e6, "MB"),
            Figure("bytes a poll", size / lived.polls, "B", 8.0),
            Figure("CPU", lived.cpu_s, "s"),
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
