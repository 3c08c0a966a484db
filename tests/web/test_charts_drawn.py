"""The charts of the page: everything lies on the paper, gaps are gaps, and the words say the numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from alerts.model.money import MICRO
from daemon.web.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, ChartSpan, Point, bars, line

SINCE = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
SPAN = ChartSpan(SINCE, SINCE + timedelta(days=30), ZoneInfo("Europe/Berlin"))
HOUR = timedelta(hours=1)


def drawn(points: list[Point], *, mark: int | None = None, volume: bool = False) -> Chart:
    chart = line("Available", points, SPAN, gap=3 * HOUR, volume=volume, mark=mark)
    assert chart is not None
    return chart


def places(chart: Chart) -> list[tuple[float, float]]:
    numbers = [re.findall(r"(-?[\d.]+) (-?[\d.]+)", path) for path in chart.paths]
    return [(float(x), float(y)) for path in numbers for x, y in path]


@given(
    st.lists(st.tuples(st.integers(0, 720), st.integers(-(10**12), 10**15)), min_size=1, max_size=40),
    st.none() | st.integers(0, 10**13),
)
def test_every_line_lies_within_its_levels_and_the_levels_on_the_paper(
    said: list[tuple[int, int]], mark: int | None
) -> None:
    points = [(SINCE + hours * HOUR, value) for hours, value in sorted(dict(said).items())]
    chart = drawn(points, mark=mark)
    levels = [tick.at for tick in chart.across]
    assert 2 <= len(levels) <= 8
    assert levels == sorted(levels, reverse=True)
    for x, y in places(chart):
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1
    assert all(TOP - 0.1 <= tick.at <= HEIGHT - BOTTOM + 0.1 for tick in chart.marks)


def test_levels_are_round_and_named_in_their_unit() -> None:
    points = [(SINCE, 10 * MICRO), (SINCE + HOUR, 58 * MICRO)]
    assert [tick.label for tick in drawn(points).across] == ["$0.00", "$20.00", "$40.00", "$60.00"]
    assert [tick.label for tick in drawn(points, volume=True).across][-1] == "60.00 GB"
    assert drawn(points).says == "Available: between $10.00 and $58.00, $58.00 at the end"


def test_a_balance_that_never_changes_is_drawn_between_two_levels() -> None:
    chart = drawn([(SINCE, 5 * MICRO), (SINCE + HOUR, 5 * MICRO)])
    assert [tick.label for tick in chart.across] == ["$5.00", "$5.01"]


def test_where_nothing_was_read_no_line_is_drawn() -> None:
    points = [(SINCE + hours * HOUR, MICRO) for hours in (0, 1, 2, 10, 11, 40)]
    paths = drawn(points).paths
    assert [path.count("L") for path in paths] == [2, 1, 0]
    assert paths[2].endswith("h2")


def test_the_dates_below_are_those_of_the_zone() -> None:
    assert [tick.label for tick in drawn([(SINCE, 1)]).below] == ["30 Oct", "05 Nov", "11 Nov", "17 Nov"]
    day = ChartSpan(SINCE, SINCE + timedelta(days=1), ZoneInfo("Europe/Berlin"))
    chart = line("Available", [(SINCE, 1)], day, gap=HOUR, volume=False, mark=None)
    assert chart is not None
    assert [tick.label for tick in chart.below] == ["03:48", "08:36", "13:24", "18:12"]


def test_bars_stand_on_nothing_and_their_sum_is_said() -> None:
    days = [(SINCE + timedelta(days=n), n * MICRO) for n in range(5)]
    chart = bars("Spent a day (UTC)", days, SPAN, volume=False)
    assert chart is not None
    assert chart.says == "Spent a day (UTC): $10.00 on 5 days"
    assert [round(bar.y + bar.height, 1) for bar in chart.bars] == [HEIGHT - BOTTOM] * 5
    assert [bar.label for bar in chart.bars][1] == "25 Oct: $1.00"
    heights = [bar.height for bar in chart.bars]
    assert heights[0] == 0
    assert abs(heights[4] - 4 * heights[1]) < 0.5


def test_without_a_point_there_is_no_chart() -> None:
    assert line("Available", [], SPAN, gap=HOUR, volume=False, mark=MICRO) is None
    assert bars("Spent", [], SPAN, volume=False) is None
