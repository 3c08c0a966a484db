"""What SQLite has to do for a question: a count that does not depend on the machine."""

from __future__ import annotations

from collections.abc import Callable

from daemon.store import Store


def effort(store: Store, work: Callable[[], object]) -> int:
    """How many instructions SQLite runs for `work`."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store.reader.set_progress_handler(count, 1)
    try:
        work()
    finally:
        store.reader.set_progress_handler(None, 0)
    return steps
