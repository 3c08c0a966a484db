"""`brimful demo`: a month of the whole job against local stand-ins, with nothing to set up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.common import NO, fail


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", help="An empty or new folder for what it makes; else a temporary one.")
    ] = None,
) -> None:
    """Live through a month in seconds: the real daemon against local stand-ins, nothing to set up, no network."""
    from daemon.demo.show import NotEmptyError, run_demo

    try:
        kept = run_demo(out)
    except NotEmptyError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot make the demonstration's files: {error}")
    if not kept:
        raise typer.Exit(NO)
