"""How `status` looks: a block an account, or a table where there are many and the terminal is wide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from shutil import get_terminal_size
from typing import Any
from zoneinfo import ZoneInfo

import typer

from alerts.model.spend import Spent
from alerts.model.units import GB, USD, with_older_names
from alerts.rules.numbers import moment, money, number, span, to_the_cent, up_to_the_cent
from daemon.commands.common import print_table
from daemon.fleet.holdings import BUCKETS
from daemon.status.overview import BudgetLine, Overview
from daemon.status.text import amount, days_words, has_money, left, lines, month_words, quota_words, read_words
from daemon.store.fleet import DaemonRow
from daemon.store.health import StoredHealth

TABLE_FROM_ACCOUNTS = 4
TABLE_FROM_COLUMNS = 140


def document(
    found: Sequence[Overview],
    now: datetime,
    health: StoredHealth | None,
    pid: int | None,
    daemons: Sequence[DaemonRow] = (),
) -> dict[str, Any]:
    """Return what `status --json` prints; the names are those of the events. `daemons`: that share a server."""
    return {
        "now": moment(now),
        "daemon": {"pid": pid, **_health(health if pid is not None else None)},
        "daemons": [
            {
                "name": one.name,
                "host": one.host,
                "pid": one.pid,
                "buckets": one.buckets,
                "since": moment(one.since),
                "renewed_at": moment(one.renewed_at),
                "health": _health(one.health),
            }
            for one in daemons
        ],
        "accounts": [_entry(one) for one in found],
    }


def _health(health: StoredHealth | None) -> dict[str, Any]:
    """Return a daemon's own last judgement of its health; nothing is known where none runs."""
    return {
        "fresh": None if health is None else health.fresh,
        "reasons": [] if health is None else list(health.reasons),
        "since": None if health is None else moment(health.since),
    }


def _entry(one: Overview) -> dict[str, Any]:
    metrics = None if one.known is None else one.known.metrics
    age = one.age
    return {
        "account": one.account.id,
        "label": one.account.label or None,
        "provider": one.account.provider,
        "observed_at": None if one.known is None else moment(one.known.at),
        "age_s": None if age is None else age // timedelta(seconds=1),
        "stale": one.is_old,
        "next_poll": _next_poll(one),
        "unavailable": _outage(one),
        "not_used": [] if metrics is None else [words for _, words in metrics.unusable],
        **with_older_names(one.account.unit, _balances(one)),
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


def _next_poll(one: Overview) -> dict[str, Any] | None:
    found = one.next_poll
    if found is None:
        return None
    return {"at": moment(found.at), "interval_s": found.interval // timedelta(seconds=1), "why": found.why}


def _balances(one: Overview) -> dict[str, int | float | None]:
    metrics = None if one.known is None else one.known.metrics
    return {
        "balance": None if metrics is None else money(metrics.balance_microusd),
        "uncharged": None if metrics is None else money(metrics.uncharged_microusd),
        "available": None if metrics is None else money(metrics.available_microusd),
        "burn_per_day": None if one.burn is None else to_the_cent(one.burn.microusd_per_day),
    }


def _month_figures(one: Overview, spent: Spent) -> dict[str, Any]:
    """What was spent and what was used, each in its unit; in dollars and gigabytes under the older names as well."""
    paid = money(spent.microusd) if has_money(one) else None
    used = money(spent.microgb) if one.quota is not None else None
    found: dict[str, Any] = {
        "unit": one.account.unit,
        "spent": paid,
        "quota_unit": one.account.quota_unit,
        "used": used,
    }
    if one.account.unit == USD:
        found["spent_usd"] = paid
    if one.account.quota_unit == GB:
        found["spent_gb"] = used
    return found


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
    figures = {
        "used": money(quota.used_microgb),
        "reserved": money(quota.reserved_microgb),
        "effective": money(quota.effective_microgb),
        "limit": money(quota.limit_microgb),
    }
    return {
        **with_older_names(one.account.quota_unit, figures),
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
        **_month_figures(one, spent),
        "partial": spent.partial,
    }


def _budget(line: BudgetLine) -> dict[str, Any]:
    ahead = None if line.projection is None else up_to_the_cent(line.projection.likely)
    figures = {"spent": money(line.spent), "limit": money(line.limit), "projected": ahead}
    return {
        "rule": line.rule,
        "period": line.period.value,
        "period_start": moment(line.start),
        "period_end": moment(line.end),
        **with_older_names(line.unit, figures),
        "percent": number(line.percent),
        "partial": line.partial,
    }


# ── for a person ────────────────────────────────────────────────────────────────────────────────────────────────────


def show(found: Sequence[Overview], zone: ZoneInfo) -> None:
    """Print the accounts for a person."""
    if not found:
        typer.echo("no account is configured")
    elif len(found) >= TABLE_FROM_ACCOUNTS and get_terminal_size().columns >= TABLE_FROM_COLUMNS:
        _show_table(found)
    else:
        for number_, one in enumerate(found):
            if number_:
                typer.echo()
            _show_block(one, zone)


def show_health(health: StoredHealth | None, pid: int | None, zone: ZoneInfo) -> None:
    """Say where the daemon that runs is not fresh, as `/healthz` does; nothing where all is well."""
    if pid is not None and health is not None and not health.fresh:
        _show_trouble(f"\nthe daemon (pid {pid}) is", health, zone)


def _show_trouble(who_is: str, health: StoredHealth, zone: ZoneInfo) -> None:
    typer.echo(f"{who_is} not fresh since {health.since.astimezone(zone):%Y-%m-%d %H:%M}:")
    for reason in health.reasons:
        typer.echo(f"  {reason}")


def show_daemons(daemons: Sequence[DaemonRow], now: datetime, zone: ZoneInfo) -> None:
    """Name the daemons that share a server, what part of the accounts each holds, and how it fares, trouble first;
    nothing where there is none.
    """
    if daemons:
        typer.echo()
    for one in sorted(daemons, key=lambda one: one.is_fresh):
        heard_s = max((now - one.renewed_at).total_seconds(), 0)
        held = f"{one.buckets} of {BUCKETS} buckets, heard of {heard_s:.0f} s ago"
        said = f"daemon {one.name} (pid {one.pid} on {one.host}): {held}"
        if one.health is None or one.is_fresh:
            typer.echo(said)
        else:
            _show_trouble(f"{said},", one.health, zone)


def _show_table(found: Sequence[Overview]) -> None:
    columns = ["account", "balance", "pending", "available", "burn a day", "days left", "quota"]
    columns += ["this month", "alerts", "top-up", "read"]
    right = ["balance", "pending", "available", "burn a day", "days left"]
    rows = []
    for one in found:
        metrics, unit = None if one.known is None else one.known.metrics, one.account.unit
        rows.append(
            [
                one.account.id,
                left(None if metrics is None else metrics.balance_microusd, unit),
                amount(None if metrics is None else metrics.uncharged_microusd, unit),
                left(None if metrics is None else metrics.available_microusd, unit),
                amount(None if one.burn is None else one.burn.microusd_per_day, unit),
                days_words(one.days_remaining),
                quota_words(one, short=True) or "–",
                "; ".join(month_words(one, short=True)) or "–",
                ", ".join(f"{episode.rule} ({episode.severity.value})" for episode in one.episodes) or "none",
                "–" if one.topup is None else one.topup.state,
                read_words(one),
            ]
        )
    print_table("Accounts", columns, rows, right=right)


def _show_block(one: Overview, zone: ZoneInfo) -> None:
    name = f" · {one.account.label}" if one.account.label else ""
    typer.echo(f"{one.account.id}{name} ({one.account.provider}), {read_words(one)}")
    for label, words in lines(one, zone):
        typer.echo(f"  {label:<11}{words}")
