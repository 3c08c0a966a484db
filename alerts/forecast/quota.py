"""Quotas: the day the storage is full, counted from what is used, with today's reservations, and with their peak."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from alerts.forecast.forecast import Forecast, used_forecast
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import RANGE_DAYS, instants
from alerts.model.readings import Metrics


@dataclass(frozen=True, slots=True)
class Full:
    """When a limit is reached: earliest, likely and latest (10, 50 and 90 %). None: not within two years, or never."""

    earliest_at: datetime | None
    likely_at: datetime | None
    latest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fill:
    """Three answers, the latest first. Growth in micro-gigabytes a day.

    `used`: the used volume alone reaches the limit. `effective`: used plus what is reserved now, which the service
    enforces. `reserved`: used plus the highest reservation of the last day, when a burst of jobs is first refused.
    """

    used: Full
    effective: Full
    reserved: Full
    microgb_per_day: int
    partial: bool


def full_at(memory: BurnMemory, metrics: Metrics, now: datetime) -> Fill | None:
    """Return the days on which the quota is full, or None where there is no limit or no history to say so."""
    limit, used, effective = metrics.limit_microgb, metrics.used_microgb, metrics.effective_microgb
    forecast = used_forecast(memory, now)
    if limit is None or used is None or effective is None or forecast is None:
        return None
    peak = max(effective, used + (memory.reserve.peak if memory.reserve else 0))
    return Fill(
        used=_full(forecast, limit - used, now),
        effective=_full(forecast, limit - effective, now),
        reserved=_full(forecast, limit - peak, now),
        microgb_per_day=round(forecast.per_day),
        partial=forecast.partial or forecast.history_days < RANGE_DAYS,
    )


def fills_within(memory: BurnMemory, metrics: Metrics, days: Decimal, now: datetime) -> bool:
    """Whether the effective volume likely reaches its limit within so many days: `full_at`'s answer, for less."""
    limit, effective, forecast = metrics.limit_microgb, metrics.effective_microgb, used_forecast(memory, now)
    if limit is None or effective is None or forecast is None:
        return False
    return effective >= limit or forecast.growth_over(int(days * 86_400) / 3600) >= limit - effective


def _full(forecast: Forecast, room: int, now: datetime) -> Full:
    return Full(*instants(forecast, room, now))
