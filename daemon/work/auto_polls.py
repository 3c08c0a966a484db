"""The accounts that are polled by how long they last: each has a due time of its own, set by its last answer.

A poll costs the same however many they are. What is due is worked out anew where rules, terms or accounts change: a
bounded number of accounts a step.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice

from alerts.model.patterns import is_glob
from alerts.model.polling import AutoPoll
from alerts.model.readings import Reading, Unavailable
from alerts.model.specs import RuleIndex, RuleSpec
from alerts.rules.next_poll import RETRY
from alerts.rules.state import AccountState
from daemon.config.model import Config
from daemon.limits import AUTO_LOOKS, AUTO_TICK_S, SCHEDULE_LATE_AFTER_S
from daemon.status.polls import next_poll_of
from daemon.work.changed import Changed

_TICK = timedelta(seconds=AUTO_TICK_S)


class AutoPolls:
    """`state_of` returns what is remembered of an account; `wake` is called where one is due sooner than was said."""

    def __init__(self, config: Config, state_of: Callable[[str], AccountState], wake: Callable[[], None]) -> None:
        self._state_of = state_of
        self._wake = wake
        self._configured = config.rules
        self._index: RuleIndex | None = None
        self._rules: dict[str, tuple[RuleSpec, ...]] = {}
        self._accounts = {one.id: one for one in config.accounts.values() if isinstance(one.poll, AutoPoll)}
        self._due_at: dict[str, datetime] = {}
        self._due: list[tuple[datetime, str]] = []
        """Ordered; an entry counts if its time is the account's in `_due_at`."""
        self._awaited: dict[str, datetime] = {}
        """The accounts that were asked, and since when their answer is awaited, oldest first: they are not due."""
        self._looks: deque[str] = deque()
        """The accounts whose due time is to be worked out."""
        self._as_of: datetime | None = None
        self._said: datetime | None = None
        """What `next_at` said last."""

    def __contains__(self, account: str) -> bool:
        return account in self._accounts

    def begin(self, now: datetime) -> None:
        """Make every account due."""
        self._as_of = now
        self._looks.clear()
        for account in self._accounts:
            self._put(account, now)

    def take_due(self, now: datetime) -> tuple[str, ...]:
        """Return the accounts that are due; from now on their answer is awaited."""
        self._correct(now)
        for _ in range(min(len(self._looks), AUTO_LOOKS)):
            self._look(self._looks.popleft(), now)
        due = []
        while self._due and self._due[0][0] <= now + _TICK:
            at, account = heapq.heappop(self._due)
            if self._due_at.get(account) == at:
                due.append(account)
        for account, since in self._awaited.items():
            if since + RETRY > now:
                break
            due.append(account)  # nothing came of it: it was dropped, or could not be written
        self.asked(due, now)
        return tuple(due)

    def asked(self, accounts: Iterable[str], now: datetime) -> None:
        """Note that the answers of these are awaited, of those that are polled so."""
        for account in accounts:
            if account in self._accounts:
                self._due_at.pop(account, None)
                self._awaited.pop(account, None)
                self._awaited[account] = now

    def answered(self, account: str, reading: Reading, state: AccountState, now: datetime) -> None:
        """Set when the account is due next by what it answered, and by what its provider said of the next request."""
        configured = self._accounts.get(account)
        found = None if configured is None else next_poll_of(configured, self._rules_of(account), state, reading.at)
        if found is None:
            return
        self._awaited.pop(account, None)
        at = found.at
        if isinstance(reading, Unavailable) and reading.retry_at is not None:
            at = max(at, min(reading.retry_at + _TICK, reading.at + RETRY))  # not a moment too early
        at = self._bounded(account, at, now)
        self._put(account, at)
        if self._said is None or at < self._said:
            self._wake()

    def next_at(self) -> datetime | None:
        """Return when something is to be done."""
        times = [self._first_due(), self._as_of if self._looks else None]
        times += [since + RETRY for since in islice(self._awaited.values(), 1)]
        self._said = min((at for at in times if at is not None), default=None)
        return self._said

    def late(self, now: datetime) -> Iterable[str]:
        """Yield a sentence where an account should have been asked long ago."""
        due = self._first_due()
        if due is not None and now - due > timedelta(seconds=SCHEDULE_LATE_AFTER_S):
            yield f"poll auto: due since {due.isoformat()}"

    def take(self, config: Config, changed: Changed) -> None:
        """Go on with another configuration: whatever it changes of an account is looked at anew."""
        for account in changed.gone:
            self._drop(account.id)
        for account in changed.accounts:
            if isinstance(account.poll, AutoPoll):
                self._accounts[account.id] = account
                self._looks.append(account.id)
            else:
                self._drop(account.id)
        self._configured = config.rules
        if not changed.rules:
            return
        self._index = None
        patterns = {pattern for rule in changed.rules for pattern in rule.accounts}
        touched = self._accounts if any(map(is_glob, patterns)) else patterns & self._accounts.keys()
        self._looks.extend(touched)
        for id in touched:
            self._rules.pop(id, None)

    # ── the due times ───────────────────────────────────────────────────────────────────────────────────────────

    def _look(self, account: str, now: datetime) -> None:
        configured = self._accounts.get(account)
        if configured is None or account in self._awaited:
            return
        found = next_poll_of(configured, self._rules_of(account), self._state_of(account))
        assert found is not None, "who has a cron is not kept here"
        self._put(account, self._bounded(account, found.at, now))

    def _bounded(self, account: str, at: datetime, now: datetime) -> datetime:
        """Return the time, no later than the longest interval from now: whatever clock it was reckoned by."""
        poll = self._accounts[account].poll
        assert isinstance(poll, AutoPoll)
        return min(at, now + poll.slowest)

    def _put(self, account: str, at: datetime) -> None:
        if self._due_at.get(account) != at:
            self._due_at[account] = at
            heapq.heappush(self._due, (at, account))

    def _first_due(self) -> datetime | None:
        while self._due and self._due_at.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _correct(self, now: datetime) -> None:
        """Move every time along with a clock that went back."""
        if self._as_of is not None and now < self._as_of:
            back = self._as_of - now
            self._due_at = {id: self._bounded(id, at - back, now) for id, at in self._due_at.items()}
            self._due = [(at, id) for id, at in self._due_at.items()]
            heapq.heapify(self._due)
            self._awaited = {id: min(since, now) for id, since in self._awaited.items()}
        self._as_of = now

    def _rules_of(self, account: str) -> tuple[RuleSpec, ...]:
        rules = self._rules.get(account)
        if rules is None:
            if self._index is None:
                self._index = RuleIndex(self._configured)
            rules = self._rules[account] = self._index.covering(account)
        return rules

    def _drop(self, account: str) -> None:
        for kept in (self._accounts, self._due_at, self._awaited, self._rules):
            kept.pop(account, None)
