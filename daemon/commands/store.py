"""`store check`: whether the database, or a backup of it, is whole. `store reseal`: its secrets by another key."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.commands.common import NO, fail, load_config, no_database, print_json, tell

app = typer.Typer(name="store", no_args_is_help=True, help="Check the database, or a backup of it; reseal it.")


def register(typer_app: typer.Typer) -> None:
    """Add `store check`."""
    typer_app.add_typer(app)


@app.command()
def check(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="A backup; without it the configured database.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every page of the database, also while the daemon runs; exit 1 where something is wrong."""
    if path is None:
        path = load_config(context, secrets=False).store.path
        if not path.exists():
            raise no_database(path)
    elif not path.is_file():
        fail(f"there is no file {path}")
    document = _examined(path)
    if as_json:
        print_json(document)
    elif document["problems"]:
        for problem in document["problems"]:
            typer.echo(f"{path}: {problem}")
    else:
        counted = ", ".join(f"{name} {count:,}" for name, count in document["rows"].items())
        typer.echo(f"{path}: whole, {document['bytes']:,} bytes, {counted}")
    if document["problems"]:
        raise typer.Exit(NO)


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


def _examined(path: Path) -> dict[str, Any]:
    from daemon.store import Store, StoreError
    from daemon.store.migrations import require_current
    from daemon.store.soundness import problems_of, rows_of

    document: dict[str, Any] = {"path": str(path), "bytes": path.stat().st_size, "rows": {}, "problems": []}
    try:
        document["problems"] = problems_of(path)
        if not document["problems"]:
            store = Store(path, readonly=True)
            try:
                require_current(store)
                document["rows"] = rows_of(store.reader)
            finally:
                store.close()
    except (sqlite3.Error, StoreError) as error:
        document["problems"] = [str(error)]
    return document
