"""Burn: what an account spends a day, and on what that number rests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from alerts.forecast.estimators import DAY
from alerts.forecast.forecast import SCHEDULED, spend_forecast
from alerts.forecast.memory import MILLISECOND, BurnMemory, spent_over
from alerts.model.readings import Metrics

Basis = Literal["scheduled", "observed"]


class Burn(Struct, frozen=True, gc=False):
    """Micro-dollars a day. `partial`: observed over less than a day. `why`: why this basis, a clause for a person."""

    microusd_per_day: int
    basis: Basis
    partial: bool
    why: str = ""


class Window(Struct, frozen=True, gc=False):
    """What was spent over a stretch that ends now, and the pace that is. `partial`: history is shorter than asked."""

    spent_microusd: int
    microusd_per_day: int
    partial: bool


def burn(memory: BurnMemory, metrics: Metrics, now: datetime) -> Burn | None:
    """Return the burn that `days_remaining` rests on, or None where nothing is known of it.

    Scheduled is active × 24 × cost. Observed is the account's present level on a mean day, later hours weighing more.
    """
    spend, scheduled = memory.spend, metrics.scheduled_burn_microusd_per_day
    kept = spend.memo.burn if spend else None
    if kept is not None and kept[0] == scheduled and isinstance(kept[1], Burn):
        return kept[1]
    forecast = spend_forecast(memory, scheduled, now)
    if forecast is None:
        return None
    basis: Basis = "scheduled" if forecast.basis == SCHEDULED else "observed"
    found = Burn(round(forecast.per_day), basis, forecast.partial, forecast.why)
    if spend and len(spend.hours) >= DAY:  # it follows from whole hours alone: the same until this one is over
        spend.memo.burn = scheduled, found
    return found


def observed(memory: BurnMemory, window: timedelta, now: datetime) -> Window | None:
    """Return what was spent over the window that ends now, or None where no time of it is known."""
    if memory.spend is None:
        return None
    spent, known_ms = spent_over(memory.spend, window, now)
    if known_ms <= 0:
        return None
    return Window(spent, spent * 86_400_000 // known_ms, known_ms * MILLISECOND < window)
