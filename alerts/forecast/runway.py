"""Runway: how many days the available balance lasts, and between which days it most likely runs out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from math import inf

from alerts.forecast.burn import Basis
from alerts.forecast.forecast import EARLY, LATE, LIKELY, SCHEDULED, Forecast, spend_forecast
from alerts.forecast.memory import BurnMemory
from alerts.model.readings import Metrics

RANGE_DAYS = 3
"""Before so many days of history a range says `partial`."""
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class RunwayForecast:
    """`days` is available / burn by the basis named; the others are the tenth, fiftieth and ninetieth percentile.

    None: not within two years, or never. Days have two decimals, rounded down. The three instants belong to the three
    percentiles.
    """

    days: Decimal | None
    days_p10: Decimal | None
    days_p50: Decimal | None
    days_p90: Decimal | None
    earliest_at: datetime | None
    likely_at: datetime | None
    latest_at: datetime | None
    burn_microusd_per_day: int
    basis: Basis
    partial: bool


def days_remaining(available_microusd: int, microusd_per_day: int) -> Decimal | None:
    """Return available / burn in days, rounded down to two decimals, 0 where nothing is left, None where none burns."""
    if available_microusd <= 0:
        return Decimal("0.00")
    if microusd_per_day <= 0:
        return None
    return (Decimal(available_microusd) / microusd_per_day).quantize(_CENT, ROUND_FLOOR)


def runway(memory: BurnMemory, metrics: Metrics, now: datetime) -> RunwayForecast | None:
    """Return the runway of the available balance, or None where the balance or the burn is not known.

    The median path follows the account's shape over day and week, so `days_p50` may differ from `days`.
    """
    available = metrics.available_microusd
    forecast = spend_forecast(memory, metrics.scheduled_burn_microusd_per_day, now)
    if available is None or forecast is None:
        return None
    early, likely, late = instants(forecast, available, now)
    per_day = round(forecast.per_day)
    return RunwayForecast(
        days=days_remaining(available, per_day),
        days_p10=_days(early, now),
        days_p50=_days(likely, now),
        days_p90=_days(late, now),
        earliest_at=early,
        likely_at=likely,
        latest_at=late,
        burn_microusd_per_day=per_day,
        basis="scheduled" if forecast.basis == SCHEDULED else "observed",
        partial=forecast.partial or forecast.history_days < RANGE_DAYS,
    )


def instants(
    forecast: Forecast, amount: int, now: datetime
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Return when `amount` micro-units are used up at the earliest, likely and at the latest, to the second, in order.

    Where next to nothing is spent and the range narrows, its edges may cross an amount some minutes apart from that.
    """
    found = (forecast.hours_until(amount, edge) for edge in (EARLY, LIKELY, LATE))
    early, likely, late = (inf if hours is None else hours for hours in found)
    return _after(now, min(early, likely)), _after(now, likely), _after(now, max(likely, late))


def _after(now: datetime, hours: float) -> datetime | None:
    return None if hours == inf else now + timedelta(seconds=round(hours * 3600))


def _days(at: datetime | None, now: datetime) -> Decimal | None:
    if at is None:
        return None
    return (Decimal((at - now) // timedelta(seconds=1)) / 86_400).quantize(_CENT, ROUND_FLOOR)
