"""The rules as they are configured: one frozen dataclass a kind. Money in micro-dollars, volume in micro-gigabytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase

from alerts.model.events import Severity
from alerts.model.patterns import PatternIndex
from alerts.model.units import USD


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    BILLING = "billing"  # the provider's own period


class Measure(StrEnum):
    AVAILABLE = "available"
    BALANCE = "balance"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    id: str
    accounts: tuple[str, ...] = ("*",)
    severity: Severity = Severity.WARNING
    for_readings: int = 1
    remind_every: timedelta | None = timedelta(hours=24)
    only_receiver: str | None = None
    """Set for a receiver's own threshold: only that receiver is notified, and the rule's id is `webhook:<id>`."""

    def covers(self, account_id: str) -> bool:
        """Whether one of the rule's ids or globs names the account (case matters)."""
        return any(fnmatchcase(account_id, pattern) for pattern in self.accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LowBalance(_Rule):
    """In breach while the measure is strictly below; clear again strictly above `clear_above_microusd`."""

    below_microusd: int
    clear_above_microusd: int
    measure: Measure = Measure.AVAILABLE
    unit: str | None = USD
    """What both lines are in; None: whatever the account is in. An account in another unit is not evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runway(_Rule):
    """In breach while fewer days than `below_days` remain; clear again above `clear_above_days`."""

    below_days: Decimal
    clear_above_days: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota(_Rule):
    """Steps in percent of effective against the limit, ascending, reached at `>=`; clear below `clear_below_percent`.

    With `forecast_days`, also in breach if the limit will be reached within so many days.
    """

    at_percent: tuple[Decimal, ...]
    clear_below_percent: Decimal
    forecast_days: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(_Rule):
    """Steps in percent of spend against the limit in a period; exactly one of the two limits is set."""

    period: Period
    limit_microusd: int | None = None
    limit_microgb: int | None = None
    limit_micro: int | None = None
    """In the account's own unit: of its spend where it has a balance or a running total, else of its used volume."""
    at_percent: tuple[Decimal, ...] = (Decimal(50), Decimal(80), Decimal(100))
    projected: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike(_Rule):
    """In breach while burn over `window` is at least `factor` times its usual, and at least `min_microusd_per_day`."""

    factor: Decimal = Decimal(4)
    window: timedelta = timedelta(hours=3)
    min_microusd_per_day: int = 5_000_000
    """In dollars, and in any other unit of an account as many of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale(_Rule):
    """In breach while there is no good reading for `after`; None is three poll intervals, at least an hour."""

    after: timedelta | None = None


RuleSpec = LowBalance | Runway | Quota | Budget | Spike | Stale


class RuleIndex:
    """Finds the rules of an account without asking every rule. Accounts with the same rules share one tuple."""

    def __init__(self, rules: Sequence[RuleSpec]) -> None:
        self._rules = rules
        self._index = PatternIndex(rule.accounts for rule in rules)
        self._shared: dict[tuple[int, ...], tuple[RuleSpec, ...]] = {}

    def covering(self, account_id: str) -> tuple[RuleSpec, ...]:
        """Return the rules that cover the account, in their order."""
        numbers = tuple(self._index.covering(account_id))
        return self._shared.setdefault(numbers, tuple(self._rules[number] for number in numbers))
