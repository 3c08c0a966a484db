"""What is due, and when the next is: pure functions of cron expressions, a time zone and `now`.

Accounts that share an expression are one group. cronsim's rules apply: five fields, day-of-month OR day-of-week if both
are restricted, and a local time that daylight saving skips or repeats runs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from alerts.model.polling import AutoPoll, Poll
from daemon.limits import SPREAD_MAX_S

_FIRES_LOOKED_AT = 12


@dataclass(frozen=True, slots=True)
class Group:
    """The accounts that one cron expression polls."""

    cron: str
    accounts: tuple[str, ...]


def groups(cron_by_account: Mapping[str, str]) -> tuple[Group, ...]:
    """Return one group per expression, in the order in which the expressions first occur."""
    members: dict[str, list[str]] = {}
    for account, cron in cron_by_account.items():
        members.setdefault(" ".join(cron.split()), []).append(account)
    return tuple(Group(cron, tuple(accounts)) for cron, accounts in members.items())


def next_fire(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    """Return the first fire strictly after `after` (aware) of the expression in `zone`, in UTC."""
    return next(CronSim(cron, after.astimezone(zone))).astimezone(UTC)


def last_fire(cron: str, zone: ZoneInfo, before: datetime) -> datetime:
    """Return the last fire before `before` (aware) of the expression in `zone`, in UTC."""
    return next(CronSim(cron, before.astimezone(zone), reverse=True)).astimezone(UTC)


def longest_gap(poll: Poll, zone: ZoneInfo, now: datetime) -> timedelta:
    """Return the longest time between two of the next twelve fires, or that an account without a cron can wait."""
    if isinstance(poll, AutoPoll):
        return poll.slowest
    simulated = CronSim(poll, now.astimezone(zone))
    fires = [next(simulated).astimezone(UTC) for _ in range(_FIRES_LOOKED_AT)]
    return max(later - earlier for earlier, later in pairwise(fires))


@dataclass(frozen=True, slots=True)
class Timetable:
    """When each expression is due next. Immutable: each change returns a new one."""

    zone: ZoneInfo
    due_at: Mapping[str, datetime]
    as_of: datetime
    """The time at which this was created."""

    @classmethod
    def starting(cls, crons: Iterable[str], zone: ZoneInfo, now: datetime) -> Timetable:
        """Return a timetable with everything due at `now`: every account is polled at the start."""
        return cls(zone, dict.fromkeys(crons, now), now)

    def due(self, now: datetime) -> tuple[str, ...]:
        """Return the expressions that are due. Several missed fires count as one."""
        return tuple(cron for cron, at in self.due_at.items() if at <= now)

    def ran(self, crons: Iterable[str], now: datetime) -> Timetable:
        """Return the timetable after `crons` were started at `now`."""
        moved = {cron: next_fire(cron, self.zone, now) for cron in crons}
        return Timetable(self.zone, {**self.due_at, **moved}, now)

    def corrected(self, now: datetime) -> Timetable:
        """Return the timetable with nothing later than the next fire, for a clock that went back."""
        if now >= self.as_of:
            return self
        due_at = {cron: min(at, next_fire(cron, self.zone, now)) for cron, at in self.due_at.items()}
        return Timetable(self.zone, due_at, now)

    def next_at(self) -> datetime | None:
        """Return the earliest instant at which something is due."""
        return min(self.due_at.values(), default=None)


def spread_offset_s(account: str, interval: timedelta) -> float:
    """Return the account's stable offset in its schedule, in seconds: below half the interval and a minute."""
    fraction = int.from_bytes(blake2b(account.encode(), digest_size=8).digest()) / 2**64
    return fraction * min(interval.total_seconds() / 2, SPREAD_MAX_S)
