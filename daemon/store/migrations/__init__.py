"""The migrations, in order. A released migration is never edited; a change needs a new one.

A step is a module with `STATEMENTS` in SQLite's words, for both: PostgreSQL gets them with its own types (INTEGER is
bigint, BLOB bytea, `INTEGER PRIMARY KEY` an identity, STRICT and WITHOUT ROWID nothing). Where that is not enough (a
trigger, a function that only SQLite has) the module's `POSTGRESQL` says, by the beginning of such a statement, what
PostgreSQL runs in its place; the empty text is nothing.
"""

from __future__ import annotations

from daemon.clock import SystemClock
from daemon.store.connection import Connection, Store, StoreError
from daemon.store.migrations import (
    m0001_readings,
    m0002_judgement,
    m0003_ledger,
    m0004_outbox,
    m0005_reports,
    m0006_charged,
    m0007_stops,
    m0008_packed_hours,
    m0009_report_waiting,
    m0010_believed,
    m0011_burn_said,
    m0012_report_basis,
    m0013_resources,
    m0014_receiver_answered,
    m0015_feeds,
    m0016_fleet,
    m0017_daemon_health,
)

_MODULES = (
    m0001_readings,
    m0002_judgement,
    m0003_ledger,
    m0004_outbox,
    m0005_reports,
    m0006_charged,
    m0007_stops,
    m0008_packed_hours,
    m0009_report_waiting,
    m0010_believed,
    m0011_burn_said,
    m0012_report_basis,
    m0013_resources,
    m0014_receiver_answered,
    m0015_feeds,
    m0016_fleet,
    m0017_daemon_health,
)
_STEPS = {step.__name__.rpartition(".")[2]: step.STATEMENTS for step in _MODULES}
_OTHERWISE = {step.__name__.rpartition(".")[2]: getattr(step, "POSTGRESQL", {}) for step in _MODULES}
_TABLE = "_sqlite_migrations"  # named by sqlite-utils, which created the first databases
_SET = "brimful"
_MAKE_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {_TABLE} (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)",
    f"CREATE UNIQUE INDEX IF NOT EXISTS idx_{_TABLE}_migration_set_name ON {_TABLE} (migration_set, name)",
)


def migrate(store: Store) -> None:
    """Bring the schema up to date, one transaction per migration. Commands that only read never call this."""
    for name in pending(store.reader):
        with store.write(durable=True) as tx:
            for statement in store.dialect.foundation:
                tx.execute(statement)
            if name not in pending(tx):
                continue  # another daemon was faster
            for statement in store.dialect.statements((*_MAKE_TABLE, *_STEPS[name]), _OTHERWISE[name]):
                tx.execute(statement)
            tx.execute(
                f"INSERT INTO {_TABLE} (migration_set, name, applied_at) VALUES (?, ?, ?)",
                (_SET, name, str(SystemClock().wall())),
            )


def pending(connection: Connection) -> tuple[str, ...]:
    """Return the names of the migrations to apply, in order."""
    known = connection.has_table(_TABLE)
    applied = (
        connection.execute(f"SELECT name FROM {_TABLE} WHERE migration_set = ?", (_SET,)).fetchall() if known else ()
    )
    seen = {name for (name,) in applied}
    return tuple(name for name in _STEPS if name not in seen)


def require_current(store: Store) -> None:
    """Raise StoreError if the schema is older than this program: a command that only reads does not migrate."""
    if pending(store.reader):
        raise StoreError(
            f"the database {store.place} has no tables yet or is older than this program: "
            "`brimful run` or `brimful once` prepares it"
        )
