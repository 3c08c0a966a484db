"""The rows of the front page: an account each, what matters of it in a few words, its last thirty days in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from alerts.model.accounts import AccountInfo
from alerts.model.money import format_amount, format_usd, percent_of, show_amount
from alerts.model.readings import Metrics
from alerts.model.specs import Budget, Period, RuleIndex
from alerts.rules.stale import default_after
from alerts.rules.state import AccountState, Episode
from daemon.config.cron import gaps
from daemon.config.model import AccountConfig, Config, ManagedBy
from daemon.status.overview import spent_of
from daemon.status.text import age_words, days_words, local, outage_words
from daemon.status.topups import topup_status
from daemon.store import readings, states
from daemon.store.connection import Connection
from daemon.store.summaries import DayPoint, day_points
from daemon.web import charts
from daemon.web.choice import tone_of
from daemon.web.forecasts import Forecasts

SPARK_DAYS = 30
_FULL = Decimal(100)


@dataclass(frozen=True, slots=True)
class Meter:
    """A bar from nothing to its limit. `percent` may be above a hundred; `width` never is."""

    name: str
    words: str
    percent: Decimal

    @property
    def tone(self) -> str:
        if self.percent >= _FULL:
            return "critical"
        return "warning" if self.percent >= 80 else "good"

    @property
    def width(self) -> Decimal:
        return min(max(self.percent, Decimal(0)), _FULL)


@dataclass(frozen=True, slots=True)
class RowNotice:
    """Something that is wrong with an account, in words."""

    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account. `tone`: good, warning, critical, or quiet where nothing is known."""

    id: str
    label: str
    about: str
    managed: str
    """Whose it is and who manages it; empty where the file alone does."""
    read: str
    tone: str
    figure: str
    figure_about: str
    lasts: str
    burns: str
    meters: tuple[Meter, ...]
    troubles: tuple[RowNotice, ...]
    topup: str
    spark: tuple[str, ...]
    spark_says: str


class Rows:
    """One for the process: which budgets cover an account, and what is forecast of it, is worked out once."""

    def __init__(self, config: Config, forecasts: Forecasts) -> None:
        self._config = config
        self._forecasts = forecasts
        self._budgets = RuleIndex([rule for rule in config.rules if isinstance(rule, Budget)])

    def build(
        self,
        connection: Connection,
        accounts: Sequence[AccountConfig],
        known: Mapping[str, AccountState],
        now: datetime,
    ) -> list[AccountRow]:
        """Return the rows of these accounts. `known` is what the process remembers; the rest is read from the store."""
        span = charts.ChartSpan(now - timedelta(days=SPARK_DAYS), now, self._config.timezone)
        points = day_points(connection, [account.id for account in accounts], span.since)
        return [
            self._row(
                connection,
                account,
                known.get(account.id) or states.load(connection, account.id),
                points.get(account.id, []),
                span,
            )
            for account in accounts
        ]

    def _row(
        self,
        connection: Connection,
        account: AccountConfig,
        state: AccountState,
        points: Sequence[DayPoint],
        span: charts.ChartSpan,
    ) -> AccountRow:
        now, zone, known = span.until, self._config.timezone, state.last
        episodes = sorted(state.episodes.values(), key=lambda episode: (episode.opened_at, episode.rule))
        outage = readings.current_outage(connection, account.id)
        troubles = [RowNotice("warning", f"unreadable: {outage_words(outage, zone)}")] if outage is not None else []
        troubles += [_trouble(episode, self._config) for episode in episodes]
        read = "never read"
        if known is not None:
            age = max(now - known.at, timedelta())
            old = age > default_after(gaps(account.poll, zone)[1])
            read = f"read {age_words(age)} ago{' (old)' if old else ''}"
        figure, figure_about = _figure(account.info, None if known is None else known.metrics)
        lasts = burns = ""
        if known is not None and known.metrics.available_microusd is not None:
            forecast = self._forecasts.of(state, known)
            lasts = "" if forecast.days_remaining is None else f"{days_words(forecast.days_remaining)} days left"
            burns = (
                ""
                if forecast.burn is None
                else f"{format_amount(forecast.burn.microusd_per_day, account.info.unit)} a day"
            )
        topup, topup_news = self._topup(connection, account, now)
        spark, says = _spark(account.info, points, None if known is None else known.metrics, span)
        return AccountRow(
            account.id,
            account.info.label or account.id,
            " · ".join([account.info.provider, *account.info.tags]),
            " · ".join(whose(self._config, account)),
            read,
            tone_of(known is not None, outage is not None, {episode.severity for episode in episodes}),
            figure,
            figure_about,
            lasts,
            burns,
            tuple(self._meters(account, state, now)),
            (*troubles, *topup_news),
            topup,
            spark,
            says,
        )

    def _meters(self, account: AccountConfig, state: AccountState, now: datetime) -> list[Meter]:
        if state.last is None:
            return []
        metrics = state.last.metrics
        quota_unit = account.info.quota_unit
        found = (
            [quota_meter(metrics, quota_unit)]
            if metrics.effective_microgb is not None and metrics.limit_microgb
            else []
        )
        for rule in self._budgets.covering(account.id):
            assert isinstance(rule, Budget)
            one = spent_of(rule, account.info, state, metrics, now)
            if one is not None:
                found.append(budget_meter(rule.id, rule.period, one.amount, one.limit, one.unit))
        return found

    def _topup(self, connection: Connection, account: AccountConfig, now: datetime) -> tuple[str, list[RowNotice]]:
        """When the account is charged; and what is under way, or held back, where there is something."""
        status = topup_status(self._config, connection, account.id, now)
        if status is None or account.topup is None:
            return "", []
        when = f"top-up below {format_usd(account.topup.when_below_microusd)}"
        if status.state == "none":
            return when, []
        name = f"{status.state.replace('_', ' ')}{'' if status.id is None else f', {status.id}'}"
        return when, [RowNotice("info", f"top-up {name}{f': {status.reason}' if status.reason else ''}")]


def whose(config: Config, account: AccountConfig) -> tuple[str, ...]:
    """Whose an account is, and who manages it; nothing where the file alone does."""
    if config.api is None:
        return ()
    owner = (f"of {account.info.owner}",) if account.info.owner else ()
    return (*owner, f"managed by {'the API' if account.managed_by is ManagedBy.API else 'the file'}")


def quota_meter(metrics: Metrics, unit: str) -> Meter:
    """Return the bar of what is used of a limit."""
    effective, limit = metrics.effective_microgb or 0, metrics.limit_microgb or 1
    return Meter("quota", _of(effective, limit, unit), percent_of(effective, limit))


def budget_meter(rule: str, period: Period, spent: int, limit: int, unit: str) -> Meter:
    """Return the bar of a budget."""
    return Meter(rule, f"{_of(spent, limit, unit)} this {period.value}", percent_of(spent, limit))


def _of(part: int, whole: int, unit: str) -> str:
    return f"{show_amount(part, unit, whole)} of {show_amount(whole, unit, part)}"


def _trouble(episode: Episode, config: Config) -> RowNotice:
    since = local(episode.opened_at, config.timezone)
    return RowNotice(episode.severity.value, f"{episode.rule} ({episode.severity.value}) since {since}: {episode.why}")


def _figure(info: AccountInfo, metrics: Metrics | None) -> tuple[str, str]:
    """The one number that matters, and what it is."""
    unit = info.unit
    if metrics is not None and metrics.available_microusd is not None:
        pending = metrics.uncharged_microusd
        if not pending or metrics.balance_microusd is None:
            return show_amount(metrics.available_microusd, unit), "available"
        return (
            show_amount(metrics.available_microusd, unit),
            f"available: {show_amount(metrics.balance_microusd, unit)} less {format_amount(pending, unit)} pending",
        )
    if metrics is not None and metrics.effective_microgb is not None:
        about = "used and reserved" if metrics.reserved_microgb else "used"
        return format_amount(metrics.effective_microgb, info.quota_unit), about
    return "–", "not known yet"


def _spark(
    info: AccountInfo, points: Sequence[DayPoint], metrics: Metrics | None, span: charts.ChartSpan
) -> tuple[tuple[str, ...], str]:
    """The last days in a line from nothing to the highest, or to the quota; and what it shows."""
    money = [(at, available) for at, available, _ in points if available is not None]
    drawn = money or [(at, effective) for at, _, effective in points if effective is not None]
    if not drawn:
        return (), ""
    unit, what = (info.unit, "available") if money else (info.quota_unit, "used and reserved")
    values = [value for _, value in drawn]
    top = None if money or metrics is None else metrics.limit_microgb
    low, high = format_amount(min(values), unit), format_amount(max(values), unit)
    says = f"{what}, the last {SPARK_DAYS} days: between {low} and {high}"
    return charts.spark(drawn, span, top=top), says
