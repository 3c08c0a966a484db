"""Amounts: how much is wanted, and what the caps of a day and a month still allow. Pure; micro-dollars.

What is wanted is a fixed amount, up to a balance, or enough for so many days; whole cents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.model.instants import rfc3339
from alerts.model.money import MICROUSD_PER_CENT
from alerts.model.periods import calendar
from alerts.model.reasons import CapReason
from alerts.model.specs import Period
from daemon.config.model import TopupConfig
from daemon.store.topup_rows import Spend

ROLLING_DAY = timedelta(hours=24)
STRIPE_LEAST_MICROUSD = 500_000
"""Stripe charges no less than 50 cents."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is wanted, and in which steps it may be reduced: never below `least`, and whole increments only."""

    wanted_microusd: int
    least_microusd: int
    increment_microusd: int

    def within(self, allowed_microusd: int) -> int:
        """Return the most that is wanted and allowed; 0 where not even one increment fits."""
        if allowed_microusd >= self.wanted_microusd:
            return self.wanted_microusd
        reduced = allowed_microusd // self.increment_microusd * self.increment_microusd
        return reduced if reduced >= self.least_microusd else 0


def size(config: TopupConfig, available_microusd: int, burn_microusd_per_day: int | None) -> Size:
    """Return what lands above the threshold. Where `cover_days` meets an unknown burn, the smallest charges that do."""
    least = max(config.min_charge_microusd, STRIPE_LEAST_MICROUSD)
    above = config.when_below_microusd - available_microusd
    if config.amount_microusd is not None:
        increment = config.amount_microusd
        count = max(above // increment + 1, -(-least // increment))
        return Size(increment * count, max(increment, least), increment)
    if config.to_microusd is not None:
        need = config.to_microusd - available_microusd
    elif burn_microusd_per_day is not None and config.cover_days is not None:
        cover = (Decimal(burn_microusd_per_day) * config.cover_days).to_integral_value(ROUND_CEILING)
        need = int(cover) - available_microusd
    else:
        need = (above // least + 1) * least
    wanted = _whole_cents(max(need, above + 1, least))
    return Size(wanted, _whole_cents(least), MICROUSD_PER_CENT)


def _whole_cents(microusd: int) -> int:
    return -(-microusd // MICROUSD_PER_CENT) * MICROUSD_PER_CENT


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
