"""Runway: how many days the available balance lasts, and between which days it most likely runs out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from alerts.foresight.burn import Basis
from alerts.foresight.memory import BurnMemory
from alerts.foresight.outlook import SCHEDULED, Z_10_90, Outlook, spend_outlook
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
    outlook = spend_outlook(memory, metrics.scheduled_burn_microusd_per_day, now)
    if available is None or outlook is None:
        return None
    early, likely, late = (instant(outlook, available, z, now) for z in (Z_10_90, 0.0, -Z_10_90))
    per_day = round(outlook.per_day)
    return RunwayForecast(
        days=days_remaining(available, per_day),
        days_p10=_days(early, now),
        days_p50=_days(likely, now),
        days_p90=_days(late, now),
        earliest_at=early,
        likely_at=likely,
        latest_at=late,
        burn_microusd_per_day=per_day,
        basis="scheduled" if outlook.basis == SCHEDULED else "observed",
        partial=outlook.partial or outlook.history_days < RANGE_DAYS,
    )


def instant(outlook: Outlook, amount: int, z: float, now: datetime) -> datetime | None:
    """Return when `amount` micro-units are used up on the path `z` deviations above the median, to the second."""
    hours = outlook.hours_until(amount, z)
    return None if hours is None else now + timedelta(seconds=round(hours * 3600))


def _days(at: datetime | None, now: datetime) -> Decimal | None:
    if at is None:
        return None
    return (Decimal((at - now) // timedelta(seconds=1)) / 86_400).quantize(_CENT, ROUND_FLOOR)
