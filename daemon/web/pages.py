"""What the page shows, read in one go from one snapshot of the database: values and words for the templates."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from alerts.model.money import format_gb, format_usd, show_gb, show_usd
from alerts.rules.state import Episode
from daemon.config.model import Config
from daemon.status.overview import BudgetLine, Overview, look
from daemon.status.text import lines, local, read_words
from daemon.store import ledger_notes, ledger_reads, states
from daemon.store.deliveries import failing_receivers
from daemon.store.summaries import Summary, SummarySpan, summaries
from daemon.store.topup_rows import EVERYWHERE, Stop, Topup
from daemon.web import charts
from daemon.web.choice import Wanted, choose, tone_of

EPISODES_SHOWN = 50
TOPUPS_SHOWN = 50
HOURLY_UP_TO = timedelta(days=45)
"""Over a longer time the charts have a point a day."""
_FULL = Decimal(100)


@dataclass(frozen=True, slots=True)
class Meter:
    """A bar from nothing to its limit. `percent` may be above a hundred; `width` never is."""

    name: str
    words: str
    percent: Decimal
    tone: str

    @property
    def width(self) -> Decimal:
        return min(max(self.percent, Decimal(0)), _FULL)


@dataclass(frozen=True, slots=True)
class Card:
    """One account as the page shows it. `tone`: good, warning, critical, or quiet where nothing is known."""

    id: str
    label: str
    provider: str
    read: str
    tone: str
    headline: str
    about: str
    lines: tuple[tuple[str, str], ...]
    meters: tuple[Meter, ...]


def front(
    config: Config, connection: sqlite3.Connection, now: datetime, stale_jobs: Sequence[str], wanted: Wanted
) -> dict[str, Any]:
    """Return the values of the front page."""
    zone = config.timezone
    chosen = choose(config, connection, wanted)
    return {
        **_common(config, now),
        "chosen": chosen,
        "cards": [
            _card(look(config, account, states.load(connection, account.id), connection, now), zone)
            for account in chosen.accounts
        ],
        "unfresh": list(stale_jobs),
        "topups": [_topup(topup, zone) for topup in ledger_reads.open_topups(connection)],
        "stops": [_stop(stop, zone) for stop in ledger_notes.stops(connection)],
        "receivers": [
            {
                "key": one.key,
                "since": "" if one.failing_since is None else local(one.failing_since, zone),
                "failures": one.failures,
                "stopped": one.stopped_at is not None,
                "error": one.last_error,
            }
            for one in failing_receivers(connection)
        ],
    }


def account(config: Config, connection: sqlite3.Connection, now: datetime, name: str, days: int) -> dict[str, Any]:
    """Return the values of an account's page; the account is configured."""
    zone = config.timezone
    configured = config.accounts[name]
    one = look(config, configured, states.load(connection, name), connection, now)
    since = now - timedelta(days=days)
    return {
        **_common(config, now),
        "card": _card(one, zone),
        "days": days,
        "charts": _charts(connection, one, charts.ChartSpan(since, now, zone)),
        "episodes": [
            _episode(episode, zone)
            for episode in states.episodes(connection, account=name, since=since)[:EPISODES_SHOWN]
        ],
        "topups": [
            _topup(topup, zone) for topup in reversed(ledger_reads.of_account(connection, name)[-TOPUPS_SHOWN:])
        ],
    }


def _common(config: Config, now: datetime) -> dict[str, Any]:
    return {"now": local(now, config.timezone), "zone": config.timezone.key}


# ── an account ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _card(one: Overview, zone: ZoneInfo) -> Card:
    headline, about = _headline(one)
    return Card(
        one.account.id,
        one.account.label,
        one.account.provider,
        read_words(one),
        tone_of(one.known is not None, one.outage is not None, {episode.severity for episode in one.episodes}),
        headline,
        about,
        tuple(lines(one, zone)),
        tuple(_meters(one)),
    )


def _headline(one: Overview) -> tuple[str, str]:
    """The one number that matters, and what it is."""
    if one.known is not None and one.known.metrics.available_microusd is not None:
        return show_usd(one.known.metrics.available_microusd), "available"
    if one.quota is not None:
        return format_gb(one.quota.effective_microgb), "used and reserved"
    return "–", "not known yet"


def _meters(one: Overview) -> list[Meter]:
    found = []
    quota = one.quota
    if quota is not None and quota.limit_microgb is not None and quota.percent is not None:
        effective, limit = quota.effective_microgb, quota.limit_microgb
        words = f"{show_gb(effective, limit)} of {show_gb(limit, effective)}"
        found.append(Meter("quota", words, quota.percent, _full(quota.percent)))
    return found + [_budget(line) for line in one.budgets]


def _budget(line: BudgetLine) -> Meter:
    form = show_gb if line.volume else show_usd
    words = f"{form(line.spent, line.limit)} of {form(line.limit, line.spent)} this {line.period.value}"
    return Meter(line.rule, words, line.percent, _full(line.percent))


def _full(percent: Decimal) -> str:
    if percent >= _FULL:
        return "critical"
    return "warning" if percent >= 80 else "good"


def _charts(connection: sqlite3.Connection, one: Overview, span: charts.ChartSpan) -> list[charts.Chart]:
    name = one.account.id
    daily = span.until - span.since > HOURLY_UP_TO
    width = SummarySpan.DAY if daily else SummarySpan.HOUR
    read: list[Summary] = list(summaries(connection, name, width, span.since, span.until))
    per_day = list(summaries(connection, name, SummarySpan.DAY, span.since - timedelta(days=1), span.until))
    gap = timedelta(days=2) if daily else timedelta(hours=3)
    below = None if one.topup is None else one.topup.when_below_microusd
    limit = None if one.quota is None else one.quota.limit_microgb
    drawn = [
        charts.line("Available", charts.available(read), span, gap=gap, volume=False, mark=below),
        charts.line("Used and reserved", charts.effective(read), span, gap=gap, volume=True, mark=limit),
        charts.bars("Spent a day (UTC)", charts.spent(per_day), span, volume=False),
        charts.bars("Grown a day (UTC)", charts.grown(per_day), span, volume=True),
    ]
    return [chart for chart in drawn if chart is not None]


def _episode(episode: Episode, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "rule": episode.rule,
        "severity": episode.severity.value,
        "opened": local(episode.opened_at, zone),
        "closed": "" if episode.closed_at is None else local(episode.closed_at, zone),
        "why": episode.why,
        "ended": episode.closed_why,
    }


# ── money and deliveries ────────────────────────────────────────────────────────────────────────────────────────────


def _topup(topup: Topup, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": topup.id,
        "account": topup.account,
        "state": topup.state.value.replace("_", " "),
        "amount": format_usd(topup.amount_microusd),
        "since": local(topup.state_at, zone),
        "planned": local(topup.planned_at, zone),
        "reason": topup.reason,
    }


def _stop(stop: Stop, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "scope": "every account" if stop.scope == EVERYWHERE else stop.scope,
        "kind": stop.kind.value,
        "reason": stop.reason.replace("_", " "),
        "message": stop.message,
        "since": local(stop.since_at, zone),
    }
