"""A counter as a forecast remembers it: what it grew by in each of the last hours, whatever the times of the readings.

A fold is O(1) in the history and returns the same object where nothing moved within the hour, so that a poll that finds
the counter unchanged costs a comparison. All integers.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Hashable, Sequence
from functools import lru_cache

from msgspec import Struct, field

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KEPT_HOURS = 28 * 24
"""Four weeks: each hour of the week is seen four times."""
_NARROW, _WIDE = "i", "q"
_LARGEST_NARROW, _LARGEST = 2**31 - 1, 2**62
"""An hour that grew by less than 2,147 dollars or gigabytes takes four bytes, else all of the counter's take eight."""
_QUICK = 1
"""The level of compression: four weeks in some two kilobytes, of a steady schedule in fifty bytes."""
_ASKED_AGAIN = 8
"""Counters that are kept unpacked: one account's, while it is judged, and those of a replay."""


class Memo(Struct, gc=False, eq=False):
    """What was worked out from the whole hours: shared by the counters of one hour and dropped with it."""

    learnt: object | None = None
    """What was learnt up to the last hour at which forecasts were judged: handed on from hour to hour."""
    found: object | None = None
    """What is believed: large, so it is dropped when the hour is over, or where many other accounts are asked."""
    burn: tuple[int | None, object] | None = None
    """What a day costs, with the schedule's rate that it goes by."""
    notes: dict[Hashable, object] | None = None
    """What others worked out from the same hours, by a key of theirs."""

    def __eq__(self, other: object) -> bool:
        """Always: it follows from the hours, and is no part of a counter's value."""
        return isinstance(other, Memo)

    __hash__ = None  # type: ignore[assignment]  # it changes


def _pack(hours: Sequence[int]) -> bytes:
    return _compressed(array(_NARROW if max(hours, default=0) <= _LARGEST_NARROW else _WIDE, hours))


def _compressed(hours: array[int]) -> bytes:
    return hours.typecode.encode() + zlib.compress(hours, _QUICK) if hours else b""


@lru_cache(_ASKED_AGAIN)
def _unpack(packed: bytes) -> array[int]:
    """Return the hours, which nobody changes."""
    hours = array(chr(packed[0]) if packed else _NARROW)
    hours.frombytes(zlib.decompress(packed[1:]) if packed else b"")
    return hours


def _joined(packed: bytes, closed: list[int]) -> bytes:
    """Return the last hours of both, as machine integers throughout where they fit: done every hour."""
    hours = _unpack(packed)
    if hours.typecode != _NARROW or max(closed, default=0) > _LARGEST_NARROW:
        return _pack([*hours, *closed][-KEPT_HOURS:])
    return _compressed((hours + array(_NARROW, closed))[-KEPT_HOURS:])


class Hourly(Struct, frozen=True, gc=False):
    """One monotone counter: its first and last point, its value when the current hour began, and the whole hours past.

    `packed` holds the growth of each whole hour, compressed: `hours` unpacks it. Growth between two readings is spread
    evenly over the time between them.
    """

    first_ms: int
    first: int
    last_ms: int
    last: int
    hour_start: int
    packed: bytes = b""
    memo: Memo = field(default_factory=Memo)
    """Not part of the value."""

    @classmethod
    def begin(cls, at_ms: int, value: int) -> Hourly:
        """Start counting: nothing is known of the time before."""
        return cls(at_ms, value, at_ms, value, value)

    @property
    def hour(self) -> int:
        """The hour under way, counted from the epoch: the one after the last whole hour that is kept."""
        return self.last_ms // HOUR_MS

    @property
    def hours(self) -> Sequence[int]:
        """The growth of the whole hours, oldest first; the last of them ended when the hour of `last_ms` began."""
        return _unpack(self.packed)

    def fold(self, at_ms: int, value: int) -> Hourly:
        """Return the counter with one more reading; a value that fell, or a time a little earlier, changes nothing.

        A clock that went back by more than an hour was wrong before: the hours that it made up are dropped.
        """
        last_ms = self.last_ms
        if value == self.last and at_ms // HOUR_MS == last_ms // HOUR_MS:
            return self
        if at_ms <= last_ms or value < self.last:
            return self._rewind(at_ms, value) if at_ms < last_ms - HOUR_MS and value >= self.last else self
        if at_ms // HOUR_MS == last_ms // HOUR_MS:
            return Hourly(self.first_ms, self.first, at_ms, value, self.hour_start, self.packed, self.memo)
        return self._close_hours(at_ms, value)

    def _rewind(self, at_ms: int, value: int) -> Hourly:
        made_up = self.hour - at_ms // HOUR_MS
        hours = self.hours
        packed = _pack(hours[: max(len(hours) - made_up, 0)])
        return Hourly(min(self.first_ms, at_ms), self.first, at_ms, value, value, packed)

    def _close_hours(self, at_ms: int, value: int) -> Hourly:
        hour, new_hour = self.last_ms // HOUR_MS, at_ms // HOUR_MS
        growth, span = value - self.last, at_ms - self.last_ms
        first_closed = max(hour, new_hour - KEPT_HOURS)
        closed: list[int] = []
        before = self.hour_start
        if first_closed > hour:
            before = self.last + growth * (first_closed * HOUR_MS - self.last_ms) // span
        for closing in range(first_closed, new_hour):
            after = self.last + growth * ((closing + 1) * HOUR_MS - self.last_ms) // span
            began_inside = closing * HOUR_MS < self.first_ms
            if not began_inside:
                closed.append(min(after - before, _LARGEST))
            before = after
        packed = _joined(self.packed, closed)
        self.memo.found = None  # of an hour that is over
        return Hourly(self.first_ms, self.first, at_ms, value, before, packed, Memo(learnt=self.memo.learnt))

    def value_at(self, at_ms: int) -> int:
        """Return the counter at an instant, interpolated within its hour; before the first point it is the first value.

        Beyond the kept hours the growth since the first point is taken as even.
        """
        if at_ms >= self.last_ms:
            return self.last
        if at_ms <= self.first_ms:
            return self.first
        start_ms = self.last_ms // HOUR_MS * HOUR_MS
        if at_ms >= start_ms:
            began = max(start_ms, self.first_ms)
            return self.hour_start + (self.last - self.hour_start) * (at_ms - began) // max(self.last_ms - began, 1)
        hours = self.hours
        back, into = divmod(start_ms - at_ms, HOUR_MS)
        if back >= len(hours):
            oldest = self.hour_start - sum(hours)
            covered_ms = start_ms - len(hours) * HOUR_MS - self.first_ms
            return self.first + (oldest - self.first) * (at_ms - self.first_ms) // max(covered_ms, 1)
        whole = sum(hours[-back:]) if back else 0
        return self.hour_start - whole - hours[-back - 1] * into // HOUR_MS

    def encode(self) -> str:
        """Return the point and the hour under way as JSON: five integers."""
        return f"[{self.first_ms},{self.first},{self.last_ms},{self.last},{self.hour_start}]"

    def encode_hours(self) -> str:
        """Return the whole hours as JSON."""
        return f"[{','.join(map(str, self.hours))}]"

    @classmethod
    def decode(cls, points: object, hours: object) -> Hourly:
        """Return the counter that was encoded; raises ValueError for anything else."""
        if not isinstance(points, list) or len(points) != 5 or not isinstance(hours, list) or len(hours) > KEPT_HOURS:
            raise ValueError("not an hourly counter")
        if not all(type(number) is int for number in (*points, *hours)):
            raise ValueError("not an hourly counter")
        first_ms, first, last_ms, last, hour_start = points
        return cls(first_ms, first, last_ms, last, hour_start, _pack(hours))
