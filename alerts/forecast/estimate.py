"""The provider's own estimate, as its pages compute it: shown beside ours, never used for a decision."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from alerts.model.readings import Metrics


@dataclass(frozen=True, slots=True)
class Estimate:
    """Snapshots that the whole balance buys, and the days they last at the present number of videos (one decimal)."""

    snapshots: int
    days: Decimal | None


def providers_estimate(metrics: Metrics) -> Estimate | None:
    """Return the provider's estimate: what it says, else floor(balance / cost). It ignores what is pending."""
    snapshots, cost = metrics.estimated_snapshots_remaining, metrics.cost_per_snapshot_microusd
    if snapshots is None:
        if metrics.balance_microusd is None or not cost:
            return None
        snapshots = max(metrics.balance_microusd, 0) // cost
    if not metrics.active_videos:
        return Estimate(snapshots, None)
    days = Decimal(snapshots) / (metrics.active_videos * 24)
    return Estimate(snapshots, days.quantize(Decimal("0.1"), ROUND_HALF_EVEN))
