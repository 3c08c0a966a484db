"""The forecast keeps what it promises on generated accounts, also on families that chose no estimator."""

import csv
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.forecast import WANTED_RISE_HOURS, follow, main, run, table
from benchmarks.recorded import AHEAD_DAYS, read, tables
from benchmarks.traces import TUNED, UNSEEN, generate


def test_the_forecast_is_at_most_half_as_wrong_as_the_straight_line_and_its_range_is_honest() -> None:
    rows = {row.name: row for row in table(run(range(4), 10, [*TUNED, *UNSEEN]))}
    assert rows["all"].ratio <= 0.5
    assert rows["unseen families"].ratio <= 0.6
    assert 0.72 <= rows["all"].inside <= 0.88
    assert rows["unseen families"].count > 150


def test_a_rise_for_good_is_followed_within_hours() -> None:
    assert max(follow(range(2)).values()) <= WANTED_RISE_HOURS


def test_a_generated_account_is_the_same_for_the_same_seed_and_never_unspends() -> None:
    trace = generate("everything", 3)
    assert trace == generate("everything", 3)
    assert trace.accrued != generate("everything", 4).accrued
    assert all(before <= after for before, after in zip(trace.accrued, trace.accrued[1:], strict=False))


def _record(path: Path, value: Callable[[datetime], float]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp", "value"))
        for step in range(14 * 288):
            at = datetime(2014, 4, 1, tzinfo=UTC) + timedelta(minutes=5 * step)
            rows.writerow((at.strftime("%Y-%m-%d %H:%M:%S"), value(at)))


def test_recorded_series_are_judged_beside_simple_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(1)
    _record(tmp_path / "office.csv", lambda at: chance.uniform(0.8, 1.2) if 8 <= at.hour < 18 else 0.0)
    _record(tmp_path / "walk.csv", lambda at: math.exp(chance.gauss(0, 1)) - 0.1)
    _, old = tables(tmp_path)
    title, (office, walk, both) = old
    assert title.startswith("3 to 14 days")
    assert office.count > 100
    assert office.ratio < 0.5
    assert walk.ratio < 1.3
    assert both.count == office.count + walk.count
    assert main(["--traces", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("office") == 2


def test_a_recorded_series_is_an_accrued_counter_of_a_hundred_dollars_a_day(tmp_path: Path) -> None:
    _record(tmp_path / "even.csv", lambda at: 2.0)
    series = read(tmp_path / "even.csv")
    begin = series.times[0]
    assert series.at(begin + timedelta(days=3)) - series.at(begin) == pytest.approx(300_000_000, rel=0.001)
    assert series.reached(series.at(begin + timedelta(days=3))) == begin + timedelta(days=3)
    assert min(AHEAD_DAYS) == 0.5
