"""Configurations for tests: a good one to start from, and what `inspect` finds in a changed one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from daemon.config.load import Inspection, inspect
from daemon.config.problems import Problem

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRON = {"CS_KEY": "cs_test_1", "TORNADO_KEY": "t_1", "STRIPE_KEY": "sk_test_123", "WEBHOOK_SECRET": SECRET}

ACCOUNT = """
[accounts.clips]
provider = "contentstats"
api_key = "env:CS_KEY"
"""
TORNADO = """
[accounts.downloads]
provider = "tornado"
api_key = "env:TORNADO_KEY"
"""
STRIPE = """
[stripe]
api_key = "env:STRIPE_KEY"
mode = "test"
"""
TOPUP = """
[accounts.clips.topup]
when_below_usd = 10
amount_usd = 50
customer = "cus_123"
max_charge_usd = 200
max_per_day_usd = 100
max_per_month_usd = 500
"""
LOW = """
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5
"""
WEBHOOK = """
[[webhooks]]
id = "app"
url = "https://example.com/hook"
secret = "env:WEBHOOK_SECRET"
"""
SMTP = """
[smtp]
host = "127.0.0.1"
sender = "Brimful <brimful@example.com>"
"""
GOOD = ACCOUNT + LOW + WEBHOOK
PAID = ACCOUNT + TOPUP + STRIPE + LOW + WEBHOOK


def look(folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON, *, secrets: bool = True) -> Inspection:
    """Inspect `text` as a file in `folder`, with the database beside it."""
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return inspect(path, secrets=secrets, environ={"STATE_DIRECTORY": str(folder), **environ})


def only(found: Inspection) -> Problem:
    """Return the one problem of an inspection."""
    assert len(found.problems) == 1, [str(problem) for problem in found.problems]
    return found.problems[0]


def changed(text: str, old: str, new: str) -> str:
    """Return `text` with `old`, which is in it, replaced."""
    assert old in text
    return text.replace(old, new)
