"""ContentStats: a prepaid balance. `GET /api/v1/usage` with `X-API-Key`; the fields are those of its Get Usage page."""

from __future__ import annotations

from datetime import datetime

from alerts.readings import Metrics, Reading
from daemon.http import Answer
from daemon.sources.payload import Document, count, extra, micro, read, required_micro

KEY_HEADER = "x-api-key"
FIELDS = frozenset(
    {
        "balance_usd",
        "uncharged_usage_usd",
        "total_charged_usd",
        "total_snapshots",
        "active_videos",
        "cost_per_snapshot",
        "estimated_snapshots_remaining",
    }
)


def parse(account: str, at: datetime, answer: Answer) -> Reading:
    """Turn one answer into a reading.

    Balance, uncharged usage and total charged are what money is decided on: without any of them there is no reading.
    The balance may be below zero, a debt; nothing else may.
    """
    return read(account, at, answer, _metrics)


def _metrics(document: Document) -> Metrics:
    return Metrics(
        balance_microusd=required_micro(document, "balance_usd", negative=True),
        uncharged_microusd=required_micro(document, "uncharged_usage_usd"),
        total_charged_microusd=required_micro(document, "total_charged_usd"),
        total_snapshots=count(document, "total_snapshots"),
        active_videos=count(document, "active_videos"),
        cost_per_snapshot_microusd=micro(document, "cost_per_snapshot"),
        estimated_snapshots_remaining=count(document, "estimated_snapshots_remaining", negative=True),
        extra=extra(document, FIELDS),
    )
