"""The facts of a report: gathered from the store once, stored with their boundary values, and read from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from alerts.model.accounts import AccountInfo
from alerts.model.spans import Span, SpanKind, span_at, span_before
from alerts.model.specs import Budget, LowBalance, RuleIndex
from alerts.model.values import replace
from alerts.reports.credits import DeclinedCharge
from alerts.reports.facts import ReportFacts
from alerts.reports.past import Edge
from alerts.reports.pictures import Drawing, drawing, spend_drawing
from alerts.reports.report import Extras, Report, build
from alerts.reports.statements import Before, CardSide, PeriodBudget, Statement
from alerts.reports.statements import build as build_statement
from alerts.reports.totals import totals
from alerts.templating import WRONG_TEMPLATE, Templates, where_wrong
from daemon.config.model import Config, ReportConfig
from daemon.limits import CHARTS_PER_REPORT
from daemon.places import Place
from daemon.reports.charts import draw
from daemon.store import Store, report_basis, reports
from daemon.store.card_side import CardPeriod, card_side, declines
from daemon.store.connection import Connection
from daemon.store.readings import accounts_seen
from daemon.store.statement_readings import past_over

_ALL = ""
"""The key of the chart over all accounts."""


def accounts_of(config: Config, report: ReportConfig, seen: Iterable[str]) -> list[str]:
    """Return the report's accounts: configured ones in their order, then those that only the history knows."""
    every = [*config.accounts, *sorted(set(seen) - set(config.accounts))]
    return [account for account in every if any(fnmatchcase(account, pattern) for pattern in report.accounts)]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a report says, and the boundary values to store with it."""

    facts: ReportFacts
    edges: tuple[tuple[str, Edge], ...]


@dataclass(frozen=True, slots=True)
class _Gathering:
    """What every statement of one report needs."""

    config: Config
    conn: Connection
    span: Span
    before: Span
    now: datetime
    cuts: tuple[datetime, ...]
    period: CardPeriod
    rules: RuleIndex
    declined: Mapping[str, tuple[DeclinedCharge, ...]]
    earlier: Mapping[str, Statement]
    """The statements of the period before, where its report is stored."""


def gather(config: Config, conn: Connection, report: ReportConfig, span: Span, now: datetime) -> ReportFacts:
    """Return what the report of this period says: as it is stored, else as the store tells it now. Only reads."""
    return report_basis.load(conn, report.id, span) or gather_anew(config, conn, report, span, now).facts


def gather_anew(config: Config, conn: Connection, report: ReportConfig, span: Span, now: datetime) -> Gathered:
    """Return what the store tells of the period now, whatever is stored of the report. Only reads."""
    zone = config.timezone
    before = span_before(span.kind, span.start, zone)
    end = min(span.end, now)
    stored = report_basis.load(conn, report.id, before)
    given = _Gathering(
        config=config,
        conn=conn,
        span=span,
        before=before,
        now=now,
        cuts=_cuts(config, span, end),
        period=CardPeriod(
            span.start,
            end,
            span.start.astimezone(zone).date(),
            (span.end - timedelta(seconds=1)).astimezone(zone).date(),
            report_basis.made_before(conn, report.id, span.start),
        ),
        rules=RuleIndex(config.rules),
        declined=declines(conn, span.start, end),
        earlier={} if stored is None else {one.account.id: one for one in stored.statements},
    )
    made = [one for account in accounts_of(config, report, accounts_seen(conn)) if (one := _statement(given, account))]
    statements = [statement for statement, _ in made]
    names = {one.account.id: one.account.name for one in statements}
    blocked = [*reports.capped(conn, span.start, end), *reports.stopped(conn, end)]
    facts = ReportFacts(
        report=report.id,
        span=span,
        zone=zone,
        made_at=now,
        statements=_without_needless_series(statements),
        alerts=tuple(
            replace(alert, account=names[alert.account])
            for alert in reports.alerts(conn, span.start, end)
            if alert.account in names
        ),
        blocked=tuple(
            replace(b, account=names.get(b.account, b.account)) for b in blocked if _concerns(b.account, names)
        ),
        dead=reports.dead_deliveries(conn, span.start, end),
        title_before=before.title,
    )
    edges = [(statement.account.id, edge) for statement, edges in made for edge in edges]
    return Gathered(facts, tuple(edges))


def _cuts(config: Config, span: Span, end: datetime) -> tuple[datetime, ...]:
    """The period's start, each midnight inside, and its end."""
    cuts = [span.start]
    while (following := span_at(SpanKind.DAY, cuts[-1], config.timezone).end) < end:
        cuts.append(following)
    return (*cuts, end) if end > span.start else (span.start, end)


def _statement(given: _Gathering, account: str) -> tuple[Statement, tuple[Edge, ...]] | None:
    """The account's statement with its boundary values; None for one that is gone and was not read in the period."""
    conn, span = given.conn, given.span
    known, earlier = given.config.accounts.get(account), given.earlier.get(account)
    pinned = report_basis.pinned(conn, account, given.before.start, span.end)
    past = past_over(conn, account, given.cuts, pinned)
    card = card_side(conn, account, given.period, given.declined.get(account, ()))
    if known is None and not past.readings and card == CardSide(earlier_returns=card.earlier_returns):
        return None
    info = known.info if known is not None else _gone(account, earlier)
    made = build_statement(info, span, past, card, now=given.now)
    rules = given.rules.covering(account)
    thresholds = [rule.below_microusd for rule in rules if isinstance(rule, LowBalance)]
    made = replace(
        made,
        budgets=tuple(
            PeriodBudget(rule.id, rule.limit_microusd)
            for rule in rules
            if isinstance(rule, Budget) and rule.limit_microusd is not None and rule.period.value == span.kind.value
        ),
        before=_before(given, account, info, earlier, pinned) if made.figures is not None else None,
        threshold=max(thresholds, default=None),
    )
    return made, (past.edges[0], past.edges[-1])


def _gone(account: str, earlier: Statement | None) -> AccountInfo:
    """An account that left the configuration is called as the report before called it."""
    gone = "no longer configured"
    return AccountInfo(account, gone) if earlier is None else replace(earlier.account, provider=gone)


def _before(
    given: _Gathering, account: str, info: AccountInfo, earlier: Statement | None, pinned: Mapping[datetime, Edge]
) -> Before | None:
    """What was spent in the period before: as its report says, else as the readings tell it. None of half a period."""
    if earlier is None:
        cuts = (given.before.start, given.before.end)
        past = past_over(given.conn, account, cuts, pinned, series=False)
        period = replace(given.period, start=cuts[0], end=cuts[1])
        card = card_side(given.conn, account, period)
        earlier = build_statement(info, given.before, past, card, now=given.now, own_days=False)
    return None if earlier.figures is None or earlier.begins_inside else Before(earlier.spent, earlier.units)


def _without_needless_series(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Only what is drawn is stored: accounts in trouble first, then those that spent most."""
    every = tuple(statements)
    wanted = sorted(every, key=lambda one: (not one.issues, one.figures is not None, -one.spent))[:CHARTS_PER_REPORT]
    drawn = {one.account.id for one in wanted}
    return tuple(one if one.account.id in drawn else replace(one, series=()) for one in every)


class ReportError(Exception):
    """A report cannot be made; the message says why, with the file and line of the template where it is its."""


async def facts_for(
    config: Config, store: Store, report: ReportConfig, span: Span, now: datetime, *, preview: bool = False
) -> ReportFacts:
    """Return what the report rests on, gathered beside the loop; raises ValueError where what is stored is damaged.

    It is stored where the period has ended and the store can be written: every later report of the period reads it.
    """
    found = await asyncio.to_thread(_gather_apart, config, store.place, report, span, now)
    if isinstance(found, ReportFacts):
        return replace(found, preview=preview)
    if store.readonly or preview or now < span.end:
        return replace(found.facts, preview=preview)
    return await store.apart(keep, store, found)


async def render(facts: ReportFacts, report: ReportConfig, templates: Templates, *, link: str = "cid:") -> Report:
    """Return the report of its facts, with its charts where they can be drawn; raises ReportError."""
    pictures = await draw(_drawings(facts))
    extras = Extras(report.csv, report.xlsx, report.journal, link)
    try:
        return await asyncio.to_thread(build, facts, templates=templates, pictures=pictures, extras=extras)
    except WRONG_TEMPLATE as error:
        if not (where := where_wrong(error)):
            raise
        raise ReportError(f"the template {where}: {type(error).__name__}: {error}") from error


def keep(store: Store, gathered: Gathered) -> ReportFacts:
    """Store what a report rests on; returns what is stored, if another process was first."""
    with store.write(durable=True) as tx:
        return report_basis.keep(tx, gathered.facts, gathered.edges)


def _drawings(facts: ReportFacts) -> dict[str, Drawing]:
    """The chart over all accounts, then those of the accounts that are drawn."""
    money = [one for one in facts.statements if one.figures is not None]
    every = totals(facts.statements)
    whole = bool(every) and all(one.budget is not None for one in money)
    found: dict[str, Drawing | None] = {
        _ALL: spend_drawing(facts.statements, facts.span, every[0].budget if whole else None, facts.zone)
    }
    found |= {one.account.id: drawing(one, facts.zone) for one in facts.statements}
    return {key: one for key, one in found.items() if one is not None}


def _gather_apart(
    config: Config, place: Place, report: ReportConfig, span: Span, now: datetime
) -> ReportFacts | Gathered:
    """Gather in a thread, on a connection of its own: a long history holds up no poll."""
    store = Store(place, readonly=True)
    try:
        with store.snapshot() as conn:
            return report_basis.load(conn, report.id, span) or gather_anew(config, conn, report, span, now)
    finally:
        store.close()


def _concerns(account: str, names: dict[str, str]) -> bool:
    return account in names or account == "every account"
