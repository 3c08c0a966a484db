"""`spike`: the account burns far faster than it ever usually does: a leak, a loop, or somebody else's hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from statistics import median_high

from alerts.events import EventType
from alerts.foresight.burn import observed
from alerts.foresight.hourly import Hourly
from alerts.money import format_usd
from alerts.rules.numbers import number, to_the_cent
from alerts.rules.specs import Spike
from alerts.rules.view import BETWEEN, BREACH, CLEAR, UNKNOWN, News, Payload, Verdict, View
from alerts.state import Told

ENTERED, ENDED = EventType.USAGE_SPIKE, EventType.USAGE_SPIKE_ENDED
USUAL_DAYS = 14
"""Usual is the median day of the last so many whole days before the window."""
LEARNING_DAYS = 3
"""Nothing is called a spike before so many days are known."""
PEAK_DAYS = 7
PEAK_FACTOR = Decimal("1.5")
"""A burst that comes every night is no news: a spike is this far above the highest such stretch of the last week."""
CLEAR_PART = Decimal("0.8")
LONGEST = timedelta(days=3)
"""The past of a spike under way is the time before it; after so long the new pace is the usual one."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What an account's past looks like, in micro-dollars a day."""

    median_microusd_per_day: int
    peak_microusd_per_day: int


def look(rule: Spike, view: View) -> Verdict:
    """In breach at or above the line; clear below four fifths of it; unknown until three days are known."""
    now = observed(view.state.burn, rule.window, view.now)
    if now is None:
        return UNKNOWN
    if now.microusd_per_day < rule.min_microusd_per_day * CLEAR_PART:
        return CLEAR
    line = _line(rule, view)
    if line is None or now.partial:
        return UNKNOWN
    if now.microusd_per_day >= line:
        return BREACH
    return CLEAR if now.microusd_per_day < line * CLEAR_PART else BETWEEN


def news(rule: Spike, verdict: Verdict, told: Told) -> tuple[News, ...]:
    """The entering, once."""
    return () if told.entered else (News(ENTERED, Told(entered=True)),)


def numbers(rule: Spike, view: View, verdict: Verdict) -> Payload:
    now, past = observed(view.state.burn, rule.window, view.now), _usual(rule, view)
    return {
        "burn_usd_per_day": None if now is None else to_the_cent(now.microusd_per_day),
        "usual_usd_per_day": None if past is None else to_the_cent(past.median_microusd_per_day),
        "peak_usd_per_day": None if past is None else to_the_cent(past.peak_microusd_per_day),
        "factor": number(rule.factor),
        "window_hours": number(Decimal(rule.window // timedelta(minutes=1)) / 60),
        "spent_usd": None if now is None else to_the_cent(now.spent_microusd),
    }


def why(rule: Spike, view: View, verdict: Verdict) -> str:
    now, past = observed(view.state.burn, rule.window, view.now), _usual(rule, view)
    burns = "unknown" if now is None else f"{format_usd(now.microusd_per_day)} a day"
    usually = "unknown" if past is None else f"{format_usd(past.median_microusd_per_day)} a day"
    return f"burns {burns}; usual is {usually}"


def usual(counter: Hourly, window: timedelta, under_way: timedelta = timedelta()) -> Usual | None:
    """Return the median day and the highest stretch of the window's length, both before the window and before what is
    `under_way`; None while learning.
    """
    width = max(-(-window // timedelta(hours=1)), 1)
    skipped = width + -(-under_way // timedelta(hours=1))
    notes, key = counter.memo.notes, ("usual", width, skipped)
    if key not in notes:
        notes[key] = _usual_of(counter.hours, width, skipped)
    found = notes[key]
    return found if isinstance(found, Usual) else None


def _usual_of(hours: Sequence[int], width: int, skipped: int) -> Usual | None:
    """Worked out once an hour: it rests on whole hours alone."""
    end = len(hours) - skipped
    days = [sum(hours[start : start + 24]) for start in range(end - 24, max(end - 24 * (USUAL_DAYS + 1), -1), -24)]
    if len(days) < LEARNING_DAYS:
        return None
    return Usual(median_high(days), _peak(list(hours[max(end - 24 * PEAK_DAYS, 0) : end]), width))


def _usual(rule: Spike, view: View) -> Usual | None:
    counter, memory = view.state.burn.spend, view.state.rules.get(rule.id)
    assert counter is not None
    episode = memory.episode if memory is not None else None
    under_way = min(max(view.now - episode.opened_at, timedelta()), LONGEST) if episode is not None else timedelta()
    return usual(counter, rule.window, under_way)


def _peak(hours: list[int], width: int) -> int:
    highest = running = sum(hours[:width])
    for entering, leaving in zip(hours[width:], hours, strict=False):
        running += entering - leaving
        highest = max(highest, running)
    return highest * 24 // width


def _line(rule: Spike, view: View) -> Decimal | None:
    past = _usual(rule, view)
    if past is None:
        return None
    return max(
        rule.factor * past.median_microusd_per_day,
        PEAK_FACTOR * past.peak_microusd_per_day,
        Decimal(rule.min_microusd_per_day),
    )
