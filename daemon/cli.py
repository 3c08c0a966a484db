"""The command line: it parses, calls and prints. What a command does stands in `daemon.commands`, a module each."""

from __future__ import annotations

import sys
from importlib import metadata
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands import (
    accounts,
    afford,
    alerts,
    backtest,
    backup,
    check,
    deliveries,
    demo,
    init,
    report,
    run,
    test,
    topups,
)
from daemon.commands.common import Options, guarded

app = typer.Typer(
    name="brimful",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Watches prepaid and metered API accounts: alerts before they run dry, tops them up once, tells finance.",
)

for module in (demo, run, check, accounts, afford, alerts, topups, deliveries, report, backtest, init, test, backup):
    module.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
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
    with guarded():
        app(_config_first(sys.argv[1:]))


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
