"""How good the forecast is on recorded series of volumes: a folder of CSV files, columns of time and value.

Each value is what was spent since the one before; the sums are an account's accrued counter, with no schedule. From
every fourth hour of the history a balance is asked for that the series really used up half a day to five days later.
Beside the forecast, in the same run, what the mean of the last four hours, of the last day, of the last seven days and
of all history would have said.
"""

from __future__ import annotations

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import inf
from pathlib import Path
from statistics import median

from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import runway
from alerts.model.readings import Metrics

MEAN_DAY_MICROUSD = 100_000_000
ORIGIN_STEP = timedelta(hours=4)
AHEAD_DAYS = (0.5, 1.0, 2.0, 3.0, 5.0)
AGES = ((1.0, 3.0), (3.0, 14.0))
WINDOWS = {"4 h": timedelta(hours=4), "day": timedelta(days=1), "7 days": timedelta(days=7), "all": timedelta.max}
SIMPLE = ("day", "7 days", "all")
"""The baselines that the forecast is held against: the best of them, series by series."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Series:
    """`accrued[i]` micro-dollars were spent by `times[i]`."""

    name: str
    times: list[datetime]
    accrued: list[int]

    def at(self, when: datetime) -> float:
        """Return what was spent by an instant: even between two rows."""
        after = min(bisect_right(self.times, when), len(self.times) - 1)
        start, span = self.times[after - 1], self.times[after] - self.times[after - 1]
        part = min(max((when - start) / span, 0.0), 1.0) if span else 1.0
        return self.accrued[after - 1] + (self.accrued[after] - self.accrued[after - 1]) * part

    def reached(self, amount: float) -> datetime:
        """Return when so much was spent."""
        after = max(bisect_left(self.accrued, amount), 1)
        grown = self.accrued[after] - self.accrued[after - 1]
        part = (amount - self.accrued[after - 1]) / grown if grown else 1.0
        return self.times[after - 1] + (self.times[after] - self.times[after - 1]) * part


@dataclass(frozen=True, slots=True)
class Answer:
    """The relative errors of one question: the forecast's, of available / burn, and each baseline's."""

    age: float
    forecast: float
    simple: float
    baselines: dict[str, float]
    inside: bool
    below: bool


def read(path: Path) -> Series:
    """Return the series of a CSV file; values below nought count as nothing."""
    with path.open(newline="") as file:
        rows = sorted((_instant(row["timestamp"]), max(float(row["value"]), 0.0)) for row in csv.DictReader(file))
    times, values = [time for time, _ in rows], [value for _, value in rows]
    scale = MEAN_DAY_MICROUSD * ((times[-1] - times[0]) / DAY) / (sum(values) or 1.0)
    return Series(path.stem, times, [round(scale * total) for total in accumulate(values)])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def judge_series(series: Series) -> Iterable[Answer]:
    """Yield the answers to all questions of a series that its later rows can tell the truth of."""
    memory, known, begin = BurnMemory(), 0, series.times[0]
    origin = begin + AGES[0][0] * DAY
    while origin <= min(begin + AGES[-1][1] * DAY, series.times[-1]):
        until = bisect_right(series.times, origin)
        for place in range(known, until):
            memory = memory.fold(series.times[place], series.accrued[place])
        known = until
        spent = round(series.at(origin))
        memory = memory.fold(origin, spent)
        for days in AHEAD_DAYS:
            if origin + days * DAY <= series.times[-1]:
                amount = round(series.at(origin + days * DAY)) - spent
                truth = (series.reached(spent + amount) - origin) / DAY
                if amount > 0 and truth >= AHEAD_DAYS[0] * 0.8:
                    yield _answer(series, memory, origin, amount, truth)
        origin += ORIGIN_STEP


def _answer(series: Series, memory: BurnMemory, now: datetime, amount: int, truth: float) -> Answer:
    left = runway(memory, Metrics(balance_microusd=amount), now)
    assert left is not None
    begin, spent = series.times[0], series.at(now)
    baselines = {}
    for name, window in WINDOWS.items():
        start = now - min(window, now - begin)
        rate = (spent - series.at(start)) / ((now - start) / DAY)
        baselines[name] = _error(amount / rate if rate > 0 else None, truth)
    ends = now + truth * DAY
    below = left.earliest_at is None or ends < left.earliest_at
    inside = not below and (left.latest_at is None or ends <= left.latest_at)
    said = None if left.likely_at is None else (left.likely_at - now) / DAY
    simple = None if left.days is None else float(left.days)
    return Answer((now - begin) / DAY, _error(said, truth), _error(simple, truth), baselines, inside, below)


def _error(said: float | None, truth: float) -> float:
    return inf if said is None else abs(said - truth) / truth


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One line: medians of the relative errors, and the share of outcomes inside and below the range."""

    name: str
    count: int
    forecast: float
    simple: float
    baselines: dict[str, float]
    inside: float
    below: float

    @property
    def ratio(self) -> float:
        """The forecast's error beside that of the best simple mean."""
        best = min(self.baselines[name] for name in SIMPLE)
        return self.forecast / best if best else inf


def _row(name: str, answers: Sequence[Answer]) -> SeriesRow:
    return SeriesRow(
        name,
        len(answers),
        median(answer.forecast for answer in answers),
        median(answer.simple for answer in answers),
        {way: median(answer.baselines[way] for answer in answers) for way in WINDOWS},
        sum(answer.inside for answer in answers) / len(answers),
        sum(answer.below for answer in answers) / len(answers),
    )


def tables(folder: Path) -> Iterable[tuple[str, list[SeriesRow]]]:
    """Yield for each age of the history its title and a row a series, the last of them for all series.

    That last row has the medians of the series' medians, and the shares of all questions.
    """
    judged = {path.stem: list(judge_series(read(path))) for path in sorted(folder.glob("*.csv"))}
    for since, until in AGES:
        aged = {name: [one for one in found if since <= one.age < until] for name, found in judged.items()}
        rows = [_row(name, found) for name, found in aged.items() if found]
        if not rows:
            continue
        everything = _row("all", [answer for found in aged.values() for answer in found])
        middle = SeriesRow(
            "all (median)",
            everything.count,
            median(row.forecast for row in rows),
            median(row.simple for row in rows),
            {way: median(row.baselines[way] for row in rows) for way in WINDOWS},
            everything.inside,
            everything.below,
        )
        yield f"{since:.0f} to {until:.0f} days of history", [*rows, middle]


def print_tables(found: Iterable[tuple[str, list[SeriesRow]]]) -> None:
    header = ("", "asked", "forecast", "avail/burn", *WINDOWS, "of best", "inside", "below")
    for title, rows in found:
        print(f"\n{title}: median relative error, and outcomes inside the 10–90 % range")
        print("{:<38}{:>6}{:>10}{:>12}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>7}".format(*header))
        for row in rows:
            means = "".join(f"{row.baselines[name]:>9.1%}" for name in WINDOWS)
            print(
                f"{row.name:<38}{row.count:>6}{row.forecast:>10.1%}{row.simple:>12.1%}{means}{row.ratio:>9.2f}"
                f"{row.inside:>8.1%}{row.below:>7.1%}"
            )
