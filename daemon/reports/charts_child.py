"""Draws charts: a JSON list of drawings on stdin, a JSON list of base64 PNGs on stdout. Run by the charts module."""

from __future__ import annotations

import base64
import io
import json
import sys
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import matplotlib

matplotlib.use("Agg")

from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

_INK, _QUIET, _LINE, _MARK, _LIMIT = "#1c2430", "#5a6575", "#2b5f9e", "#2f7d4f", "#b45309"


def draw(drawing: dict[str, Any]) -> bytes:
    """Return one PNG, 574 points wide at twice the density, on white so that it reads in dark mode too."""
    zone = ZoneInfo(drawing["zone"])

    def instant(ms: int) -> datetime:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)

    axes: Any
    figure, axes = plt.subplots(figsize=(7.97, 2.5), dpi=144)
    xs = [instant(ms) for ms, _ in drawing["points"]]
    ys = [value / 1e6 for _, value in drawing["points"]]
    axes.plot(xs, ys, color=_LINE, linewidth=1.6, solid_joinstyle="round")
    axes.fill_between(xs, ys, color=_LINE, alpha=0.10, linewidth=0)
    for ms, value, label in drawing["marks"]:
        axes.plot([instant(ms)], [value / 1e6], "o", color=_MARK, markersize=4.5)
        _write(axes, label, (instant(ms), value / 1e6), (0, 6), ha="center", color=_MARK)
    for value, label in drawing["lines"]:
        axes.axhline(value / 1e6, color=_LIMIT, linewidth=1.2, linestyle=(0, (5, 3)))
        _write(axes, label, (instant(drawing["start_ms"]), value / 1e6), (2, 3), color=_LIMIT)
    _style(axes, drawing, instant)
    out = io.BytesIO()
    figure.tight_layout(pad=0.6)
    figure.savefig(out, format="png", facecolor="white")
    plt.close(figure)
    small = io.BytesIO()  # a few colours: a third of the bytes, and nothing to see of it
    Image.open(out).convert("RGB").quantize(64).save(small, format="png", optimize=True)
    return small.getvalue()


def _write(axes: Any, text: str, at: tuple[datetime, float], offset: tuple[int, int], **style: Any) -> None:
    axes.annotate(text, at, xytext=offset, textcoords="offset points", size=9, **style)


def _style(axes: Any, drawing: dict[str, Any], instant: Any) -> None:
    dollars = drawing["unit"] == "USD"
    start, end = instant(drawing["start_ms"]), instant(drawing["end_ms"])
    axes.set_xlim(start, end)
    axes.margins(y=0.18)
    lowest = min((value for _, value in drawing["points"]), default=0)
    highest = max([abs(value) for _, value in drawing["points"]] + [value for value, _ in drawing["lines"]])
    places = 0 if highest >= 5_000_000 else 2
    axes.set_ylim(bottom=None if lowest < 0 else 0)
    axes.set_title(f"{drawing['title']}, {drawing['unit']}", loc="left", size=10, color=_QUIET)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{'$' if dollars else ''}{v:,.{places}f}"))
    ticks: Any = dates
    locator = ticks.AutoDateLocator(minticks=4, maxticks=9, tz=start.tzinfo)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ticks.ConciseDateFormatter(locator, tz=start.tzinfo, show_offset=False))
    axes.tick_params(colors=_QUIET, labelsize=9, length=0, pad=5)
    axes.grid(axis="y", color="#e3e6eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#b9c0cb")


if __name__ == "__main__":
    pictures = [base64.b64encode(draw(drawing)).decode() for drawing in json.load(sys.stdin)]
    json.dump(pictures, sys.stdout)
