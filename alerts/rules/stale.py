"""`stale`: no good reading for a while, although this process was there to see one. Told as `reading.unavailable`."""

from __future__ import annotations

from datetime import timedelta

from alerts.readings import Known
from alerts.rules.specs import Stale
from alerts.rules.view import Context
from alerts.state import Watch

INTERVALS = 3
SHORTEST = timedelta(hours=1)
"""By default silence is news after three poll intervals, and not before an hour."""
_NO_TIME = timedelta()
GAP = timedelta(minutes=5)
"""A process that was not there for longer than this (asleep, stopped) begins to watch anew: the silence was its own."""


def after(rule: Stale, poll_interval: timedelta | None) -> timedelta:
    """Return how long silence is no news."""
    if rule.after is not None:
        return rule.after
    return max(INTERVALS * poll_interval, SHORTEST) if poll_interval is not None else SHORTEST


def watched(watch: Watch | None, context: Context) -> Watch:
    """Return since when this process has watched without a gap."""
    now = context.now
    if watch is None:
        return Watch(now, now)
    away = now - watch.beat_at
    if away > GAP and (context.poll_interval is None or away > 2 * context.poll_interval):
        return Watch(now, now)
    return Watch(watch.since, now) if away >= _NO_TIME else Watch(now, now)


def is_stale(rule: Stale, last: Known | None, watch: Watch, context: Context) -> bool:
    """Whether there was no good reading for too long, counted from when this process began to watch."""
    since = watch.since if last is None else max(watch.since, last.at)
    silent = context.now - since
    if silent < SHORTEST and rule.after is None:
        return False
    return silent >= after(rule, context.poll_interval)
