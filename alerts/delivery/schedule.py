"""When a delivery is tried again: ten attempts over three days, each delay with a jitter of a fifth.

Source: Standard Webhooks 1.0.0, "Deliverability and reliability", its example schedule.
"""

from __future__ import annotations

from datetime import timedelta

from alerts.model.limits import DELIVERY_JITTER, DELIVERY_PROBE_FIRST_S, DELIVERY_PROBE_MAX_S

DELAYS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The delay before each attempt, counted from the previous one."""


def delay_after(failures: int, roll: float) -> timedelta | None:
    """Return the wait after `failures` failed attempts; None after the last. `roll`: a random number in [0, 1)."""
    return spread(DELAYS[failures], roll) if failures < len(DELAYS) else None


def probe_after(failures_beyond: int, roll: float) -> timedelta:
    """Return the wait before the next probe, `failures_beyond` failures after the breaker opened."""
    seconds = min(DELIVERY_PROBE_FIRST_S * 2 ** min(failures_beyond, 16), DELIVERY_PROBE_MAX_S)
    return spread(timedelta(seconds=seconds), roll)


def spread(delay: timedelta, roll: float) -> timedelta:
    """Return the delay with jitter: up to a fifth shorter or longer."""
    return delay * (1 + DELIVERY_JITTER * (2 * roll - 1))
