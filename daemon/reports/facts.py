"""The facts of a report, gathered from the store, and the report made of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from alerts.model.accounts import AccountInfo
from alerts.model.spans import Span
from alerts.model.values import replace
from alerts.reports.pictures import drawing
from alerts.reports.report import OpenAlert, Report, ReportFacts, build
from alerts.reports.statements import Statement
from alerts.reports.statements import build as build_statement
from alerts.templating import Templates
from daemon.config.model import Config, ReportConfig
from daemon.reports.charts import draw
from daemon.store import Store, reports, states
from daemon.store.readings import accounts_seen
from daemon.store.statement_readings import readings_over

CHARGES_LOOK_BACK = timedelta(days=35)
"""A charge so long before a period may still be credited in it."""


def accounts_of(config: Config, report: ReportConfig, seen: Iterable[str]) -> list[str]:
    """Return the report's accounts: configured ones in their order, then those that only the history knows."""
    every = [*config.accounts, *sorted(set(seen) - set(config.accounts))]
    return [account for account in every if any(fnmatchcase(account, pattern) for pattern in report.accounts)]


def gather(config: Config, conn: sqlite3.Connection, report: ReportConfig, span: Span, now: datetime) -> ReportFacts:
    """Return everything that the report of this period says. Only reads."""
    wanted = accounts_of(config, report, accounts_seen(conn))
    statements = []
    for account in wanted:
        statement = _statement(config, conn, account, span, now)
        if account in config.accounts or statement.since is not None:
            statements.append(statement)
    names = {s.account.id: s.account.name for s in statements}
    blocked = [*reports.capped(conn, span.start, now), *reports.stopped(conn)]
    return ReportFacts(
        report=report.id,
        span=span,
        zone=config.timezone,
        made_at=now,
        statements=tuple(statements),
        alerts=tuple(alert for alert in _open_alerts(conn, names)),
        blocked=tuple(
            replace(b, account=names.get(b.account, b.account)) for b in blocked if _concerns(b.account, names)
        ),
        dead=reports.dead_deliveries(conn, span.start, now),
    )


async def make_report(
    config: Config,
    store: Store,
    report: ReportConfig,
    span: Span,
    now: datetime,
    *,
    templates: Templates,
    link: str = "cid:",
    preview: bool = False,
) -> Report:
    """Return the report of a period, with its charts where they can be drawn. Raises jinja2.TemplateError."""
    facts = replace(await asyncio.to_thread(_gather_apart, config, store.path, report, span, now), preview=preview)
    wanted = {s.account.id: d for s in facts.statements if (d := drawing(s, config.timezone)) is not None}
    pictures = await draw(wanted)
    return await asyncio.to_thread(build, facts, templates=templates, pictures=pictures, with_csv=report.csv, link=link)


def _gather_apart(config: Config, path: Path, report: ReportConfig, span: Span, now: datetime) -> ReportFacts:
    """Gather in a thread, on a connection of its own: a long history holds up no poll."""
    store = Store(path, readonly=True)
    try:
        return gather(config, store.reader, report, span, now)
    finally:
        store.close()


def _statement(config: Config, conn: sqlite3.Connection, account: str, span: Span, now: datetime) -> Statement:
    known = config.accounts.get(account)
    info = known.info if known is not None else AccountInfo(account, "no longer configured")
    end = min(span.end, now)
    readings, polls = readings_over(conn, account, span.start, end)
    charges = reports.charges(conn, account, span.start - CHARGES_LOOK_BACK, end)
    statement = build_statement(info, span, readings, charges, now=now)
    return replace(statement, readings=polls)


def _open_alerts(conn: sqlite3.Connection, names: dict[str, str]) -> Iterable[OpenAlert]:
    for episode in states.episodes(conn, open_only=True):
        if episode.account in names:
            yield OpenAlert(
                names[episode.account], episode.rule, episode.severity.value, episode.opened_at, episode.why
            )


def _concerns(account: str, names: dict[str, str]) -> bool:
    return account in names or account == "every account"
