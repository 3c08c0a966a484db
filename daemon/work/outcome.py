"""The outcome of one pass, and the exit code of `once`."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.model.readings import Unavailable
from daemon.work.evaluator import PollResult


@dataclass(slots=True)
class PassOutcome:
    """The outcome of one pass: `ok` gives the exit code of `once`."""

    read: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    needs_person: list[str] = field(default_factory=list)
    undelivered: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every account was read, and no delivery, charge or job needs a person."""
        return not (self.unreadable or self.needs_person or self.undelivered or self.failed)


def why_unreadable(polled: PollResult) -> str:
    """Return in a few words why the account has no accepted reading."""
    if isinstance(polled.reading, Unavailable):
        return f"{polled.reading.reason.value}: {polled.reading.detail}".rstrip(": ")
    return "suspect: a second read did not agree"
