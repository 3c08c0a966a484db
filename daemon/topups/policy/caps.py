"""The caps: what is spent or reserved in a rolling day and in a calendar month, by both clocks. Pure; micro-dollars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.model.instants import rfc3339
from alerts.model.periods import calendar
from alerts.model.reasons import CapReason
from alerts.model.specs import Period
from daemon.config.model import TopupConfig
from daemon.store.topup_rows import Spend

ROLLING_DAY = timedelta(hours=24)


class Cap(Struct, frozen=True, gc=False):
    """One cap: what is spent or reserved in its window, and what is left. `window` names the window, told once."""

    name: CapReason
    cap_microusd: int
    counted_microusd: int
    window: str

    @property
    def left_microusd(self) -> int:
        return max(self.cap_microusd - self.counted_microusd, 0)


def caps(
    config: TopupConfig,
    spends: Sequence[Spend],
    now: datetime,
    stripe_now: datetime,
    zone: ZoneInfo,
    itself: str | None,
) -> tuple[Cap, Cap]:
    """Count what either clock puts in a window that either clock says is now: ours may be ahead at a month's end."""
    day = counted(spends, now - ROLLING_DAY, stripe_now - ROLLING_DAY, itself)
    month_start = calendar(Period.MONTH, min(now, stripe_now), zone).start
    month = counted(spends, month_start, month_start, itself)
    oldest = min((spend.local_at for spend in day), default=None)
    return (
        Cap(
            CapReason.DAY,
            config.max_per_day_microusd,
            sum(spend.amount_microusd for spend in day),
            f"day from {rfc3339(oldest)}" if oldest else f"day {now.astimezone(zone):%Y-%m-%d}",
        ),
        Cap(
            CapReason.MONTH,
            config.max_per_month_microusd,
            sum(spend.amount_microusd for spend in month),
            f"month {month_start.astimezone(zone):%Y-%m}",
        ),
    )


def most_at_once(config: TopupConfig) -> int:
    """Return what no single charge may exceed, whatever was spent: waiting does not make more of it fit."""
    return min(config.max_charge_microusd, config.max_per_day_microusd, config.max_per_month_microusd)


def counted(spends: Sequence[Spend], since: datetime, stripe_since: datetime, itself: str | None) -> tuple[Spend, ...]:
    """Return what counts in a window: open and unknown ones always, charges that either clock puts in it.

    The window began at `since` by our clock, at `stripe_since` by Stripe's.
    """
    return tuple(
        spend
        for spend in spends
        if spend.topup != itself
        and (
            spend.is_open
            or spend.local_at >= since
            or (spend.stripe_at is not None and spend.stripe_at + timedelta(seconds=1) > stripe_since)
        )
    )
