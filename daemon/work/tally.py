"""What the polls brought, counted: for health, metrics and the outcome of a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from alerts.model.readings import Reason, Unavailable
from daemon.limits import FIRST_READING_WITHIN_S
from daemon.work.evaluator import PollResult
from daemon.work.outcome import why_unreadable

_SILENT = frozenset({Reason.TIMEOUT.value, Reason.UNREACHABLE.value})
"""What a poll came to where no answer came at all."""


class PollTally:
    """The result of each account's last poll, and the counts of all since the start."""

    def __init__(self) -> None:
        self.last: dict[str, PollResult] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        """Polls by provider and outcome: ok, suspect, or why there was no reading."""
        self.read = 0
        """How many of the last polls brought an accepted reading."""
        self._silent: dict[str, datetime] = {}
        """The accounts whose API gave no answer at all, each since when."""

    def add(self, result: PollResult, provider: str) -> None:
        """Count a poll."""
        account, reading, is_read = result.account, result.reading, result.accepted is not None
        before = self.last.get(account)
        self.read += is_read - (before is not None and before.accepted is not None)
        self.last[account] = result
        outcome = "ok" if is_read else "suspect"
        if isinstance(reading, Unavailable):
            outcome = reading.reason.value
        self.counts[provider, outcome] += 1
        if outcome in _SILENT:
            self._silent.setdefault(account, reading.at)
        elif self._silent:
            self._silent.pop(account, None)

    def forget(self, accounts: Iterable[str]) -> None:
        """Leave out accounts that are gone; what their polls brought stays counted."""
        for account in accounts:
            result = self.last.pop(account, None)
            self.read -= result is not None and result.accepted is not None
            self._silent.pop(account, None)

    def said(self, accounts: int) -> str:
        """Return in words what the last polls of so many accounts brought."""
        unread = len(self.last) - self.read
        return f"{accounts} accounts, {self.read} read" + (f", {unread} not" if unread else "")

    def unanswered(self, accounts: int, for_s: float = 0.0) -> str:
        """Return a sentence where no usage API at all answers, or nothing: each of so many accounts was asked, or none
        was read though it has been tried for so long.
        """
        if for_s > FIRST_READING_WITHIN_S and not self.last:
            return "poll: no account was read since the start"
        if not self._silent or not len(self._silent) == len(self.last) == accounts:
            return ""
        account, since = next(iter(self._silent.items()))
        return f"poll: no usage API answers, {account} since {since:%Y-%m-%dT%H:%M:%SZ}"

    def readable(self) -> dict[str, bool]:
        """Return by account whether its last poll gave an accepted reading."""
        return {account: result.accepted is not None for account, result in self.last.items()}

    @property
    def unreadable(self) -> dict[str, str]:
        """The accounts whose last poll brought no accepted reading, each with why."""
        return {result.account: why_unreadable(result) for result in self.last.values() if result.accepted is None}
