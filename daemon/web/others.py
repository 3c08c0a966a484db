"""The accounts that other daemons hold, as `/metrics` tells them: read from the store, only what changed since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice

from msgspec import Struct

from alerts.forecast.memory import BurnMemory
from alerts.model.instants import from_ms
from alerts.model.values import replace
from alerts.rules.state import AccountState
from daemon.store import fleet, states
from daemon.store.connection import Connection
from daemon.web.forecasts import AccountForecast, forecast_of

READ_AT_ONCE = 500
"""States in one read: so many rows hold up the event loop for a few milliseconds only."""
_NO_HOURS = BurnMemory()


class OtherAccount(Struct, frozen=True, gc=False):
    """What is kept of an account: its state without the hours of its burn, which are large, and what follows from them.

    `mark` is of the row's version, `said` of what it said, but for the reading's time.
    """

    mark: str
    said: int
    state: AccountState
    forecast: AccountForecast | None


class Others:
    """One for the process; for one thread at a time. A poll that found nothing new costs no decoding."""

    def __init__(self) -> None:
        self._kept: dict[str, OtherAccount] = {}

    def refreshed(self, connection: Connection, accounts: Collection[str]) -> Mapping[str, OtherAccount]:
        """Return what is stored of these accounts; of one that was never read there is nothing."""
        marks, before = fleet.marks(connection), self._kept
        stored = [account for account in accounts if account in marks]
        kept = {id: one for id in stored if (one := before.get(id)) is not None and one.mark == marks[id]}
        changed = (id for id in stored if id not in kept)
        while some := list(islice(changed, READ_AT_ONCE)):
            for row in states.rows_of(connection, some):
                kept[row[0]] = _read(row, marks[row[0]], before.get(row[0]))
        self._kept = kept
        return kept


def _read(row: states.StateRow, mark: str, before: OtherAccount | None) -> OtherAccount:
    _, last_at, *texts = row
    said = hash(tuple(texts))
    if before is not None and before.said == said and before.state.last is not None and last_at is not None:
        last = replace(before.state.last, at=from_ms(last_at))
        return OtherAccount(mark, said, replace(before.state, last=last), before.forecast)
    state = states.read(row)
    known, forecast = state.last, None
    if known is not None:
        metrics = replace(known.metrics, extra="{}")
        forecast = replace(forecast_of(state, known), metrics=metrics, memory=_NO_HOURS)
        known = replace(known, metrics=metrics)
    rules = {rule: memory for rule, memory in state.rules.items() if memory.episode is not None}
    slim = AccountState(state.account, last=known, spend=state.spend, burn=_NO_HOURS, rules=rules)
    return OtherAccount(mark, said, slim, forecast)
