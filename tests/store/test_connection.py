"""The check at the start: half a ledger is refused, whatever the history weighs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from daemon.store import Store, StoreError
from daemon.store.migrations import migrate

pytestmark = pytest.mark.sqlite


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
        monkeypatch.setattr("daemon.store.dialects.sqlite.CHECKED_WHOLE_BYTES", 0)
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


def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    store = Store(path)
    migrate(store)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    store.close()
    path.chmod(0o640)  # an operator's own choice stays
    Store(path).close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open the database .*: No such file or directory"):
        Store(tmp_path / "none" / "b.db")
