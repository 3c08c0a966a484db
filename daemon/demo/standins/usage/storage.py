"""A Tornado account as on its page: volume that only grows, a quota for trial keys, periods for stripe keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from alerts.model.instants import rfc3339
from alerts.model.money import MICRO, to_number

HOUR = timedelta(hours=1)


class KeyType(StrEnum):
    STRIPE = "stripe"
    TRIAL = "trial"
    UNLIMITED = "unlimited"


@dataclass(slots=True)
class StorageAccount:
    """Volume in micro-gigabytes. Change `grows_per_hour` and `reserved` at any time."""

    path: ClassVar[str] = "/usage"
    key_missing: ClassVar[str] = "Missing x-api-key header"

    key: str
    at: datetime
    key_type: KeyType
    used: int
    limit: int | None = None
    reserved: int = 0
    grows_per_hour: int = 0
    client_name: str = "My Application"
    jobs: int = 0
    period_start: datetime | None = None
    period_used: int = 0
    billing_error: str | None = None
    max_resolution: str | None = None
    max_duration_s: int | None = None
    max_filesize_bytes: int | None = None
    epoch_dates: bool = False
    """Dates as Unix seconds, as the vendor's own client has them, instead of ISO text."""
    numbers_as_text: bool = False
    legacy: bool = False
    """An older deployment: neither reserved nor effective."""
    unknown: dict[str, Any] = field(default_factory=dict)

    @property
    def period_end(self) -> datetime | None:
        """The end of the billing period: a month after its start."""
        return None if self.period_start is None else _month_later(self.period_start)

    def live(self, now: datetime) -> None:
        """Advance to `now`: the volume grows at every full hour, up to the quota; a stripe key's period restarts."""
        hour = self.at.replace(minute=0, second=0, microsecond=0) + HOUR
        while hour <= now:
            self._start_periods(hour)
            self._grow()
            self.at = hour
            hour += HOUR
        self.at = max(self.at, now)
        self._start_periods(now)

    def _start_periods(self, now: datetime) -> None:
        while self.period_end is not None and self.period_end <= now:
            self.period_start = self.period_end
            self.period_used = 0

    def _grow(self) -> None:
        grown = self.grows_per_hour
        if self.limit is not None:
            grown = max(0, min(grown, self.limit - self.used - self.reserved))
        if grown:
            self.used += grown
            self.period_used += grown
            self.jobs += 1

    def document(self) -> dict[str, Any]:
        """Return the answer of `GET /usage`."""
        said: dict[str, Any] = {
            "client_name": self.client_name,
            "usage_count": self.jobs,
            "storage_usage_gb": self._number(self.used),
        }
        if not self.legacy:
            said["storage_reserved_gb"] = self._number(self.reserved)
            said["storage_effective_usage_gb"] = self._number(self.used + self.reserved)
        if self.key_type is KeyType.STRIPE:
            said |= self._billing()
        if self.limit is not None:
            said["storage_limit_gb"] = self._number(self.limit)
            said["storage_limit_bytes"] = self.limit * (1 << 30) // MICRO
            said["storage_remaining_gb"] = self._number(max(0, self.limit - self.used - self.reserved))
        if self.max_resolution is not None:
            said["max_resolution_limit"] = self.max_resolution
        if self.max_duration_s is not None:
            said["max_duration_limit_seconds"] = self.max_duration_s
        if self.max_filesize_bytes is not None:
            said["max_filesize_limit_bytes"] = self.max_filesize_bytes
            said["max_filesize_limit_mb"] = self._number(self.max_filesize_bytes * MICRO // (1 << 20))
        return said | self.unknown

    def _billing(self) -> dict[str, Any]:
        if self.billing_error is not None:
            return {"billing_error": self.billing_error}
        start, end = self.period_start, self.period_end
        if start is None or end is None:
            return {}
        return {
            "billing_period_start": self._date(start),
            "billing_period_end": self._date(end),
            "current_period_usage_gb": self._number(self.period_used),
        }

    def _number(self, microgb: int) -> int | float | str:
        return f"{microgb // MICRO}.{microgb % MICRO:06d}" if self.numbers_as_text else to_number(microgb)

    def _date(self, instant: datetime) -> int | str:
        return int(instant.timestamp()) if self.epoch_dates else rfc3339(instant)


def _month_later(start: datetime) -> datetime:
    """The same day of the next month, or its last."""
    year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    for day in range(start.day, 27, -1):
        try:
            return start.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return start.replace(year=year, month=month)
