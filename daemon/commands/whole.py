"""`export`, `plan`, `apply` (all that the API manages, as one document) and `audit`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.commands.common import JsonOption, print_json, print_table
from daemon.commands.managers import Manager, ServerOption, TokenFileOption, as_text, manager, read_document

DocumentOption = Annotated[Path, typer.Option("-f", "--file", help="A TOML or JSON document; - is stdin.")]
PruneOption = Annotated[bool, typer.Option("--prune", help="Also remove what the document does not name.")]
_SIGNS = {(True, False): "+", (False, True): "-"}


class DocumentFormat(StrEnum):
    TOML = "toml"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (export, plan, apply, audit):
        app.command()(command)


def export(
    context: typer.Context,
    format: Annotated[DocumentFormat, typer.Option("--format", help="toml or json.")] = DocumentFormat.TOML,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print all that the API manages as one document. Secrets are references, or sealed under the master key."""
    from daemon.resources.documents import to_toml

    with manager(context, server, token_file) as managed:
        found = managed.export()
    if as_json or format is DocumentFormat.JSON:
        print_json(found)
    else:
        typer.echo(to_toml(found), nl=False)


def plan(
    context: typer.Context,
    file: DocumentOption,
    prune: PruneOption = False,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would change."""
    _apply(manager(context, server, token_file), file, prune=prune, dry_run=True, as_json=as_json)


def apply(
    context: typer.Context,
    file: DocumentOption,
    prune: PruneOption = False,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make what the API manages as the document says, all or nothing."""
    _apply(manager(context, server, token_file), file, prune=prune, dry_run=False, as_json=as_json)


def audit(
    context: typer.Context,
    resource: Annotated[str, typer.Option("--resource", help="Only of this one: account/acme.")] = "",
    by: Annotated[str, typer.Option("--by", help="Only by this actor: token:tok_…, cli:root.")] = "",
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who changed what, oldest first. Of a secret no value is told."""
    with manager(context, server, token_file) as managed:
        found = list(managed.audit(resource, by))
    if as_json:
        print_json(found)
        return
    rows = [[one["at"], one["actor"], one["action"], one["resource"], _words(one["changes"])] for one in found]
    print_table("Changes", ("at", "by", "what", "of", "changes"), rows, empty="none")


def _apply(opened: AbstractContextManager[Manager], file: Path, *, prune: bool, dry_run: bool, as_json: bool) -> None:
    document = read_document(file)
    with opened as managed:
        found = managed.apply(document, prune=prune, dry_run=dry_run)
    if as_json:
        print_json({"changes": found})
        return
    for one in found:
        sign = _SIGNS.get((one["created"], one["removed"]), "~")
        typer.echo(f"{sign} {one['kind']} {one['id']}" + (f": {said}" if (said := _words(one["changes"])) else ""))
    if not found:
        typer.echo("nothing to do")


def _words(changes: dict[str, Any]) -> str:
    return ", ".join(f"{key} {as_text(old)} → {as_text(new)}" for key, (old, new) in changes.items())
