"""`stale`: no good reading for a while, although this process was there to see one. Told as `reading.unavailable`."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from alerts.model.readings import Known
from alerts.model.specs import Stale
from alerts.rules.view import Context

INTERVALS = 3
SHORTEST = timedelta(hours=1)
"""By default silence is news after three poll intervals, and not before an hour."""
_NO_TIME = timedelta()
GAP = timedelta(minutes=5)
"""A process that was not there for longer than this (asleep, stopped) begins to watch anew: the silence was its own."""


def after(rule: Stale, poll_interval: timedelta | None) -> timedelta:
    """Return how long silence is no news."""
    return silence_is_news_after(poll_interval) if rule.after is None else rule.after


def silence_is_news_after(poll_interval: timedelta | None) -> timedelta:
    """Return how long silence is no news where nothing else is configured: three poll intervals, at least an hour."""
    return max(INTERVALS * poll_interval, SHORTEST) if poll_interval is not None else SHORTEST


class Watch(Struct, frozen=True, gc=False):
    """Since when this process has watched without a gap of its own, and when it looked last. A restart begins anew."""

    since: datetime
    beat_at: datetime

    def beat(self, now: datetime, poll_interval: timedelta | None) -> Watch:
        """Return the watch after one more look, at `now`; it begins anew after a gap, or where the clock went back."""
        away = now - self.beat_at
        if away > GAP and (poll_interval is None or away > 2 * poll_interval):
            return Watch(now, now)
        return Watch(self.since, now) if away >= _NO_TIME else Watch(now, now)


def stale_at(rule: Stale, last: Known | None, context: Context) -> datetime:
    """Return when silence is news: so long after the last good reading, or after this process began to watch."""
    watching = context.watching_since
    since = watching if last is None or last.at < watching else last.at
    return since + after(rule, context.poll_interval)


def is_stale(rule: Stale, last: Known | None, context: Context) -> bool:
    """Whether there was no good reading for too long."""
    return context.now >= stale_at(rule, last, context)
