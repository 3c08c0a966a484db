"""What is kept of a forecast: of a remembered state while it is the same, of a loaded one while it says the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

from alerts.forecast.memory import BurnMemory
from alerts.model.readings import Known, Metrics
from alerts.model.values import replace
from alerts.rules.state import AccountState
from daemon.web.forecasts import Forecasts, forecast_of

NOW = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)


def loaded(at: datetime = NOW, balance: int = 90) -> tuple[AccountState, Known]:
    """Return a state as the store gives it each time anew, and its last reading."""
    burn = BurnMemory()
    for hour in range(48, -1, -1):
        burn = burn.fold(NOW - timedelta(hours=hour), (48 - hour) * 1_000_000)
    known = Known("clips", at, Metrics(balance_microusd=balance * 1_000_000))
    return AccountState("clips", last=known, burn=burn.fold(at, 48_000_000)), known


def test_a_state_that_was_loaded_is_not_worked_out_again_and_nothing_large_is_kept() -> None:
    forecasts = Forecasts()
    first = forecasts.of(*loaded())
    right = forecast_of(*loaded())
    assert (first.burn, first.days_remaining) == (right.burn, right.days_remaining)
    assert right.burn is not None
    assert first.memory == BurnMemory()
    assert forecasts.of(*loaded(NOW + timedelta(minutes=20))) is first
    assert forecasts.of(*loaded(NOW + timedelta(minutes=31))) is not first, "another hour"
    assert forecasts.of(*loaded(balance=45)).days_remaining == forecast_of(*loaded(balance=45)).days_remaining


def test_a_state_that_is_remembered_is_known_by_its_parts() -> None:
    forecasts, (state, known) = Forecasts(), loaded()
    state = replace(state, evaluated_by=())
    first = forecasts.of(state, known)
    assert forecasts.of(replace(state, remind_at=NOW), known) is first
    assert forecasts.of(replace(state, burn=BurnMemory()), known).burn is None


def test_where_there_is_no_time_for_it_what_a_day_cost_before_is_taken_and_never_nothing_for_unknown() -> None:
    forecasts, (state, known), over = Forecasts(), loaded(), 0.0
    assert forecasts.within(state, known, over) is None
    before = forecasts.within(state, known, inf)
    assert before == forecasts.of(state, known)
    assert before is not None
    later = loaded(NOW + timedelta(hours=2), balance=45)
    found = forecasts.within(*later, over)
    assert found is not None
    assert found.burn == before.burn
    assert found.days_remaining != before.days_remaining, "of the balance as it is now"
    assert forecasts.within(*later, inf) == forecasts.of(*later)
    assert forecasts.within(*later, over) is forecasts.of(*later), "nothing to work out"
