"""`runway`: the available balance lasts fewer days than the threshold."""

from __future__ import annotations

from alerts.forecast.runway import runway
from alerts.model.events import EventType
from alerts.model.specs import Runway
from alerts.rules.numbers import burn_numbers, money_numbers, number, span, topup_numbers
from alerts.rules.state import Notified
from alerts.rules.view import BETWEEN, BREACH, CLEAR, UNKNOWN, News, Payload, RuleVerdict, RuleView

SCHEDULE = ("active_videos", "cost_per_snapshot_microusd")
ENTERED, ENDED = EventType.RUNWAY_SHORT, EventType.RUNWAY_RECOVERED


def evaluate(rule: Runway, view: RuleView) -> RuleVerdict:
    """In breach with strictly fewer days than the threshold; clear above the clear line, or if nothing burns.

    Never clear while the schedule is reported but unusable: the real burn may be higher.
    """
    found, available = view.burn(), view.available_microusd
    if found is None or available is None:
        return UNKNOWN
    days = view.days_remaining()
    if days is None or days > rule.clear_above_days:
        return BETWEEN if view.metrics.is_unusable(*SCHEDULE) else CLEAR
    return BREACH if days < rule.below_days else BETWEEN


def news(rule: Runway, verdict: RuleVerdict, notified: Notified) -> tuple[News, ...]:
    """One event, when the episode opens."""
    return () if notified.entered else (News(ENTERED, Notified(entered=True)),)


def numbers(rule: Runway, view: RuleView, verdict: RuleVerdict) -> Payload:
    ahead = runway(view.state.burn, view.metrics, view.now)
    return {
        **money_numbers(view),
        "threshold_days": number(rule.below_days),
        "clear_above_days": number(rule.clear_above_days),
        **burn_numbers(view),
        "days_p10": None if ahead is None else number(ahead.days_p10),
        "days_p50": None if ahead is None else number(ahead.days_p50),
        "days_p90": None if ahead is None else number(ahead.days_p90),
        "runs_out_at": span(ahead),
        "topup": topup_numbers(view),
    }


def why(rule: Runway, view: RuleView, verdict: RuleVerdict) -> str:
    days = view.days_remaining()
    if days is None:
        return "nothing burns"
    if verdict is CLEAR:
        return f"{days} days remain, more than {rule.clear_above_days}"
    return f"{days} days remain, the threshold is {rule.below_days}"
