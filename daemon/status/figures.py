"""The figures of a reading by the names that they have outside, whatever the account's unit is."""

IN_UNIT: tuple[tuple[str, str], ...] = (
    ("balance", "balance_microusd"),
    ("uncharged", "uncharged_microusd"),
    ("available", "available_microusd"),
    ("total_charged", "total_charged_microusd"),
    ("used", "used_microgb"),
    ("reserved", "reserved_microgb"),
    ("effective", "effective_microgb"),
    ("limit", "limit_microgb"),
    ("period_used", "period_used_microgb"),
)
FIELDS: tuple[tuple[str, str], ...] = (
    ("total_snapshots", "total_snapshots"),
    ("active_videos", "active_videos"),
    ("cost_per_snapshot", "cost_per_snapshot_microusd"),
    ("usage_count", "usage_count"),
    ("billing_error", "billing_error"),
)
"""Names outside, and the metrics that they show; a name with `micro` in its metric is shown in whole units."""
