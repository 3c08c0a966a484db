"""A backup is one moment of the database, checked, private, and never in place of another file."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.store import Store, StoreError
from daemon.store.backup import back_up
from daemon.store.migrations import migrate


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "brimful.db")
    migrate(store)
    with store.write(durable=True) as tx:
        tx.execute("CREATE TABLE pair (one INTEGER, two INTEGER)")
        tx.execute("INSERT INTO pair VALUES (0, 0)")
    yield store
    store.close()


def test_a_copy_made_while_another_connection_writes_is_one_moment(store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        other = Store(store.path)
        while not stop.is_set():
            with other.write(durable=False) as tx:
                tx.execute("UPDATE pair SET one = one + 1")
                tx.execute("UPDATE pair SET two = two + 1")
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(5):
            reader = Store(store.path, readonly=True)
            back_up(reader, tmp_path / f"copy-{n}.db")
            reader.close()
    finally:
        stop.set()
        writer.join()
    for n in range(5):
        copy = sqlite3.connect(tmp_path / f"copy-{n}.db")
        one, two = copy.execute("SELECT one, two FROM pair").fetchone()
        copy.close()
        assert one == two


def test_a_copy_is_a_single_private_file_and_nothing_is_left_beside_it(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    size = back_up(store, folder / "copy.db")
    assert [path.name for path in folder.iterdir()] == ["copy.db"]
    assert size == (folder / "copy.db").stat().st_size
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600


def test_a_backup_never_overwrites(store: Store, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    kept.write_text("mine")
    with pytest.raises(StoreError, match="never overwrites"):
        back_up(store, kept)
    assert kept.read_text() == "mine"


def test_a_folder_that_is_not_there_is_a_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        back_up(store, tmp_path / "nowhere" / "copy.db")


def test_a_copy_that_is_not_sound_is_removed_and_told(store: Store, tmp_path: Path) -> None:
    with store.write(durable=True) as tx:
        tx.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT")
        tx.execute("CREATE TABLE child (parent INTEGER REFERENCES parent (id)) STRICT")
    raw = sqlite3.connect(store.path)
    raw.execute("INSERT INTO child VALUES (7)")
    raw.commit()
    raw.close()
    folder = tmp_path / "copies"
    folder.mkdir()
    with pytest.raises(StoreError, match="a row of child names one of parent that is gone"):
        back_up(store, folder / "copy.db")
    assert list(folder.iterdir()) == []
