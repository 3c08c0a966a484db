"""The show: a folder for what it makes, the month with its view, the promises, the summary."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

import structlog
from rich.console import Console

from alerts.model.spans import SpanKind, span_before
from alerts.reports.report import ReportFacts
from daemon.demo.checks import Evidence, Promise, check_all
from daemon.demo.drive import Month, Watcher, live_through
from daemon.demo.mails import write_mails
from daemon.demo.scenario import END, START, ZONE
from daemon.demo.summary import Outputs, show
from daemon.demo.timeline import Story
from daemon.demo.view import DemoView
from daemon.logs import mask
from daemon.reports.facts import gather
from daemon.store import Store


class NotEmptyError(Exception):
    """The folder holds something already; the message says so."""


def run_demo(
    out: Path | None, *, console: Console | None = None, end: datetime = END, live: bool | None = None
) -> bool:
    """Run the demonstration; returns whether every promise was kept. Raises NotEmptyError or OSError for the folder."""
    console = console or Console(highlight=False)
    folder = _folder(out)
    story = Story()
    with logging_to(folder / "daemon.log"), DemoView(console, story, end, live=live) as view:
        watcher = Watcher(view.told, view.mailed, view.happened, view.stepped, view.ended)
        month = asyncio.run(live_through(folder, watcher=watcher, end=end))
    papers = write_mails(month.world.mailbox.kept, folder)
    store = Store(folder / "brimful.db", readonly=True)
    try:
        evidence = Evidence(month, story, store.reader, facts_of(month, store))
        promises: list[Promise] = check_all(evidence)
        show(console, evidence, promises, Outputs(folder, tuple(papers)))
    finally:
        store.close()
    return all(promise.kept for promise in promises)


def _folder(out: Path | None) -> Path:
    if out is None:
        return Path(tempfile.mkdtemp(prefix="brimful-demo-"))
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise NotEmptyError(f"{out} is not empty: the demonstration overwrites nothing")
    return out.resolve()


def facts_of(month: Month, store: Store) -> ReportFacts | None:
    """The facts of the last month's report, where a month has ended."""
    span = span_before(SpanKind.MONTH, month.end, ZONE)
    if span.start < START:
        return None
    return gather(month.config, store.reader, month.config.reports[0], span, month.end)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Send the daemon's log to a file as JSON, keys masked; restore what was before."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with path.open("w", encoding="utf-8") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(_Masked(file)),  # type: ignore[arg-type]  # it only writes
            cache_logger_on_first_use=False,
        )
        root.handlers[:] = [logging.StreamHandler(file)]
        root.setLevel(logging.WARNING)
        try:
            yield
        finally:
            structlog.configure(**before)
            root.handlers[:] = handlers
            root.setLevel(level)


class _Masked:
    """A text file that never learns a key."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(mask(text))

    def flush(self) -> None:
        self._file.flush()
