"""`spike`: the account burns far faster than usual: a leak, a loop, or a stolen key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from operator import sub
from statistics import median_high

from alerts.forecast.burn import observed
from alerts.forecast.hourly import Hourly
from alerts.model.events import EventType
from alerts.model.money import format_amount
from alerts.model.specs import Spike
from alerts.model.units import with_older_names
from alerts.rules.numbers import number, to_the_cent
from alerts.rules.state import Notified
from alerts.rules.view import BETWEEN, BREACH, CLEAR, UNKNOWN, News, Payload, RuleVerdict, RuleView

ENTERED, ENDED = EventType.USAGE_SPIKE, EventType.USAGE_SPIKE_ENDED
USUAL_DAYS = 14
"""The usual burn is the median of so many whole days before the window."""
LEARNING_DAYS = 3
"""Days of history before the first spike can be found."""
PEAK_DAYS = 7
PEAK_FACTOR = Decimal("1.5")
"""A burst that comes every night is no spike: a spike exceeds the highest window of the last week by this factor."""
CLEAR_PART = Decimal("0.8")
CLEAR_OF_PEAK = CLEAR_PART * PEAK_FACTOR
_HOUR, _NO_TIME = timedelta(hours=1), timedelta()
LONGEST = timedelta(days=3)
"""A spike under way is left out of the usual burn; after so long it counts as usual."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual burn of an account, in micro-dollars a day."""

    median_microusd_per_day: int
    peak_microusd_per_day: int


def evaluate(rule: Spike, view: RuleView) -> RuleVerdict:
    """In breach at or above the line; clear below four fifths of it; unknown in the first three days."""
    now = observed(view.state.burn, rule.window, view.now)
    if now is None:
        return UNKNOWN
    if now.microusd_per_day < rule.min_microusd_per_day * CLEAR_PART:
        return CLEAR
    past = _usual(rule, view)
    if past is None or now.partial:
        return UNKNOWN
    if now.microusd_per_day < CLEAR_OF_PEAK * past.peak_microusd_per_day:
        return CLEAR  # nearly always: the line is at least `PEAK_FACTOR` times the peak
    line = _line(rule, past)
    if now.microusd_per_day >= line:
        return BREACH
    return CLEAR if now.microusd_per_day < line * CLEAR_PART else BETWEEN


def news(rule: Spike, verdict: RuleVerdict, notified: Notified) -> tuple[News, ...]:
    """One event, when the episode opens."""
    return () if notified.entered else (News(ENTERED, Notified(entered=True)),)


def numbers(rule: Spike, view: RuleView, verdict: RuleVerdict) -> Payload:
    now, past = observed(view.state.burn, rule.window, view.now), _usual(rule, view)
    figures = {
        "burn_per_day": None if now is None else to_the_cent(now.microusd_per_day),
        "usual_per_day": None if past is None else to_the_cent(past.median_microusd_per_day),
        "peak_per_day": None if past is None else to_the_cent(past.peak_microusd_per_day),
        "spent": None if now is None else to_the_cent(now.spent_microusd),
    }
    return {
        **with_older_names(view.context.info.unit, figures),
        "factor": number(rule.factor),
        "window_hours": number(Decimal(rule.window // timedelta(minutes=1)) / 60),
    }


def why(rule: Spike, view: RuleView, verdict: RuleVerdict) -> str:
    now, past = observed(view.state.burn, rule.window, view.now), _usual(rule, view)
    unit = view.context.info.unit
    burns = "unknown" if now is None else f"{format_amount(now.microusd_per_day, unit)} a day"
    usually = "unknown" if past is None else f"{format_amount(past.median_microusd_per_day, unit)} a day"
    return f"burns {burns}; usual is {usually}"


def usual(counter: Hourly, window: timedelta, under_way: timedelta = _NO_TIME) -> Usual | None:
    """Return the median day and the highest window, both before the current window and before the spike that is
    `under_way`; None without enough history.
    """
    width = max(-(-window // _HOUR), 1)
    skipped = width + -(-under_way // _HOUR) if under_way else width
    memo, key = counter.memo, (width, skipped)
    notes = memo.notes = {} if memo.notes is None else memo.notes
    if key not in notes:
        notes[key] = _usual_of(counter.hours, width, skipped)
    found = notes[key]
    return found if isinstance(found, Usual) else None


def _usual_of(hours: Sequence[int], width: int, skipped: int) -> Usual | None:
    """Computed once an hour: it depends on whole hours only."""
    end = len(hours) - skipped
    if end < 24 * LEARNING_DAYS:
        return None
    sums = [0, *accumulate(hours[max(end - 24 * USUAL_DAYS, 0) : end])]
    days = map(sub, sums[::-24], sums[-25::-24])
    return Usual(median_high(days), _peak(sums[-24 * PEAK_DAYS - 1 :], width))


def _usual(rule: Spike, view: RuleView) -> Usual | None:
    counter, memory = view.state.burn.spend, view.state.rules.get(rule.id)
    assert counter is not None
    if memory is None or memory.episode is None:
        return usual(counter, rule.window)
    under_way = min(max(view.now - memory.episode.opened_at, _NO_TIME), LONGEST)
    return usual(counter, rule.window, under_way)


def _peak(sums: list[int], width: int) -> int:
    """Return the highest burn of `width` hours, per day, from the running sums; of fewer hours, their sum."""
    highest = max(map(sub, sums[width:], sums), default=sums[-1] - sums[0])
    return highest * 24 // width


def _line(rule: Spike, past: Usual) -> Decimal:
    return max(
        rule.factor * past.median_microusd_per_day,
        PEAK_FACTOR * past.peak_microusd_per_day,
        Decimal(rule.min_microusd_per_day),
    )
