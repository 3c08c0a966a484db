"""`quota`: effective usage (used and reserved) against the limit, in steps; and when the limit will be reached."""

from __future__ import annotations

from decimal import Decimal

from alerts.forecast.quota import fills_within, full_at
from alerts.model.events import EventType
from alerts.model.money import format_amount, percent_of
from alerts.model.specs import Quota
from alerts.model.units import with_older_names
from alerts.rules.numbers import money, number, span
from alerts.rules.state import Notified
from alerts.rules.view import BETWEEN, CLEAR, UNKNOWN, Condition, News, Payload, RuleVerdict, RuleView

HIGH, EXCEEDED, ENDED = EventType.QUOTA_HIGH, EventType.QUOTA_EXCEEDED, EventType.QUOTA_RECOVERED
FULL_PERCENT = Decimal(100)
FORECAST_FROM_DAYS = 1
"""A forecast alerts only with at least a whole day of history: one upload is no trend."""
FORECAST_CLEAR_FACTOR = Decimal("1.2")
"""An episode that a forecast keeps open ends when the limit is this factor of `forecast_days` away."""


def evaluate(rule: Quota, view: RuleView) -> RuleVerdict:
    """In breach at or above a step, or if it will be full soon; clear below the clear line and not full soon.

    Clear without a limit. Unknown if the limit is reported but unusable.
    """
    limit, effective = view.metrics.limit_microgb, view.metrics.effective_microgb
    if effective is None:
        return UNKNOWN
    if limit is None:
        return UNKNOWN if view.metrics.is_unusable("limit_microgb") else CLEAR
    if limit <= 0:
        return UNKNOWN
    step = None
    for percent in rule.at_percent:
        if effective * 100 >= limit * percent:
            step = percent
    if step is not None:
        return RuleVerdict(Condition.BREACH, step)
    soon = _full_within(rule, view, Decimal(1))
    if soon:
        return RuleVerdict(Condition.BREACH)
    if effective * 100 >= limit * rule.clear_below_percent or _full_within(rule, view, FORECAST_CLEAR_FACTOR):
        return BETWEEN
    return CLEAR


def news(rule: Quota, verdict: RuleVerdict, notified: Notified) -> tuple[News, ...]:
    """A higher step than was notified; a forecast only if nothing was."""
    step = verdict.step
    if step is None:
        return () if notified.entered else (News(HIGH, Notified(entered=True)),)
    if notified.step is not None and step <= notified.step:
        return ()
    return (News(EXCEEDED if step >= FULL_PERCENT else HIGH, Notified(entered=True, step=step)),)


def numbers(rule: Quota, view: RuleView, verdict: RuleVerdict) -> Payload:
    metrics = view.metrics
    limit, effective = metrics.limit_microgb, metrics.effective_microgb
    fill = full_at(view.state.burn, metrics, view.now)
    figures = {
        "used": money(metrics.used_microgb),
        "reserved": money(metrics.reserved_microgb or 0),
        "effective": money(effective),
        "limit": money(limit),
    }
    return {
        **with_older_names(view.context.info.quota_unit, figures),
        "percent": number(percent_of(effective, limit)) if limit and effective is not None else None,
        "step_percent": number(verdict.step),
        "clear_below_percent": number(rule.clear_below_percent),
        "forecast_days": number(rule.forecast_days),
        "full_at": None if fill is None else span(fill.effective),
        "partial": fill is not None and fill.partial,
    }


def why(rule: Quota, view: RuleView, verdict: RuleVerdict) -> str:
    limit, effective = view.metrics.limit_microgb, view.metrics.effective_microgb
    if limit is None or effective is None:
        return "there is no limit any more"
    said = (
        f"{percent_of(effective, limit)} % of {format_amount(limit, view.context.info.quota_unit)} are used or reserved"
    )
    if verdict.condition is Condition.BREACH and verdict.step is None:
        return f"{said}; it will be full within {rule.forecast_days} days"
    return said


def _full_within(rule: Quota, view: RuleView, factor: Decimal) -> bool:
    if rule.forecast_days is None or view.state.burn.days < FORECAST_FROM_DAYS:
        return False
    return fills_within(view.state.burn, view.metrics, rule.forecast_days * factor, view.now)
