"""What SQLite has to do for a question: a count that does not depend on the machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from daemon.store import Store


def file_of(store: Store) -> sqlite3.Connection:
    """Return SQLite's own connection of a store that is a file."""
    assert isinstance(store.reader, sqlite3.Connection)
    return store.reader


def effort(store: Store, work: Callable[[], object]) -> int:
    """How many instructions SQLite runs for `work`."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    file_of(store).set_progress_handler(count, 1)
    try:
        work()
    finally:
        file_of(store).set_progress_handler(None, 0)
    return steps
