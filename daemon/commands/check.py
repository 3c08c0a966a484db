"""`check`: every problem of the configuration at once, and with `--online` whether what it names would work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import NO, OK, USAGE, Options, print_json
from daemon.config.load import Inspection, inspect, summary
from daemon.config.problems import Level, Problem, ProblemId

if TYPE_CHECKING:
    from daemon.config.model import Config
    from daemon.work.online import CheckOutcome


def register(app: typer.Typer) -> None:
    """Add `check`."""
    app.command()(check)


def check(
    context: typer.Context,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask each usage API, Stripe, SMTP and webhook host; no money moves.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems and outcomes as JSON.")] = False,
) -> None:
    """Print every problem of the configuration, each with an id, its key and a hint.

    Exits 2 if there is an error, 1 if something asked online does not work, else 0. A secret that is not set is a
    warning here and an error for --online and for the daemon.
    """
    options: Options = context.obj
    raise typer.Exit(run_check(options.config_path(), online=online, as_json=as_json))


def run_check(path: Path, *, online: bool, as_json: bool) -> int:
    """Check the configuration at `path`, print what was found, and return the exit code."""
    found = inspect(path, secrets=online)
    if found.facts is not None and found.config is not None:
        _look_back(found, found.config)
    config = None if found.config is None else _with_stored(found, found.config, secrets=online)
    errors = any(problem.severity is Level.ERROR for problem in found.problems)
    outcomes = asyncio.run(_ask(config)) if online and config is not None and not errors else ()
    if found.facts is not None and outcomes:
        _look_at_burn(found, outcomes)
    if as_json:
        print_json(_as_json(path, found.problems, outcomes, online=online))
    else:
        _print(path, found.problems, outcomes, asked_for=online)
    if errors:
        return USAGE
    return OK if all(outcome.ok for outcome in outcomes) else NO


def _look_back(found: Inspection, config: Config) -> None:
    if config.store.place.is_file():
        from daemon.work.preflight import lint_past  # opens the database: only where there is one

        assert found.facts is not None
        lint_past(found.facts, config.store.place)


def _with_stored(found: Inspection, config: Config, *, secrets: bool) -> Config:
    """Return the configuration with what the API manages; what of that does not work is noted."""
    if config.api is None or not config.store.place.is_file():
        return config
    from daemon.resources.loading import combined
    from daemon.store import Store

    store = Store(config.store.place, readonly=True)
    try:
        held = combined(config, store.reader, secrets=secrets)
    finally:
        store.close()
    for (kind, id), problem in sorted(held.problems.items()):
        found.noted.add(ProblemId.API_OBJECT, f"{kind}/{id}", problem, "what it says may be changed by API")
    return held.config


def _look_at_burn(found: Inspection, outcomes: tuple[CheckOutcome, ...]) -> None:
    from daemon.config.lint.burn import lint_burn

    assert found.facts is not None
    burns = {o.account: o.burn_microusd_per_day for o in outcomes if o.account and o.burn_microusd_per_day}
    lint_burn(found.facts, burns)


async def _ask(config: Config) -> tuple[CheckOutcome, ...]:
    from daemon.clock import SystemClock
    from daemon.net.http import HttpClient
    from daemon.work.online import ask_all

    http = HttpClient()
    try:
        return await ask_all(config, SystemClock(), http)
    finally:
        await http.aclose()


def _as_json(
    path: Path, problems: tuple[Problem, ...], outcomes: tuple[CheckOutcome, ...], *, online: bool
) -> Mapping[str, object]:
    document: dict[str, object] = {
        "config": str(path),
        "ok": not any(p.severity is Level.ERROR for p in problems) and all(o.ok for o in outcomes),
        "problems": [
            {
                "id": problem.id.value,
                "severity": problem.severity.value,
                "key": problem.key_path,
                "item": problem.item,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ],
    }
    if online:
        document["online"] = [
            {"target": o.target, "ok": o.ok, "asked": o.asked, "detail": o.detail, "fix": o.fix} for o in outcomes
        ]
    return document


def _print(path: Path, problems: tuple[Problem, ...], outcomes: tuple[CheckOutcome, ...], *, asked_for: bool) -> None:
    for problem in problems:
        typer.echo(str(problem))
    for outcome in outcomes:
        typer.echo(f"{'ok' if outcome.ok else 'failed':<7}  {outcome.target}: {outcome.detail}")
        if not outcome.ok:
            typer.echo(f"         asked: {outcome.asked}" if outcome.asked else "", nl=bool(outcome.asked))
            typer.echo(f"         do: {outcome.fix}" if outcome.fix else "", nl=bool(outcome.fix))
    typer.echo(f"{path}: {summary(problems)}")
    if asked_for and outcomes:
        failed = sum(not outcome.ok for outcome in outcomes)
        typer.echo(
            f"online: {len(outcomes) - failed} of {len(outcomes)} work" + (f", {failed} failed" if failed else "")
        )
    elif asked_for:
        typer.echo("online: nothing was asked, because the configuration has errors")
