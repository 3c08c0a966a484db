"""`budget`: spend (or volume) of a period against a limit, one event per step and period, and one for a projection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from alerts.forecast.period import Projection, likely, project
from alerts.model.events import EventType
from alerts.model.money import percent_of, show_gb, show_usd
from alerts.model.periods import billing, ends_now
from alerts.model.specs import Budget, Period
from alerts.model.spend import Spent
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
    spent, limit = _spent(rule, period), _limit(rule)
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
    spent, limit = _spent(rule, period), _limit(rule)
    ahead = _projection(rule, view, period)
    unit = "usd" if rule.limit_microusd is not None else "gb"
    return {
        "period": rule.period.value,
        "period_start": moment(period.start),
        "period_end": moment(period.end),
        "counted_since": moment(period.since),
        f"spent_{unit}": money(spent),
        f"limit_{unit}": money(limit),
        "percent": number(percent_of(spent, limit)),
        "step_percent": number(verdict.step),
        f"projected_{unit}": None if ahead is None else up_to_the_cent(ahead.likely),
        f"projected_{unit}_low": None if ahead is None else up_to_the_cent(ahead.low),
        f"projected_{unit}_high": None if ahead is None else up_to_the_cent(ahead.high),
        "partial": period.partial,
    }


def why(rule: Budget, view: RuleView, verdict: RuleVerdict) -> str:
    period = _period(rule, view)
    assert period is not None
    spent, limit, show = _spent(rule, period), _limit(rule), show_gb if rule.limit_microgb else show_usd
    said = f"{show(spent, limit)} of {show(limit, spent)} ({percent_of(spent, limit)} %) in this {rule.period.value}"
    return f"{said}; projected to end above it" if verdict.projected else said


def _period(rule: Budget, view: RuleView) -> Spent | None:
    """Return the period and its spend; None if the provider has no such period or reports no such number."""
    memory, metrics = view.state.spend, view.metrics
    counted = view.available_microusd if rule.limit_microusd is not None else metrics.used_microgb
    assert memory is not None
    if rule.limit_microusd is not None and counted is None and metrics.accrued_microusd is None:
        return None
    if rule.limit_microgb is not None and counted is None and metrics.period_used_microgb is None:
        return None
    spent = memory.over(rule.period)
    used = metrics.period_used_microgb
    if spent is None or rule.period is not Period.BILLING or rule.limit_microgb is None or used is None:
        return spent
    # The provider counts its own period, so that number is complete even if our history began later.
    return Spent(spent.microusd, used, spent.start, spent.end, spent.start, False)


def _has_ended(rule: Budget, view: RuleView, period: Spent) -> bool:
    """Whether the period is over. A provider's period that ends with each answer is still current."""
    if period.end > view.now:
        return False
    own = billing(view.metrics) if rule.period is Period.BILLING else None
    return own is None or not ends_now(own, view.known.at)


def _spent(rule: Budget, period: Spent) -> int:
    return period.microusd if rule.limit_microusd is not None else period.microgb


def _limit(rule: Budget) -> int:
    limit = rule.limit_microusd if rule.limit_microusd is not None else rule.limit_microgb
    assert limit is not None
    return limit


def _projection(rule: Budget, view: RuleView, period: Spent) -> Projection | None:
    return _forecast(project, rule, view, period)


def _is_projected_above(rule: Budget, view: RuleView, period: Spent, limit: int) -> bool:
    expected = _forecast(likely, rule, view, period)
    return expected is not None and expected > limit


def _forecast(ask: Callable[..., Said], rule: Budget, view: RuleView, period: Spent) -> Said:
    # From `since`: a first reading in mid-period says nothing about the days before it.
    return ask(
        view.state.burn,
        _spent(rule, period),
        period.since,
        period.end,
        view.now,
        scheduled_microusd_per_day=view.metrics.scheduled_burn_microusd_per_day,
        volume=rule.limit_microgb is not None,
    )
