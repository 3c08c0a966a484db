"""`run`, the daemon, and `once`, one pass over everything that is due."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import NO, Options, fail, print_json
from daemon.config.model import Config
from daemon.store.lock import DatabaseHeldError

if TYPE_CHECKING:
    from daemon.work.outcome import PassOutcome


def register(app: typer.Typer) -> None:
    """Add `run` and `once`."""
    app.command()(run)
    app.command()(once)


def _load(context: typer.Context) -> Config:
    from daemon.work.preflight import load_to_run

    options: Options = context.obj
    return load_to_run(options.config_path())


def run(
    context: typer.Context,
    name: Annotated[
        str, typer.Option("--name", help="Its name beside other daemons of this host on one PostgreSQL.")
    ] = "",
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads the configuration."""
    from daemon.process.runner import Runner

    gc.disable()  # what is loaded lives as long as the process: no collection has to walk it, now or again
    config = _load(context)
    gc.freeze()
    gc.enable()
    _set_up_logs(log_level)

    async def main() -> None:
        await Runner(config, instance=name).run()

    try:
        asyncio.run(main())
    except DatabaseHeldError as error:
        fail(str(error))


def once(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the pass met as JSON.")] = False,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "warning",
) -> None:
    """Do one pass over everything that is due (poll, evaluate, top up, deliver, report), then exit.

    Exits 1 if an account could not be read, or a delivery or charge needs a person.
    """
    config = _load(context)
    _set_up_logs(log_level)
    try:
        outcome = asyncio.run(_one_pass(config))
    except DatabaseHeldError as error:
        fail(str(error))
    if as_json:
        print_json(_as_json(outcome))
    else:
        _print(outcome)
    if not outcome.ok:
        raise typer.Exit(NO)


async def _one_pass(config: Config) -> PassOutcome:
    from daemon.compose import open_service

    async with open_service(config) as service:
        try:
            return await service.once()
        finally:
            await service.drain(0.0)


def _set_up_logs(level: str) -> None:
    from daemon.process.logs import set_up

    if level not in ("debug", "info", "warning", "error"):
        fail(f"--log-level {level!r} is not one of debug, info, warning, error", 2)
    set_up(level)


def _as_json(outcome: PassOutcome) -> dict[str, object]:
    return {
        "read": outcome.read,
        "unreadable": outcome.unreadable,
        "needs_person": outcome.needs_person,
        "undelivered": outcome.undelivered,
        "failed": outcome.failed,
        "fine": outcome.ok,
    }


def _print(outcome: PassOutcome) -> None:
    typer.echo(f"read {outcome.read} of {outcome.read + len(outcome.unreadable)} accounts")
    for account, reason in outcome.unreadable.items():
        typer.echo(f"{account}: no reading, {reason}", err=True)
    for sentence in outcome.needs_person:
        typer.echo(sentence, err=True)
    if outcome.undelivered:
        what = "1 delivery has" if outcome.undelivered == 1 else f"{outcome.undelivered} deliveries have"
        typer.echo(f"{what} not arrived: `brimful deliveries` says which, and when they are tried again", err=True)
    for sentence in outcome.failed:
        typer.echo(sentence, err=True)
