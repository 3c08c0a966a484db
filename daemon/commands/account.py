"""`account set/list/show/archive`, `topup set`, `subscribe`, `adopt`: what is managed as data, from the shell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.commands.common import NO, USAGE, JsonOption, fail, fields, print_json, print_table, tell
from daemon.commands.managers import (
    ACCOUNTS,
    ServerOption,
    TokenFileOption,
    as_text,
    manager,
    person,
    planned,
    read_document,
    registry,
    split,
)
from daemon.resources.model import Change, Kind

account = typer.Typer(name="account", no_args_is_help=True, help="Accounts as data: set, list, show, archive.")
topup = typer.Typer(name="topup", no_args_is_help=True, help="Top-ups as data: set.")

IdArgument = Annotated[str, typer.Argument(help="The account's id.")]
FileOption = Annotated[Path | None, typer.Option("-f", "--file", help="Keys and values, as TOML or JSON; - is stdin.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One key; numbers, lists and tables as in JSON.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(account)
    app.add_typer(topup)
    topup.callback()(lambda: None)  # a group, though it has one command
    app.command()(subscribe)
    app.command()(adopt)


@account.command("set")
def set_account(
    context: typer.Context,
    id: IdArgument,
    file: FileOption = None,
    values: SetOption = None,
    provider: Annotated[str | None, typer.Option("--provider", help="`brimful providers` lists them.")] = None,
    key: Annotated[
        str | None,
        typer.Option("--api-key", help='As the daemon has it: "env:NAME", "file:PATH", "credential:NAME".'),
    ] = None,
    key_on_stdin: Annotated[bool, typer.Option("--api-key-stdin", help="Read the API key itself from stdin.")] = False,
    owner: Annotated[str | None, typer.Option("--owner", help="Whose it is; fixed once it is made.")] = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account, or change what is named of it; what is not named stays. A null takes a key away."""
    body = _body(file, values)
    body |= {name: value for name, value in (("provider", provider), ("owner", owner)) if value is not None}
    if key is not None:
        if not key.startswith(("env:", "file:", "credential:")):
            fail("--api-key takes a reference (env:NAME): others on this machine read what is typed here. "
                 "--api-key-stdin takes the key itself", USAGE)  # fmt: skip
        body["api_key"] = key
    if key_on_stdin:
        body["api_key"] = typer.get_text_stream("stdin").readline().strip()
    with manager(context, server, token_file) as managed:
        found = managed.set(Kind.ACCOUNT, id, body)
    tell(f"{id}: {'made' if found['created'] else 'changed'}, version {found['version']}", found, as_json=as_json)


@account.command("list")
def list_accounts(
    context: typer.Context,
    owner: Annotated[str | None, typer.Option("--owner", help="Only this owner's.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only with this tag.")] = None,
    text: Annotated[str, typer.Option("--find", help="Only with this text in id, label or owner.")] = "",
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List accounts, of the file and of the API, by id."""
    with manager(context, server, token_file) as managed:
        found = list(managed.accounts(owner, tag, text))
    if as_json:
        print_json(found)
        return
    columns = ("id", "owner", "label", "provider", "managed_by", "problem")
    rows = [[str(one.get(column) or "") for column in columns] for one in found]
    print_table("Accounts", [column.replace("_", " ") for column in columns], rows, empty="none")


@account.command("show")
def show_account(
    context: typer.Context,
    id: IdArgument,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an account and its top-up, without secrets."""
    with manager(context, server, token_file) as managed:
        found = managed.find(Kind.ACCOUNT, id)
        if found is None:
            fail(f"there is no account {id!r}", NO)
        found["topup"] = managed.find(Kind.TOPUP, id)
    if as_json:
        print_json(found)
    else:
        fields({key: as_text(value) for key, value in found.items() if value not in (None, "")})


@account.command("archive")
def archive_account(
    context: typer.Context,
    id: IdArgument,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an account: it is not asked any more, its history stays, and its id is never given away again."""
    with manager(context, server, token_file) as managed:
        managed.remove(Kind.ACCOUNT, id)
    tell(f"{id}: archived", {"id": id, "archived": True}, as_json=as_json)


@topup.command("set")
def set_topup(
    context: typer.Context,
    id: IdArgument,
    file: FileOption = None,
    values: SetOption = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an account a top-up, or change what is named of it. The file's [api] is the ceiling."""
    with manager(context, server, token_file) as managed:
        found = managed.set(Kind.TOPUP, id, _body(file, values))
    said = f"{id}: top-up {'made' if found['created'] else 'changed'}, mode {found['mode']}, version {found['version']}"
    tell(said, found, as_json=as_json)


def subscribe(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="Where events are posted to.")],
    event: Annotated[str | None, typer.Option("--event", help="An event type, or a glob.")] = None,
    threshold: Annotated[str | None, typer.Option("--threshold", help="Its own, with balance.low.")] = None,
    accounts: Annotated[list[str] | None, typer.Option("--accounts", help=ACCOUNTS)] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Whose subscription it is.")] = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have events sent to a URL, signed; the signing secret is shown this once."""
    said = {"url": url, "event": event, "threshold": threshold, "accounts": split(accounts), "owner": owner}
    with manager(context, server, token_file) as managed:
        found = managed.subscribe({key: value for key, value in said.items() if value})
    tell(f"{found['id']}: {url}\nsigning secret (shown this once): {found['secret']}", found, as_json=as_json)


def adopt(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The account's id, or with --rule a rule's.")],
    rule: Annotated[bool, typer.Option("--rule", help="It is a rule.")] = False,
    owner: Annotated[str | None, typer.Option("--owner", help="Whose account it becomes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it, and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move an object from the file to the API, with its history; the file is not asked for it any more.

    A running daemon goes on with it within a second. The table in the file may be deleted from then on.
    """
    from daemon.config.places import place_of_account, place_of_item

    with manager(context, None, None), registry(context) as opened:
        path = opened.config.path
        place = place_of_item(path, "rules", id) if rule else place_of_account(path, id)
        if place is None:
            fail(f"the file names no {'rule' if rule else 'account'} {id!r}", USAGE)
        body = {key: value for key, value in place.table.items() if key not in ("topup", "id")}
        body |= {"owner": owner} if owner else {}
        changes = [Change(kind=Kind.RULE if rule else Kind.ACCOUNT, id=id, body=body, only_create=True)]
        if not rule and isinstance(place.table.get("topup"), Mapping):
            changes.append(Change(kind=Kind.TOPUP, id=id, body=place.table["topup"], path="topup"))
        outcomes = asyncio.run(opened.adopt(person(), changes, dry_run=dry_run))
    head = f"[[rules]] with the id {id}" if rule else f"[accounts.{id}] and the tables below it"
    done = "would be managed" if dry_run else "is managed"
    document = {"id": id, "file": str(place.file), "line": place.line, "changes": [planned(one) for one in outcomes]}
    tell(f"{id} {done} by the API. Delete from the file: {head}, at {place}", document, as_json=as_json)


def _body(file: Path | None, values: list[str] | None) -> dict[str, Any]:
    body = read_document(file) if file is not None else {}
    for said in values or ():
        key, equals, text = said.partition("=")
        if not equals or not key:
            fail(f"--set takes KEY=VALUE, not {said!r}", USAGE)
        body[key] = _value(text)
    return body


def _value(text: str) -> Any:
    """Return a value as JSON says it, else as the text that it is."""
    import json
    from decimal import Decimal

    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text
