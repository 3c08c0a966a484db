"""What a day costs and how long the balance lasts: kept for each account until its next reading, since it is dear."""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal

from msgspec import Struct

from alerts.forecast.burn import Burn, burn
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import days_remaining
from alerts.model.readings import Known, Metrics
from alerts.rules.state import AccountState


class AccountForecast(Struct, gc=False):
    """What follows from one reading and the memory of its burn."""

    metrics: Metrics
    memory: BurnMemory
    burn: Burn | None
    days_remaining: Decimal | None


class Forecasts:
    """One for the process. Threads may ask at once: at worst both compute the same."""

    def __init__(self) -> None:
        self._kept: dict[str, AccountForecast] = {}

    def of(self, state: AccountState, known: Known) -> AccountForecast:
        """Return the forecast from the state's last reading."""
        kept = self._kept.get(state.account)
        if kept is None or kept.metrics is not known.metrics or kept.memory is not state.burn:
            kept = self._kept[state.account] = forecast_of(state, known)
        return kept

    def keep(self, accounts: Container[str]) -> None:
        """Forget the accounts that are none of these."""
        self._kept = {account: kept for account, kept in list(self._kept.items()) if account in accounts}


def forecast_of(state: AccountState, known: Known) -> AccountForecast:
    """Return the forecast from a reading and what is remembered of the time before it."""
    metrics = known.metrics
    found, available = burn(state.burn, metrics, known.at), metrics.available_microusd
    days = None if found is None or available is None else days_remaining(available, found.microusd_per_day)
    return AccountForecast(metrics, state.burn, found, days)
