"""`brimful backup PATH`: a consistent copy of the database, while the daemon runs or without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.common import load_config, print_json, there
from daemon.store import Store, StoreError


def register(app: typer.Typer) -> None:
    app.command()(backup)


def backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to make; a folder gets a file named by the database.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the database to PATH while the daemon runs; the copy is checked, and nothing is ever overwritten."""
    from daemon.store.backup import back_up

    config = load_config(context, secrets=False)
    source = there(config.store.place)
    if not isinstance(source, Path):
        raise StoreError(f"{source} is backed up by PostgreSQL's own means: pg_dump -Fc, or pg_basebackup with its WAL")
    target = path / source.name if path.is_dir() else path
    store = Store(source, readonly=True)
    try:
        size_bytes = back_up(store, target)
    finally:
        store.close()
    if as_json:
        print_json({"path": str(target), "bytes": size_bytes})
    else:
        typer.echo(f"{target}: {size_bytes:,} bytes, checked")
