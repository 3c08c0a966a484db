"""The command line over a disk that a desk wrote, and a stand-in for Stripe that is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from alerts.model.readings import Known
from daemon.cli import app
from daemon.clock import RandomIds
from daemon.demo.standins.stripe import StripeStandin
from daemon.store import readings
from daemon.store.outbox import store_id
from tests.helpers_topups import Daemon

CONFIG = """
[store]
path = "{store}"

[stripe]
api_key = "{key}"
mode = "test"
api_base = "{base}"

[accounts.clips]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_clips"

[accounts.clips.topup]
when_below_usd = 10
amount_usd = 50
customer = "cus_1"
payment_method = "pm_1"
max_charge_usd = 200
max_per_day_usd = 100
max_per_month_usd = 500

[accounts.plain]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_plain"
"""


class Shell:
    """A configuration over a daemon's disk, and the command line."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self.path = folder / "config.toml"
        self.daemon = daemon
        with daemon.store.write(durable=False) as tx:
            store_id(tx, RandomIds())  # as every daemon does before all else
        self.configure()

    def configure(self, base: str = "http://127.0.0.1:9", key: str = "sk_test_123") -> None:
        self.path.write_text(CONFIG.format(store=self.daemon.store.path, base=base, key=key))

    def edit(self, old: str, new: str) -> None:
        """Change the configuration as a person would, right or wrong."""
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))

    def run(self, *words: str, **environ: str) -> Result:
        return CliRunner(env={"COLUMNS": "240", **environ}).invoke(app, ["--config", str(self.path), "topups", *words])

    def json(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    async def with_stripe(self, stripe: StripeStandin, words: Sequence[str], key: str = "sk_test_123") -> Result:
        async with stripe.serve() as base:
            self.configure(base, key)
            return await asyncio.to_thread(self.run, *words)


def keep(daemon: Daemon, known: Known) -> None:
    with daemon.store.write(durable=False) as tx:
        readings.record(tx, [known])
