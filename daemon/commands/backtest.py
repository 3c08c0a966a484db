"""`brimful backtest`: stored history lived through again, beside what really happened; and advice on a top-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from alerts.model.instants import rfc3339
from alerts.model.money import format_amount, format_usd, to_number
from alerts.model.units import USD
from daemon.clock import SystemClock
from daemon.commands.common import NO, USAGE, fail, load_config, print_json, print_table, reading
from daemon.commands.moments import moment, parse_since
from daemon.config.durations import format_duration, parse_duration
from daemon.config.load import load
from daemon.config.model import Config

if TYPE_CHECKING:
    from daemon.backtest.balance import SimulatedCharge
    from daemon.backtest.comparison import AdviceRequest, Advised, Comparison
    from daemon.backtest.replay import FalseAlarm, Gauge, ReplayOutcome

HAPPENED = "really"
"""The name of the column that says what happened."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(backtest)


def backtest(
    context: typer.Context,
    since: Annotated[str, typer.Option("--since", help="A duration such as 90d, or an RFC 3339 instant.")] = "90d",
    against: Annotated[
        Path | None, typer.Option("--against", help="Another configuration, replayed beside this one.")
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", help="Only these accounts (ids or globs); may be repeated.")
    ] = None,
    advise: Annotated[
        bool, typer.Option("--advise", help="The smallest top-up threshold and amount that are safe enough.")
    ] = False,
    risk: Annotated[str, typer.Option("--risk", help="With --advise: the chance of running dry in a month.")] = "1%",
    charges_per_month: Annotated[
        int, typer.Option("--charges-per-month", min=1, max=1000, help="With --advise: at most so many charges.")
    ] = 4,
    delay: Annotated[
        str, typer.Option("--delay", help="With --advise: how long a charge may take to be seen in the balance.")
    ] = "2h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay stored readings through the configuration: what would have been told and charged, beside what was.

    Nothing is written, sent or charged. Credits in the recorded history are taken out of an account that has a top-up
    table, and the charges that the configuration would have made are put in.
    """
    from daemon.backtest.comparison import AdviceRequest, compare

    asked = AdviceRequest(_percent(risk), charges_per_month, _duration(delay)) if advise else None
    config = load_config(context, secrets=False)
    configs = {"this configuration": config}
    if against is not None:
        configs[against.name if against.name != config.path.name else str(against)] = load(against, secrets=False)
    now = SystemClock().now()
    begin = parse_since(since, now)
    chosen = _chosen(config, account)
    found = []
    with reading(config) as store, _progress(quiet=as_json) as progress:
        for name in chosen:
            compared = compare(store.reader, name, configs, begin, now, asked, progress)
            if compared is not None:
                found.append(compared)
    if as_json:
        print_json([_as_json(one) for one in found])
    if not found:
        fail(f"there are no readings since {moment(begin, config.timezone)}", NO)
    if as_json:
        return
    for one in found:
        _print(one, asked, config.timezone)


def _chosen(config: Config, patterns: list[str] | None) -> list[str]:
    if not patterns:
        return list(config.accounts)
    chosen = [name for name in config.accounts if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        fail(f"no account is named {' or '.join(patterns)}: there are {', '.join(config.accounts)}", USAGE)
    return chosen


def _percent(text: str) -> Decimal:
    try:
        part = Decimal(text.strip().removesuffix("%").strip()) / 100
    except InvalidOperation:
        part = Decimal(-1)
    if not part.is_finite() or not 0 <= part < 1:
        fail(f"--risk {text!r}: a percentage such as 1% is expected", USAGE)
    return part


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        fail(f"--delay {text!r}: {error}", USAGE)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, Decimal], None]]:
    """Show a bar on stderr where a person is watching."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda what, part: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(what: str, part: Decimal) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1000)
            bar.update(tasks[what], completed=int(part * 1000))

        yield report
        for task in tasks.values():
            bar.update(task, completed=1000)


# ── for a person ────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(one: Comparison, asked: AdviceRequest | None, zone: ZoneInfo) -> None:
    labels = list(one.outcomes)
    if one.advised is not None:
        labels.append("as advised")
    outcomes = [*one.outcomes.values(), *([one.advised.outcome] if one.advised else [])]
    partial = "; readings begin there" if one.partial else ""
    readings = next(iter(one.outcomes.values())).readings
    stretch = f"{moment(one.since, zone)} to {moment(one.until, zone)}"
    title = f"{one.account} · {stretch} · {readings:,} readings{partial}"
    really, unit = one.happened, one.unit
    rows = [
        [name, str(really.events.get(name, 0)), *(str(outcome.events.get(name, 0)) for outcome in outcomes)]
        for name in _event_names(one, outcomes)
    ]
    rows += [
        ["reminders", str(really.reminders), *(str(outcome.reminders) for outcome in outcomes)],
        ["charges", _charges(really.charges), *(_charges(outcome.charges) for outcome in outcomes)],
        ["credits seen", _charges(really.credits, unit), *("—" for _ in outcomes)],
        ["lowest available", _lowest(really.balance, unit), *(_lowest(one.balance, unit) for one in outcomes)],
        ["time at or below zero", _below(really.balance), *(_below(outcome.balance) for outcome in outcomes)],
        ["episodes", str(really.episodes), *(str(outcome.episodes) for outcome in outcomes)],
        ["false alarms", _alarms(really.false_alarms), *(_alarms(outcome.false_alarms) for outcome in outcomes)],
        ["charges held back", "—", *(_refusals(outcome) for outcome in outcomes)],
    ]
    typer.echo(title)
    print_table("", ("", HAPPENED, *labels), rows, right=(HAPPENED, *labels))
    typer.echo("")
    if asked is not None and unit == USD:
        _print_advice(one, one.advised, asked)


def _event_names(one: Comparison, outcomes: list[ReplayOutcome]) -> list[str]:
    """The types that were told by any, in their own order; those that a replay cannot cause are left out."""
    names = {name for outcome in outcomes for name in outcome.events}
    names |= {name for name in one.happened.events if not name.startswith(("topup.", "delivery.", "test."))}
    return sorted(names)


def _print_advice(one: Comparison, advised: Advised | None, asked: AdviceRequest) -> None:
    if advised is None:
        typer.echo(f"{one.account}: no advice: that takes at least a week of readings with some spend\n")
        return
    advice = advised.advice
    typer.echo(
        f"{one.account}: when_below_usd = {_plain(advice.threshold_microusd)}, "
        f"amount_usd = {_plain(advice.amount_microusd)}\n"
        f"  the smallest that keep the chance of running dry at {_percentage(asked.risk)} a month or less "
        f"(here {_percentage(advice.risk)})\n"
        f"  with at most {asked.charges_per_month} charges in nineteen months of twenty "
        f"(here {advice.charges_most}, on average {advice.charges_mean:.1f}),\n"
        f"  where a credit is seen within {format_duration(asked.delay)}.\n"
        f"  From {advice.months} months drawn from {advice.past_days} days: a month spends "
        f"{format_usd(advice.month_mean_microusd)} on average, "
        f"{format_usd(advice.month_most_microusd)} at the most\n"
    )


def _charges(charges: Sequence[SimulatedCharge], unit: str = USD) -> str:
    total = sum(charge.amount_microusd for charge in charges)
    return f"{len(charges)} · {format_amount(total, unit)}" if charges else "none"


def _lowest(gauge: Gauge, unit: str) -> str:
    return "unknown" if gauge.lowest_microusd is None else format_amount(gauge.lowest_microusd, unit)


def _below(gauge: Gauge) -> str:
    minutes = gauge.below_zero // timedelta(minutes=1)
    if not minutes:
        return "none"
    days, rest = divmod(minutes, 24 * 60)
    return f"{days} d {rest // 60} h" if days else f"{rest // 60} h {rest % 60} min"


def _alarms(alarms: Sequence[FalseAlarm]) -> str:
    if not alarms:
        return "none"
    return f"{len(alarms)} ({', '.join(sorted({alarm.rule for alarm in alarms}))})"


def _refusals(outcome: ReplayOutcome) -> str:
    return ", ".join(f"{name} {count}×" for name, count in sorted(outcome.refusals.items())) or "none"


def _plain(microusd: int) -> str:
    return format_usd(microusd).removeprefix("$").replace(",", "_")


def _percentage(part: Decimal) -> str:
    return f"{(part * 100).quantize(Decimal('0.1')).normalize():f} %"


# ── for a program ───────────────────────────────────────────────────────────────────────────────────────────────────


def _as_json(one: Comparison) -> dict[str, Any]:
    really = one.happened
    listed: dict[str, Any] = {
        "account": one.account,
        "since": rfc3339(one.since),
        "until": rfc3339(one.until),
        "partial": one.partial,
        "unit": one.unit,
        HAPPENED: {
            "events": dict(sorted(really.events.items())),
            "reminders": really.reminders,
            **_balance_json(really.balance, really.charges, really.episodes, really.false_alarms, one.unit),
            "credits": _charges_json(really.credits, one.unit),
        },
        "replays": [
            {"configuration": label, **_outcome_json(outcome, one.unit)} for label, outcome in one.outcomes.items()
        ],
    }
    if one.advised is not None:
        advice = one.advised.advice
        listed["advice"] = {
            "when_below_usd": to_number(advice.threshold_microusd),
            "amount_usd": to_number(advice.amount_microusd),
            "risk_percent": _json_number(advice.risk * 100),
            "charges_per_month": round(advice.charges_mean, 2),
            "charges_per_month_most": advice.charges_most,
            "month_spend_usd": to_number(advice.month_mean_microusd),
            "month_spend_usd_most": to_number(advice.month_most_microusd),
            "months": advice.months,
            "past_days": advice.past_days,
            "replay": _outcome_json(one.advised.outcome, one.unit),
        }
    return listed


def _outcome_json(outcome: ReplayOutcome, unit: str) -> dict[str, Any]:
    return {
        "readings": outcome.readings,
        "events": dict(sorted(outcome.events.items())),
        "reminders": outcome.reminders,
        **_balance_json(outcome.balance, outcome.charges, outcome.episodes, outcome.false_alarms, unit),
        "held_back": dict(sorted(outcome.refusals.items())),
    }


def _balance_json(
    gauge: Gauge, charges: Sequence[SimulatedCharge], episodes: int, alarms: Sequence[FalseAlarm], unit: str
) -> dict[str, Any]:
    lowest = None if gauge.lowest_microusd is None else to_number(gauge.lowest_microusd)
    return {
        "charges": _charges_json(charges),
        "charged_usd": to_number(sum(charge.amount_microusd for charge in charges)),
        "lowest_available": lowest,
        **({"lowest_available_usd": lowest} if unit == USD else {}),
        "below_zero_s": gauge.below_zero // timedelta(seconds=1),
        "episodes": episodes,
        "false_alarms": [
            {"rule": alarm.rule, "opened_at": rfc3339(alarm.opened_at), "closed_at": rfc3339(alarm.closed_at)}
            for alarm in alarms
        ],
    }


def _charges_json(charges: Sequence[SimulatedCharge], unit: str = USD) -> list[Mapping[str, Any]]:
    name = "amount_usd" if unit == USD else "amount"
    return [{"at": rfc3339(charge.at), name: to_number(charge.amount_microusd)} for charge in charges]


def _json_number(value: Decimal) -> int | float:
    return to_number(int(value.scaleb(6)))
