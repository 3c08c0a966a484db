"""What `/metrics` keeps of accounts that other daemons hold: what the store says, refreshed by what changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from alerts.forecast.memory import BurnMemory
from alerts.model.events import Severity
from alerts.model.instants import to_ms
from alerts.model.readings import Known, Metrics
from alerts.model.values import replace
from alerts.rules.evaluation import Evaluation
from alerts.rules.state import AccountState, Episode, RuleMemory
from daemon.limits import SCRAPE_FORECASTS_S
from daemon.store import Store, states
from daemon.web.forecasts import forecast_of
from daemon.web.others import Others
from tests.postgres import PostgresServer

NOW = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
MANY = 400


@pytest.fixture
def store(postgres_server: PostgresServer) -> Iterator[Store]:
    url = postgres_server.database()
    store = Store(url)
    yield store
    store.close()
    postgres_server.drop(url)


def memory(weeks: int) -> BurnMemory:
    """Return a burn of some dollars an hour, for so many weeks until now."""
    found, spent = BurnMemory(), 0
    for hour in range(weeks * 7 * 24, -1, -1):
        spent += 1_000_000 + hour % 7 * 300_000
        found = found.fold(NOW - timedelta(hours=hour), spent)
    return found


def put(store: Store, *accounts: AccountState) -> None:
    with store.write(durable=True) as tx:
        states.save_all(tx, [(Evaluation(one, (), (), (), one.last, one.last, True), None) for one in accounts])


def read(id: str, burn: BurnMemory, balance: int = 90) -> AccountState:
    metrics = Metrics(balance_microusd=balance * 1_000_000, extra='{"more": 1}')
    return AccountState(id, last=Known(id, NOW, metrics), burn=burn)


def test_it_is_what_the_store_says_and_nothing_else(store: Store) -> None:
    episode = Episode("ep_1", "a", "low", "low_balance", Severity.WARNING, NOW, "low")
    rules = {"low": RuleMemory(episode=episode), "calm": RuleMemory(breaches=1)}
    put(store, replace(read("a", memory(1)), rules=rules), read("b", BurnMemory()), read("mine", memory(1)))
    others = Others()
    found = others.refreshed(store.reader, ["a", "b", "never"], SCRAPE_FORECASTS_S)
    assert found.keys() == {"a", "b"}
    state = found["a"].state
    assert state.last == Known("a", NOW, Metrics(balance_microusd=90_000_000))
    assert state.rules == {"low": RuleMemory(episode=episode)}
    assert state.burn == BurnMemory(), "the hours are not kept"

    def is_as_stored() -> bool:
        whole, kept = states.load(store.reader, "a"), found["a"]
        assert whole.last is not None
        assert kept.state.last is not None
        told, right = kept.forecast, forecast_of(whole, whole.last)
        assert right.burn is not None
        assert told is not None
        return (told.burn, told.days_remaining) == (right.burn, right.days_remaining)

    assert is_as_stored()
    before = found["a"]
    put(store, read("a", memory(1), balance=45))
    found = others.refreshed(store.reader, ["a", "b"], SCRAPE_FORECASTS_S)
    assert is_as_stored()
    assert not found["a"].state.rules
    assert found["a"].turn == before.turn + 1
    assert others.refreshed(store.reader, ["b"], SCRAPE_FORECASTS_S).keys() == {"b"}


def test_what_is_dear_is_worked_out_in_turn(store: Store) -> None:
    """Of hundreds with weeks behind them a scrape works out some, and after a few all are as they should be."""
    burn, ids = memory(4), [f"a{number}" for number in range(MANY)]
    put(store, *(read(id, burn) for id in ids))
    others, done = Others(), 0
    for turn in range(1, 100):
        found = others.refreshed(store.reader, ids, SCRAPE_FORECASTS_S)
        assert len(found) == MANY, "what is read is told at once"
        before, done = done, sum(one.forecast is not None for one in found.values())
        assert before < done <= MANY
        if done == MANY:
            break
        assert turn > 1 or done < MANY / 2
    assert done == MANY
    assert not any(one.is_due for one in found.values())
    with store.write(durable=True) as tx:
        later = NOW + timedelta(minutes=1)
        states.seen_again(tx, [(to_ms(later), "a7")])
    again = others.refreshed(store.reader, ids, SCRAPE_FORECASTS_S)["a7"]
    assert (again.turn, again.state.last and again.state.last.at) == (found["a7"].turn, later), "seen again"
