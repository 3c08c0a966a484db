"""`brimful afford`: can the available balance pay for so many videos over so many days, and by how much."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

from alerts.forecast.afford import Affordance, afford
from alerts.model.instants import rfc3339
from alerts.model.money import format_usd, show_usd, to_number
from alerts.rules.stale import INTERVALS, SHORTEST
from daemon.clock import SystemClock
from daemon.commands.common import NO, USAGE, fail, load_config, print_json, reading
from daemon.commands.moments import moment
from daemon.config.model import Config
from daemon.schedule import longest_gap

MOST_DAYS = 3650
MOST_VIDEOS = 1_000_000


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(name="afford")(afford_command)


def afford_command(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's id.")],
    days: Annotated[str, typer.Option("--days", help="For how many days (7, 0.5).")],
    videos: Annotated[int, typer.Option("--videos", min=0, max=MOST_VIDEOS, help="How many videos more.")],
    beside: Annotated[
        bool, typer.Option("--beside", help="Answer no as well where it does not fit beside what runs already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether the available balance pays for VIDEOS more videos over DAYS days: exit 0 yes, 1 no, and by how much.

    Each video is snapshotted once an hour. Whether it also fits beside what the account spends already, and until when
    the balance lasts then, is said too. There is no yes from a reading that is missing or too old.
    """
    from daemon.store import readings, states

    wanted = _days(days)
    config = load_config(context, secrets=False)
    if account not in config.accounts:
        fail(f"no account is named {account!r}: there are {', '.join(config.accounts) or 'none'}", USAGE)
    now = SystemClock().now()
    with reading(config) as store:
        known = readings.last(store.reader, account)
        outage = readings.current_outage(store.reader, account)
        memory = states.load(store.reader, account).burn
    why = f" ({outage.reason.value} since {moment(outage.first_at, config.timezone)})" if outage is not None else ""
    if known is None:
        _unknown(account, f"there is no reading of it yet{why}", as_json)
    if now - known.at > _good_for(config, account, now):
        _unknown(account, f"the last reading is of {moment(known.at, config.timezone)}{why}: too old to say", as_json)
    answer = afford(memory, known.metrics, wanted, videos, now)
    if answer is None:
        _unknown(account, "its reading says no balance or no price of a snapshot", as_json)
    yes = answer.pays and (not beside or answer.pays_beside is not False)
    if as_json:
        print_json(_as_json(account, known.at, wanted, videos, answer, yes))
    else:
        _print(account, moment(known.at, config.timezone), wanted, videos, answer, config.timezone)
    if not yes:
        raise typer.Exit(NO)


def _days(text: str) -> Decimal:
    try:
        days = Decimal(text)
    except InvalidOperation:
        days = Decimal(-1)
    if not days.is_finite() or not 0 < days <= MOST_DAYS:
        fail(f"--days {text!r}: a number of days is expected, more than 0 and at most {MOST_DAYS}", USAGE)
    return days


def _good_for(config: Config, account: str, now: datetime) -> timedelta:
    """How old a reading may be: what the stale rule waits by default."""
    return max(INTERVALS * longest_gap(config.accounts[account].poll, config.timezone, now), SHORTEST)


def _unknown(account: str, reason: str, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"account": account, "affordable": None, "reason": reason})
        raise typer.Exit(NO)
    fail(f"{account}: unknown: {reason}", NO)


def _print(account: str, at: str, days: Decimal, videos: int, answer: Affordance, zone: ZoneInfo) -> None:
    plural = "" if videos == 1 else "s"
    left, cost, available = answer.left_microusd, answer.cost_microusd, answer.available_microusd
    verdict = f"yes, {show_usd(left)} would be left" if answer.pays else f"no, {show_usd(-left, 0)} are missing"
    typer.echo(
        f"{account}: {verdict}. {videos} video{plural} for {days:f} days cost {show_usd(cost, available)}; "
        f"{show_usd(available, cost)} are available ({at})."
    )
    beside = answer.left_beside_microusd
    if beside is None or answer.running_microusd is None:
        typer.echo("Beside what runs already: unknown, there is no history yet.")
        return
    running = f"what runs already spends {format_usd(answer.running_microusd)} in that time ({answer.basis})"
    fits = f"fits, {show_usd(beside)} would be left" if beside >= 0 else f"does not fit, {show_usd(-beside, 0)} short"
    typer.echo(f"Beside it {running}: together it {fits}.")
    beside_it, alone = _until(answer.dry_beside_at, zone), _until(answer.dry_alone_at, zone)
    typer.echo(f"The balance lasts until {beside_it} with it, {alone} without.")


def _until(at: datetime | None, zone: ZoneInfo) -> str:
    return "further than two years" if at is None else moment(at, zone)


def _as_json(account: str, at: datetime, days: Decimal, videos: int, answer: Affordance, yes: bool) -> dict[str, Any]:
    beside, running = answer.left_beside_microusd, answer.running_microusd
    return {
        "account": account,
        "affordable": yes,
        "observed_at": rfc3339(at),
        "days": to_number(int(days.scaleb(6))),
        "videos": videos,
        "cost_usd": to_number(answer.cost_microusd),
        "available_usd": to_number(answer.available_microusd),
        "left_usd": to_number(answer.left_microusd),
        "running_usd": None if running is None else to_number(_cents(running)),
        "left_beside_usd": None if beside is None else to_number(_cents(beside)),
        "fits_beside": answer.pays_beside,
        "basis": answer.basis,
        "lasts_until": None if answer.dry_beside_at is None else rfc3339(answer.dry_beside_at),
        "lasts_until_without": None if answer.dry_alone_at is None else rfc3339(answer.dry_alone_at),
    }


def _cents(microusd: int) -> int:
    return (microusd + 5_000) // 10_000 * 10_000
