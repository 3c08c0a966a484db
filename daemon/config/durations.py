"""Durations as a person writes them: "90s", "15m", "24h", "7d", "2w"."""

from __future__ import annotations

import re
from datetime import timedelta

_FORM = re.compile(r"([0-9]{1,10})(s|m|h|d|w)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_S = 36_525 * 86_400


def parse_duration(text: str) -> timedelta:
    """Return the duration that `text` names: a whole number and one of s, m, h, d, w. Raises ValueError, a sentence."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError('a duration is a whole number and a unit, such as "90s", "15m", "24h" or "7d"')
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_S:
        raise ValueError("a duration is at most a hundred years")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Return the shortest form that `parse_duration` reads back: 86,400 seconds is "24h", 7 days "7d", 90 s "90s"."""
    seconds = round(duration.total_seconds())
    for unit, length, above in (("d", 86_400, 2), ("h", 3600, 1), ("m", 60, 1)):
        if seconds >= above * length and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
