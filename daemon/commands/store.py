"""`store`: `check` whether the database is whole, `copy` a file's to a server, `reseal` its secrets by another key."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.common import NO, USAGE, Options, fail, load_config, print_json, tell, there

if TYPE_CHECKING:
    from daemon.places import Place, ServerUrl

app = typer.Typer(name="store", no_args_is_help=True, help="Check, copy or reseal the database.")


def register(typer_app: typer.Typer) -> None:
    """Add `store check` and `store copy`."""
    typer_app.add_typer(app)


@app.command()
def check(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="A backup; without it the configured database.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every page of the database, also while the daemon runs; exit 1 where something is wrong."""
    if path is not None and not path.is_file():
        fail(f"there is no file {path}")
    place = there(load_config(context, secrets=False).store.place) if path is None else path
    document = _examined(place)
    if as_json:
        print_json(document)
    elif document["problems"]:
        for problem in document["problems"]:
            typer.echo(f"{place}: {problem}")
    else:
        counted = ", ".join(f"{name} {count:,}" for name, count in document["rows"].items())
        typer.echo(f"{place}: whole, {document['bytes']:,} bytes, {counted}")
    if document["problems"]:
        raise typer.Exit(NO)


@app.command()
def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="env:NAME or file:PATH of a postgresql:// URL.")],
    path: Annotated[Path | None, typer.Argument(help="The file; without it [store] path.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the whole database to an empty one on PostgreSQL, in one transaction. The daemon has to be stopped."""
    from daemon.store.copying import copy_store
    from daemon.store.lock import DatabaseHeldError, held

    target = _server(context, to)
    source = load_config(context, secrets=False).store.place if path is None else path
    if not isinstance(source, Path):
        fail(f"the configured database is a server already ({source}): name the file to be copied", USAGE)
    there(source)

    def progress(table: str, done: int, *, of: int) -> None:
        if not as_json and (done == of or sys.stderr.isatty()):
            typer.echo(f"{table}: {done:,} of {of:,}", err=True)

    try:
        with held(source), held(target):
            copied = copy_store(source, target, progress)
    except DatabaseHeldError as error:
        fail(str(error))
    if as_json:
        print_json({"from": str(source), "to": str(target), "rows": copied})
        return
    rows = f"{sum(copied.values()):,} rows in {len(copied)} tables"
    typer.echo(f"{source} is copied to {target}: {rows}, counted on both")
    typer.echo(f"now write url instead of path in [store], and move {source} away before the daemon starts")


@app.command()
def reseal(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Seal what the API was given in secret by the first [api] master_key, so that the others may be taken out."""
    from daemon.commands.managers import registry
    from daemon.resources.keyring import SealError

    with registry(context) as opened:
        try:
            count = opened.reseal()
        except SealError as error:
            fail(f"nothing was resealed: {error}")
    tell(f"{count} objects were sealed anew", {"resealed": count}, as_json=as_json)


def _server(context: typer.Context, written: str) -> ServerUrl:
    """Return the server that `--to` names: a reference, as in the configuration, or a URL without a password."""
    from daemon.config.lint.process import server_of
    from daemon.config.problems import ConfigError, Problems
    from daemon.config.secret import Secrets

    options: Options = context.obj
    problems, path = Problems(), options.config_path()
    url = server_of(written, "", Secrets(os.environ, path.parent, problems, required=True), problems)
    if problems.errors:
        raise ConfigError(path, problems.sorted)
    return url


def _examined(place: Place) -> dict[str, Any]:
    from daemon.store import Store, StoreError
    from daemon.store.migrations import require_current
    from daemon.store.soundness import problems_of, problems_on_server, rows_of

    document: dict[str, Any] = {"path": str(place), "bytes": 0, "rows": {}, "problems": []}
    try:
        if isinstance(place, Path):
            document |= {"bytes": place.stat().st_size, "problems": problems_of(place)}
        if not document["problems"]:
            store = Store(place, readonly=True)
            try:
                require_current(store)
                if not isinstance(place, Path):
                    document |= {"bytes": store.reader.size_bytes(), "problems": problems_on_server(store)}
                document["rows"] = rows_of(store.reader)
            finally:
                store.close()
    except (sqlite3.Error, StoreError) as error:
        document["problems"] = [str(error)]
    return document
