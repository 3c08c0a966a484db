"""`status`: every account at a glance. `history`: one account's readings, with a small chart on a terminal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import USAGE, fail, held_by, load_config, print_json, reading
from daemon.store.connection import Connection

if TYPE_CHECKING:
    from daemon.config.model import Config


_A_MOMENT = timedelta(milliseconds=1)


def register(app: typer.Typer) -> None:
    """Add `status` and `history`."""
    app.command()(status)
    app.command()(history)


def status(
    context: typer.Context,
    account: Annotated[str | None, typer.Argument(help="Only this account.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Balance, burn, days left, quota, month spend, open alerts and top-ups of every account, and how old that is."""
    from daemon.commands.status_view import document, show, show_daemons, show_health
    from daemon.status.overview import overview
    from daemon.store.fleet import live, of_all
    from daemon.store.health import load as load_health
    from daemon.store.lock import holder

    config, problems = held_by(context, secrets=False)
    if account is not None and account not in config.accounts:
        _fail_unknown(account, list(config.accounts))
    with reading(config) as store:
        now = _now(store.reader)
        found = [one for one in overview(config, store.reader, now) if account in (None, one.account.id)]
        pid, daemons = holder(config.store.place), live(store.reader)
        health = of_all(daemons) if daemons else load_health(store.reader)
    if as_json:
        print_json({**document(found, now, health, pid, daemons), "problems": problems})
    else:
        show(found, config.timezone)
        if daemons:
            show_daemons(daemons, now, config.timezone)
        else:
            show_health(health, pid, config.timezone)
        for problem in problems:
            typer.echo(problem)


def history(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's id.")],
    since: Annotated[str, typer.Option("--since", help="So long ago (30d, 12h) or an instant.")] = "30d",
    until: Annotated[str | None, typer.Option("--until", help="Up to then; default: now.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a line a run of equal readings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """One account's readings and outages; on a terminal with a small chart."""
    from alerts.model.accounts import AccountInfo
    from daemon.commands.history_view import History, document, show, to_csv
    from daemon.commands.moments import parse_since
    from daemon.store import readings
    from daemon.store.summaries import SummarySpan, summaries

    if as_csv and as_json:
        fail("--csv and --json are two different answers: choose one", USAGE)
    config = load_config(context, secrets=False)
    with reading(config) as store:
        now = _now(store.reader)
        first, last = parse_since(since, now), now if until is None else parse_since(until, now)
        if first >= last:
            fail(f"--since {since!r} is not before the end", USAGE)
        _require_known(account, config, store.reader)
        configured = config.accounts.get(account)
        found = History(
            configured.info if configured is not None else AccountInfo(account, "", unit="units", quota_unit="units"),
            first,
            last,
            # what was read at the very end belongs to it
            tuple(readings.history(store.reader, account, first, last + _A_MOMENT)),
            tuple(summaries(store.reader, account, SummarySpan.DAY, _midnight(first), last + _A_MOMENT)),
        )
    if as_csv:
        typer.echo(to_csv(found), nl=False)
    elif as_json:
        print_json(document(found))
    else:
        show(found, config.timezone)


def _now(connection: Connection) -> datetime:
    """This clock's time, or the latest reading's: a demonstration's database may lie in what is the future here."""
    from daemon.clock import SystemClock
    from daemon.store.readings import latest_at

    now, latest = SystemClock().now(), latest_at(connection)
    return now if latest is None else max(now, latest)


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _require_known(account: str, config: Config, connection: Connection) -> None:
    """An account that is not configured any more still has its history."""
    from daemon.store import readings

    names = {*config.accounts, *readings.accounts_seen(connection)}
    if account not in names:
        _fail_unknown(account, sorted(names))


def _fail_unknown(account: str, names: list[str]) -> None:
    from daemon.config.problems import suggestion

    hint = suggestion(account, names) or (f"there are {', '.join(names)}" if names else "none is configured")
    fail(f"there is no account {account!r}: {hint}", USAGE)
