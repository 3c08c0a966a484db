"""`brimful demo`: a month of the whole job against local stand-ins, with nothing to set up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import NO, JsonOption, fail, print_json

if TYPE_CHECKING:
    from daemon.demo.checks import DemoCheck


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", help="An empty or new folder for what it makes; else a temporary one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Live through a month in seconds: the real daemon against local stand-ins, nothing to set up, no network."""
    from rich.console import Console

    from daemon.demo.show import NotEmptyError, run_demo

    def summarize(folder: Path, checks: Sequence[DemoCheck]) -> None:
        rows = [{"says": one.says, "passed": one.passed, "numbers": one.numbers} for one in checks]
        if as_json:
            print_json({"folder": str(folder), "checks": rows})

    try:
        console = Console(highlight=False, stderr=as_json)
        kept = run_demo(out, console=console, checked=summarize)
    except NotEmptyError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot make the demonstration's files: {error}")
    if not kept:
        raise typer.Exit(NO)
