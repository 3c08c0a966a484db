"""A round: fetch accounts, judge what came back, commit it in batches, and say what money has to look at.

The reading, the episodes it changed and the events they caused are one transaction. What the judgement remembers of
each account is kept here between readings, so that a poll costs the same whatever the history.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from alerts.belief import doubt
from alerts.judge import Context, Judgement, judge, judge_time
from alerts.readings import Known, Reading
from alerts.state import AccountState, TopupStanding
from alerts.values import quickly_made
from daemon.clock import Clock, Ids
from daemon.config.model import AccountConfig, Config
from daemon.limits import ROUND_BATCH_READINGS, ROUND_BATCH_WAIT_S, SPREAD_FROM_ACCOUNTS
from daemon.schedule import longest_gap, spread_offset_s
from daemon.sources.fetcher import Fetcher
from daemon.store import Store, readings, states
from daemon.store.outbox import Outbox


@quickly_made
@dataclass(frozen=True, slots=True)
class Polled:
    """What became of one account in a round. `believed` is None where there is no reading that may be acted on."""

    account: str
    reading: Reading
    believed: Known | None
    state: AccountState
    drafted: int
    """How many events the reading caused."""


@quickly_made
@dataclass(frozen=True, slots=True)
class _Fetched:
    account: AccountConfig
    first: Reading
    second: Reading | None


class Rounds:
    """The polls of all accounts. `standing` tells what is under way with an account's top-ups."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        outbox: Outbox,
        fetcher: Fetcher,
        clock: Clock,
        ids: Ids,
        standing: Callable[[str], TopupStanding | None],
    ) -> None:
        self._config = config
        self._store = store
        self._outbox = outbox
        self._fetcher = fetcher
        self._clock = clock
        self._ids = ids
        self._standing = standing
        self._states: dict[str, AccountState] = {}
        self._contexts = {account.id: self._make_context(account) for account in config.accounts.values()}
        self._spread_hosts = _hosts_to_spread(config.accounts)

    def state(self, account_id: str) -> AccountState:
        """Return what is remembered of the account, from the store where this process has not seen it yet."""
        state = self._states.get(account_id)
        if state is None:
            state = self._states[account_id] = states.load(self._store.reader, account_id)
        return state

    async def poll(self, account_ids: Iterable[str], *, spread: bool = False) -> tuple[Polled, ...]:
        """Read the accounts, judge and commit; returns one `Polled` an account, in the order of their commits.

        `spread` lets accounts that share a crowded host start at their own stable offsets.
        """
        accounts = [self._config.accounts[account_id] for account_id in account_ids]
        tasks = [asyncio.ensure_future(self._fetch(account, spread)) for account in accounts]
        try:
            return await self._commit_as_they_come(tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def reread(self, account_id: str) -> Reading:
        """Fetch the account once more, now. Nothing is recorded or judged: a charge asks before it is planned."""
        return await self._fetcher.fetch(self._config.accounts[account_id])

    def judge_time(self, now: datetime) -> int:
        """Judge what time alone changes: silence, reminders, mutes that ended, rules that were edited.

        Returns how many events that caused.
        """
        mutes = states.mutes(self._store.reader, now)
        changed = []
        for account_id in self._config.accounts:
            judgement = judge_time(self.state(account_id), self._context(account_id, now, mutes))
            if judgement.changes:
                changed.append(judgement)
            else:
                self._states[account_id] = judgement.state
        if changed:
            self._commit([], changed, now)
        return sum(len(judgement.drafts) for judgement in changed)

    async def _fetch(self, account: AccountConfig, spread: bool) -> _Fetched:
        if spread and _host(account) in self._spread_hosts:
            await self._clock.sleep(
                spread_offset_s(account.id, self._contexts[account.id].poll_interval or timedelta())
            )
        first = await self._fetcher.fetch(account)
        second = None
        if isinstance(first, Known) and doubt(self.state(account.id), first) is not None:
            second = await self._fetcher.fetch(account)
        return _Fetched(account, first, second)

    async def _commit_as_they_come(self, tasks: Sequence[asyncio.Task[_Fetched]]) -> tuple[Polled, ...]:
        polled: list[Polled] = []
        waiting: set[asyncio.Task[_Fetched]] = set(tasks)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if len(waiting) > len(done):
                await asyncio.sleep(ROUND_BATCH_WAIT_S)
                done |= {task for task in waiting if task.done()}
                waiting -= done
            fetched = [task.result() for task in done]
            for start in range(0, len(fetched), ROUND_BATCH_READINGS):
                polled += self._judge_batch(fetched[start : start + ROUND_BATCH_READINGS])
        return tuple(polled)

    def _judge_batch(self, fetched: Sequence[_Fetched]) -> list[Polled]:
        now = self._clock.now()
        mutes = states.mutes(self._store.reader, now)
        judgements = [
            judge(self.state(one.account.id), one.first, one.second, self._context(one.account.id, now, mutes))
            for one in fetched
        ]
        self._commit([judgement.recorded for judgement in judgements], judgements, now)
        return [
            Polled(one.account.id, judgement.recorded, judgement.believed, judgement.state, len(judgement.drafts))
            for one, judgement in zip(fetched, judgements, strict=True)
        ]

    def _commit(self, recorded: Sequence[Reading], judgements: Sequence[Judgement], now: datetime) -> None:
        durable = any(judgement.drafts or judgement.episodes for judgement in judgements)
        with self._store.write(durable=durable) as tx:
            readings.record(tx, recorded)
            for judgement in judgements:
                states.save(tx, judgement, self._states.get(judgement.state.account))
                for draft in judgement.drafts:
                    self._outbox.append(tx, draft, now)
        for judgement in judgements:
            self._states[judgement.state.account] = judgement.state

    def _make_context(self, account: AccountConfig) -> Context:
        def standing() -> TopupStanding | None:
            return self._standing(account.id)

        return Context(
            info=account.info,
            rules=tuple(rule for rule in self._config.rules if rule.covers(account.id)),
            zone=self._config.timezone,
            now=self._clock.now(),
            poll_interval=longest_gap(account.poll, self._config.timezone, self._clock.now()),
            mutes={},
            topup=standing,
            new_id=self._ids.new,
        )

    def _context(self, account_id: str, now: datetime, mutes: Mapping[str, datetime]) -> Context:
        return self._contexts[account_id].at(now, mutes)


def _host(account: AccountConfig) -> str:
    return urlsplit(account.url).netloc


def _hosts_to_spread(accounts: Mapping[str, AccountConfig]) -> frozenset[str]:
    counted = Counter(_host(account) for account in accounts.values())
    return frozenset(host for host, count in counted.items() if count > SPREAD_FROM_ACCOUNTS)
