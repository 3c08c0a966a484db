"""`topups pause` and `topups resume`: the kill switch.

It works beside a running daemon whatever state the configuration is in: all it takes from there is where the database
lies. Where the database cannot be written (a full disk, a file that was deleted under the daemon) a file beside it
pauses every charge. And it never says that it is done where it stopped nothing: a database that no daemon has used is
said to be one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import NO, UNIT_DATABASE, USAGE, JsonOption, Options, elsewhere, fail, no_database, tell

if TYPE_CHECKING:
    from daemon.config.load import Outline
    from daemon.places import Place
    from daemon.store import Store

AccountArgument = Annotated[str | None, typer.Argument(help="An account's id; all accounts without one.")]
DatabaseOption = Annotated[
    Path | None,
    typer.Option("--database", metavar="PATH", help="The daemon's database, where the configuration does not say."),
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(pause)
    app.command()(resume)


def pause(
    context: typer.Context,
    account: AccountArgument = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Charge nothing more, at once, also by a running daemon. `mode = "off"` is what survives a lost disk.

    Needs no faultless configuration: an account may be named that only the file or only the database knows. Where
    no daemon has used the database yet, that is said; exit 1 where it may be another file than the daemon's.
    """
    from daemon.clock import SystemClock
    from daemon.commands import operator
    from daemon.store import StoreError
    from daemon.store.lock import is_held
    from daemon.store.usage_checks import was_used

    outline = _outline(context, database)
    if isinstance(outline.store, Path) and not outline.store.exists():
        if is_held(outline.store):
            _pause_by_file(outline.store, "a daemon runs, but its database was deleted or moved", as_json=as_json)
            return
        if database is not None:
            raise no_database(database, "nothing was paused")
        _check_known(outline, account)
        _make_database(outline.store)
    try:
        with _switch(outline.store) as store:
            _check_known(outline, account, store)
            new = operator.pause(store, account, SystemClock().now())
            used = was_used(store.reader)
    except (StoreError, sqlite3.Error) as error:
        if not isinstance(outline.store, Path):
            raise
        if not (is_held(outline.store) or isinstance(error, sqlite3.OperationalError)):
            raise  # no daemon works with this file, and it may be no database: nothing would be paused
        _pause_by_file(outline.store, f"the database cannot be written ({error})", as_json=as_json)
        return
    said = f"{account or 'all accounts'}: paused{'' if new else ' already'}"
    document = {"account": account, "paused": True, "already": not new, "daemon_used_database": used, "file": None}
    tell(said, document, as_json=as_json)
    if not used:
        _say_unused(outline.store)
        if database is not None or not outline.store.is_absolute():
            raise typer.Exit(NO)  # it may be another file than the daemon's
    elif not outline.store.is_absolute():
        typer.echo(f"brimful: paused in {outline.store.absolute()}{elsewhere(outline.store)} or --database", err=True)


def resume(
    context: typer.Context,
    account: AccountArgument = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a pause; for an account its suspension too, so that its card may be tried again.

    What is stopped still is said, with the command that ends it, and so is a ledger that is ahead of the clock; exit 1
    where nothing could be ended. Like `pause` it needs no faultless configuration.
    """
    from daemon.clock import SystemClock
    from daemon.commands import operator
    from daemon.status import topups as status
    from daemon.store import ledger_notes

    outline = _outline(context, database)
    if isinstance(outline.store, Path) and not outline.store.exists():
        if account is None and (file := _end_pause_by_file(outline.store)) is not None:
            said = f"all accounts: ended the pause by {file.absolute()}"
            tell(said, {"account": None, "ended": ["pause"], "left": []}, as_json=as_json)
            return
        raise no_database(outline.store, "nothing was paused or suspended")
    now = SystemClock().now()
    with _switch(outline.store) as store:
        _check_known(outline, account, store)
        ended = operator.resume(store, account, now)
        named = outline.accounts or {stop.scope for stop in ledger_notes.stops(store.reader)}
        still = status.still_stopped(store.reader, named, account)
        ahead = status.still_ahead(store.reader, now)
    left = (*still, ahead) if ahead else still
    lines = [f"{account or 'all accounts'}: ended the {one}" for one in ended]
    if not ended and not left:
        lines.append(f"{account or 'all accounts'}: nothing was paused or suspended")
    document = {"account": account, "ended": list(ended), "left": list(left)}
    tell("\n".join([*lines, *left]), document, as_json=as_json)
    if left and not ended:
        raise typer.Exit(NO)


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _outline(context: typer.Context, database: Path | None) -> Outline:
    """Return what is certain of the configuration; `--database` names the path where it cannot be read, or another."""
    from daemon.config.load import ConfigError, Outline, outline

    options: Options = context.obj
    try:
        found = outline(options.config_path())
    except ConfigError as error:
        if database is None:
            typer.echo(str(error), err=True)
            fail(f"which database? Add --database PATH (the packaged unit's: {UNIT_DATABASE})", USAGE)
        found = Outline(database, frozenset(), frozenset())
    return found if database is None else Outline(database.absolute(), found.accounts, found.topups)


def _check_known(outline: Outline, account: str | None, store: Store | None = None) -> None:
    """Refuse an account that neither the file nor the database knows: a mistyped name would stop nobody."""
    from daemon.store.usage_checks import knows_account

    if account is None or account in outline.topups or (store is not None and knows_account(store.reader, account)):
        return
    fail(f"there is no account {account} with a topup table, and {outline.store.absolute()} knows none either", USAGE)


def _pause_by_file(path: Path, why: str, *, as_json: bool) -> None:
    """Pause every charge by a file beside the database: an empty one needs no room on a full disk."""
    from daemon.store.dialects.sqlite import pause_file

    file = pause_file(path)
    try:
        file.touch()
    except OSError as error:
        fail(f"nothing was paused: {why}, and {file.absolute()} cannot be made ({error.strerror}): stop the daemon")
    document = {"account": None, "paused": True, "already": False, "daemon_used_database": True}
    said = f"all accounts: paused by {file.absolute()}: {why}"
    tell(said, {**document, "file": str(file.absolute())}, as_json=as_json)
    typer.echo("brimful: every account is paused; `brimful topups resume` ends it and takes the file away", err=True)


def _end_pause_by_file(path: Path) -> Path | None:
    """Take the file away; return where it was, None where there is none."""
    from daemon.store.dialects.sqlite import pause_file

    file = pause_file(path)
    if not file.exists():
        return None
    file.unlink()
    return file


@contextmanager
def _switch(path: Place) -> Iterator[Store]:
    """Open the store for the kill switch: whatever else its schema lacks, the switch works where its table is."""
    from daemon.store import Store, StoreError
    from daemon.store.ledger_notes import has_stops

    store = Store(path)
    try:
        if not has_stops(store.reader):
            raise StoreError(f"the database {path.absolute()} has no ledger yet: `brimful run` prepares it")
        yield store
    finally:
        store.close()


def _make_database(path: Path) -> None:
    """Make a database where there is none: a pause before the first start holds, too."""
    from daemon.store import Store
    from daemon.store.lock import DatabaseHeldError, held
    from daemon.store.migrations import migrate

    try:
        with held(path):
            store = Store(path)
            try:
                migrate(store)
            finally:
                store.close()
    except DatabaseHeldError as error:
        fail(f"nothing was paused, pause again: {error}")


def _say_unused(path: Place) -> None:
    said = (
        f"no daemon has used {path.absolute()} yet: nothing that runs was stopped, the pause holds from its first "
        f"start. For a daemon that runs with another database: --database PATH (the packaged unit's: {UNIT_DATABASE}), "
        "or [store] path in the configuration"
    )
    typer.echo(f"brimful: {said}", err=True)
