"""What the API's objects are by the database itself, read from outside as it was committed: no word of the daemon's."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class StoredTopup:
    """A top-up made by API as it is committed. Money in micro-dollars."""

    version: int
    mode: str
    customer: str
    when_below_microusd: int
    amount_microusd: int
    max_charge_microusd: int
    max_per_day_microusd: int
    max_per_month_microusd: int
    is_archived: bool
    """Whether its account is."""


def stored_topup(database: Path, id: str) -> StoredTopup | None:
    """Return the account's top-up; None where it has none, or was never made by API."""
    if not database.exists():
        return None
    with closing(sqlite3.connect(database)) as connection:
        try:
            rows = {
                kind: (version, json.loads(body), archived_ms)
                for kind, version, body, archived_ms in connection.execute(
                    "SELECT kind, version, body, archived_ms FROM resource WHERE id = ?", (id,)
                )
            }
        except sqlite3.OperationalError:
            return None
    if "topup" not in rows or rows["topup"][2] is not None:
        return None
    version, body, _ = rows["topup"]
    return StoredTopup(
        version=version,
        mode=body["mode"],
        customer=body["customer"],
        when_below_microusd=_micro(body, "when_below_usd"),
        amount_microusd=_micro(body, "amount_usd"),
        max_charge_microusd=_micro(body, "max_charge_usd"),
        max_per_day_microusd=_micro(body, "max_per_day_usd"),
        max_per_month_microusd=_micro(body, "max_per_month_usd"),
        is_archived=rows["account"][2] is not None,
    )


def _micro(body: dict[str, Any], key: str) -> int:
    return int(Decimal(body[key]) * MICRO)
