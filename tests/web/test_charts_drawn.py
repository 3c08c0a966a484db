"""The charts of the page: everything lies on the paper, gaps are gaps, and the words say the numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from alerts.model.events import Severity
from alerts.model.money import MICRO
from alerts.rules.state import Episode
from daemon.web.charts import BOTTOM, HEIGHT, SPARK_HEIGHT, TOP, Chart, ChartSpan, Point, bars, line, spark

SINCE = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
SPAN = ChartSpan(SINCE, SINCE + timedelta(days=30), ZoneInfo("Europe/Berlin"))
HOUR = timedelta(hours=1)


def drawn(points: list[Point], *, mark: int | None = None, unit: str = "USD") -> Chart:
    level = None if mark is None else ("top-up below", mark)
    chart = line("Available", points, SPAN, gap=3 * HOUR, unit=unit, mark=level)
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
        assert 0 <= x <= 100
        assert TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1
    assert chart.mark is None or TOP - 0.1 <= chart.mark.at <= HEIGHT - BOTTOM + 0.1
    assert len({tick.label for tick in chart.across}) == len(levels)


def test_levels_are_round_and_named_in_their_unit() -> None:
    points = [(SINCE, 10 * MICRO), (SINCE + HOUR, 58 * MICRO)]
    assert [tick.label for tick in drawn(points).across] == ["$0", "$20", "$40", "$60"]
    assert [tick.label for tick in drawn(points, unit="GB").across][-1] == "60 GB"
    assert drawn(points).says == "Available: between $10.00 and $58.00, $58.00 at the end"


def test_a_balance_that_hardly_changes_is_drawn_as_a_flat_line() -> None:
    """The axis begins at nothing: a cent of five dollars is no cliff."""
    chart = drawn([(SINCE, 5 * MICRO), (SINCE + HOUR, 5 * MICRO - MICRO // 100), (SINCE + 2 * HOUR, 5 * MICRO)])
    assert [tick.label for tick in chart.across] == ["$0", "$2", "$4", "$6"]
    heights = [y for _, y in places(chart)]
    assert max(heights) - min(heights) < 1
    assert TOP < heights[0] < HEIGHT - BOTTOM


def test_the_level_of_a_top_up_is_drawn_and_named() -> None:
    chart = drawn([(SINCE, 5 * MICRO)], mark=8 * MICRO)
    assert chart.mark is not None
    assert chart.mark.label == "top-up below $8.00"
    assert chart.mark.at < places(chart)[0][1]


def test_top_ups_and_episodes_are_marked_where_they_were() -> None:
    began, ended = SINCE + timedelta(days=15), SINCE + timedelta(days=30)
    episode = Episode("ep_1", "clips", "low", "low_balance", Severity.WARNING, began, "available $4 is below $5")
    chart = line(
        "Available",
        [(SINCE, MICRO)],
        SPAN,
        gap=HOUR,
        unit="USD",
        credits=[(began, "clips-1: $50.00"), (SINCE - HOUR, "before")],
        episodes=[
            episode,
            replace(episode, opened_at=SINCE - HOUR, closed_at=began),
            replace(episode, closed_at=ended),
        ],
    )
    assert chart is not None
    assert [(tick.at, tick.label) for tick in chart.credits] == [(50.0, "clips-1: $50.00")]
    assert [(bar.x, bar.width) for bar in chart.episodes] == [(50.0, 50.0), (0.0, 50.0), (50.0, 50.0)]
    assert chart.episodes[0].tone == "warning"
    assert chart.episodes[0].label == "low (warning): available $4 is below $5"


def test_a_spark_begins_at_nothing_and_breaks_where_nothing_was_read() -> None:
    days = [(SINCE + timedelta(days=n), value) for n, value in ((0, 10), (1, 5), (2, 10), (10, 0))]
    assert spark(days, SPAN, top=None) == (f"M0.0 0.0L3.33 {SPARK_HEIGHT / 2}L6.67 0.0", "M33.33 28.0h0.5")
    assert spark(days, SPAN, top=20)[0].startswith(f"M0.0 {SPARK_HEIGHT / 2}L")
    assert spark([], SPAN, top=None) == ()


def test_where_nothing_was_read_no_line_is_drawn() -> None:
    points = [(SINCE + hours * HOUR, MICRO) for hours in (0, 1, 2, 10, 11, 40)]
    paths = drawn(points).paths
    assert [path.count("L") for path in paths] == [2, 1, 0]
    assert paths[2].endswith("h0.5")


def test_the_dates_below_are_those_of_the_zone() -> None:
    assert [tick.label for tick in drawn([(SINCE, 1)]).below] == ["02 Nov", "09 Nov", "16 Nov"]
    day = ChartSpan(SINCE, SINCE + timedelta(days=1), ZoneInfo("Europe/Berlin"))
    chart = line("Available", [(SINCE, 1)], day, gap=HOUR, unit="USD")
    assert chart is not None
    assert [tick.label for tick in chart.below] == ["06:00", "12:00", "18:00"]


def test_bars_stand_on_nothing_and_their_sum_is_said() -> None:
    days = [(SINCE + timedelta(days=n), n * MICRO) for n in range(5)]
    chart = bars("Spent a day (UTC)", days, SPAN, unit="USD")
    assert chart is not None
    assert chart.says == "Spent a day (UTC): $10.00 on 5 days"
    assert [round(bar.y + bar.height, 1) for bar in chart.bars] == [HEIGHT - BOTTOM] * 5
    assert [bar.label for bar in chart.bars][1] == "25 Oct: $1.00"
    heights = [bar.height for bar in chart.bars]
    assert heights[0] == 0
    assert abs(heights[4] - 4 * heights[1]) < 0.5


def test_without_a_point_there_is_no_chart() -> None:
    assert line("Available", [], SPAN, gap=HOUR, unit="USD", mark=("quota", MICRO)) is None
    assert bars("Spent", [], SPAN, unit="USD") is None


def test_a_unit_that_is_a_word_stands_in_the_title_and_not_at_every_line() -> None:
    chart = line("Used", [(SINCE, 0), (SINCE + HOUR, 17_000_000 * MICRO)], SPAN, gap=HOUR, unit="characters")
    assert chart is not None
    assert chart.title == "Used, characters"
    assert [tick.label for tick in chart.across] == ["0 M", "5 M", "10 M", "15 M", "20 M"]
    small = line("Left", [(SINCE, 0), (SINCE + HOUR, 1500 * MICRO)], SPAN, gap=HOUR, unit="credits")
    assert small is not None
    assert [tick.label for tick in small.across][-1] == "1,500"
    euros = line("Left", [(SINCE, 0), (SINCE + HOUR, 10 * MICRO)], SPAN, gap=HOUR, unit="EUR")
    assert euros is not None
    assert (euros.title, euros.across[-1].label) == ("Left", "10 EUR")
