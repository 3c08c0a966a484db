"""The fence: a daemon that is out writes nothing, whatever it still believes, and locks nothing for the others."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from alerts.model.values import replace
from daemon.places import ServerUrl
from daemon.store import Store, fleet
from daemon.store.connection import Fence, LostLease
from daemon.store.dialects import wire
from daemon.store.health import StoredHealth, encode
from daemon.store.lock import DatabaseHeldError, held, holder, is_held


@pytest.fixture
def other(server: ServerUrl) -> Iterator[Store]:
    store = Store(server)
    yield store
    store.close()


@pytest.fixture
def daemon(server: ServerUrl) -> Iterator[Store]:
    """A store whose writes are those of daemon 7."""
    store = Store(server)
    with store.write(durable=True) as tx:
        assert fleet.join(tx, 7, "seven", "host", 70, dead=())
    store.dialect.fence = fence = Fence()
    fence.number, fence.armed = 7, True
    yield store
    store.close()


def write(store: Store) -> None:
    with store.write(durable=False) as tx:
        tx.execute("INSERT INTO meta (key, value) VALUES ('written', '1') ON CONFLICT (key) DO NOTHING")


def written(store: Store) -> bool:
    return store.reader.execute("SELECT 1 FROM meta WHERE key = 'written'").fetchone() is not None


def let_pass(store: Store) -> None:
    """Let so much time pass for the database that nobody was heard of."""
    with store.write(durable=True) as tx:
        tx.execute("UPDATE daemon SET until_ms = 0")


def test_one_of_the_fleet_writes(daemon: Store, other: Store) -> None:
    write(daemon)
    assert written(other)


def test_one_that_is_out_writes_nothing_by_any_of_its_connections(daemon: Store, other: Store) -> None:
    lane = daemon.lane("one")
    let_pass(other)
    with other.write(durable=True) as tx:
        assert fleet.expire(tx) == ["seven"]
    for store in (daemon, lane):
        with pytest.raises(LostLease):
            write(store)
    assert not written(other)
    assert daemon.dialect.fence is not None
    daemon.dialect.fence.number = None
    with pytest.raises(LostLease):
        write(daemon)
    lane.close_lane()


def test_one_that_was_late_and_that_nobody_took_out_goes_on(daemon: Store, other: Store) -> None:
    let_pass(other)
    with other.write(durable=True) as tx:
        assert fleet.renew(tx, 7)
        assert fleet.expire(tx) == []
    write(daemon)
    assert written(other)


def test_one_within_a_transaction_is_not_taken_out_under_its_hands(daemon: Store, other: Store) -> None:
    let_pass(other)
    with daemon.write(durable=False) as tx:
        tx.execute("INSERT INTO meta (key, value) VALUES ('written', '1')")
        with other.write(durable=True) as another:
            assert fleet.expire(another) == []
    assert written(other)
    with other.write(durable=True) as another:
        assert fleet.expire(another) == ["seven"]


@pytest.mark.slow
def test_one_that_sleeps_within_a_transaction_loses_it(daemon: Store, other: Store) -> None:
    def sleepy() -> None:
        with daemon.write(durable=False) as tx:
            tx.execute("INSERT INTO meta (key, value) VALUES ('written', '1')")
            time.sleep(5.5)

    with pytest.raises(sqlite3.OperationalError):
        sleepy()
    assert not written(other)
    write(daemon)
    assert written(other), "another connection, and still one of the fleet"


@pytest.fixture
def hung(daemon: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server's process behind the daemon's connection stands still."""
    monkeypatch.setattr(wire, "ANSWER_WITHIN_S", 0.1)
    (pid,) = daemon.reader.execute("SELECT pg_backend_pid()").fetchone()
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


@pytest.mark.usefixtures("hung")
def test_a_server_that_hangs_is_lost_to_the_daemon_until_the_keeper_of_its_row_has_reached_it(daemon: Store) -> None:
    fence = daemon.dialect.fence
    assert fence is not None
    keeper, lane = daemon.lane("fleet", keeps_row=True), daemon.lane("one")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="does not answer within"):
            write(daemon)
        assert daemon.misplaced() == fence.unreachable
    daemon.changed_elsewhere()
    with pytest.raises(sqlite3.OperationalError, match="does not answer within"):
        daemon.reader.execute("SELECT 1")
    assert not written(lane), "one that is connected may ask"
    with keeper.write(durable=True) as tx:
        assert fleet.renew(tx, 7)
    fence.unreachable = ""
    assert daemon.changed_elsewhere(), "what was told meanwhile was not heard"
    write(daemon)
    assert written(keeper)
    keeper.close_lane()
    lane.close_lane()


def test_many_rows_that_hang_are_lost_at_once(daemon: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_WITHIN_S", 0.1)

    def slow() -> None:
        with daemon.write(durable=False) as tx:
            tx.executemany("SELECT pg_sleep(?)", [(5,), (5,)])

    with pytest.raises(sqlite3.OperationalError, match="does not answer within"):
        slow()


def test_a_command_of_a_person_waits(server: ServerUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_WITHIN_S", 0.1)
    store = Store(server)
    assert store.reader.execute("SELECT 1 FROM pg_sleep(0.5)").fetchone() == (1,)
    store.close()


def test_what_was_held_is_free_with_its_holder(daemon: Store, other: Store) -> None:
    with other.write(durable=True) as tx:
        fleet.take(tx, 7, {("accounts", 1), ("accounts", 2)})
        assert fleet.join(tx, 8, "eight", "host", 80, dead=())
        fleet.take(tx, 8, {("accounts", 2), ("accounts", 3)})
    assert [(one.bucket, one.holder) for one in fleet.leases(other.reader)] == [(1, 7), (2, 7), (3, 8)]
    assert [(one.name, one.buckets) for one in fleet.live(other.reader)] == [("seven", 2), ("eight", 1)]
    with other.write(durable=True) as tx:
        fleet.give_back(tx, 8, {("accounts", 1), ("accounts", 3)})
        fleet.leave(tx, 7)
    assert fleet.leases(other.reader) == []


def test_a_name_is_one_daemons_until_it_was_not_heard_of(daemon: Store, other: Store) -> None:
    with other.write(durable=True) as tx:
        assert not fleet.join(tx, 8, "seven", "elsewhere", 80, dead=())
    let_pass(other)
    with other.write(durable=True) as tx:
        assert fleet.join(tx, 8, "seven", "elsewhere", 80, dead=())


def test_how_a_daemon_fares_goes_with_its_row(daemon: Store, other: Store) -> None:
    health = StoredHealth(False, ["poll: late"], datetime(2026, 11, 10, 9, tzinfo=UTC))
    assert [one.health for one in fleet.live(other.reader)] == [None]
    with other.write(durable=True) as tx:
        assert fleet.renew(tx, 7, encode(health))
        assert fleet.join(tx, 8, "eight", "host", 80, dead=())
    assert [(one.name, one.health, one.is_fresh) for one in fleet.live(other.reader)] == [
        ("seven", health, False),
        ("eight", None, True),
    ]
    assert fleet.of_all(fleet.live(other.reader)) == replace(health, reasons=["seven: poll: late"])
    with other.write(durable=True) as tx:
        fleet.leave(tx, 7)
        fleet.renew(tx, 8, encode(replace(health, fresh=True, reasons=[])))
    assert fleet.of_all(fleet.live(other.reader)) == replace(health, fresh=True, reasons=[])
    assert fleet.of_all([]) is None


def test_the_daemons_of_an_older_program_are_seen_before_the_tables_are_brought_up_to_date(
    daemon: Store, other: Store
) -> None:
    with other.write(durable=True) as tx:
        tx.execute("ALTER TABLE daemon DROP COLUMN health")
    assert [(one.name, one.health) for one in fleet.live(other.reader)] == [("seven", None)]


def test_a_command_that_needs_all_is_refused_while_one_lives(daemon: Store, server: ServerUrl, other: Store) -> None:
    assert is_held(server)
    assert holder(server) == 70
    with pytest.raises(DatabaseHeldError, match="seven, pid 70 on host"), held(server):
        pass
    let_pass(other)
    with held(server):
        pass
