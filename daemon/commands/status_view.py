"""How `status` looks: a block an account, or a table where there are many and the terminal is wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from alerts.money import format_gb, format_usd
from alerts.rules.numbers import moment, money, number, span, to_the_cent
from daemon.commands.common import print_table
from daemon.overview import BudgetLine, Overview

TABLE_FROM_ACCOUNTS = 4
TABLE_FROM_COLUMNS = 140
_TENTH = Decimal("0.1")


def document(found: Sequence[Overview], now: datetime) -> dict[str, Any]:
    """Return what `status --json` prints; the names are those of the events."""
    return {"now": moment(now), "accounts": [_entry(one) for one in found]}


def _entry(one: Overview) -> dict[str, Any]:
    metrics = None if one.known is None else one.known.metrics
    age = one.age
    return {
        "account": one.account.id,
        "label": one.account.label or None,
        "provider": one.account.provider,
        "observed_at": None if one.known is None else moment(one.known.at),
        "age_s": None if age is None else age // timedelta(seconds=1),
        "unavailable": _outage(one),
        "balance_usd": None if metrics is None else money(metrics.balance_microusd),
        "uncharged_usage_usd": None if metrics is None else money(metrics.uncharged_microusd),
        "available_usd": None if metrics is None else money(metrics.available_microusd),
        "burn_usd_per_day": None if one.burn is None else to_the_cent(one.burn.microusd_per_day),
        "basis": None if one.burn is None else one.burn.basis,
        "partial": one.burn is not None and one.burn.partial,
        "days_remaining": number(one.days_remaining),
        "runs_out_at": span(one.runway),
        "provider_estimate": None
        if one.estimate is None
        else {"snapshots": one.estimate.snapshots, "days": number(one.estimate.days)},
        "quota": _quota(one),
        "month": _month(one),
        "budgets": [_budget(line) for line in one.budgets],
        "alerts": [
            {
                "rule": episode.rule,
                "episode": episode.id,
                "severity": episode.severity.value,
                "opened_at": moment(episode.opened_at),
                "why": episode.why,
            }
            for episode in one.episodes
        ],
        "topup": None
        if one.topup is None
        else {
            "state": one.topup.state,
            "mode": one.topup.mode,
            "reason": one.topup.reason or None,
            "id": one.topup.id,
            "when_below_usd": money(one.topup.when_below_microusd),
        },
    }


def _outage(one: Overview) -> dict[str, Any] | None:
    outage = one.outage
    if outage is None:
        return None
    return {
        "reason": outage.reason.value,
        "detail": outage.detail or None,
        "since": moment(outage.first_at),
        "last_at": moment(outage.last_at),
        "polls": outage.count,
    }


def _quota(one: Overview) -> dict[str, Any] | None:
    quota = one.quota
    if quota is None:
        return None
    return {
        "used_gb": money(quota.used_microgb),
        "reserved_gb": money(quota.reserved_microgb),
        "effective_gb": money(quota.effective_microgb),
        "limit_gb": money(quota.limit_microgb),
        "percent": number(quota.percent),
        "full_at": None if quota.fill is None else span(quota.fill.effective),
    }


def _month(one: Overview) -> dict[str, Any] | None:
    spent = one.month
    if spent is None:
        return None
    return {
        "period_start": moment(spent.start),
        "period_end": moment(spent.end),
        "spent_usd": money(spent.microusd) if _has_money(one) else None,
        "spent_gb": money(spent.microgb) if one.quota is not None else None,
        "partial": spent.partial,
    }


def _has_money(one: Overview) -> bool:
    return one.known is not None and one.known.metrics.available_microusd is not None


def _budget(line: BudgetLine) -> dict[str, Any]:
    unit = "gb" if line.volume else "usd"
    return {
        "rule": line.rule,
        "period": line.period.value,
        "period_start": moment(line.start),
        "period_end": moment(line.end),
        f"spent_{unit}": money(line.spent),
        f"limit_{unit}": money(line.limit),
        "percent": number(line.percent),
        f"projected_{unit}": None if line.projection is None else to_the_cent(line.projection.likely),
        "partial": line.partial,
    }


# ── for a person ────────────────────────────────────────────────────────────────────────────────────────────────────


def show(found: Sequence[Overview], zone: ZoneInfo) -> None:
    """Print the accounts for a person."""
    if not found:
        typer.echo("no account is configured")
    elif len(found) >= TABLE_FROM_ACCOUNTS and Console().width >= TABLE_FROM_COLUMNS:
        _show_table(found)
    else:
        for number_, one in enumerate(found):
            if number_:
                typer.echo()
            _show_block(one, zone)


def _show_table(found: Sequence[Overview]) -> None:
    columns = ["account", "balance", "pending", "available", "burn a day", "days left", "quota"]
    columns += ["this month", "alerts", "top-up", "read"]
    right = ["balance", "pending", "available", "burn a day", "days left"]
    rows = []
    for one in found:
        metrics = None if one.known is None else one.known.metrics
        rows.append(
            [
                one.account.id,
                _usd(None if metrics is None else metrics.balance_microusd),
                _usd(None if metrics is None else metrics.uncharged_microusd),
                _usd(None if metrics is None else metrics.available_microusd),
                _usd(None if one.burn is None else one.burn.microusd_per_day),
                _days(one.days_remaining),
                _quota_words(one, short=True) or "–",
                "; ".join(_month_words(one, short=True)) or "–",
                ", ".join(f"{episode.rule} ({episode.severity.value})" for episode in one.episodes) or "none",
                "–" if one.topup is None else one.topup.state,
                _read(one),
            ]
        )
    print_table("Accounts", columns, rows, right=right)


def _show_block(one: Overview, zone: ZoneInfo) -> None:
    name = f" · {one.account.label}" if one.account.label else ""
    typer.echo(f"{one.account.id}{name} ({one.account.provider}), {_read(one)}")
    for label, words in _lines(one, zone):
        typer.echo(f"  {label:<11}{words}")


def _lines(one: Overview, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    if one.outage is not None:
        outage = one.outage
        detail = f" ({outage.detail})" if outage.detail else ""
        polls = f"{outage.count} polls" if outage.count > 1 else "1 poll"
        yield "unreadable", f"{outage.reason.value}{detail}, {polls} since {_local(outage.first_at, zone)}"
    if one.known is not None:
        yield from _money_lines(one, zone)
    words = _quota_words(one, short=False)
    if words:
        yield "quota", words
        if one.quota is not None and one.quota.fill is not None and one.quota.fill.effective.likely_at is not None:
            yield "", f"full about {_local(one.quota.fill.effective.likely_at, zone)}"
    for number_, month in enumerate(_month_words(one, short=False)):
        yield "this month" if not number_ else "", month
    if one.known is not None and one.known.metrics.billing_error is not None:
        yield "billing", f"the provider says: {one.known.metrics.billing_error}"
    if not one.episodes:
        yield "alerts", "none"
    for number_, episode in enumerate(one.episodes):
        since = _local(episode.opened_at, zone)
        yield "" if number_ else "alerts", f"{episode.rule} ({episode.severity.value}) since {since}: {episode.why}"
    yield "top-up", _topup_words(one)


def _money_lines(one: Overview, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    assert one.known is not None
    metrics = one.known.metrics
    if metrics.balance_microusd is not None:
        pending = _usd(metrics.uncharged_microusd or 0)
        yield (
            "balance",
            f"{_usd(metrics.balance_microusd)}, {pending} pending: {_usd(metrics.available_microusd)} available",
        )
    if one.burn is not None:
        partial = ", less than a day of history" if one.burn.partial else ""
        yield "burn", f"{_usd(one.burn.microusd_per_day)} a day ({one.burn.basis}{partial})"
    if one.days_remaining is not None:
        yield "days left", f"{_days(one.days_remaining)}{_runs_out(one, zone)}"
    if one.estimate is not None:
        days = "" if one.estimate.days is None else f", {one.estimate.days} days"
        yield "", f"the provider's own estimate, of the whole balance: {one.estimate.snapshots:,} snapshots{days}"


def _runs_out(one: Overview, zone: ZoneInfo) -> str:
    ends = one.runway
    if ends is None or ends.likely_at is None:
        return ""
    if ends.earliest_at is None or ends.latest_at is None:
        return f", runs out about {_local(ends.likely_at, zone)}"
    early, late = _local(ends.earliest_at, zone), _local(ends.latest_at, zone)
    return f", runs out between {early} and {late} (8 times in 10)"


def _quota_words(one: Overview, *, short: bool) -> str:
    quota = one.quota
    if quota is None:
        return ""
    if quota.limit_microgb is None:
        return f"{format_gb(quota.effective_microgb)}, no limit"
    whole = f"{format_gb(quota.effective_microgb)} of {format_gb(quota.limit_microgb)} ({quota.percent} %)"
    if short or not quota.reserved_microgb:
        return whole
    return f"{whole}, {format_gb(quota.reserved_microgb)} of it reserved"


def _month_words(one: Overview, *, short: bool) -> list[str]:
    """Month spend, beside every budget of the account."""
    words = []
    for line in one.budgets:
        form = format_gb if line.volume else format_usd
        ahead = "" if line.projection is None else f", projected {form(line.projection.likely)}"
        period = "" if line.period.value == "month" else f" this {_PERIODS[line.period.value]}"
        partial = ", partial" if line.partial else ""
        words.append(f"{form(line.spent)} of {form(line.limit)}{period} ({line.percent} %{ahead}{partial})")
    if not any(line.period.value == "month" for line in one.budgets) and one.month is not None:
        why = " (partial)" if short else " (partial: history begins inside the month)"
        partial = why if one.month.partial else ""
        if _has_money(one):
            words.insert(0, f"{format_usd(one.month.microusd)} spent{partial}")
        elif one.quota is not None:
            words.insert(0, f"{format_gb(one.month.microgb)} used{partial}")
    return words


_PERIODS = {"day": "day", "week": "week", "quarter": "quarter", "billing": "billing period"}


def _topup_words(one: Overview) -> str:
    topup = one.topup
    if topup is None:
        return "none configured"
    if topup.state == "none":
        return f"none open; charges when below {format_usd(topup.when_below_microusd)}"
    name = topup.state if topup.id is None else f"{topup.state}, {topup.id}"
    return f"{name}: {topup.reason}" if topup.reason else name


def _read(one: Overview) -> str:
    age = one.age
    return "never read" if age is None else f"read {_age(age)} ago"


def _age(age: timedelta) -> str:
    seconds = age // timedelta(seconds=1)
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def _usd(microusd: int | None) -> str:
    return "–" if microusd is None else format_usd(microusd)


def _days(days: Decimal | None) -> str:
    return "–" if days is None else str(days.quantize(_TENTH))


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M")
