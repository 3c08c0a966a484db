"""Spend: counters that only grow, corrected for resets, and their values when the current periods began.

Updated with each reading, so that spend over a period is one subtraction, whatever the length of the history. Money in
micro-dollars, volume in micro-gigabytes; both start at 0 with the first reading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from alerts.model.instants import from_ms, to_ms
from alerts.model.periods import CALENDAR, PeriodBounds, billing, calendar, goes_on, is_same
from alerts.model.readings import Metrics
from alerts.model.specs import Period
from alerts.model.values import replace

BOUNDARY_READING_IS_GOOD_FOR = timedelta(hours=24)
"""The last reading before a period gives the value at its start if it is at most this old, and no older than the
period is long; else the value is interpolated.
"""
_DAY_MS = 86_400_000
_SHORTEST_GAP_MS = 60_000
"""Two readings closer than this are taken to be this far apart when a burn is measured."""
_BILLING = Period.BILLING
_VOLUMES = ("used_microgb", "period_used_microgb")
_VERSION = 1


class Counter(Struct, frozen=True, gc=False):
    """A provider's counter made monotonic: `value` is its growth since the first reading.

    `high` is the provider's highest value since the last reset. After a small fall (rounding between two fields) the
    counter waits until `high` is reached again; after a confirmed reset it counts from the new base.
    """

    value: int = 0
    high: int | None = None

    def fold(self, raw: int | None, reset: bool) -> Counter:
        high = self.high
        if raw is None or raw == high:
            return self
        if high is None or reset:
            return Counter(self.value, raw)
        return Counter(self.value + raw - high, raw) if raw > high else self


class Base(Struct, frozen=True, gc=False):
    """The counters at the start of a period. `since`: the instant from which spend is counted."""

    start: datetime
    end: datetime
    microusd: int
    microgb: int
    partial: bool
    since: datetime


class Spent(Struct, frozen=True, gc=False):
    """Spend over a period up to the last reading. `partial`: history begins inside it, or its start is interpolated."""

    microusd: int
    microgb: int
    start: datetime
    end: datetime
    since: datetime
    partial: bool


class SpendMemory(Struct, frozen=True, gc=False):
    """The counters of one account and the bases of the current periods.

    `money`: what was spent, from the running total, or without one from falls of the available balance. `volume`: what
    budgets in GB count, the provider's usage of its period if it reports that, else the used volume.
    """

    first_at: datetime
    at: datetime
    zone: str
    money: Counter
    volume: Counter
    bases: Mapping[Period, Base]
    turns_at: datetime
    """When the first of the calendar periods ends."""
    metered: bool = False
    """Whether `volume` counts the provider's own period usage."""
    available_microusd: int | None = None
    largest_burn_microusd_per_day: int = 0

    @classmethod
    def begin(cls, at: datetime, metrics: Metrics, zone: ZoneInfo) -> SpendMemory:
        """Start counting with the first reading. A current period is partial unless it starts exactly then."""
        bases = {period: _first_base(calendar(period, at, zone), at) for period in CALENDAR}
        if (own := billing(metrics)) is not None:
            bases[Period.BILLING] = _first_base(own, at)
        return cls(
            first_at=at,
            at=at,
            zone=zone.key,
            money=Counter(high=metrics.accrued_microusd),
            volume=Counter(high=_volume(metrics)),
            bases=bases,
            turns_at=min(bases[period].end for period in CALENDAR),
            metered=metrics.period_used_microgb is not None,
            available_microusd=metrics.available_microusd,
        )

    def fold(
        self,
        at: datetime,
        metrics: Metrics,
        zone: ZoneInfo,
        resets: frozenset[str] = frozenset(),
        *,
        uncertain: bool = False,
    ) -> SpendMemory:
        """Return the memory after one more accepted reading. `resets`: the counters with a confirmed restart.

        `uncertain`: the reading may be the provider's mistake, so the largest burn stays as it is.
        """
        money = self._fold_money(metrics, "total_charged_microusd" in resets)
        metered = metrics.period_used_microgb is not None
        if self.metered and metrics.is_unusable("period_used_microgb"):
            metered = True
        volume = self._fold_volume(at, metrics, metered, bool(resets) and not resets.isdisjoint(_VOLUMES))
        available = metrics.available_microusd
        unmoved = money is self.money and volume is self.volume and available == self.available_microusd
        if at < self.turns_at and zone.key == self.zone and self._own_period_is_same(metrics):
            bases, turns_at = self.bases, self.turns_at
        else:
            bases = self._turn(at, metrics, zone, money.value, volume.value)
            turns_at = min(bases[period].end for period in CALENDAR)
        largest = self.largest_burn_microusd_per_day
        if not unmoved and not uncertain and money.value > self.money.value:
            gap_ms = max(to_ms(at) - to_ms(self.at), _SHORTEST_GAP_MS)
            largest = max(largest, (money.value - self.money.value) * _DAY_MS // gap_ms)
        return SpendMemory(
            self.first_at,
            at if at > self.at else self.at,
            zone.key,
            money,
            volume,
            bases,
            turns_at,
            metered,
            self.available_microusd if available is None else available,
            largest,
        )

    def burnt(self, microusd: int) -> SpendMemory:
        """Return the memory with a lasting drop counted as burnt within an hour: another like it is plausible."""
        return replace(self, largest_burn_microusd_per_day=max(self.largest_burn_microusd_per_day, 24 * microusd))

    def over(self, period: Period) -> Spent | None:
        """Return the spend in the period of the last reading; None if the provider has no such period."""
        base = self.bases.get(period)
        if base is None:
            return None
        return Spent(
            self.money.value - base.microusd,
            self.volume.value - base.microgb,
            base.start,
            base.end,
            base.since,
            base.partial,
        )

    def same_counts(self, other: SpendMemory) -> bool:
        """Whether nothing but the time of the last reading differs."""
        return (
            self.money is other.money
            and self.volume is other.volume
            and self.bases is other.bases
            and self.available_microusd == other.available_microusd
            and self.zone == other.zone
            and self.metered is other.metered
        )

    def _fold_money(self, metrics: Metrics, reset: bool) -> Counter:
        accrued = metrics.accrued_microusd
        if accrued is not None or self.money.high is not None:
            return self.money.fold(accrued, reset)
        now, before = metrics.available_microusd, self.available_microusd
        if now is None or before is None or now >= before:
            return self.money
        return Counter(self.money.value + before - now)

    def _own_period_is_same(self, metrics: Metrics) -> bool:
        """Whether the provider's own period is unchanged, or unknown in this reading."""
        own = self.bases.get(_BILLING)
        if own is not None and own.start == metrics.period_start_at and own.end == metrics.period_end_at:
            return True
        said = billing(metrics)
        if said is None:
            return own is None or None in (metrics.period_start_at, metrics.period_end_at)
        return own is not None and is_same(own, said)

    def _fold_volume(self, at: datetime, metrics: Metrics, metered: bool, reset: bool) -> Counter:
        raw, high = metrics.period_used_microgb if metered else metrics.used_microgb, self.volume.high
        if raw is not None and high is not None and metered is not self.metered:
            return Counter(self.volume.value, raw)
        if metered and raw is not None and high is not None:
            own, said = self.bases.get(Period.BILLING), billing(metrics)
            new_period = raw < high if own is None or said is None else not goes_on(own, said, at - self.at)
            # The usage of a new period starts at 0: all of it was used since the start.
            return Counter(self.volume.value + raw, raw) if new_period else self.volume.fold(raw, reset)
        return self.volume.fold(raw, reset)

    def _turn(
        self, at: datetime, metrics: Metrics, zone: ZoneInfo, microusd: int, microgb: int
    ) -> Mapping[Period, Base]:
        """Return the bases, with new ones where a period ended or the zone or the provider's dates changed."""
        spans = {period: calendar(period, max(at, self.at), zone) for period in CALENDAR}
        if (own := billing(metrics)) is not None:
            spans[Period.BILLING] = own
        elif Period.BILLING in self.bases and None in (metrics.period_start_at, metrics.period_end_at):
            old = self.bases[Period.BILLING]
            spans[Period.BILLING] = PeriodBounds(old.start, old.end)
        return {period: self._base(period, span, at, microusd, microgb) for period, span in spans.items()}

    def _base(self, period: Period, span: PeriodBounds, at: datetime, microusd: int, microgb: int) -> Base:
        old = self.bases.get(period)
        own = period is Period.BILLING
        if old is not None and (goes_on(old, span, at - self.at) if own else old.start == span.start):
            return Base(old.start, span.end, old.microusd, old.microgb, old.partial, old.since)
        if old is not None and not own and span.start <= self.at:
            # Another zone: spend before its midnight can no longer be separated.
            return Base(span.start, span.end, old.microusd, old.microgb, True, max(old.since, span.start))
        if span.start == at:
            return Base(span.start, span.end, microusd, microgb, False, span.start)
        if span.start < self.at:
            return Base(span.start, span.end, self.money.value, self.volume.value, True, self.at)
        good_for = BOUNDARY_READING_IS_GOOD_FOR
        if own and span.end - span.start < good_for:
            good_for = span.end - span.start
        if span.start - self.at <= good_for:
            return Base(span.start, span.end, self.money.value, self.volume.value, False, span.start)
        part, whole = to_ms(span.start) - to_ms(self.at), to_ms(at) - to_ms(self.at)
        return Base(
            span.start,
            span.end,
            self.money.value + (microusd - self.money.value) * part // whole,
            self.volume.value + (microgb - self.volume.value) * part // whole,
            True,
            span.start,
        )

    def encode(self) -> str:
        """Return the memory as compact JSON text of integers."""
        bases = {period.value: _encode_base(base) for period, base in self.bases.items()}
        said = [
            _VERSION,
            to_ms(self.first_at),
            self.zone,
            bases,
            to_ms(self.turns_at),
            to_ms(self.at),
            [self.money.value, self.money.high],
            [self.volume.value, self.volume.high],
            self.metered,
            self.available_microusd,
            self.largest_burn_microusd_per_day,
        ]
        return msgspec.json.encode(said).decode()

    @classmethod
    def decode(cls, text: str) -> SpendMemory:
        """Return the memory that was encoded; raises ValueError for text that is not one."""
        try:
            version, first, zone, bases, turns, at, money, volume, metered, available, largest = json.loads(text)
            if version != _VERSION:
                raise ValueError("another version")
            return cls(
                first_at=from_ms(first),
                at=from_ms(at),
                zone=zone,
                money=Counter(*money),
                volume=Counter(*volume),
                bases={Period(name): _decode_base(base) for name, base in bases.items()},
                turns_at=from_ms(turns),
                metered=metered,
                available_microusd=available,
                largest_burn_microusd_per_day=largest,
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError("not a spend memory") from error


def _first_base(span: PeriodBounds, at: datetime) -> Base:
    return Base(span.start, span.end, 0, 0, at != span.start, max(at, span.start))


def _volume(metrics: Metrics) -> int | None:
    return metrics.used_microgb if metrics.period_used_microgb is None else metrics.period_used_microgb


def _encode_base(base: Base) -> list[int | bool]:
    return [to_ms(base.start), to_ms(base.end), base.microusd, base.microgb, base.partial, to_ms(base.since)]


def _decode_base(value: list[Any]) -> Base:
    start, end, microusd, microgb, partial, since = value
    return Base(from_ms(start), from_ms(end), microusd, microgb, partial, from_ms(since))
