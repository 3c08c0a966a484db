"""The accounts that other daemons hold, as `/metrics` tells them: read from the store, only what changed since.

What a day costs is worked out for as many of them as a moment allows, and the others keep what it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from time import thread_time

from msgspec import Struct

from alerts.forecast.hourly import HOUR_MS
from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Known
from alerts.model.spend import SpendMemory
from alerts.model.values import replace
from alerts.rules.state import AccountState
from daemon.store import fleet, states
from daemon.store.connection import Connection
from daemon.store.statecodec import decode_metrics, decode_state_blob
from daemon.store.states import StoredTexts
from daemon.web.forecasts import NO_HOURS, AccountForecast, at_burn, forecast_of

_READ_AT_ONCE = 500
_FORECAST_AT_ONCE = 20


class OtherAccount(Struct, frozen=True, gc=False):
    """An account: its state without the hours of its burn, and the burn that they gave at a reading like `basis`.

    `mark` is of the stored row's version, `said` of each of its texts. `turn` is the scrape that worked out the burn,
    counted from 1; 0: none yet.
    """

    state: AccountState
    mark: str = ""
    said: tuple[int, int, int] = (0, 0, 0)
    forecast: AccountForecast | None = None
    basis: Known | None = None
    turn: int = 0

    @property
    def is_due(self) -> bool:
        """Whether the last reading says something else, or is of another hour, than that of the burn."""
        last, basis = self.state.last, self.basis
        if last is None or basis is None:
            return last is not None
        return last.metrics != basis.metrics or to_ms(last.at) // HOUR_MS != to_ms(basis.at) // HOUR_MS

    @property
    def urgency(self) -> tuple[bool, int]:
        """The less, the sooner its burn is worked out: where the provider's schedule is another, then the oldest."""
        last, basis = self.state.last, self.basis
        rates = [None if one is None else one.metrics.scheduled_burn_microusd_per_day for one in (last, basis)]
        return rates[0] == rates[1], self.turn


class Others:
    """One for the process; for one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, OtherAccount] = {}
        self._turn = 0

    def refreshed(
        self, connection: Connection, accounts: Collection[str], forecasts_s: float
    ) -> Mapping[str, OtherAccount]:
        """Return what is stored of these accounts; of one that was never read there is nothing.

        So many seconds of CPU are spent on what days cost.
        """
        marks = fleet.marks(connection)
        stored = [account for account in accounts if account in marks]
        kept = {id: self._kept.get(id) or OtherAccount(AccountState.new(id)) for id in stored}
        changed = (id for id in stored if kept[id].mark != marks[id])
        for some in _batches(changed, _READ_AT_ONCE):
            for texts in states.texts_without_burn(connection, some):
                id = texts.account
                kept[id] = _read(kept[id], marks[id], texts)
        self._kept = kept
        self._forecast(connection, thread_time() + forecasts_s)
        return kept

    def _forecast(self, connection: Connection, until: float) -> None:
        """Work out the burn of accounts that are due for it, until the time is up."""
        self._turn += 1
        kept = self._kept
        due = sorted((id for id, one in kept.items() if one.is_due), key=lambda id: kept[id].urgency)
        for some in _batches(due, _FORECAST_AT_ONCE):
            if thread_time() > until:
                break
            for id, state in states.load_some(connection, some).items():
                if (known := state.last) is not None:
                    burn, basis = forecast_of(state, known).burn, kept[id].state.last
                    forecast = at_burn(burn, basis or known)
                    kept[id] = replace(kept[id], forecast=forecast, basis=basis, turn=self._turn)


def _batches(ids: Iterable[str], count: int) -> Iterator[list[str]]:
    left = iter(ids)
    while some := list(islice(left, count)):
        yield some


def _read(before: OtherAccount, mark: str, texts: StoredTexts) -> OtherAccount:
    """Return the account as it is stored now: only what is said otherwise is decoded."""
    state, said = before.state, (hash(texts.metrics), hash(texts.spend), hash(texts.memory))
    last, spend, rules, forecast = state.last, state.spend, state.rules, before.forecast
    if texts.last_at is not None and texts.metrics is not None:
        same = last is not None and said[0] == before.said[0]
        metrics = last.metrics if last is not None and same else replace(decode_metrics(texts.metrics), extra="{}")
        last = Known(state.account, from_ms(texts.last_at), metrics)
        forecast = forecast if same or forecast is None else at_burn(forecast.burn, last)
    if texts.spend is not None and said[1] != before.said[1]:
        spend = SpendMemory.decode(texts.spend)
    if said[2] != before.said[2]:
        every = decode_state_blob(texts.memory, state.account).rules
        rules = {rule: memory for rule, memory in every.items() if memory.episode is not None}
    state = AccountState(state.account, last=last, spend=spend, burn=NO_HOURS, rules=rules)
    return replace(before, state=state, mark=mark, said=said, forecast=forecast)
