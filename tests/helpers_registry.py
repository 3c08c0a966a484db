"""A registry on a real database, over a file with `[api]`: who asks, and the shortest bodies that work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon.clock import ManualClock, SeededIds
from daemon.config.load import load
from daemon.resources.model import Actor, Change, Kind, Role
from daemon.resources.registry import Registry
from daemon.store import Store
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from tests.helpers_config import ENVIRON, GOOD, SMTP, STRIPE

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
MASTER_KEY, OTHER_KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
API = """
[api]
enabled = true
master_key = "env:MASTER_KEY"
allow_accounts_at = ["127.0.0.0/8"]
"""
FILE = GOOD + STRIPE + SMTP + API
KEYS = {**ENVIRON, "MASTER_KEY": MASTER_KEY, "OTHER_KEY": OTHER_KEY, "ACME_KEY": "cs_acme"}
ACCOUNT = {"provider": "contentstats", "api_key": "cs_key_of_acme"}
TOPUP = {
    "when_below_usd": "10.00",
    "amount_usd": "50.00",
    "customer": "cus_acme",
    "max_charge_usd": "100.00",
    "max_per_day_usd": "100.00",
    "max_per_month_usd": "500.00",
}
RULE = {"kind": "low_balance", "below_usd": "5.00"}
SUBSCRIPTION = {"event": "balance.low", "threshold": 5.0, "url": "https://app.example.com/hook"}
ADMIN = Actor(name="cli:root", source="cli", role=Role.ADMIN)


def token(role: Role, owner: str = "", accounts: frozenset[str] | None = None) -> Actor:
    """Somebody who asks by a token."""
    return Actor(name=f"token:tok_{owner or role}", source="api", role=role, owner=owner, accounts=accounts)


def put(id: str, body: Mapping[str, Any] | None = None, kind: Kind = Kind.ACCOUNT, **rest: Any) -> Change:
    """A change that sets an object whole; an account with a key of its own where no body is given."""
    return Change(kind=kind, id=id, body={**ACCOUNT, "api_key": f"cs_key_of_{id}"} if body is None else body, **rest)


class World:
    """One database and one file, and the registries that were opened on them."""

    def __init__(self, folder: Path, text: str = FILE, environ: Mapping[str, str] = KEYS) -> None:
        self.path = folder / "config.toml"
        self.environ = {"STATE_DIRECTORY": str(folder), **environ}
        self.write(text)
        self.clock, self.ids = ManualClock(START), SeededIds(1)
        self.store = Store(folder / "brimful.db")
        migrate(self.store)

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def open(self, store: Store | None = None, **more: Any) -> Registry:
        """Open a registry, as a process does at its start."""
        file = load(self.path, environ=self.environ)
        store = store or self.store
        with store.write(durable=True) as tx:
            name = store_id(tx, self.ids)
        outbox = Outbox(name, file.receivers, self.ids)
        return Registry(file, store=store, outbox=outbox, clock=self.clock, ids=self.ids, environ=self.environ, **more)


@contextmanager
def world(folder: Path, text: str = FILE, environ: Mapping[str, str] = KEYS) -> Iterator[World]:
    found = World(folder, text, environ)
    try:
        yield found
    finally:
        found.store.close()
