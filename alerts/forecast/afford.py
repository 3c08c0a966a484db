"""Can it be paid for: what so many videos cost for so many days, and what is left beside the running burn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from alerts.forecast.forecast import Forecast, spend_forecast
from alerts.forecast.memory import BurnMemory
from alerts.model.readings import Metrics

SNAPSHOTS_A_DAY = 24
"""Each video is snapshotted once an hour."""


@dataclass(frozen=True, slots=True)
class Affordance:
    """The answer, in micro-dollars. `left` is what the cost leaves of the available balance: negative is missing.

    `running` is what the account is expected to spend anyway over the same days, None where its burn is not known;
    `left_beside` is what remains after both. `dry_alone_at` and `dry_beside_at` are when the available balance runs out
    by the running burn alone, and with the new videos beside it for their days; None: not within two years, or not
    known.
    """

    available_microusd: int
    cost_microusd: int
    running_microusd: int | None
    basis: str | None
    dry_alone_at: datetime | None
    dry_beside_at: datetime | None

    @property
    def left_microusd(self) -> int:
        return self.available_microusd - self.cost_microusd

    @property
    def left_beside_microusd(self) -> int | None:
        return None if self.running_microusd is None else self.left_microusd - self.running_microusd

    @property
    def pays(self) -> bool:
        """Whether the available balance covers the cost."""
        return self.left_microusd >= 0

    @property
    def pays_beside(self) -> bool | None:
        """Whether it covers the cost and the running burn of the same days; None where that burn is not known."""
        left = self.left_beside_microusd
        return None if left is None else left >= 0


def afford(memory: BurnMemory, metrics: Metrics, days: Decimal, videos: int, now: datetime) -> Affordance | None:
    """Return what `videos` more videos cost for `days`, or None where the reading says no balance or no price."""
    available, price = metrics.available_microusd, metrics.cost_per_snapshot_microusd
    if available is None or price is None:
        return None
    a_day = videos * SNAPSHOTS_A_DAY * price
    cost = int((days * a_day).to_integral_value(ROUND_CEILING))
    forecast = spend_forecast(memory, metrics.scheduled_burn_microusd_per_day, now)
    if forecast is None:
        return Affordance(available, cost, None, None, None, None)
    hours = Fraction(days) * 24
    span = hours.numerator / hours.denominator
    return Affordance(
        available,
        cost,
        round(forecast.growth_over(span)),
        forecast.basis,
        _after(now, forecast.hours_until(available)),
        _after(now, _dry_beside(forecast, available, cost, a_day / 24, span)),
    )


def _dry_beside(forecast: Forecast, available: int, cost: int, an_hour: float, span: float) -> float | None:
    """Return after how many hours both together have used the balance up: the new videos stop after `span`."""
    if available <= 0:
        return 0.0
    if forecast.growth_over(span) + cost < available:
        return forecast.hours_until(available - cost)
    low, high = 0.0, span
    while high - low > 0.01:
        middle = (low + high) / 2
        if forecast.growth_over(middle) + an_hour * middle < available:
            low = middle
        else:
            high = middle
    return high


def _after(now: datetime, hours: float | None) -> datetime | None:
    return None if hours is None else now + timedelta(seconds=round(hours * 3600))
