"""The check at the start: half a ledger is refused, whatever the history weighs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from daemon.store import Store, StoreError
from daemon.store.migrations import migrate


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table."""
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize(
    ("table", "whole", "found"),
    [("topups", True, True), ("runs", True, True), ("topups", False, True), ("runs", False, False)],
    ids=["ledger", "history", "ledger of a large file", "history of a large file"],
)
def test_a_damaged_file_is_refused_and_a_large_history_is_not_read_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, whole: bool, found: bool
) -> None:
    if not whole:
        monkeypatch.setattr("daemon.store.connection.CHECKED_WHOLE_BYTES", 0)
    path = tmp_path / "b.db"
    store = Store(path)
    migrate(store)
    store.check()
    store.close()
    damage(path, table)
    store = Store(path)
    if found:
        with pytest.raises(StoreError, match=r"is damaged .*: restore the latest"):
            store.check()
    else:
        store.check()
    store.close()
