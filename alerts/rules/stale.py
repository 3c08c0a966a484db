"""`stale`: no good reading for a while, although this process was running. The event is `reading.unavailable`."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from alerts.model.readings import Known
from alerts.model.specs import Stale
from alerts.rules.view import Context

INTERVALS = 3
SHORTEST = timedelta(hours=1)
"""By default a `stale` rule alerts after three poll intervals, and not before an hour."""
_NO_TIME = timedelta()
GAP = timedelta(minutes=5)
"""After a longer gap of this process (asleep, stopped) its watch restarts: the gap says nothing about the provider."""


def after(rule: Stale, poll_interval: timedelta | None) -> timedelta:
    """Return after how long without a good reading the rule alerts."""
    return default_after(poll_interval) if rule.after is None else rule.after


def default_after(poll_interval: timedelta | None) -> timedelta:
    """Return the default of `after`: three poll intervals, at least an hour."""
    return max(INTERVALS * poll_interval, SHORTEST) if poll_interval is not None else SHORTEST


class Watch(Struct, frozen=True, gc=False):
    """Since when this process watches without a gap, and its last beat. A restart begins a new watch."""

    since: datetime
    beat_at: datetime

    def beat(self, now: datetime, poll_interval: timedelta | None) -> Watch:
        """Return the watch after a beat at `now`; a new one after a gap, or if the clock went back."""
        away = now - self.beat_at
        if away > GAP and (poll_interval is None or away > 2 * poll_interval):
            return Watch(now, now)
        return Watch(self.since, now) if away >= _NO_TIME else Watch(now, now)


def stale_at(rule: Stale, last: Known | None, context: Context) -> datetime:
    """Return when the rule alerts: `after` the last good reading, or after this process began to watch."""
    watching = context.watching_since
    since = watching if last is None or last.at < watching else last.at
    return since + after(rule, context.poll_interval)


def is_stale(rule: Stale, last: Known | None, context: Context) -> bool:
    """Whether the last good reading is too old."""
    return context.now >= stale_at(rule, last, context)
