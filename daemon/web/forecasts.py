"""What a day costs and how long the balance lasts: kept for each account until its next reading, since it is dear."""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal

from msgspec import Struct

from alerts.forecast.burn import Burn, burn
from alerts.forecast.hourly import HOUR_MS
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import days_remaining
from alerts.model.instants import to_ms
from alerts.model.readings import Known, Metrics
from alerts.model.values import replace
from alerts.rules.state import AccountState

NO_HOURS = BurnMemory()


class AccountForecast(Struct, gc=False):
    """What follows from one reading and the memory of its burn. Of a state that was only loaded no memory is kept: it
    is large, and the next time another one; `hour` is that of its reading, counted from the epoch.
    """

    metrics: Metrics
    memory: BurnMemory
    burn: Burn | None
    days_remaining: Decimal | None
    hour: int = 0


class Forecasts:
    """One for the process. Threads may ask at once: at worst both compute the same."""

    def __init__(self) -> None:
        self._kept: dict[str, AccountForecast] = {}

    def of(self, state: AccountState, known: Known) -> AccountForecast:
        """Return the forecast from the state's last reading."""
        kept = self._kept.get(state.account)
        if state.evaluated_by is None:  # loaded from the store: another daemon's, or not yet polled here
            hour = to_ms(known.at) // HOUR_MS
            if kept is None or kept.hour != hour or kept.metrics != known.metrics:
                kept = self._kept[state.account] = replace(forecast_of(state, known), memory=NO_HOURS, hour=hour)
        elif kept is None or kept.metrics is not known.metrics or kept.memory is not state.burn:
            kept = self._kept[state.account] = forecast_of(state, known)
        return kept

    def keep(self, accounts: Container[str]) -> None:
        """Forget the accounts that are none of these."""
        self._kept = {account: kept for account, kept in list(self._kept.items()) if account in accounts}


def forecast_of(state: AccountState, known: Known) -> AccountForecast:
    """Return the forecast from a reading and what is remembered of the time before it."""
    return at_burn(burn(state.burn, known.metrics, known.at), known, state.burn)


def at_burn(found: Burn | None, known: Known, memory: BurnMemory = NO_HOURS) -> AccountForecast:
    """Return what follows from a reading at a burn that is known."""
    available = known.metrics.available_microusd
    days = None if found is None or available is None else days_remaining(available, found.microusd_per_day)
    return AccountForecast(known.metrics, memory, found, days)
