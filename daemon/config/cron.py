"""Cron expressions: five fields, parsed by cronsim; one that never fires is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from alerts.model.instants import EPOCH
from alerts.model.polling import AutoPoll, Poll
from alerts.model.spans import Span, SpanKind, span_at
from daemon.schedule import next_fire

_FIRES_LOOKED_AT = 60
_SAMPLE_AT = EPOCH + timedelta(days=20_454)
"""A fixed start for examining an expression, so that the result is the same on every day."""


@lru_cache(maxsize=1024)
def parse_cron(text: str) -> str:
    """Return the expression with single spaces. Raises ValueError with a sentence; @-names and seconds are refused."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(
            f"a cron expression has five fields (minute hour day month weekday), this one has {len(fields)}"
        )
    normal = " ".join(fields)
    try:
        next(CronSim(normal, _SAMPLE_AT))
    except CronSimError as error:
        raise ValueError(f"the {str(error).removeprefix('Bad ')} field is not valid") from error
    except StopIteration as error:
        raise ValueError("this expression never fires") from error
    return normal


@lru_cache(maxsize=1024)
def gaps(poll: Poll, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """Return the shortest and the longest time between two polls: of a cron, of the next sixty fires."""
    if isinstance(poll, AutoPoll):
        return poll.fastest, poll.slowest
    fires: list[datetime] = list(islice(CronSim(poll, _SAMPLE_AT.astimezone(zone)), _FIRES_LOOKED_AT))
    between = [later - earlier for earlier, later in pairwise(fire.timestamp() for fire in fires)]
    return timedelta(seconds=min(between)), timedelta(seconds=max(between))


def gap_when_near(poll: Poll, zone: ZoneInfo) -> timedelta:
    """Return the longest time between two polls where something is about to happen, as far as that is known."""
    return gaps(poll, zone)[0 if isinstance(poll, AutoPoll) else 1]


_PERIODS_LOOKED_AT = {SpanKind.DAY: 366, SpanKind.WEEK: 106, SpanKind.MONTH: 48}


@lru_cache(maxsize=1024)
def first_late(cron: str, kind: SpanKind, zone: ZoneInfo) -> tuple[Span, datetime] | None:
    """Return the first period without a fire before the next one ends too, and its first fire; None if there is none.

    The report of such a period is sent together with the next.
    """
    span = span_at(kind, _SAMPLE_AT, zone)
    for _ in range(_PERIODS_LOOKED_AT[kind]):
        following = span_at(kind, span.end, zone)
        at = next_fire(cron, zone, span.end - timedelta(seconds=1))
        if at >= following.end:
            return span, at
        span = following
    return None
