"""`poll = "auto"`: how many polls it saves beside a cron of five minutes, and how late each of them sees a breach.

    python -m benchmarks.polls [--traces FOLDER] [--json]

Every family of the forecast benchmark lives for 75 days as a prepaid account that is bought so many days of its mean
burn, and again six hours after each alert. What is read is what the trace really spent by then. With a folder of
recorded series (CSV: time, value) each of them has what it really used up within ten days.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.model.accounts import AccountInfo
from alerts.model.polling import AutoPoll
from alerts.model.readings import Known, Metrics
from alerts.model.specs import LowBalance, RuleSpec, Spike, Stale
from alerts.rules.evaluation import Context, evaluate
from alerts.rules.next_poll import PollTerms, next_poll
from alerts.rules.state import AccountState
from benchmarks.recorded import Series, read
from benchmarks.report import Figure, finish
from benchmarks.traces import DAYS, STEPS_A_DAY, TUNED, UNSEEN, generate

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CRON = timedelta(minutes=5)
BOUGHT_DAYS = (7, 14, 45, 90)
"""What is bought at a time."""
LEFT_DAYS = 2
"""The alert's threshold, in days of the mean burn."""
BUYS_AFTER = timedelta(hours=6)
RECORDED_DAYS = 10
DAY = timedelta(days=1)
AUTO = AutoPoll()


@dataclass(slots=True)
class Seen:
    """What came of one way to poll: the number of polls, and how late each breach was seen."""

    polls: int = 0
    late: list[timedelta] = field(default_factory=list)


class Life:
    """A prepaid account. `spent` returns what was spent by an instant; `bought` is all that was ever bought."""

    def __init__(self, spent: Callable[[datetime], int], bought: int, below: int) -> None:
        self.spent, self.bought, self.below = spent, bought, below
        self.rules: tuple[RuleSpec, ...] = (
            LowBalance(id="low", below_microusd=below, clear_above_microusd=below * 6 // 5),
            Spike(id="spike"),
            Stale(id="stale"),
        )
        ids = count()
        self.state = AccountState.new("life")
        self._context = Context(
            info=AccountInfo("life", "contentstats"),
            rules=self.rules,
            zone=ZoneInfo("UTC"),
            now=BEGIN,
            poll_interval=AUTO.slowest,
            mutes={},
            topup=lambda account: None,
            new_id=lambda prefix: f"{prefix}_{next(ids)}",
            watching_since=BEGIN,
        )

    def poll(self, at: datetime) -> datetime:
        """Read it, and return when it is to be read next."""
        spent = self.spent(at)
        known = Known("life", at, Metrics(balance_microusd=self.bought - spent, total_charged_microusd=spent))
        self.state = evaluate(self.state, known, known, self._context.at(at, {}, BEGIN)).state
        return next_poll(AUTO, PollTerms(self._context.info, self.rules), self.state, at).at

    def is_low(self, at: datetime) -> bool:
        return self.bought - self.spent(at) < self.below


def breach(life: Life, after: datetime, before: datetime) -> datetime:
    """Return when the balance fell below the threshold between the two, to the second."""
    while before - after > timedelta(seconds=1):
        middle = after + (before - after) / 2
        after, before = (after, middle) if life.is_low(middle) else (middle, before)
    return before


def live(life: Life, until: datetime, buys: int) -> tuple[Seen, Seen]:
    """Return what polling by how long it lasts came to, and what a cron would have."""
    auto, cron = Seen(), Seen()
    at, before, is_low, buy_at = BEGIN, BEGIN, False, until
    while at < until:
        if at >= buy_at:
            life.bought, buy_at = life.bought + buys, until
        following = life.poll(at)
        auto.polls += 1
        if life.is_low(at) and not is_low:
            fell = breach(life, before, at)
            auto.late.append(at - fell)
            cron.late.append(-(-(fell - BEGIN) // CRON) * CRON - (fell - BEGIN))
            buy_at = at + BUYS_AFTER
        is_low, before, at = life.is_low(at), at, following
    cron.polls = (until - BEGIN) // CRON
    return auto, cron


def generated(bought_days: int, families: Sequence[str]) -> Iterator[tuple[Seen, Seen]]:
    """Yield the life of an account of each family."""
    for family in families:
        accrued = generate(family, 0).accrued

        def spent(at: datetime, accrued: list[int] = accrued) -> int:
            step, rest = divmod(at - BEGIN, DAY / STEPS_A_DAY)
            first, then = accrued[min(step, len(accrued) - 1)], accrued[min(step + 1, len(accrued) - 1)]
            return first + int((then - first) * (rest / (DAY / STEPS_A_DAY)))

        mean = accrued[-1] // DAYS
        life = Life(spent, (bought_days + LEFT_DAYS) * mean, LEFT_DAYS * mean)
        yield live(life, BEGIN + DAYS * DAY, bought_days * mean)


def recorded(folder: Path) -> Iterator[tuple[Seen, Seen]]:
    """Yield the life of an account of each recorded series: it has what was really used up within ten days."""
    for path in sorted(folder.glob("*.csv")):
        series = read(path)
        days = min((series.times[-1] - series.times[0]) / DAY - 1, RECORDED_DAYS)

        def spent(at: datetime, series: Series = series) -> int:
            return round(series.at(min(series.times[0] + (at - BEGIN), series.times[-1])))

        used = spent(BEGIN + days * DAY)
        yield live(Life(spent, used, 1), BEGIN + (days + 1) * DAY, 10 * used)


def figures(name: str, lives: Sequence[tuple[Seen, Seen]]) -> list[Figure]:
    """Return how the two ways compare over these lives."""
    autos, crons = [one for one, _ in lives], [one for _, one in lives]
    late = [sorted(wait / timedelta(seconds=1) for one in some for wait in one.late) for some in (autos, crons)]
    found = [
        Figure(f"{name}: polls, of those of {CRON // timedelta(minutes=1)} minutes", _part(autos, crons), "%"),
        Figure(f"{name}: breaches", len(late[0]), ""),
    ]
    if late[0]:
        found.append(Figure(f"{name}: latest seen", late[0][-1], "s", AUTO.fastest / timedelta(seconds=1)))
        found.append(Figure(f"{name}: latest seen each five minutes", late[1][-1], "s"))
    return found


def _part(autos: Sequence[Seen], crons: Sequence[Seen]) -> float:
    return 100 * sum(one.polls for one in autos) / sum(one.polls for one in crons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, help="a folder of recorded series, besides")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    families = [*TUNED, *UNSEEN]
    found = []
    for days in BOUGHT_DAYS:
        found += figures(f"{days} days bought", list(generated(days, families)))
    if options.traces is not None:
        found += figures("recorded series", list(recorded(options.traces)))
    finish("polls by how long an account lasts", found, as_json=options.json)


if __name__ == "__main__":
    main()
