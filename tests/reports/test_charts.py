"""Charts are drawn by a child process that ends, whatever happens in it; without them a report is only plainer."""

from __future__ import annotations

import asyncio
import struct
import time
from pathlib import Path

import pytest

from alerts.reports.pictures import Drawing, drawing
from daemon.reports import charts
from tests.helpers_statements import BERLIN, at, at_end, before_october, charge, level, october


def chart() -> Drawing:
    readings = [before_october(), level(at(5), "75", "1005"), at_end("62", "1018")]
    drawn = drawing(october(readings, [charge(1, "50", at(5, 11), at(5))]), BERLIN)
    assert drawn is not None
    return drawn


def child(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    script = folder / "child.py"
    script.write_text(text)
    monkeypatch.setattr(charts, "_CHILD", script)


async def test_a_chart_is_a_png_wide_enough_for_a_sharp_screen() -> None:
    pictures = await charts.draw({"clips": chart()})
    png = pictures["clips"].png
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert (width > 1100, height > 300) == (True, True)
    assert pictures["clips"].alt == chart().alt


async def test_nothing_to_draw_starts_no_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert await charts.draw({}) == {}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit(3)",
        "print('no json')",
        "print('[1]')",
        "print('[]')",
        "print('[\"%%%\"]')",
        "import nothing_here",
    ],
)
async def test_a_child_that_fails_leaves_the_report_without_charts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    child(monkeypatch, tmp_path, text)
    assert await charts.draw({"clips": chart()}) == {}


async def test_a_child_that_hangs_is_ended_at_the_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, "import time\ntime.sleep(60)")
    monkeypatch.setattr(charts, "CHARTS_DEADLINE_S", 0.5)
    began = time.monotonic()
    assert await charts.draw({"clips": chart()}) == {}
    assert time.monotonic() - began < 10


async def test_pictures_too_large_for_a_mail_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "CHARTS_BYTES", 100)
    assert await charts.draw({"clips": chart()}) == {}


async def test_a_report_that_is_stopped_takes_its_child_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, "import time\ntime.sleep(60)")
    task = asyncio.ensure_future(charts.draw({"clips": chart()}))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
