"""Accounts as hourly spend: folded hour by hour from a Monday on, and what is forecast of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from alerts.forecast.forecast import Forecast, spend_forecast
from alerts.forecast.memory import BurnMemory

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def office_hours(at: datetime) -> int:
    return 1_000_000 if 8 <= at.hour < 18 else 0


Hourwise = Callable[[datetime], int]


def lived(days: float, spend_in_hour: Hourwise, scheduled: Hourwise | None = None) -> tuple[BurnMemory, datetime]:
    """Fold hour by hour: both callables take the hour's start."""
    memory, at, spent = BurnMemory(), MONDAY, 0
    for hour in range(round(days * 24) + 1):
        at = MONDAY + timedelta(hours=hour)
        memory = memory.fold(at, spent, None if scheduled is None else scheduled(at))
        spent += spend_in_hour(at)
    return memory, at


def forecast_of(memory: BurnMemory, now: datetime, scheduled: int | None = None) -> Forecast:
    found = spend_forecast(memory, scheduled, now)
    assert found is not None
    return found
