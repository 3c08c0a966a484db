"""What a forecast remembers of an account: fixed in size, folded at every believed reading, kept as integers.

Four weeks of hours of what was spent, what was scheduled and what was stored, whatever the length of the history.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from alerts.forecast.hourly import DAY_MS, HOUR_MS, Hourly
from alerts.model.instants import to_ms

MILLISECOND = timedelta(milliseconds=1)
_VERSION = 1
_SCALE_MS = DAY_MS
"""The schedule is counted in micro-dollars × milliseconds of a day, so that its integral stays a whole number."""


class Schedule(Struct, frozen=True, gc=False):
    """The provider's own schedule: its rate now, in micro-dollars a day, and what it added up to."""

    rate_microusd_per_day: int
    since_ms: int
    sum_scaled: int
    counter: Hourly

    @classmethod
    def begin(cls, at_ms: int, rate: int) -> Schedule:
        return cls(rate, at_ms, 0, Hourly.begin(at_ms, 0))

    def fold(self, at_ms: int, rate: int) -> Schedule:
        """Return the schedule with one more reading; the rate is taken to hold until the reading that changes it."""
        if rate == self.rate_microusd_per_day and at_ms // HOUR_MS == self.counter.last_ms // HOUR_MS:
            return self
        if at_ms <= self.since_ms:
            if at_ms >= self.since_ms - HOUR_MS:
                return self
            return Schedule(rate, at_ms, self.sum_scaled, self.counter.fold(at_ms, self.counter.last))
        total = self.sum_scaled + self.rate_microusd_per_day * (at_ms - self.since_ms)
        return Schedule(rate, at_ms, total, self.counter.fold(at_ms, total // _SCALE_MS))


class Reserve(Struct, frozen=True, gc=False):
    """The highest reservation of each of the last hours, in micro-gigabytes: it comes and goes with jobs."""

    hour: int
    peaks: tuple[int, ...]

    KEPT = 24

    @property
    def peak(self) -> int:
        return max(self.peaks)

    def fold(self, at_ms: int, reserved: int) -> Reserve:
        hour = at_ms // HOUR_MS
        if hour == self.hour:
            if reserved <= self.peaks[-1]:
                return self
            return Reserve(hour, (*self.peaks[:-1], reserved))
        if hour < self.hour:
            return self if hour == self.hour - 1 else Reserve(hour, (reserved,))
        idle = min(hour - self.hour - 1, self.KEPT)
        return Reserve(hour, (*self.peaks, *(0,) * idle, reserved)[-self.KEPT :])


class BurnMemory(Struct, frozen=True, gc=False):
    """Spend, schedule, volume and reservations of one account. `BurnMemory()` remembers nothing yet."""

    spend: Hourly | None = None
    schedule: Schedule | None = None
    used: Hourly | None = None
    used_base: int = 0
    """What is added to a used volume to make it monotone: grows when the provider's counter starts again."""
    reserve: Reserve | None = None

    def fold(
        self,
        at: datetime,
        spent_microusd: int | None,
        scheduled_microusd_per_day: int | None = None,
        used_microgb: int | None = None,
        reserved_microgb: int | None = None,
    ) -> BurnMemory:
        """Return the memory with one more believed reading, or itself where nothing but the clock moved.

        `spent_microusd` is the accrued spend, monotone and corrected for resets. Money in micro-dollars, volume in
        micro-gigabytes. None is "not said" and leaves that part as it was.
        """
        at_ms = to_ms(at)
        spend, schedule, used, base, reserve = self.spend, self.schedule, self.used, self.used_base, self.reserve
        if spent_microusd is not None:
            spend = spend.fold(at_ms, spent_microusd) if spend else Hourly.begin(at_ms, spent_microusd)
        if scheduled_microusd_per_day is not None:
            rate = scheduled_microusd_per_day
            schedule = schedule.fold(at_ms, rate) if schedule else Schedule.begin(at_ms, rate)
        if used_microgb is not None:
            if used is None:
                used = Hourly.begin(at_ms, used_microgb)
            else:
                if used_microgb + base < used.last:
                    base = used.last
                    base -= used_microgb
                used = used.fold(at_ms, used_microgb + base)
        if reserved_microgb is not None:
            first = Reserve(at_ms // HOUR_MS, (reserved_microgb,))
            reserve = reserve.fold(at_ms, reserved_microgb) if reserve else first
        if spend is self.spend and schedule is self.schedule and used is self.used and reserve is self.reserve:
            return self
        return BurnMemory(spend, schedule, used, base, reserve)

    @property
    def days(self) -> int:
        """Whole days between the first reading and the last that moved anything."""
        counter = self.spend or self.used
        return (counter.last_ms - counter.first_ms) // DAY_MS if counter else 0

    def encode(self) -> str:
        """Return the memory as compact JSON text of integers: `[now, hours]`, some ten kilobytes after four weeks."""
        now, hours = self.encode_parts()
        return f"[{now},{hours}]"

    def encode_parts(self) -> tuple[str, str]:
        """Return the two halves of `encode`: what moves with the readings (short), and the whole hours.

        The second changes once an hour only, so that a store can keep it in a column of its own and leave it alone.
        """
        schedule, counters = self.schedule, self._counters
        points = [counter.encode() if counter else "null" for counter in counters]
        rate = f"[{schedule.rate_microusd_per_day},{schedule.since_ms},{schedule.sum_scaled}]" if schedule else "null"
        reserve = f"[{','.join(map(str, (self.reserve.hour, *self.reserve.peaks)))}]" if self.reserve else "null"
        hours = [counter.encode_hours() if counter else "null" for counter in counters]
        return f"[{_VERSION},{','.join(points)},{rate},{self.used_base},{reserve}]", f"[{','.join(hours)}]"

    @property
    def _counters(self) -> tuple[Hourly | None, Hourly | None, Hourly | None]:
        return self.spend, self.schedule.counter if self.schedule else None, self.used

    @classmethod
    def decode(cls, text: str) -> BurnMemory:
        """Return the memory that was encoded; raises ValueError for text that is not one."""
        try:
            now, hours = json.loads(text)
            return cls._decode(now, hours)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a burn memory: {error}") from error

    @classmethod
    def _decode(cls, now: list[Any], hours: list[Any]) -> BurnMemory:
        version, spend, scheduled, used, rate, base, reserve = now
        spend_hours, scheduled_hours, used_hours = hours
        if version != _VERSION or type(base) is not int:
            raise ValueError("not a burn memory of this version")
        schedule = None
        if rate is not None:
            now_rate, since_ms, total = _integers(rate, 3)
            schedule = Schedule(now_rate, since_ms, total, Hourly.decode(scheduled, scheduled_hours))
        return cls(
            Hourly.decode(spend, spend_hours) if spend is not None else None,
            schedule,
            Hourly.decode(used, used_hours) if used is not None else None,
            base,
            _decode_reserve(reserve) if reserve is not None else None,
        )


def _integers(value: object, count: int) -> list[int]:
    if not isinstance(value, list) or len(value) != count or not all(type(number) is int for number in value):
        raise ValueError("not a burn memory")
    return value


def _decode_reserve(value: object) -> Reserve:
    if not isinstance(value, list) or len(value) < 2 or not all(type(number) is int for number in value):
        raise ValueError("not a reserve")
    return Reserve(value[0], tuple(value[1:]))


def spent_over(counter: Hourly, window: timedelta, now: datetime) -> tuple[int, int]:
    """Return what the counter grew by over the window that ends now, and the milliseconds of it that are known.

    The known part is shorter than the window where history began inside it.
    """
    end_ms, hour_ends_ms = to_ms(now), (counter.last_ms // HOUR_MS + 1) * HOUR_MS
    if end_ms > hour_ends_ms:
        end_ms = hour_ends_ms
    start_ms = end_ms - window // MILLISECOND
    if start_ms < counter.first_ms:
        start_ms = counter.first_ms
    return counter.last - counter.value_at(start_ms), max(end_ms - start_ms, 0)
