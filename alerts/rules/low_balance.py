"""`low_balance`: the available balance (or the whole balance) is below a threshold."""

from __future__ import annotations

from alerts.model.events import EventType
from alerts.model.money import show_amount
from alerts.model.specs import LowBalance, Measure
from alerts.rules.numbers import burn_numbers, money_numbers, topup_numbers
from alerts.rules.state import Notified
from alerts.rules.view import BETWEEN, BREACH, CLEAR, UNKNOWN, News, Payload, RuleVerdict, RuleView

ENTERED, ENDED = EventType.BALANCE_LOW, EventType.BALANCE_RECOVERED


def evaluate(rule: LowBalance, view: RuleView) -> RuleVerdict:
    """In breach strictly below the threshold; clear strictly above the clear line."""
    measured = _measured(rule, view)
    if measured is None or rule.unit not in (None, view.context.info.unit):
        return UNKNOWN
    if measured < rule.below_microusd:
        return BREACH
    return CLEAR if measured > rule.clear_above_microusd else BETWEEN


def news(rule: LowBalance, verdict: RuleVerdict, notified: Notified) -> tuple[News, ...]:
    """One event, when the episode opens."""
    return () if notified.entered else (News(ENTERED, Notified(entered=True)),)


def numbers(rule: LowBalance, view: RuleView, verdict: RuleVerdict) -> Payload:
    return {
        **money_numbers(view, threshold=rule.below_microusd, clear_above=rule.clear_above_microusd),
        "measure": rule.measure.value,
        **burn_numbers(view),
        "topup": topup_numbers(view),
    }


def why(rule: LowBalance, view: RuleView, verdict: RuleVerdict) -> str:
    measured = _measured(rule, view)
    assert measured is not None
    where, line = ("above", rule.clear_above_microusd) if verdict is CLEAR else ("below", rule.below_microusd)
    unit = view.context.info.unit
    return f"{rule.measure.value} {show_amount(measured, unit, line)} is {where} {show_amount(line, unit, measured)}"


def _measured(rule: LowBalance, view: RuleView) -> int | None:
    return view.available_microusd if rule.measure is Measure.AVAILABLE else view.metrics.balance_microusd
