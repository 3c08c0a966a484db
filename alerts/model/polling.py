"""How an account is polled where no cron expression says when: `poll = "auto"`, by how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

AUTO = "auto"
FASTEST, SLOWEST = timedelta(minutes=1), timedelta(hours=1)
"""The bounds where nobody says others."""


@dataclass(frozen=True, slots=True)
class AutoPoll:
    """The shortest and the longest time between two polls of an account that nobody gave a cron expression."""

    fastest: timedelta = FASTEST
    slowest: timedelta = SLOWEST


Poll = str | AutoPoll
"""A cron expression of five fields, or by how long the account lasts."""
