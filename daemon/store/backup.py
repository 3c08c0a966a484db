"""Backup: a consistent copy of the database while a daemon writes to it, checked before it gets its final name."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from daemon.store.connection import Store, StoreError
from daemon.store.soundness import problems_of


def back_up(store: Store, to: Path) -> int:
    """Copy the database to `to`, readable by its owner alone; return its size in bytes.

    The copy is a snapshot (SQLite's backup API, in one step; writers continue). It is a single file without a
    write-ahead log, and gets its name only when it is complete, checked and synced. Raises StoreError if `to` exists
    or cannot be written, or if the copy fails SQLite's checks.
    """
    if os.path.lexists(to):
        raise StoreError(f"{to} exists already: a backup never overwrites")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{to.name}.", suffix=".partial", dir=to.parent)
    except OSError as error:
        raise StoreError(f"cannot write to {to.parent}: {error.strerror}") from error
    os.close(descriptor)
    partial = Path(name)
    try:
        _copy(store, partial)
        _check(partial)
        _to_disk(partial)
        _name(partial, to)
        _to_disk(to.parent)
        return to.stat().st_size
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot back up to {to}: {error}") from error
    finally:
        for leftover in (partial, *(Path(f"{partial}-{end}") for end in ("journal", "wal", "shm"))):
            leftover.unlink(missing_ok=True)


def _copy(store: Store, partial: Path) -> None:
    with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        assert isinstance(store.reader, sqlite3.Connection)
        store.reader.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode=DELETE")


def _check(partial: Path) -> None:
    if problems := problems_of(partial):
        raise StoreError(f"the copy is not sound, and was removed: {'; '.join(problems)}")


def _name(partial: Path, to: Path) -> None:
    """Give the copy its name atomically, and never replace a file."""
    try:
        os.link(partial, to)
    except FileExistsError as error:
        raise StoreError(f"{to} exists already: a backup never overwrites") from error
    except OSError:  # a file system without hard links
        if os.path.lexists(to):
            raise StoreError(f"{to} exists already: a backup never overwrites") from None
        partial.rename(to)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
