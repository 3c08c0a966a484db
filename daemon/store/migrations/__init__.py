"""The migrations, in order. A migration that was released is never edited; a change is a further one."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

from daemon.store.connection import Store, StoreError
from daemon.store.migrations import (
    m0001_readings,
    m0002_judgement,
    m0003_ledger,
    m0004_outbox,
    m0005_reports,
    m0006_charged,
    m0007_stops,
)

_STEPS = (m0001_readings, m0002_judgement, m0003_ledger, m0004_outbox, m0005_reports, m0006_charged, m0007_stops)


def _migrations() -> Migrations:
    migrations = Migrations("brimful")
    for step in _STEPS:

        def apply(db: Database, statements: tuple[str, ...] = step.STATEMENTS) -> None:
            for statement in statements:
                db.execute(statement)

        migrations(name=step.__name__.rpartition(".")[2])(apply)
    return migrations


def migrate(store: Store) -> None:
    """Bring the schema up to date, each step in a transaction of its own. Never called by a command that only reads."""
    _migrations().apply(Database(store.reader, execute_plugins=False))


def pending(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the names of the steps that the database has not seen yet."""
    return tuple(m.name for m in _migrations().pending(Database(connection, execute_plugins=False)))


def require_current(store: Store) -> None:
    """Raise StoreError where the schema is older than this program: a command that only reads does not migrate."""
    if pending(store.reader):
        raise StoreError(
            f"the database {store.path} has no tables yet or is older than this program: "
            "`brimful run` or `brimful once` prepares it"
        )
