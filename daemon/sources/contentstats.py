"""ContentStats: a prepaid balance. `GET /api/v1/usage` with `X-API-Key`; the fields are those of its Get Usage page."""

from __future__ import annotations

from datetime import datetime

from alerts.readings import Metrics, Reading
from daemon.http import Answer
from daemon.sources.payload import (
    Table,
    decode,
    extra,
    fill,
    read,
    said_in,
    to_count,
    to_millionths,
    to_signed,
    to_signed_count,
)

KEY_HEADER = "x-api-key"
_TABLE: Table = {
    "balance_usd": ("balance_microusd", to_signed),
    "uncharged_usage_usd": ("uncharged_microusd", to_millionths),
    "total_charged_usd": ("total_charged_microusd", to_millionths),
    "total_snapshots": ("total_snapshots", to_count),
    "active_videos": ("active_videos", to_count),
    "cost_per_snapshot": ("cost_per_snapshot_microusd", to_millionths),
    "estimated_snapshots_remaining": ("estimated_snapshots_remaining", to_signed_count),
}
FIELDS = frozenset(_TABLE)
NEEDED = frozenset({"balance_usd", "uncharged_usage_usd", "total_charged_usd"})


def parse(account: str, at: datetime, answer: Answer) -> Reading:
    """Turn one answer into a reading.

    Balance, uncharged usage and total charged are what money is decided on: without any of them there is no reading.
    The balance may be below zero, a debt; nothing else may.
    """
    return read(account, at, answer, _metrics)


def _metrics(body: bytes) -> Metrics:
    document = decode(body)
    return fill(_TABLE, said_in(document, NEEDED), NEEDED, extra(document, FIELDS))
