"""`token new/list/revoke`: who may use the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from daemon.commands.common import USAGE, JsonOption, fail, print_json, print_table, tell
from daemon.commands.managers import ACCOUNTS, ServerOption, TokenFileOption, manager, split
from daemon.resources.model import Role

app = typer.Typer(name="token", no_args_is_help=True, help="Tokens of the API: new, list, revoke.")


def register(typer_app: typer.Typer) -> None:
    """Add this module's commands."""
    typer_app.add_typer(app)


@app.command()
def new(
    context: typer.Context,
    role: Annotated[Role, typer.Option("--role", help="Each role contains the one before.")],
    owner: Annotated[str, typer.Option("--owner", help="It sees and makes this owner's things alone.")] = "",
    accounts: Annotated[list[str] | None, typer.Option("--accounts", help=ACCOUNTS)] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="In so long (90d), or an instant.")] = None,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once; only its SHA-256 is kept."""
    body: dict[str, Any] = {"role": role.value, "owner": owner, "name": name}
    body |= {"accounts": split(accounts)} if accounts else {}
    body |= {"expires_at": _expires_at(expires)} if expires else {}
    with manager(context, server, token_file) as managed:
        found = managed.new_token(body)
    tell(f"{found['id']}, role {found['role']}, shown this once:\n{found['token']}", found, as_json=as_json)


@app.command("list")
def list_tokens(
    context: typer.Context, server: ServerOption = None, token_file: TokenFileOption = None, as_json: JsonOption = False
) -> None:
    """List tokens, without what they are."""
    with manager(context, server, token_file) as managed:
        found = list(managed.tokens())
    if as_json:
        print_json(found)
        return
    columns = ("id", "name", "role", "owner", "accounts", "created_at", "expires_at", "last_used_at", "revoked_at")
    rows = [[_cell(one.get(column)) for column in columns] for one in found]
    print_table("Tokens", [column.replace("_", " ") for column in columns], rows, empty="none")


@app.command()
def revoke(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The token's id, tok_….")],
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token: it is refused from now on."""
    with manager(context, server, token_file) as managed:
        managed.revoke(id)
    tell(f"{id}: revoked", {"id": id, "revoked": True}, as_json=as_json)


def _expires_at(text: str) -> str:
    from datetime import datetime

    from alerts.model.instants import rfc3339
    from daemon.clock import SystemClock
    from daemon.config.durations import parse_duration

    try:
        found: timedelta | datetime = parse_duration(text)
    except ValueError:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            fail(f"--expires: {text!r} is neither a duration (90d) nor an instant (2027-01-31T00:00:00Z)", USAGE)
    if isinstance(found, timedelta):
        return rfc3339(SystemClock().now() + found)
    return rfc3339(found.replace(tzinfo=found.tzinfo or SystemClock().now().tzinfo))


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "")
