"""What the page shows, read in one go from one snapshot of the database: values and words for the templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alerts.model.money import format_amount, format_usd, show_amount
from alerts.rules.state import AccountState, Episode
from daemon.config.model import Config
from daemon.status.overview import Overview, look
from daemon.status.text import lines, local, read_words
from daemon.store import fleet, ledger_notes, ledger_reads, states
from daemon.store.connection import Connection
from daemon.store.deliveries import failing_receivers
from daemon.store.summaries import Summary, SummarySpan, summaries
from daemon.store.topup_rows import EVERYWHERE, Stop, Topup
from daemon.web import charts
from daemon.web.choice import Wanted, choose, tone_of
from daemon.web.rows import Meter, Rows, budget_meter, quota_meter, whose

LISTED = 50
"""Episodes, top-ups or stops in one list."""
HOURLY_UP_TO = timedelta(days=45)
"""Over a longer time the charts have a point a day."""


@dataclass(frozen=True, slots=True)
class Card:
    """One account as its page shows it. `tone`: good, warning, critical, or quiet where nothing is known.

    `provider`: also whose it is, and who manages it.
    """

    id: str
    label: str
    provider: str
    read: str
    tone: str
    headline: str
    about: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    meters: tuple[Meter, ...]


def front(
    config: Config,
    connection: Connection,
    now: datetime,
    stale_jobs: Sequence[str],
    wanted: Wanted,
    rows: Rows,
    known: Mapping[str, AccountState],
    number: int | None = None,
) -> dict[str, Any]:
    """Return the values of the front page. `known` is what the process remembers of accounts, `number` its row among
    the daemons that share a server.
    """
    zone, daemons = config.timezone, fleet.live(connection)
    chosen = choose(config, connection, wanted)
    topups, stops = ledger_reads.open_topups(connection), ledger_notes.stops(connection)
    return {
        **_common(config, now),
        "chosen": chosen,
        "rows": rows.build(connection, chosen.accounts, known, now),
        "daemons": [_daemon(one, zone) for one in sorted(daemons, key=lambda one: one.is_fresh)],
        "unfresh": _unfresh(stale_jobs, daemons, number),
        "topups": [_topup(topup, zone) for topup in topups[:LISTED]],
        "topups_open": len(topups),
        "stops": [_stop(stop, zone) for stop in stops[:LISTED]],
        "stops_all": len(stops),
        "receivers": [
            {
                "key": one.key,
                "since": "" if one.failing_since is None else local(one.failing_since, zone),
                "failures": one.failures,
                "stopped": one.stopped_at is not None,
                "error": one.last_error,
            }
            for one in sorted(failing_receivers(connection), key=lambda one: one.target != "")[:LISTED]
        ],
    }


def _daemon(one: fleet.DaemonRow, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "name": one.name,
        "pid": one.pid,
        "buckets": one.buckets,
        "since": local(one.since, zone),
        "unfresh": "" if one.health is None or one.is_fresh else local(one.health.since, zone),
    }


def _unfresh(stale_jobs: Sequence[str], daemons: Sequence[fleet.DaemonRow], number: int | None) -> list[str]:
    """Return what is late or fails, of every daemon: of this one as it is now, of each other by its own last word."""
    if not daemons:
        return list(stale_jobs)
    is_in = any(one.number == number for one in daemons)
    said = [] if is_in else [f"this daemon: {reason}" for reason in stale_jobs]
    for one in daemons:
        reasons = stale_jobs if one.number == number else one.health.reasons if one.health is not None else ()
        said += [f"{one.name}: {reason}" for reason in reasons]
    return said


def account(config: Config, connection: Connection, now: datetime, name: str, days: int) -> dict[str, Any]:
    """Return the values of an account's page; the account is configured."""
    zone = config.timezone
    configured = config.accounts[name]
    one = look(config, configured, states.load(connection, name), connection, now)
    span = charts.ChartSpan(now - timedelta(days=days), now, zone)
    episodes = states.episodes(connection, account=name, since=span.since)
    return {
        **_common(config, now),
        "card": _card(one, zone, " · ".join([configured.info.provider, *whose(config, configured)])),
        "days": days,
        "charts": _charts(connection, one, span, episodes),
        "chart_height": charts.HEIGHT,
        "episodes": [_episode(episode, zone) for episode in episodes[:LISTED]],
        "topups": [_topup(topup, zone) for topup in reversed(ledger_reads.of_account(connection, name)[-LISTED:])],
    }


def _common(config: Config, now: datetime) -> dict[str, Any]:
    return {"now": local(now, config.timezone), "zone": config.timezone.key}


# ── an account ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _card(one: Overview, zone: ZoneInfo, provider: str) -> Card:
    headline, about = _headline(one)
    return Card(
        one.account.id,
        one.account.label,
        provider,
        read_words(one),
        tone_of(one.known is not None, one.outage is not None, {episode.severity for episode in one.episodes}),
        headline,
        about,
        _grouped(lines(one, zone)),
        tuple(_meters(one)),
    )


def _grouped(said: Iterable[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each label with its lines: one without a label goes on where the one before ended."""
    found: dict[str, list[str]] = {}
    for name, words in said:
        found.setdefault(name or next(reversed(found)), []).append(words)
    return tuple((name, tuple(words)) for name, words in found.items())


def _headline(one: Overview) -> tuple[str, str]:
    """The one number that matters, and what it is."""
    if one.known is not None and one.known.metrics.available_microusd is not None:
        return show_amount(one.known.metrics.available_microusd, one.account.unit), "available"
    if one.quota is not None:
        return format_amount(one.quota.effective_microgb, one.account.quota_unit), "used and reserved"
    return "–", "not known yet"


def _meters(one: Overview) -> list[Meter]:
    found = []
    if one.known is not None and one.quota is not None and one.quota.limit_microgb:
        found.append(quota_meter(one.known.metrics, one.account.quota_unit))
    budgets = [budget_meter(line.rule, line.period, line.spent, line.limit, line.unit) for line in one.budgets]
    return found + budgets


def _charts(
    connection: Connection, one: Overview, span: charts.ChartSpan, episodes: Sequence[Episode]
) -> list[charts.Chart]:
    name, unit, quota_unit = one.account.id, one.account.unit, one.account.quota_unit
    daily = span.until - span.since > HOURLY_UP_TO
    width = SummarySpan.DAY if daily else SummarySpan.HOUR
    read: list[Summary] = list(summaries(connection, name, width, span.since, span.until))
    per_day = list(summaries(connection, name, SummarySpan.DAY, span.since - timedelta(days=1), span.until))
    gap = timedelta(days=2) if daily else timedelta(hours=3)
    below = None if one.topup is None else ("top-up below", one.topup.when_below_microusd)
    limit = None if one.quota is None or not one.quota.limit_microgb else ("quota", one.quota.limit_microgb)
    charged = [
        (topup.paid_at, f"{topup.id}: {format_usd(topup.amount_microusd)}")
        for topup in ledger_reads.charged_between(connection, name, span.since, span.until)
        if topup.paid_at is not None
    ]
    available, effective = charts.available(read), charts.effective(read)
    on_money, on_volume = (episodes, ()) if available else ((), episodes)
    drawn = [
        charts.line("Available", available, span, gap=gap, unit=unit, mark=below, credits=charged, episodes=on_money),
        charts.line("Used and reserved", effective, span, gap=gap, unit=quota_unit, mark=limit, episodes=on_volume),
        charts.bars("Spent a day (UTC)", charts.spent(per_day), span, unit=unit),
        charts.bars("Grown a day (UTC)", charts.grown(per_day), span, unit=quota_unit),
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
