"""The kinds of rules: how each evaluates an account, what of that is news, and the numbers that it compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from alerts.model.events import EventType
from alerts.model.specs import Budget, LowBalance, Quota, RuleSpec, Runway, Spike
from alerts.model.units import USD
from alerts.rules import budget, low_balance, quota, runway, spike
from alerts.rules.state import Notified
from alerts.rules.view import News, Payload, RuleVerdict, RuleView


@dataclass(frozen=True, slots=True)
class RuleKind:
    """`reminds`: whether an open episode sends reminders; `waits_for_topup`: not while a top-up is under way."""

    name: str
    evaluate: Callable[[Any, RuleView], RuleVerdict]
    news: Callable[[Any, RuleVerdict, Notified], tuple[News, ...]]
    numbers: Callable[[Any, RuleView, RuleVerdict], Payload]
    why: Callable[[Any, RuleView, RuleVerdict], str]
    ended: EventType | None
    reminds: bool = True
    waits_for_topup: bool = False


KINDS: Mapping[type[RuleSpec], RuleKind] = {
    LowBalance: RuleKind(
        "low_balance",
        low_balance.evaluate,
        low_balance.news,
        low_balance.numbers,
        low_balance.why,
        low_balance.ENDED,
        waits_for_topup=True,
    ),
    Runway: RuleKind(
        "runway", runway.evaluate, runway.news, runway.numbers, runway.why, runway.ENDED, waits_for_topup=True
    ),
    Quota: RuleKind("quota", quota.evaluate, quota.news, quota.numbers, quota.why, quota.ENDED),
    Budget: RuleKind("budget", budget.evaluate, budget.news, budget.numbers, budget.why, None, reminds=False),
    Spike: RuleKind("spike", spike.evaluate, spike.news, spike.numbers, spike.why, spike.ENDED),
}
"""Every kind that a reading evaluates. `stale` is evaluated by the absence of one, in `alerts.rules.stale`."""

_NOT_COMPARED = frozenset({"accounts", "severity", "remind_every", "for_readings"})
"""Fields that an edit may change without a new evaluation."""


_ALWAYS_MEANT = (("unit", USD), ("limit_micro", None))
"""What every rule meant before accounts had units: saying it is no edit."""


@lru_cache(maxsize=4096)
def fingerprint(rule: RuleSpec) -> str:
    """Return the numbers that a rule evaluates by, as text: another text means that the rule was edited."""
    values = [(f.name, getattr(rule, f.name)) for f in fields(rule) if f.name not in _NOT_COMPARED]
    numbers = [f"{name}={value}" for name, value in values if (name, value) not in _ALWAYS_MEANT]
    return f"{type(rule).__name__}({', '.join(numbers)})"
