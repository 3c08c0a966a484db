"""The store returns what was evaluated: the state, episodes, decisions and mutes, at a cost that does not grow."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alerts.model.money import to_micro
from alerts.model.readings import Reason
from alerts.model.specs import Budget, LowBalance, Period, Quota, RuleSpec, Runway, Spike, Stale
from daemon.store import Store, states
from daemon.store.migrations import migrate
from tests.helpers_alerts import Watched, metrics
from tests.helpers_store import file_of

RULES: tuple[RuleSpec, ...] = (
    LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6)),
    LowBalance(
        id="webhook:own",
        below_microusd=to_micro(9),
        clear_above_microusd=to_micro(10.8),
        only_receiver="webhook:own",
    ),
    Runway(id="runway", below_days=Decimal(3), clear_above_days=Decimal("3.6")),
    Quota(id="quota", at_percent=(Decimal(80), Decimal("92.5")), clear_below_percent=Decimal(78)),
    Budget(id="budget", period=Period.MONTH, limit_microusd=to_micro(30)),
    Spike(id="spike"),
    Stale(id="stale"),
)


class Stored(Watched):
    """An account whose evaluations are saved as they come; `restart` reads them back."""

    store: Store

    def save(self) -> None:
        assert self.evaluation is not None
        with self.store.write(durable=True) as tx:
            states.save(tx, self.evaluation, self._stored)
        self._stored = self.state

    _stored = None

    def restart(self) -> None:
        before = self.state
        self.state = states.load(self.store.reader, "clips")
        self._stored = self.state
        assert self.state == before


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Stored]:
    found = Stored(*RULES)
    found.store = Store(tmp_path / "brimful.db")
    migrate(found.store)
    yield found
    found.store.close()


def test_an_account_that_was_never_evaluated_is_new(account: Stored) -> None:
    assert states.load(account.store.reader, "clips") == account.state
    assert states.load_all(account.store.reader) == {}


def test_the_state_comes_back_as_it_was_after_every_reading(account: Stored) -> None:
    account.mutes["low"] = account.now + timedelta(hours=30)
    for hour in range(60):
        spent = hour * 0.6
        account.read(
            60,
            balance=30 - spent,
            uncharged=0.1,
            total=100 + spent,
            active_videos=3 + hour % 5,
            cost=0.015,
            used=70 + hour * 0.5,
            reserved=hour % 3,
            limit=100,
            billing_error="card expired" if hour > 50 else None,
            period_start_at=account.now.replace(day=1, hour=0),
            period_end_at=account.now.replace(month=12, day=1, hour=0),
            unusable=(("usage_count", "usage_count is negative"),) if hour % 2 else (),
        )
        account.save()
        account.restart()
    assert {event["type"] for event in account.events} >= {
        "balance.low",
        "runway.short",
        "quota.high",
        "budget.reached",
    }
    assert states.load_all(account.store.reader) == {"clips": account.state}


def test_what_a_mute_holds_back_survives_a_restart(account: Stored) -> None:
    account.mutes["low"] = account.now + timedelta(hours=30)
    account.mutes["webhook:own"] = account.now + timedelta(hours=30)
    account.read(balance=4)
    account.save()
    account.restart()
    account.mutes.clear()
    assert account.beat() == ["balance.low", "balance.low"]


def test_an_outage_survives_a_restart(account: Stored) -> None:
    account.read(balance=9)
    account.save()
    for _ in range(2):
        account.fail(Reason.TIMEOUT)
        account.save()
        account.restart()
    assert account.fail(Reason.TIMEOUT) == ["reading.unavailable"]


def test_a_suspect_source_survives_a_restart(account: Stored) -> None:
    account.read(balance=5000)
    account.save()
    assert account.read(balance=0, second=metrics(balance=700)) == ["reading.suspect"]
    account.save()
    account.restart()
    assert account.read(balance=0, second=metrics(balance=800)) == []


def test_many_readings_within_an_hour_and_a_restart_forget_nothing(account: Stored) -> None:
    for step in range(40):
        account.read(5, balance=100 - step * 0.1, total=step * 0.1)
        account.save()
    account.restart()
    account.read(60, balance=90, total=6)
    account.save()
    account.restart()


def test_a_reading_that_changes_nothing_writes_one_row_of_one_table(account: Stored) -> None:
    account.read(balance=50, total=1)
    account.save()
    account.read(balance=50, total=1)
    account.save()
    before = file_of(account.store).total_changes
    statements: list[str] = []
    file_of(account.store).set_trace_callback(statements.append)
    account.read(1, balance=50, total=1)
    account.save()
    file_of(account.store).set_trace_callback(None)
    assert file_of(account.store).total_changes - before == 1
    assert next(s for s in statements if s.startswith("UPDATE")).startswith("UPDATE account_state SET last_at = ")


def test_time_that_changes_nothing_writes_nothing(account: Stored) -> None:
    account.read(balance=50)
    account.save()
    account.beat(1)
    before = file_of(account.store).total_changes
    account.save()
    assert file_of(account.store).total_changes == before


def test_one_open_episode_a_rule_and_account_is_held_by_the_database(account: Stored) -> None:
    import sqlite3

    account.read(balance=4)
    account.save()
    with pytest.raises(sqlite3.IntegrityError), account.store.write(durable=True) as tx:
        tx.execute(
            "INSERT INTO episode (id, account, rule, kind, severity, opened_at, why)"
            " VALUES ('x', 'clips', 'low', 'low_balance', 'info', 1, '')"
        )


def test_episodes_are_listed_open_first_with_how_they_ended(account: Stored) -> None:
    for balance in (4, 7, 4.5):
        account.read(balance=balance)
        account.save()
    found = states.episodes(account.store.reader, account="clips")
    assert [(e.rule, e.closed_at is None) for e in found if e.rule == "low"] == [("low", True), ("low", False)]
    ended = next(e for e in found if e.rule == "low" and e.closed_at is not None)
    assert ended.why == "available $4.00 is below $5.00"
    assert ended.closed_why == "available $7.00 is above $6.00"
    assert all(e.closed_at is None for e in states.episodes(account.store.reader, open_only=True))
    assert states.episodes(account.store.reader, account="other") == []
    late = account.now + timedelta(days=1)
    assert all(e.closed_at is None for e in states.episodes(account.store.reader, since=late))


def test_equal_decisions_are_one_row_with_a_count(account: Stored) -> None:
    for _ in range(6):
        account.read(balance=4)
        account.save()
    untold = [one for one in states.decisions(account.store.reader) if one.rule == "low"]
    assert [(one.reason, one.times) for one in untold] == [("already notified in this episode", 5)]
    assert untold[0].episode == account.state.episodes["low"].id
    assert untold[0].last_at - untold[0].first_at == timedelta(minutes=20)
    assert states.decisions(account.store.reader, account="other") == []


def test_the_decision_log_is_bounded(account: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "DECISIONS_KEPT", 5)
    for _ in range(12):
        for balance in (4, 4, 12):
            account.read(balance=balance)
            account.save()
    (rows,) = account.store.reader.execute("SELECT count(*) FROM decision").fetchone()
    assert rows <= 6


def test_mutes_are_set_ended_and_forgotten(account: Stored) -> None:
    now = account.now
    with account.store.write(durable=True) as tx:
        states.set_mute(tx, "low", now, now + timedelta(hours=1))
        states.set_mute(tx, "low", now, now + timedelta(hours=4))
        states.set_mute(tx, "quota", now, now + timedelta(hours=1))
    assert states.mutes(account.store.reader, now) == {
        "low": now + timedelta(hours=4),
        "quota": now + timedelta(hours=1),
    }
    assert states.mutes(account.store.reader, now + timedelta(hours=1)).keys() == {"low"}
    with account.store.write(durable=True) as tx:
        assert states.clear_mute(tx, "low") is True
        assert states.clear_mute(tx, "low") is False
        states.set_mute(tx, "spike", now + timedelta(hours=9), now + timedelta(hours=10))
    assert account.store.reader.execute("SELECT rule FROM mute").fetchall() == [("spike",)]
