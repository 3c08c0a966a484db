"""Health: one judgement of whether every job is fresh. `/healthz`, the heartbeat, the watchdog and `status` read it.

The watchdog acts on a part of it, what hangs: a restart mends that, but no full disk and no provider that is down.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StaleJob:
    """One reason why a job is not fresh. `hangs`: it waits for something that never comes; only a restart ends that."""

    why: str
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class Freshness:
    """The judgement. `doing` is a sentence of what the process does, for whoever asks systemd."""

    reasons: tuple[StaleJob, ...]
    doing: str

    @property
    def fresh(self) -> bool:
        return not self.reasons

    @property
    def hangs(self) -> bool:
        """Whether anything hangs."""
        return any(reason.hangs for reason in self.reasons)

    @property
    def words(self) -> list[str]:
        """The reasons, a sentence each."""
        return [reason.why for reason in self.reasons]

    @property
    def status(self) -> str:
        """One line of all of it."""
        return f"not fresh: {'; '.join(self.words)} | {self.doing}" if self.reasons else self.doing
