"""ContentStats: a prepaid balance. `GET /api/v1/usage` with `X-API-Key`; the fields are those of its Get Usage page.

The balance may be below zero, a debt; nothing else may.
"""

from __future__ import annotations

from daemon.sources.payload import to_count, to_millionths, to_signed, to_signed_count
from daemon.sources.provider import Provider

PROVIDER = Provider(
    name="contentstats",
    title="ContentStats",
    base_url="https://contentstats.io",
    path="/api/v1/usage",
    key_header="x-api-key",
    min_charge_microusd=10_000_000,
    table={
        "balance_usd": ("balance_microusd", to_signed),
        "uncharged_usage_usd": ("uncharged_microusd", to_millionths),
        "total_charged_usd": ("total_charged_microusd", to_millionths),
        "total_snapshots": ("total_snapshots", to_count),
        "active_videos": ("active_videos", to_count),
        "cost_per_snapshot": ("cost_per_snapshot_microusd", to_millionths),
        "estimated_snapshots_remaining": ("estimated_snapshots_remaining", to_signed_count),
    },
)
