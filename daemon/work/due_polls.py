"""When accounts are polled: by schedule, or by how long they last; every five minutes while one awaits a credit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache

from alerts.model.instants import EPOCH
from alerts.rules.next_poll import last_polled_at
from alerts.rules.state import AccountState
from daemon.config.model import AccountConfig, Config
from daemon.limits import POLL_OPEN_TOPUP_EVERY_S, SCHEDULE_LATE_AFTER_S
from daemon.schedule import Timetable, groups, last_fire, next_fire
from daemon.work.auto_polls import AutoPolls
from daemon.work.changed import Changed
from daemon.work.evaluator import PollResult


class DuePolls:
    """The accounts by schedule, when each schedule is due, and when it and single accounts were asked last."""

    def __init__(
        self, config: Config, state_of: Callable[[str], AccountState], wake: Callable[[], None] = lambda: None
    ) -> None:
        self._zone = config.timezone
        self._auto = AutoPolls(config, state_of, wake)
        self._groups = {group.cron: group.accounts for group in groups(_crons(config.accounts.values()))}
        self._cron_of = {account: cron for cron, accounts in self._groups.items() for account in accounts}
        self._first = set(self._groups)
        """The schedules whose accounts were never asked."""
        self._asked_at: dict[str, datetime] = {}
        self._timetable: Timetable | None = None
        self.crons = tuple(self._groups)
        """The schedules, each once: another tuple where they changed."""

    @property
    def begun(self) -> bool:
        return self._timetable is not None

    def begin(self, now: datetime) -> None:
        """Make every schedule due."""
        self._timetable = Timetable.starting(self._groups, self._zone, now)
        self._auto.begin(now)

    def take_due(self, now: datetime) -> list[tuple[tuple[str, ...], bool]]:
        """Return the accounts of each schedule that is due, and whether it is their first time; note that they run."""
        assert self._timetable is not None
        timetable = self._timetable.corrected(now)
        due = timetable.due(now)
        self._timetable = timetable.ran(due, now)
        self._asked_at |= dict.fromkeys(due, now)
        found = [(self._groups[cron], cron in self._first) for cron in due]
        self._first.difference_update(due)
        if own := self._auto.take_due(now):
            self._asked_at |= dict.fromkeys(own, now)
            found.append((own, True))
        return found

    def asked(self, accounts: Iterable[str], now: datetime) -> None:
        """Note that these are asked, besides their schedules."""
        self._asked_at |= dict.fromkeys(accounts, now)
        self._auto.asked(accounts, now)

    def answered(self, result: PollResult, now: datetime) -> None:
        """Note what an account answered, which may say when it is due next."""
        self._auto.answered(result.account, result.reading, result.state, now)

    def for_credit(self, accounts: Iterable[str]) -> dict[str, datetime]:
        """Return when each of the accounts, which await a credit, is polled next for it."""
        every = timedelta(seconds=POLL_OPEN_TOPUP_EVERY_S)
        return {
            account: max(self._asked_at.get(account, EPOCH), self._asked_at.get(cron, EPOCH)) + every
            for account in accounts
            if (cron := self._cron_of.get(account, "")) or account in self._auto
        }

    def next_at(self) -> datetime | None:
        """Return when a schedule, or an account, is due next."""
        if self._timetable is None:
            return None
        return min((at for at in (self._timetable.next_at(), self._auto.next_at()) if at is not None), default=None)

    def late(self, now: datetime) -> Iterator[str]:
        """Yield a sentence for each schedule that should have run long ago."""
        for cron, due_at in (self._timetable.due_at if self._timetable else {}).items():
            if now - due_at > timedelta(seconds=SCHEDULE_LATE_AFTER_S):
                yield f"poll {cron}: due since {due_at.isoformat()}"
        yield from self._auto.late(now)

    def take(self, config: Config, changed: Changed, now: datetime) -> None:
        """Move the accounts that were added, are gone, or have another schedule. A new schedule fires at its time."""
        self._auto.take(config, changed)
        moved = [(before.id, after) for before, after in changed.edited if before.poll != after.poll]
        left = {*(one.id for one in changed.gone), *(id for id, _ in moved)}
        joined = groups(_crons((*changed.added, *(after for _, after in moved))))
        for cron in {self._cron_of.pop(id) for id in left & self._cron_of.keys()}:
            self._groups[cron] = tuple(id for id in self._groups[cron] if id not in left)
        for group in joined:
            self._groups[group.cron] = (*self._groups.get(group.cron, ()), *group.accounts)
            self._cron_of |= dict.fromkeys(group.accounts, group.cron)
        for id in left:
            self._asked_at.pop(id, None)
        if left or joined:
            self._follow(now)

    def missed(
        self, accounts: Iterable[AccountConfig], states: Mapping[str, AccountState], now: datetime
    ) -> tuple[str, ...]:
        """Return those of accounts which another daemon polled that have not been asked since their last time.

        Those without a cron are looked at one by one, whoever polled them.
        """
        fired = cache(lambda cron: last_fire(cron, self._zone, now))
        missed = []
        for account in accounts:
            state = states.get(account.id)
            asked_at = EPOCH if state is None else last_polled_at(state)
            if isinstance(account.poll, str) and asked_at < fired(account.poll):
                missed.append(account.id)
        return tuple(missed)

    def _follow(self, now: datetime) -> None:
        """Forget the schedules that nobody has any more, and take those in that are new."""
        self._groups = {cron: accounts for cron, accounts in self._groups.items() if accounts}
        if self._groups.keys() == set(self.crons):
            return
        for cron in set(self.crons) - self._groups.keys():
            self._asked_at.pop(cron, None)
            self._first.discard(cron)
        self.crons = tuple(self._groups)
        if self._timetable is None:
            self._first = set(self.crons)
            return
        known = self._timetable.due_at
        due_at = {cron: known.get(cron) or next_fire(cron, self._zone, now) for cron in self.crons}
        self._timetable = Timetable(self._zone, due_at, self._timetable.as_of)


def _crons(accounts: Iterable[AccountConfig]) -> dict[str, str]:
    return {one.id: one.poll for one in accounts if isinstance(one.poll, str)}
