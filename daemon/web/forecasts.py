"""What a day costs and how long the balance lasts: kept for each account until its next reading, since it is dear.

Milliseconds where four weeks are to be learnt: after a start, and once a week. So each scrape does so only for as many
accounts as a moment allows, and the others keep what a day cost: dozens that move are exact, of thousands in turn.
"""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal
from time import thread_time

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
        return self._fresh(state, known) or self._worked_out(state, known)

    def within(self, state: AccountState, known: Known, until: float) -> AccountForecast | None:
        """Return the same, or once this thread has used so many seconds of CPU, what follows from what a day cost
        before; None where that is not known.
        """
        if (fresh := self._fresh(state, known)) is not None:
            return fresh
        if thread_time() < until:
            return self._worked_out(state, known)
        kept = self._kept.get(state.account)
        return None if kept is None else at_burn(kept.burn, known)

    def _fresh(self, state: AccountState, known: Known) -> AccountForecast | None:
        if (kept := self._kept.get(state.account)) is None:
            return None
        if _is_loaded(state):
            return kept if kept.hour == _hour(known) and kept.metrics == known.metrics else None
        return kept if kept.metrics is known.metrics and kept.memory is state.burn else None

    def _worked_out(self, state: AccountState, known: Known) -> AccountForecast:
        found = forecast_of(state, known)
        if _is_loaded(state):
            found = replace(found, memory=NO_HOURS, hour=_hour(known))
        self._kept[state.account] = found
        return found

    def keep(self, accounts: Container[str]) -> None:
        """Forget the accounts that are none of these."""
        self._kept = {account: kept for account, kept in list(self._kept.items()) if account in accounts}


def _is_loaded(state: AccountState) -> bool:
    """Whether it is as the store has it: another daemon's, or not yet polled here."""
    return state.evaluated_by is None


def _hour(known: Known) -> int:
    return to_ms(known.at) // HOUR_MS


def forecast_of(state: AccountState, known: Known) -> AccountForecast:
    """Return the forecast from a reading and what is remembered of the time before it."""
    return at_burn(burn(state.burn, known.metrics, known.at), known, state.burn)


def at_burn(found: Burn | None, known: Known, memory: BurnMemory = NO_HOURS) -> AccountForecast:
    """Return what follows from a reading at a burn that is known."""
    available = known.metrics.available_microusd
    days = None if found is None or available is None else days_remaining(available, found.microusd_per_day)
    return AccountForecast(known.metrics, memory, found, days)
