"""The credit of a charge: seen when the balance shows it, whoever looks and whatever was burnt meanwhile. Pure.

`funded` = balance + total charged = every dollar ever credited: usage leaves it alone, only a credit raises it.
Providers without a running total fall back to a rise of the balance, which is weaker, and `check` says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.readings import Metrics
from daemon.store.topup_rows import State, Topup

WARN_AFTER = timedelta(minutes=30)
MISSING_AFTER = timedelta(hours=2)
"""So long after the charge a credit that no reading shows is told as missing."""
AWAIT_READING = timedelta(minutes=30)
"""So long a reading is waited for then, before it is told that there is none."""
POLLED_WITHIN = timedelta(minutes=5)
"""An account with an open top-up is polled as often as this."""
_RISE_PERCENT = 90
"""Without a running total: so much of the amount must the balance have risen above its lowest since the plan."""


def is_seen(topup: Topup, metrics: Metrics) -> bool:
    """Whether an accepted reading shows the credit of the top-up."""
    if topup.funded_before_microusd is not None:
        funded = metrics.funded_microusd
        return funded is not None and funded >= topup.funded_before_microusd + topup.amount_microusd
    low, balance = topup.low_balance_microusd, metrics.balance_microusd
    if low is None or balance is None:
        return False
    return balance >= low + topup.amount_microusd * _RISE_PERCENT // 100


def awaited_from(topup: Topup) -> int | None:
    """Return the sum on top of which the credit is awaited: `funded`, or the balance without a running total."""
    return topup.low_balance_microusd if topup.funded_before_microusd is None else topup.funded_before_microusd


def shown(topup: Topup, metrics: Metrics) -> int | None:
    """Return what a reading shows of that sum."""
    return metrics.balance_microusd if topup.funded_before_microusd is None else metrics.funded_microusd


def wake(topup: Topup) -> datetime | None:
    """Return when silence about the credit is told next; None once it was."""
    if topup.paid_at is None or topup.told_at is not None or topup.untold:
        return None
    return topup.paid_at + (WARN_AFTER if topup.warned_at is None else MISSING_AFTER)


def is_missing(topup: Topup, at: datetime) -> bool:
    """Whether at `at` the credit is so late that it is told, and it was not yet."""
    if topup.state is not State.PAID or topup.untold or topup.told_at is not None or topup.paid_at is None:
        return False
    return at - topup.paid_at >= MISSING_AFTER
