"""Plausibility: compare a reading with the previous one, and with a second read where it is implausible. Pure.

The daemon repeats an implausible reading at once. It alerts and charges by it only if the second read agrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from alerts.model.money import MICRO
from alerts.model.periods import begins_with, billing
from alerts.model.readings import Known, Metrics
from alerts.model.reasons import AnomalyKind
from alerts.rules.state import AccountState

BURN_FACTOR = 10
"""A drop is implausible from so many times the largest burn, observed or scheduled."""
DROP_ACCEPTED_MICROUSD = MICRO
"""A drop of up to one dollar is always plausible."""
JUMP_FACTOR = 100
"""A rise to so many times the previous value or more is implausible."""
JUMP_FROM_MICRO = MICRO
"""Floor of the previous value in that comparison: one dollar or one gigabyte, in micro-units."""
AGREES_WITHIN = 10
"""The second read agrees if it differs by at most 1/10 of the implausible step."""
_DAY_MS = 86_400_000
_MILLISECOND = timedelta(milliseconds=1)
_SHORTEST_GAP_MS = 60_000
_COUNTERS = ("total_charged_microusd", "total_snapshots", "used_microgb", "usage_count")
_LEVELS = ("balance_microusd", "effective_microgb", "total_charged_microusd", "used_microgb", "limit_microgb")
_counters, _levels = attrgetter(*_COUNTERS), attrgetter(*_LEVELS)


@dataclass(frozen=True, slots=True)
class Finding:
    """One implausible field. Values are in micro-units (counts for `total_snapshots` and `usage_count`)."""

    kind: AnomalyKind
    field: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Why a reading is implausible: at least one finding."""

    findings: tuple[Finding, ...]

    @property
    def resets(self) -> frozenset[str]:
        """The counters that ran backwards. If the second read confirms it, they were reset."""
        return frozenset(finding.field for finding in self.findings if finding.kind is AnomalyKind.BACKWARDS)

    @property
    def drop(self) -> Finding | None:
        """The drop that the burn does not explain, if any."""
        return next((finding for finding in self.findings if finding.kind is AnomalyKind.DROP), None)


def find_anomaly(state: AccountState, known: Known) -> Anomaly | None:
    """Return why the reading is implausible, or None. The first reading of an account is always accepted."""
    last = state.last
    if last is None or known.metrics is last.metrics:
        return None
    before, after = last.metrics, known.metrics
    findings = []
    counters, then = _counters(after), _counters(before)
    if counters != then:
        for field, old, new in zip(_COUNTERS, then, counters, strict=True):
            if old is not None and new is not None and new < old:
                findings.append(Finding(AnomalyKind.BACKWARDS, field, old, new))
    old, new = before.period_used_microgb, after.period_used_microgb
    if old is not None and new is not None and new < old and _is_one_period(before, after, known.at - last.at):
        findings.append(Finding(AnomalyKind.BACKWARDS, "period_used_microgb", old, new))
    largest = state.spend.largest_burn_microusd_per_day if state.spend is not None else 0
    if (drop := _drop(before, after, known.at - last.at, largest)) is not None:
        findings.append(drop)
    levels, then = _levels(after), _levels(before)
    if levels != then:
        for field, old, new in zip(_LEVELS, then, levels, strict=True):
            if old is not None and new is not None and new > old and new >= JUMP_FACTOR * max(old, JUMP_FROM_MICRO):
                findings.append(Finding(AnomalyKind.JUMP, field, old, new))
    return Anomaly(tuple(findings)) if findings else None


def _is_one_period(before: Metrics, after: Metrics, elapsed: timedelta) -> bool:
    """Whether the usage of the provider's period cannot fall between the two. In a sliding window it can."""
    one, two = billing(before), billing(after)
    if one is None or two is None:
        return before.period_start_at == after.period_start_at
    return begins_with(one, two) and abs(two.start - one.start) * 2 <= elapsed


def confirms(anomaly: Anomaly, second: Known) -> bool:
    """Whether the second read agrees with the first in every implausible field."""
    for finding in anomaly.findings:
        again = getattr(second.metrics, finding.field)
        if again is None or abs(again - finding.after) * AGREES_WITHIN > abs(finding.after - finding.before):
            return False
    return True


def largest_explained(largest_microusd_per_day: int, before: Metrics, after: Metrics, gap: timedelta) -> int:
    """Return the largest plausible drop of the available balance over `gap`, in micro-dollars."""
    scheduled = max(before.scheduled_burn_microusd_per_day or 0, after.scheduled_burn_microusd_per_day or 0)
    burn = max(largest_microusd_per_day, scheduled)
    gap_ms = max(gap // _MILLISECOND, _SHORTEST_GAP_MS)
    return max(BURN_FACTOR * burn * gap_ms // _DAY_MS, DROP_ACCEPTED_MICROUSD)


def _drop(before: Metrics, after: Metrics, gap: timedelta, largest: int) -> Finding | None:
    old, new = before.available_microusd, after.available_microusd
    if old is None or new is None or old - new <= DROP_ACCEPTED_MICROUSD:
        return None
    if old - new <= largest_explained(largest, before, after, gap):
        return None
    return Finding(AnomalyKind.DROP, "available_microusd", old, new)
