"""One account's history replayed through one configuration: what would have been told and charged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.events import EventDraft
from alerts.judge import Context, Judgement, judge
from alerts.readings import Known, Metrics, Unavailable
from alerts.state import AccountState, Episode
from daemon.backtest.funds import CREDIT_DELAY, Charge, Purse
from daemon.config.model import AccountConfig, Config
from daemon.schedule import longest_gap
from daemon.store.reading_rows import OutageRun, Run

WARM_UP = timedelta(days=28)
"""As much history before the stretch teaches the forecast what it would have known; nothing of it is counted."""
PROGRESS_EVERY = 500
SHORT_POLLS = 2
"""An episode that ended by itself within so many polls was a false alarm."""

Past = Iterable[Run | OutageRun]


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    rule: str
    opened_at: datetime
    closed_at: datetime


@dataclass(slots=True)
class Outcome:
    """What one configuration made (or would have made) of one account between two instants. Money in micro-dollars."""

    since: datetime
    until: datetime
    readings: int = 0
    events: Counter[str] = field(default_factory=Counter)
    charges: list[Charge] = field(default_factory=list)
    refusals: Mapping[str, int] = field(default_factory=dict)
    credits: list[Charge] = field(default_factory=list)
    episodes: int = 0
    false_alarms: list[FalseAlarm] = field(default_factory=list)
    below_zero: timedelta = timedelta()
    lowest_microusd: int | None = None

    @property
    def charged_microusd(self) -> int:
        return sum(charge.amount_microusd for charge in self.charges)


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
    ) -> None:
        self._since = since
        self._purse = Purse(account.topup, config.timezone, delay)
        self._drawn = 0
        self._poll = longest_gap(account.poll, config.timezone, since)
        self._context = Context(
            info=account.info,
            rules=tuple(rule for rule in config.rules if rule.covers(account.id)),
            zone=config.timezone,
            now=since,
            poll_interval=self._poll,
            mutes={},
            topup=self._purse.standing,
            new_id=self._new_id,
        )
        self._state = AccountState.new(account.id)
        self._open: dict[str, Episode] = {}
        self._below_since: datetime | None = None
        self.outcome = Outcome(since, until)

    def run(self, past: Past, progress: Callable[[datetime], None] = lambda at: None) -> Outcome:
        """Live through the history, which should begin `WARM_UP` before the stretch; call `progress` now and then."""
        account = self._state.account
        last_at = self._since
        for number, (at, known, outage) in enumerate(expand(past)):
            if number % PROGRESS_EVERY == 0:
                progress(at)
            counting = at >= self._since
            if known is None:
                assert outage is not None
                reading = Unavailable(account, at, outage.reason, outage.detail, status=outage.status)
                self._judge(reading, counting)
                continue
            metrics = self._purse.look(at, known, counting=counting)
            believed = self._judge(Known(account, at, metrics), counting)
            if counting:
                self.outcome.readings += 1
                self._measure(at, metrics)
                last_at = at
                if believed is not None:
                    self._purse.attend(believed, self._state.burn)
        return self._finish(last_at)

    def _judge(self, reading: Known | Unavailable, counting: bool) -> Known | None:
        # History holds what was believed: a second read would have said the same.
        second = reading if isinstance(reading, Known) else None
        judgement = judge(self._state, reading, second, self._context.at(reading.at, {}))
        self._state = judgement.state
        if judgement.drafts or judgement.episodes:
            self._count(judgement, counting)
        return judgement.believed

    def _count(self, judgement: Judgement, counting: bool) -> None:
        if counting:
            self.outcome.events.update(_type(draft) for draft in judgement.drafts)
        for episode in judgement.episodes:
            if episode.closed_at is None:
                if counting and episode.id not in self._open:
                    self.outcome.episodes += 1
                self._open[episode.id] = episode
                continue
            opened = self._open.pop(episode.id, None)
            if counting and opened is not None and self._was_short(episode):
                self.outcome.false_alarms.append(FalseAlarm(episode.rule, episode.opened_at, episode.closed_at))

    def _was_short(self, episode: Episode) -> bool:
        """Whether it ended by itself within a poll or two: not where a credit ended it."""
        assert episode.closed_at is not None
        helped = [*self._purse.charges[-5:], *self._purse.credits[-5:]]
        if any(episode.opened_at - SHORT_POLLS * self._poll <= credit.at <= episode.closed_at for credit in helped):
            return False
        return episode.closed_at - episode.opened_at <= SHORT_POLLS * self._poll

    def _measure(self, at: datetime, metrics: Metrics) -> None:
        available = metrics.available_microusd
        if available is None:
            return
        outcome = self.outcome
        if outcome.lowest_microusd is None or available < outcome.lowest_microusd:
            outcome.lowest_microusd = available
        if self._below_since is not None:
            outcome.below_zero += at - self._below_since
        self._below_since = at if available <= 0 else None

    def _finish(self, last_at: datetime) -> Outcome:
        outcome = self.outcome
        outcome.charges = self._purse.charges
        outcome.credits = self._purse.credits
        outcome.refusals = dict(self._purse.refusals)
        outcome.until = max(last_at, outcome.since)
        return outcome

    def _new_id(self, prefix: str) -> str:
        self._drawn += 1
        return f"{prefix}_{self._drawn}"


def expand(past: Past) -> Iterator[tuple[datetime, Metrics | None, OutageRun | None]]:
    """Yield every poll of the history: a run's readings are spread evenly from its first to its last."""
    for run in past:
        step = (run.last_at - run.first_at) / (run.count - 1) if run.count > 1 else timedelta()
        for index in range(run.count):
            at = run.first_at + step * index
            if isinstance(run, Run):
                yield at, run.metrics, None
            else:
                yield at, None, run


def _type(draft: EventDraft) -> str:
    return draft.type.value
