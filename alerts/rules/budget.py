"""`budget`: spend (or volume) of a period against a limit, one event per step and period, and one for a projection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from alerts.forecast.period import Projection, likely, project
from alerts.model.accounts import AccountInfo
from alerts.model.events import EventType
from alerts.model.money import percent_of, show_amount
from alerts.model.periods import billing, ends_now
from alerts.model.readings import Metrics
from alerts.model.specs import Budget, Period
from alerts.model.spend import Spent
from alerts.model.units import GB, USD, with_older_names
from alerts.rules.numbers import moment, money, number, up_to_the_cent
from alerts.rules.state import Notified
from alerts.rules.view import BETWEEN, BREACH, UNKNOWN, News, Payload, RuleVerdict, RuleView

REACHED, PROJECTED = EventType.BUDGET_REACHED, EventType.BUDGET_PROJECTED
Said = TypeVar("Said")


def evaluate(rule: Budget, view: RuleView) -> RuleVerdict:
    """In breach at or above a step, or if the period is projected to exceed the limit; never clear before its end."""
    period = _period(rule, view)
    if period is None or _has_ended(rule, view, period):
        return UNKNOWN
    spent, limit = _spent(rule, view, period), limit_of(rule)
    step = None
    for percent in rule.at_percent:
        if spent * 100 >= limit * percent:
            step = percent
    projected = rule.projected and spent < limit and _is_projected_above(rule, view, period, limit)
    condition = (BREACH if step is not None or projected else BETWEEN).condition
    return RuleVerdict(condition, step, projected, period.start, period.end)


def news(rule: Budget, verdict: RuleVerdict, notified: Notified) -> tuple[News, ...]:
    """The highest step not notified in this period, and the projection if it was not."""
    found = []
    if verdict.step is not None and (notified.step is None or verdict.step > notified.step):
        notified = Notified(True, verdict.step, notified.projected)
        found.append(News(REACHED, notified))
    if verdict.projected and not notified.projected:
        notified = Notified(True, notified.step, True)
        found.append(News(PROJECTED, notified))
    return tuple(found)


def numbers(rule: Budget, view: RuleView, verdict: RuleVerdict) -> Payload:
    period = _period(rule, view)
    assert period is not None
    spent, limit = _spent(rule, view, period), limit_of(rule)
    ahead = _projection(rule, view, period)
    figures = {
        "spent": money(spent),
        "limit": money(limit),
        "projected": None if ahead is None else up_to_the_cent(ahead.likely),
        "projected_low": None if ahead is None else up_to_the_cent(ahead.low),
        "projected_high": None if ahead is None else up_to_the_cent(ahead.high),
    }
    return {
        "period": rule.period.value,
        "period_start": moment(period.start),
        "period_end": moment(period.end),
        "counted_since": moment(period.since),
        **with_older_names(_unit(rule, view), figures),
        "percent": number(percent_of(spent, limit)),
        "step_percent": number(verdict.step),
        "partial": period.partial,
    }


def why(rule: Budget, view: RuleView, verdict: RuleVerdict) -> str:
    period = _period(rule, view)
    assert period is not None
    spent, limit, unit = _spent(rule, view, period), limit_of(rule), _unit(rule, view)
    amounts = f"{show_amount(spent, unit, limit)} of {show_amount(limit, unit, spent)}"
    said = f"{amounts} ({percent_of(spent, limit)} %) in this {rule.period.value}"
    return f"{said}; projected to end above it" if verdict.projected else said


def _period(rule: Budget, view: RuleView) -> Spent | None:
    """Return the period and its spend; None if the provider has no such period or reports no such number."""
    memory, metrics = view.state.spend, view.metrics
    assert memory is not None
    if unit_of(rule, view.context.info, metrics) is None:
        return None
    of_money = counts_money(rule, view.metrics)
    if of_money and view.available_microusd is None and metrics.accrued_microusd is None:
        return None
    if not of_money and metrics.used_microgb is None and metrics.period_used_microgb is None:
        return None
    spent = memory.over(rule.period)
    used = metrics.period_used_microgb
    if spent is None or rule.period is not Period.BILLING or of_money or used is None:
        return spent
    # The provider counts its own period, so that number is complete even if our history began later.
    return Spent(spent.microusd, used, spent.start, spent.end, spent.start, False)


def _has_ended(rule: Budget, view: RuleView, period: Spent) -> bool:
    """Whether the period is over. A provider's period that ends with each answer is still current."""
    if period.end > view.now:
        return False
    own = billing(view.metrics) if rule.period is Period.BILLING else None
    return own is None or not ends_now(own, view.known.at)


def counts_money(rule: Budget, metrics: Metrics) -> bool:
    """Whether it limits what the balance is spent for, or the used volume: a limit in the account's unit either."""
    if rule.limit_micro is None:
        return rule.limit_microusd is not None
    return metrics.available_microusd is not None or metrics.accrued_microusd is not None


def unit_of(rule: Budget, info: AccountInfo, metrics: Metrics) -> str | None:
    """Return what is counted in; None if the limit is in another unit: dollars limit no euros."""
    unit = info.unit if counts_money(rule, metrics) else info.quota_unit
    meant = USD if rule.limit_microusd is not None else GB if rule.limit_microgb is not None else unit
    return unit if unit == meant else None


def limit_of(rule: Budget) -> int:
    """Return the limit in micro-units: of the three ways to say it exactly one is used."""
    of_volume = rule.limit_micro if rule.limit_microgb is None else rule.limit_microgb
    found = of_volume if rule.limit_microusd is None else rule.limit_microusd
    assert found is not None
    return found


def _unit(rule: Budget, view: RuleView) -> str:
    unit = unit_of(rule, view.context.info, view.metrics)
    assert unit is not None, "a limit in another unit is not evaluated"
    return unit


def _spent(rule: Budget, view: RuleView, period: Spent) -> int:
    return period.microusd if counts_money(rule, view.metrics) else period.microgb


def _projection(rule: Budget, view: RuleView, period: Spent) -> Projection | None:
    return _forecast(project, rule, view, period)


def _is_projected_above(rule: Budget, view: RuleView, period: Spent, limit: int) -> bool:
    expected = _forecast(likely, rule, view, period)
    return expected is not None and expected > limit


def _forecast(ask: Callable[..., Said], rule: Budget, view: RuleView, period: Spent) -> Said:
    # From `since`: a first reading in mid-period says nothing about the days before it.
    return ask(
        view.state.burn,
        _spent(rule, view, period),
        period.since,
        period.end,
        view.now,
        scheduled_microusd_per_day=view.metrics.scheduled_burn_microusd_per_day,
        volume=not counts_money(rule, view.metrics),
    )
