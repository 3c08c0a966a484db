"""Replays one account's history through one configuration: the events and charges that it would have caused."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec import Struct

from alerts.forecast.hourly import HOUR_MS
from alerts.model.events import EventDraft
from alerts.model.instants import to_ms
from alerts.model.readings import Known, Metrics, Unavailable
from alerts.rules.evaluation import Context, Evaluation, evaluate
from alerts.rules.stale import Watch
from alerts.rules.state import AccountState, Episode
from daemon.backtest.balance import CREDIT_DELAY, SimulatedBalance, SimulatedCharge
from daemon.config.cron import gap_when_near
from daemon.config.model import AccountConfig, Config
from daemon.schedule import longest_gap
from daemon.store.reading_rows import OutageRun, Run

WARM_UP = timedelta(days=28)
"""History before the replayed time that the forecast learns from; it is not counted."""
PROGRESS_EVERY = 500
SHORT_POLLS = 2
"""An episode that ends by itself within so many polls is a false alarm."""

Past = Iterable[Run | OutageRun]


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    rule: str
    opened_at: datetime
    closed_at: datetime


@dataclass(slots=True)
class Gauge:
    """The lowest available balance, in micro-dollars, and how long it was at zero or below."""

    below_zero: timedelta = timedelta()
    lowest_microusd: int | None = None
    _since: datetime | None = None

    def see(self, at: datetime, available: int | None) -> None:
        if available is None:
            return
        if self.lowest_microusd is None or available < self.lowest_microusd:
            self.lowest_microusd = available
        if self._since is not None:
            self.below_zero += at - self._since
        self._since = at if available <= 0 else None


@dataclass(slots=True)
class ReplayOutcome:
    """The outcome of a replay between two instants.

    `recorded` and `credits` are what really happened to the balance in that time; `spent` is the accrued spend by
    instant in milliseconds, with `keep_spend` only.
    """

    since: datetime
    until: datetime
    readings: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """By type, without reminders."""
    reminders: int = 0
    charges: list[SimulatedCharge] = field(default_factory=list)
    refusals: Mapping[str, int] = field(default_factory=dict)
    episodes: int = 0
    false_alarms: list[FalseAlarm] = field(default_factory=list)
    balance: Gauge = field(default_factory=Gauge)
    recorded: Gauge = field(default_factory=Gauge)
    credits: list[SimulatedCharge] = field(default_factory=list)
    spent: list[tuple[int, int]] = field(default_factory=list)


class Replay:
    """One account under one configuration; `run` is called once."""

    def __init__(
        self,
        config: Config,
        account: AccountConfig,
        since: datetime,
        until: datetime,
        *,
        delay: timedelta = CREDIT_DELAY,
        keep_spend: bool = False,
    ) -> None:
        self._since = since
        self._keep_spend = keep_spend
        self._balance = SimulatedBalance(account.topup, config.timezone, delay)
        self._drawn = 0
        self._poll = longest_gap(account.poll, config.timezone, since)
        self._near = gap_when_near(account.poll, config.timezone)
        self._context = Context(
            info=account.info,
            rules=tuple(rule for rule in config.rules if rule.covers(account.id)),
            zone=config.timezone,
            now=since,
            poll_interval=self._poll,
            mutes={},
            topup=lambda account: self._balance.topup_status(),
            new_id=self._new_id,
            watching_since=since,
        )
        self._watch = Watch(since, since)
        self._state = AccountState.new(account.id)
        self._open: dict[str, Episode] = {}
        self.outcome = ReplayOutcome(since, until)

    def run(self, past: Past, progress: Callable[[datetime], None] = lambda at: None) -> ReplayOutcome:
        """Replay the history, which should begin `WARM_UP` before `since`; call `progress` now and then."""
        with _without_collector():
            return self._run(past, progress)

    def _run(self, past: Past, progress: Callable[[datetime], None]) -> ReplayOutcome:
        account = self._state.account
        last_at = self._since
        for number, poll in enumerate(expand(past)):
            at, known = poll.at, poll.metrics
            if number % PROGRESS_EVERY == 0:
                progress(at)
            counting = at >= self._since
            if known is None:
                assert poll.outage is not None
                why = poll.outage
                self._evaluate(Unavailable(account, at, why.reason, why.detail, status=why.status), counting)
                continue
            metrics = self._balance.simulate(at, known, counting=counting)
            quiet = not poll.ends_run and self._is_quiet(at, metrics)
            accepted = None if quiet else self._evaluate(Known(account, at, metrics), counting)
            if counting:
                self.outcome.readings += 1
                self._measure(at, known, metrics)
                last_at = at
                if accepted is not None:
                    self._balance.charge_if_due(accepted, self._state.burn)
        return self._finish(last_at)

    def _is_quiet(self, at: datetime, metrics: Metrics) -> bool:
        """Whether the reading equals the last one, in the same hour, and no rule waits for a reading or a time.

        Such a reading changes nothing and is skipped: every forecast is the same or further away.
        """
        state = self._state
        last, spend = state.last, state.spend
        if last is None or metrics is not last.metrics or spend is None or state.outage is not None or state.held:
            return False
        if to_ms(at) // HOUR_MS != to_ms(last.at) // HOUR_MS or self._balance.needs_charge(metrics):
            return False
        ends = (spend.turns_at, state.remind_at, metrics.period_end_at)
        if any(end is not None and end <= at for end in ends):
            return False
        return not any(memory.breaches or memory.quiet_until for memory in state.rules.values())

    def _evaluate(self, reading: Known | Unavailable, counting: bool) -> Known | None:
        # History holds accepted readings only: a second read would have agreed.
        second = reading if isinstance(reading, Known) else None
        self._watch = self._watch.beat(reading.at, self._poll)
        evaluation = evaluate(self._state, reading, second, self._context.at(reading.at, {}, self._watch.since))
        self._state = evaluation.state
        if evaluation.drafts or evaluation.episodes:
            self._count(evaluation, counting)
        return evaluation.accepted

    def _count(self, evaluation: Evaluation, counting: bool) -> None:
        if counting:
            self._count_events(evaluation.drafts)
        for episode in evaluation.episodes:
            if episode.closed_at is None:
                if counting and episode.id not in self._open:
                    self.outcome.episodes += 1
                self._open[episode.id] = episode
                continue
            opened = self._open.pop(episode.id, None)
            if counting and opened is not None and self._was_short(episode):
                self.outcome.false_alarms.append(FalseAlarm(episode.rule, episode.opened_at, episode.closed_at))

    def _count_events(self, drafts: Iterable[EventDraft]) -> None:
        for draft in drafts:
            if draft.data.get("reminder"):
                self.outcome.reminders += 1
            else:
                self.outcome.events[draft.type.value] += 1

    def _was_short(self, episode: Episode) -> bool:
        assert episode.closed_at is not None
        helped = [*self._balance.charges[-5:], *self._balance.credits[-5:]]
        return is_false_alarm(episode.opened_at, episode.closed_at, self._near, helped)

    def _measure(self, at: datetime, recorded: Metrics, metrics: Metrics) -> None:
        outcome, spend = self.outcome, self._state.spend
        outcome.balance.see(at, metrics.available_microusd)
        outcome.recorded.see(at, recorded.available_microusd)
        if self._keep_spend and spend is not None:
            outcome.spent.append((to_ms(at), spend.money.value))

    def _finish(self, last_at: datetime) -> ReplayOutcome:
        outcome = self.outcome
        outcome.charges = self._balance.charges
        outcome.credits = self._balance.credits
        outcome.refusals = dict(self._balance.refusals)
        outcome.until = max(last_at, outcome.since)
        return outcome

    def _new_id(self, prefix: str) -> str:
        self._drawn += 1
        return f"{prefix}_{self._drawn}"


@contextmanager
def _without_collector() -> Iterator[None]:
    """Disable the garbage collector: a replay creates millions of values without cycles, and it costs a tenth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def is_false_alarm(
    opened_at: datetime, closed_at: datetime, poll: timedelta, credits: Iterable[SimulatedCharge]
) -> bool:
    """Whether an episode ended within two polls, and not by a credit."""
    if closed_at - opened_at > SHORT_POLLS * poll:
        return False
    return not any(opened_at - SHORT_POLLS * poll <= credit.at <= closed_at for credit in credits)


class Poll(Struct, frozen=True, gc=False):
    """One poll of the history: its metrics, or its outage. `ends_run`: the last poll of a run."""

    at: datetime
    metrics: Metrics | None
    outage: OutageRun | None
    ends_run: bool


def expand(past: Past) -> Iterator[Poll]:
    """Yield every poll of the history: a run's readings are spread evenly from its first to its last."""
    for run in past:
        metrics, outage = (run.metrics, None) if isinstance(run, Run) else (None, run)
        if run.count > 1:
            step = (run.last_at - run.first_at) / (run.count - 1)
            for index in range(run.count - 1):
                yield Poll(run.first_at + step * index, metrics, outage, False)
        yield Poll(run.last_at, metrics, outage, True)
