"""A database of an earlier version is brought up to date with all that it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.store import Store, ledger_notes
from daemon.store.migrations import m0003_ledger, migrate, pending

pytestmark = pytest.mark.sqlite


def _leave_as_before_stops_stood_for_themselves(store: Store) -> None:
    conn = store.reader
    conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'm0007_stops'")
    conn.execute("DROP TABLE topup_stops")
    for statement in m0003_ledger.STATEMENTS:
        if "CREATE TABLE topup_stops" in statement or "CREATE TABLE stripe_looks" in statement:
            conn.execute(statement)


def test_what_stopped_an_account_still_stops_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db")
    migrate(store)
    _leave_as_before_stops_stood_for_themselves(store)
    assert pending(store.reader) == ("m0007_stops",)
    store.reader.execute(
        "INSERT INTO topup_stops (scope, kind, reason, message, topup, fingerprint, since_at)"
        " VALUES ('clips', 'suspension', 'declined', 'stolen', 'clips-1', 'card', 1000)"
    )
    migrate(store)
    [stop] = ledger_notes.stops(store.reader, "clips")
    assert (stop.reason, stop.message, stop.topup, stop.fingerprint) == ("declined", "stolen", "clips-1", "card")
    assert pending(store.reader) == ()
    store.close()
