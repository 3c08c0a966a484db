"""A ContentStats account as its page describes it: hourly snapshots, deducted daily, paused when nothing is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from alerts.model.money import to_number

HOUR = timedelta(hours=1)


@dataclass(slots=True)
class PrepaidAccount:
    """Money in micro-dollars. Change `active_videos` at any time: the snapshots from the next hour on follow it."""

    path: ClassVar[str] = "/api/v1/usage"
    key_missing: ClassVar[str] = "API key required"

    key: str
    at: datetime
    """Up to where the life of the account was lived; full hours of UTC from the first on."""
    balance: int
    uncharged: int = 0
    total_charged: int = 0
    snapshots: int = 0
    active_videos: int = 0
    cost: int = 15_000
    deduct_every_h: int = 24
    unknown: dict[str, Any] = field(default_factory=dict)
    """Fields that the page does not have, added to every answer."""
    log: list[tuple[datetime, str, int]] = field(default_factory=list)
    """The truth: when something was used or credited, and how much of micro-dollars."""
    _pending: list[tuple[datetime, int]] = field(default_factory=list)

    def credit(self, microusd: int, *, now: datetime, visible_after: timedelta = timedelta()) -> None:
        """Add money; the API shows it (and tracking resumes) after `visible_after`."""
        self._pending.append((now + visible_after, microusd))
        self._pending.sort()

    @property
    def paused(self) -> bool:
        """Whether not even one more snapshot can be paid."""
        return self.balance - self.uncharged < self.cost

    def live(self, now: datetime) -> None:
        """Live up to `now`: a snapshot of every active video at every full hour, a deduction every so many hours."""
        hour = self.at.replace(minute=0, second=0, microsecond=0) + HOUR
        while hour <= now:
            self._show_credits(hour)
            self._snap(hour)
            if (hour.day * 24 + hour.hour) % self.deduct_every_h == 0:
                self.deduct()
            self.at = hour
            hour += HOUR
        self.at = max(self.at, now)
        self._show_credits(now)

    def deduct(self) -> None:
        """Move what is uncharged from the balance to the total."""
        self.balance -= self.uncharged
        self.total_charged += self.uncharged
        self.uncharged = 0

    def _show_credits(self, now: datetime) -> None:
        while self._pending and self._pending[0][0] <= now:
            at, credit = self._pending.pop(0)
            self.balance += credit
            self.log.append((at, "credit", credit))

    def _snap(self, at: datetime) -> None:
        affordable = max(0, self.balance - self.uncharged) // self.cost if self.cost else self.active_videos
        taken = min(self.active_videos, affordable)
        self.uncharged += taken * self.cost
        self.snapshots += taken
        self.log.append((at, "usage", taken * self.cost))

    def document(self) -> dict[str, Any]:
        """Return the answer of `GET /api/v1/usage`."""
        return {
            "balance_usd": to_number(self.balance),
            "total_snapshots": self.snapshots,
            "active_videos": self.active_videos,
            "uncharged_usage_usd": to_number(self.uncharged),
            "total_charged_usd": to_number(self.total_charged),
            "estimated_snapshots_remaining": self.balance // self.cost if self.cost else 0,
            "cost_per_snapshot": to_number(self.cost),
            **self.unknown,
        }
