"""The evaluator: evaluates what was fetched, or what time alone changes, and commits it in batches.

The reading, the episodes it changed and the events they caused are one transaction. The state of each account is kept
here between readings, so that a poll costs the same whatever the history.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import starmap
from operator import attrgetter

from msgspec import Struct

from alerts.model.instants import to_ms
from alerts.model.patterns import is_glob
from alerts.model.readings import Known, Reading
from alerts.model.specs import RuleIndex, RuleSpec
from alerts.rules.evaluation import Context, Evaluation, evaluate, evaluate_time, next_evaluation_at
from alerts.rules.plausibility import find_anomaly
from alerts.rules.stale import Watch
from alerts.rules.state import AccountState, TopupStatus
from daemon.clock import Clock, Ids
from daemon.config.model import AccountConfig, Config
from daemon.limits import BEAT_S, TIME_BATCH_ACCOUNTS
from daemon.schedule import longest_gap
from daemon.store import Store, readings, states
from daemon.store.connection import Connection, Transaction
from daemon.store.outbox import Outbox
from daemon.work.changed import Changed

_AGAIN = timedelta(seconds=BEAT_S)


class Fetched(Struct, frozen=True, gc=False):
    """The readings of one poll: the first, and a second if the first was implausible."""

    account: AccountConfig
    first: Reading
    second: Reading | None = None
    ms: int = 0
    """How long it took, waiting for the API key's turn included."""


class PollResult(Struct, frozen=True, gc=False):
    """The result of one poll. `accepted` is None if no reading may be acted on."""

    account: str
    reading: Reading
    accepted: Known | None
    state: AccountState


class Evaluator:
    """The states of all accounts, and the one place where readings are evaluated and committed.

    `topup_status` returns the status of an account's top-ups, or None without any. `first_look_after`: how long to
    wait for first readings before rules that depend on time alone are evaluated.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        ids: Ids,
        topup_status: Callable[[Connection, str], TopupStatus | None],
        first_look_after: timedelta = timedelta(),
    ) -> None:
        self._config = config
        self._store = store
        self._lane = store.lane("polls")
        self._one_at_a_time = asyncio.Lock()
        """Held from when states are read until those that follow are committed and known here."""
        self._under_way: frozenset[str] = frozenset()
        self._outbox = outbox
        self._clock = clock
        self._ids = ids
        self._topup_status = partial(topup_status, self._lane.reader)
        self._first_look_after = first_look_after
        self._states: dict[str, AccountState] = {}
        self._rules: dict[str, tuple[RuleSpec, ...]] = {}
        self._index = RuleIndex(config.rules)
        self._poll_interval = cache(lambda cron: longest_gap(cron, config.timezone, clock.now()))
        self._watches: dict[timedelta | None, Watch] = {}
        self._due: list[tuple[datetime, str]] = []
        self._due_at: dict[str, datetime] = {}
        self._looked_at: datetime | None = None
        self._holding: set[str] = set()
        """The accounts with events held back by a mute."""
        self._watched_since: dict[str, datetime] = {}
        """The accounts that came while the process ran, each since when it is watched."""
        self._mutes: Mapping[str, datetime] = {}
        self._accepted: Mapping[str, datetime] = {}

    def state(self, account_id: str) -> AccountState:
        """Return the account's state, from the store if this process has not loaded it yet."""
        state = self._states.get(account_id)
        if state is None:
            state = self._states[account_id] = states.load(self._store.reader, account_id)
        return state

    def states(self) -> dict[str, AccountState]:
        """Return the current state of every account that this process has loaded."""
        return dict(self._states)

    def under_way(self) -> frozenset[str]:
        """Return the accounts that are judged, or whose states are written, at this moment."""
        return self._under_way

    async def is_implausible(self, account_id: str, known: Known) -> bool:
        """Whether the account must be read a second time before this reading is evaluated."""
        await self._load((account_id,))
        return find_anomaly(self.state(account_id), known) is not None

    def poll_interval(self, account_id: str) -> timedelta:
        """Return the longest time between two polls of the account."""
        return self._poll_interval(self._config.accounts[account_id].poll)

    def take(self, config: Config, changed: Changed, states: Mapping[str, AccountState] | None = None) -> None:
        """Go on with another configuration. Each account whose rules or terms it changes is due for `evaluate_time`,
        which judges edited rules by the last reading. `states`: those of accounts that were another process's.
        """
        now = self._clock.now()
        self._config = config
        for account in changed.gone:
            for kept in (self._states, self._rules, self._due_at, self._watched_since):
                kept.pop(account.id, None)
            self._holding.discard(account.id)
        self._watched_since |= {account.id: now for account in changed.added}
        self._states |= {id: state for id, state in (states or {}).items() if id in config.accounts}
        if changed.rules:
            self._index = RuleIndex(config.rules)
        patterns = {pattern for rule in changed.rules for pattern in rule.accounts}
        if any(map(is_glob, patterns)):
            self._rules.clear()
            self._all_due(now)
            return
        for id in patterns & config.accounts.keys():
            self._rules.pop(id, None)
            self._put(id, now)
        for account in changed.accounts:
            self._put(account.id, now)

    async def evaluate(self, fetched: Sequence[Fetched]) -> list[PollResult]:
        """Evaluate a batch and commit it as one transaction; the results are in the order of `fetched`.

        Where the store is on a server, other work goes on meanwhile.
        """
        async with self._one_at_a_time:
            now = self._clock.now()
            mutes = await self._read_marks(now)
            await self._load([one.account.id for one in fetched])
            accounts = [self._config.accounts.get(one.account.id, one.account) for one in fetched]
            asked = [
                (self.state(account.id), one.first, one.second, self._context(account, now, mutes))
                for account, one in zip(accounts, fetched, strict=True)
            ]
            evaluations = await self._commit(partial(starmap, evaluate, asked), accounts, now, mutes)
        return [
            PollResult(one.account.id, evaluation.recorded, evaluation.accepted, evaluation.state)
            for one, evaluation in zip(fetched, evaluations, strict=True)
        ]

    def close(self) -> None:
        """Close the connection of its own, where there is one."""
        self._lane.close_lane()

    async def _load(self, accounts: Sequence[str]) -> None:
        """Load the states of those that this process does not know yet."""
        if unknown := [id for id in accounts if id not in self._states]:
            loaded = await self._lane.apart(states.load_some, self._lane.reader, unknown)
            for id, state in loaded.items():
                self._states.setdefault(id, state)

    async def _read_marks(self, now: datetime) -> Mapping[str, datetime]:
        """Read what commands say of accounts: return the mutes, and keep the readings that were accepted."""

        def read() -> tuple[Mapping[str, datetime], Mapping[str, datetime]]:
            return states.mutes(self._lane.reader, now), states.accepted(self._lane.reader)

        mutes, self._accepted = await self._lane.apart(read)
        return mutes

    # ── what time alone changes ─────────────────────────────────────────────────────────────────────────────────

    async def evaluate_time(self, now: datetime) -> datetime | None:
        """Evaluate what time alone changes, for a bounded batch of the accounts that are due.

        Return when to call again: now if more is due, None if nothing will be. An account is due when it may have
        become stale, or when a reminder is due or a mute ends; there is no periodic scan of all accounts.
        """
        async with self._one_at_a_time:
            for interval, watch in self._watches.items():
                self._watches[interval] = watch.beat(now, interval)
            self._make_all_due(now)
            if self._holding or (self._due and self._due[0][0] <= now):
                await self._evaluate_due(now, await self._read_marks(now))
        return self._due[0][0] if self._due else None

    async def _evaluate_due(self, now: datetime, mutes: Mapping[str, datetime]) -> None:
        if self._holding and mutes != self._mutes:
            self._mutes = mutes
            for id in self._holding:
                self._put(id, now)
        due = self._take_due(now)
        await self._load(due)
        accounts = [account for id in due if (account := self._config.accounts.get(id)) is not None]
        asked = [(self.state(account.id), self._context(account, now, mutes)) for account in accounts]
        if asked:
            changed = partial(filter, attrgetter("changes"), starmap(evaluate_time, asked))
            await self._commit(changed, accounts, now, mutes)
        for account in accounts:
            if account.id in self._config.accounts:  # still there
                self._schedule(account.id, now, mutes)

    def _make_all_due(self, now: datetime) -> None:
        """Make every account due at the start and if the clock was set back."""
        if self._looked_at is None or now < self._looked_at:
            self._all_due(now + self._first_look_after if self._looked_at is None else now)
        self._looked_at = now

    def _all_due(self, at: datetime) -> None:
        self._due_at = dict.fromkeys(self._config.accounts, at)
        self._due = [(at, account) for account in self._config.accounts]

    def _take_due(self, now: datetime) -> list[str]:
        due: list[str] = []
        while self._due and self._due[0][0] <= now and len(due) < TIME_BATCH_ACCOUNTS:
            at, account = heapq.heappop(self._due)
            if self._due_at.get(account) == at:  # else it was rescheduled: another entry has its new time
                del self._due_at[account]
                due.append(account)
        return due

    def _schedule(self, account: str, now: datetime, mutes: Mapping[str, datetime]) -> None:
        """Note when time alone may change something for the account; an early entry costs one evaluation."""
        state = self.state(account)
        if state.held:
            self._holding.add(account)
        else:
            self._holding.discard(account)
        at = next_evaluation_at(state, self._context(self._config.accounts[account], now, mutes))
        if at is not None:
            self._put(account, max(at, now + _AGAIN))

    def _put(self, account: str, at: datetime) -> None:
        known = self._due_at.get(account)
        if known is None or at < known:
            self._due_at[account] = at
            heapq.heappush(self._due, (at, account))

    # ── committing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _commit(
        self,
        judge: Callable[[], Iterable[Evaluation]],
        accounts: Sequence[AccountConfig],
        now: datetime,
        mutes: Mapping[str, datetime],
    ) -> list[Evaluation]:
        """Judge and commit as one piece of work for the store, and go on from the states that follow."""
        self._under_way = frozenset(account.id for account in accounts)
        try:
            evaluations = await self._lane.apart(self._judge, judge, now)
        except BaseException:
            for account in accounts:  # where a server's answer to a commit is lost, it may be stored all the same
                self._states.pop(account.id, None)
            raise
        finally:
            self._under_way = frozenset()
        self._take_over(evaluations, now, mutes)
        return evaluations

    def _judge(self, judge: Callable[[], Iterable[Evaluation]], now: datetime) -> list[Evaluation]:
        if evaluations := list(judge()):
            with self._lane.write(durable=_is_news(evaluations)) as tx:
                self._record(tx, evaluations)
                for evaluation in evaluations:
                    for draft in evaluation.drafts:
                        self._outbox.append(tx, draft, now)
        return evaluations

    def _take_over(self, evaluations: Sequence[Evaluation], now: datetime, mutes: Mapping[str, datetime]) -> None:
        """Go on from the states that were committed."""
        for evaluation in evaluations:
            account, before = evaluation.state.account, self._states.get(evaluation.state.account)
            if account not in self._config.accounts:  # gone while its state was written
                continue
            self._states[account] = evaluation.state
            after = evaluation.state
            moved = before is None or after.remind_at != before.remind_at or after.held is not before.held
            if moved or account not in self._due_at:
                self._schedule(account, now, mutes)

    def _record(self, tx: Transaction, evaluations: Sequence[Evaluation]) -> None:
        """Write readings and states. Most readings equal the last one: one statement writes all of those."""
        seen: list[tuple[int, str]] = []
        recorded: list[Reading] = []
        changed: list[tuple[Evaluation, AccountState | None]] = []
        for evaluation in evaluations:
            account, previous = evaluation.state.account, self._states.get(evaluation.state.account)
            if previous is not None and evaluation.evaluated is not None and states.is_seen_again(evaluation, previous):
                seen.append((to_ms(evaluation.evaluated.at), account))
                states.save_decisions(tx, evaluation)
                continue
            if evaluation.evaluated is not None:
                recorded.append(evaluation.recorded)
            changed.append((evaluation, previous))
        if changed:
            states.save_all(tx, changed)
        if seen:
            readings.seen_again(tx, seen)
            states.seen_again(tx, seen)
        if recorded:
            readings.record(tx, recorded)

    def _context(self, account: AccountConfig, now: datetime, mutes: Mapping[str, datetime]) -> Context:
        interval = self._poll_interval(account.poll)
        watch = self._watches.get(interval)
        if watch is None or watch.beat_at != now:
            watch = Watch(now, now) if watch is None else watch.beat(now, interval)
            self._watches[interval] = watch
        since = self._watched_since.get(account.id)
        return Context(
            account.info,
            self._rules_of(account.id),
            self._config.zone_of(account),
            now,
            interval,
            mutes,
            self._topup_status,
            self._ids.new,
            watch.since if since is None else max(since, watch.since),
            self._accepted,
        )

    def _rules_of(self, account_id: str) -> tuple[RuleSpec, ...]:
        rules = self._rules.get(account_id)
        if rules is None:
            rules = self._rules[account_id] = self._index.covering(account_id)
        return rules


def _is_news(evaluations: Sequence[Evaluation]) -> bool:
    """Whether anything is to be told of them, or was: then it must not be lost."""
    return any(evaluation.drafts or evaluation.episodes for evaluation in evaluations)
