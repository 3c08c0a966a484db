"""Draws `docs/demo.svg` from a real run of the demo: `python docs/make_picture.py`."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from daemon.demo import show, summary
from daemon.demo.checks import Evidence, check_all
from daemon.demo.drive import DemoObserver, run_month
from daemon.demo.scenario import END, ZONE
from daemon.demo.timeline import Timeline
from daemon.demo.view import DemoView
from daemon.demo.world import World
from daemon.store import Store
from daemon.work.service import Service

MOMENT = datetime(2026, 10, 21, 12, 30, tzinfo=ZONE)
WIDTH = 108


def main(path: Path) -> None:
    """Run the month, and draw the view at one moment and the end of the summary."""
    console = Console(record=True, width=WIDTH, force_terminal=True, highlight=False)
    timeline = Timeline()
    view = DemoView(console, timeline, END, live=False)
    drawn: list[bool] = []

    def look(now: datetime, service: Service, world: World) -> None:
        if not drawn and now >= MOMENT:
            drawn.append(True)
            console.print(view.picture(now, service, world))

    with tempfile.TemporaryDirectory() as folder, show.logging_to(Path(folder) / "daemon.log"):
        observer = DemoObserver(timeline.add_event, timeline.add_mail, timeline.add_scripted, look)
        month = asyncio.run(run_month(Path(folder), observer=observer))
        store = Store(Path(folder) / "brimful.db", readonly=True)
        evidence = Evidence(month, timeline, store.reader, show.facts_of(month, store))
        summary.show_end(console, evidence, check_all(evidence))
        store.close()
    path.write_text(_alone(console.export_svg(title="brimful demo", unique_id="demo")), encoding="utf-8")


def _alone(svg: str) -> str:
    """Return the picture without web fonts, so that it loads nothing."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"\s*<!-- .*? -->", "", svg).replace(
        "Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"
    )


if __name__ == "__main__":
    main(Path(__file__).with_name("demo.svg"))
