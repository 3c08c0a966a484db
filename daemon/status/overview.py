"""What can be said of each account now: the one view that `status` prints and the local page shows.

Read only: from the state that the evaluation left, the store of readings and the ledger. Nothing is fetched or judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from alerts.forecast.burn import Burn
from alerts.forecast.estimate import Estimate, providers_estimate
from alerts.forecast.period import Projection, project
from alerts.forecast.quota import Fill, full_at
from alerts.forecast.runway import RunwayForecast, runway
from alerts.model.accounts import AccountInfo
from alerts.model.money import percent_of
from alerts.model.readings import Known, Metrics
from alerts.model.specs import Budget, Period
from alerts.model.spend import Spent
from alerts.rules.budget import counts_money, limit_of, unit_of
from alerts.rules.next_poll import NextPoll
from alerts.rules.stale import default_after
from alerts.rules.state import AccountState, Episode
from alerts.rules.view import Context, RuleView
from daemon.config.cron import gaps
from daemon.config.model import AccountConfig, Config
from daemon.status.polls import planned
from daemon.status.topups import topup_status
from daemon.store import readings, states
from daemon.store.connection import Connection
from daemon.store.reading_rows import OutageRun


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """Volume against a limit; `percent` is of effective, rounded down."""

    used_microgb: int
    reserved_microgb: int | None
    effective_microgb: int
    limit_microgb: int | None
    percent: Decimal | None
    fill: Fill | None


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget rule's period: what was spent of its limit, in millionths of `unit`."""

    rule: str
    period: Period
    unit: str
    spent: int
    limit: int
    percent: Decimal
    projection: Projection | None
    start: datetime
    end: datetime
    partial: bool


@dataclass(frozen=True, slots=True)
class TopupLine:
    """The account's top-ups as `balance.low` would tell them, and their configuration."""

    state: str
    mode: str
    reason: str
    id: str | None
    when_below_microusd: int


@dataclass(frozen=True, slots=True)
class Overview:
    """One account at one time. What the provider does not say, or what is not known yet, is None."""

    account: AccountInfo
    now: datetime
    known: Known | None
    """The last believed reading."""
    outage: OutageRun | None
    """The polls that have failed since."""
    burn: Burn | None
    days_remaining: Decimal | None
    runway: RunwayForecast | None
    estimate: Estimate | None
    """The provider's own, of the whole balance."""
    quota: QuotaStatus | None
    month: Spent | None
    """None too where no reading lies in this month yet."""
    budgets: tuple[BudgetLine, ...]
    episodes: tuple[Episode, ...]
    topup: TopupLine | None

    is_old: bool
    """Whether the last believed reading is so old that the `stale` rule would say so: forecasts are of its time."""
    next_poll: NextPoll | None = None
    """None of an account with a cron."""

    @property
    def age(self) -> timedelta | None:
        """How old the last believed reading is."""
        return None if self.known is None else max(self.now - self.known.at, timedelta())


def overview(config: Config, connection: Connection, now: datetime) -> tuple[Overview, ...]:
    """Return one overview a configured account, in the order of the configuration."""
    remembered = states.load_all(connection)
    return tuple(
        look(config, account, remembered.get(account.id) or AccountState.new(account.id), connection, now)
        for account in config.accounts.values()
    )


def look(
    config: Config, account: AccountConfig, state: AccountState, connection: Connection, now: datetime
) -> Overview:
    """Return the overview of one account from what is remembered of it. Forecasts begin at the last reading."""
    known = state.last
    at = now if known is None else known.at
    view = None if known is None else RuleView(state, known, _context(config, account, at))
    return Overview(
        account=account.info,
        now=now,
        known=known,
        outage=readings.current_outage(connection, account.id),
        burn=None if view is None else view.burn(),
        days_remaining=None if view is None else view.days_remaining(),
        runway=None if known is None else runway(state.burn, known.metrics, at),
        estimate=None if known is None else providers_estimate(known.metrics),
        quota=None if known is None else _quota(state, known),
        month=_running(state, Period.MONTH, now),
        budgets=() if view is None else tuple(_budgets(config, account, view, now)),
        episodes=tuple(sorted(state.episodes.values(), key=lambda episode: (episode.opened_at, episode.rule))),
        topup=_topup(config, account, connection, now),
        next_poll=planned(config, account, state),
        is_old=known is not None and now - known.at > default_after(gaps(account.poll, config.timezone)[1]),
    )


def _context(config: Config, account: AccountConfig, now: datetime) -> Context:
    mutes: Mapping[str, datetime] = {}
    return Context(
        account.info, (), config.zone_of(account), now, None, mutes, lambda account: None, lambda prefix: prefix, now
    )


def _quota(state: AccountState, known: Known) -> QuotaStatus | None:
    metrics = known.metrics
    effective = metrics.effective_microgb
    if metrics.used_microgb is None or effective is None:
        return None
    limit = metrics.limit_microgb
    percent = percent_of(effective, limit) if limit else None
    return QuotaStatus(
        metrics.used_microgb,
        metrics.reserved_microgb,
        effective,
        limit,
        percent,
        full_at(state.burn, metrics, known.at),
    )


def _running(state: AccountState, period: Period, now: datetime) -> Spent | None:
    """What was spent in the period that `now` lies in; None where the last reading is of one before."""
    spent = None if state.spend is None else state.spend.over(period)
    return spent if spent is not None and spent.start <= now < spent.end else None


def _budgets(config: Config, account: AccountConfig, view: RuleView, now: datetime) -> list[BudgetLine]:
    lines = []
    for rule in config.rules:
        if isinstance(rule, Budget) and rule.covers(account.id):
            line = _budget(rule, view, now)
            if line is not None:
                lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class SpentOf:
    """What was spent of a budget in its period, in millionths of `unit`; `volume`: of what is used, not paid."""

    amount: int
    limit: int
    unit: str
    volume: bool
    spent: Spent
    partial: bool


def spent_of(rule: Budget, info: AccountInfo, state: AccountState, metrics: Metrics, now: datetime) -> SpentOf | None:
    """Return what was spent of the budget in the period of `now`; None if no reading lies in it, or in another unit."""
    unit, volume, limit = unit_of(rule, info, metrics), not counts_money(rule, metrics), limit_of(rule)
    spent = _running(state, rule.period, now)
    counted = metrics.used_microgb if volume else metrics.available_microusd
    if spent is None or unit is None or not limit or counted is None:
        return None
    if volume and rule.period is Period.BILLING and metrics.period_used_microgb is not None:
        return SpentOf(metrics.period_used_microgb, limit, unit, volume, spent, False)
    return SpentOf(spent.microgb if volume else spent.microusd, limit, unit, volume, spent, spent.partial)


def _budget(rule: Budget, view: RuleView, now: datetime) -> BudgetLine | None:
    found = spent_of(rule, view.context.info, view.state, view.metrics, now)
    if found is None:
        return None
    ahead = project(
        view.state.burn,
        found.amount,
        found.spent.since,
        found.spent.end,
        view.now,
        scheduled_microusd_per_day=view.metrics.scheduled_burn_microusd_per_day,
        volume=found.volume,
    )
    return BudgetLine(
        rule=rule.id,
        period=rule.period,
        unit=found.unit,
        spent=found.amount,
        limit=found.limit,
        percent=percent_of(found.amount, found.limit),
        projection=ahead,
        start=found.spent.start,
        end=found.spent.end,
        partial=found.partial,
    )


def _topup(config: Config, account: AccountConfig, connection: Connection, now: datetime) -> TopupLine | None:
    found = topup_status(config, connection, account.id, now)
    if found is None or account.topup is None:
        return None
    return TopupLine(found.state, account.topup.mode.value, found.reason, found.id, account.topup.when_below_microusd)
