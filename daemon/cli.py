"""The command line: it parses, calls and prints. Each command is a module of `daemon.commands`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daemon.commands.common import Options, guarded

COMMANDS = {
    "demo": ("demo", "Live through a month in half a minute, with nothing to set up."),
    "init": ("init", "Write a first configuration, and check it."),
    "check": ("check", "Print every problem of the configuration, each with its fix."),
    "test": ("test", "Send a test.ping to one receiver and show what came back."),
    "run": ("run", "Run until SIGTERM or SIGINT; SIGHUP reloads the configuration."),
    "once": ("run", "Do one pass over everything that is due, and end."),
    "backup": ("backup", "Copy the database while the daemon runs."),
    "store": ("store", "Check the database, or a backup of it; seal its secrets anew."),
    "completion": ("manual", "Print the completion of bash, zsh or fish."),
    "manual": ("manual", "Print the man page."),
    "install-unit": ("install_unit", "Install systemd's unit, user, folders and a first configuration."),
    "status": ("accounts", "Balance, burn, days left, quota, alerts, top-ups."),
    "history": ("accounts", "One account's readings and outages."),
    "afford": ("afford", "Can the balance pay for more videos?"),
    "backtest": ("backtest", "Replay stored readings through the configuration."),
    "alerts": ("alerts", "Open and recent episodes; mute a rule for a while."),
    "deliveries": ("deliveries", "The delivery log; show one, send again."),
    "topups": ("topups", "The ledger; explain, acknowledge, pause, resume, audit."),
    "report": ("report", "Build a report for any period."),
    "providers": ("providers", "What an account's provider can be: the presets."),
    "account": ("account", "Accounts as data: set, list, show, archive."),
    "topup": ("account", "Top-ups as data: set."),
    "subscribe": ("account", "Have events sent to a URL."),
    "adopt": ("account", "Move an object from the file to the API."),
    "token": ("token", "Tokens of the API: new, list, revoke."),
    "audit": ("whole", "Who changed what of that by API."),
    "export": ("whole", "Print all that the API manages."),
    "plan": ("whole", "What `apply` would change."),
    "apply": ("whole", "Make what the API manages as a document says."),
}
"""Each command's module in `daemon.commands`, and what it does in one line. The module is imported when it is named."""


class _Commands(Mapping[str, Any]):
    """The commands by name; asking for one imports its module."""

    def __getitem__(self, name: str) -> Any:
        module, _ = COMMANDS[name]
        found = typer.Typer(rich_markup_mode=None)
        found.callback()(lambda: None)  # a group, however few commands the module has
        import_module(f"daemon.commands.{module}").register(found)
        return typer.main.get_command(found).commands[name]  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    """The commands of `COMMANDS`: `--help` imports none of them."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**{**named, "commands": None})
        self.commands = _Commands()  # type: ignore[assignment]  # nobody adds to it

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


app = typer.Typer(
    name="brimful",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Watches prepaid and metered API accounts: alerts before they run dry, tops them up once, tells finance.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        try:
            version = metadata.version("brimful")
        except metadata.PackageNotFoundError:  # a checkout that is on the path without being installed
            version = "(not installed)"
        typer.echo(f"brimful {version}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="The configuration; else $BRIMFUL_CONFIG, ./config.toml, /etc/brimful/config.toml.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = Options(config=config)


def main() -> None:
    """Run the command line. Every error that a user can cause is a sentence on stderr, never a traceback."""
    _write_what_the_terminal_can_show()
    if "_BRIMFUL_COMPLETE" in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    with guarded():
        app(_config_first(sys.argv[1:]), prog_name="brimful")


def _write_what_the_terminal_can_show() -> None:
    """A terminal without UTF-8 sees a question mark where it has no sign for something, never an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _config_first(arguments: list[str]) -> list[str]:
    """Return the arguments with `--config PATH` before the command, wherever it was typed."""
    first: list[str] = []
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--":
            rest += [argument, *given]
        elif argument == "--config":
            first += [argument, *islice(given, 1)]
        elif argument.startswith("--config="):
            first.append(argument)
        else:
            rest.append(argument)
    return first + rest
