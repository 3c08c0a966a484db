"""Loading what is stored: rows compiled as they stand. An object that does not work is told, and left out."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping

from daemon.config.model import Config
from daemon.config.problems import Level, ProblemId, Problems
from daemon.resources.bodies import ADOPTED
from daemon.resources.compiling import Basis, Compiled, ObjectSource, Unit, compiled
from daemon.resources.held import Held, body_of, source_of
from daemon.resources.keyring import Keyring
from daemon.resources.model import Kind
from daemon.resources.secrets import protected
from daemon.store import resources
from daemon.store.connection import Connection
from daemon.store.resources import Row

AT_ONCE = 500
"""Most objects that are caught up with at once: a tenth of a second of the loop."""


def compile_rows(basis: Basis, conn: Connection, rows: Collection[Row]) -> Compiled:
    """Compile what rows hold, each account with its top-up. What is archived comes to nothing."""
    return compiled(basis, sources_of(conn, rows), strict=False)


def sources_of(conn: Connection, rows: Collection[Row]) -> Iterator[Unit]:
    """Yield the units of rows; an account whose top-up alone changed is read beside it."""
    of_unit: dict[Kind, dict[str, Row]] = {Kind.ACCOUNT: {}, Kind.TOPUP: {}}
    for row in rows:
        if (kind := Kind(row.kind)) in of_unit:
            of_unit[kind][row.id] = row
        elif row.archived_ms is None:
            yield (source_of(row),)
    ids = dict.fromkeys([*of_unit[Kind.ACCOUNT], *of_unit[Kind.TOPUP]])
    for kind, known in of_unit.items():
        known |= resources.find_many(conn, kind.value, [id for id in ids if id not in known])
    for id in ids:
        account, topup = of_unit[Kind.ACCOUNT].get(id), of_unit[Kind.TOPUP].get(id)
        if account is not None and account.archived_ms is None:
            yield _unit(account, topup)


def _unit(account: Row, topup: Row | None) -> Unit:
    if topup is None or topup.archived_ms is not None:
        return (source_of(account),)
    return source_of(account), source_of(topup)


def combined(file: Config, conn: Connection, *, secrets: bool = True, environ: Mapping[str, str] | None = None) -> Held:
    """Return the file's objects and the stored ones together, for a command that only reads.

    `secrets=False`: no secret is needed, and none is read.
    """
    held = Held(file)
    if file.api is None or not resources.is_there(conn):
        return held
    basis = Basis(
        file=file,
        keyring=Keyring.of(file.api) if secrets else None,
        environ=os.environ if environ is None else environ,
        protected=protected(file),
    )
    rows = resources.since(conn, 0)
    held.take(rows, compile_rows(basis, conn, rows))
    return held


def note_twice(conn: Connection, accounts: Collection[str], rules: Collection[str], problems: Problems) -> None:
    """Note what the file names and the API manages: an error, but a warning where `adopt` moved it."""
    for kind, named, path in ((Kind.ACCOUNT, accounts, "accounts"), (Kind.RULE, rules, "rules")):
        for id in sorted(resources.ids_of(conn, kind.value) & set(named)):
            row = resources.find(conn, kind.value, id)
            if row is None or (kind is Kind.RULE and row.archived_ms is not None):
                continue
            if body_of(row).get(ADOPTED):
                said, level = "it was adopted: the API manages it, and the file is not asked", Level.WARNING
            else:
                level = Level.ERROR
                said = "the API manages it" if row.archived_ms is None else "the API managed it until it was archived"
            problems.add(ProblemId.MANAGED_TWICE, f"{path}.{id}", said, "take it out of the file", level=level)


def kept_topups(conn: Connection) -> Iterator[ObjectSource]:
    """Yield the top-ups that are stored and not deleted: what is open of them is not lost."""
    if not resources.is_there(conn):
        return
    after = ""
    while rows := resources.page(conn, Kind.TOPUP.value, owner=None, after=after, limit=AT_ONCE):
        yield from map(source_of, rows)
        after = rows[-1].id
