"""`brimful demo`: a folder for the output, the month with its view, the checks, the summary."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

import structlog
from rich.console import Console

from alerts.model.spans import SpanKind, span_before
from alerts.reports.facts import ReportFacts
from daemon.demo.checks import DemoCheck, Evidence, check_all
from daemon.demo.drive import DemoObserver, Month, run_month
from daemon.demo.mails import write_mails
from daemon.demo.scenario import END, START, ZONE
from daemon.demo.summary import Outputs, show
from daemon.demo.timeline import Timeline
from daemon.demo.view import DemoView
from daemon.logs import mask
from daemon.places import Place
from daemon.reports.facts import gather
from daemon.store import Store


class NotEmptyError(Exception):
    """The folder is not empty; the message says so."""


def run_demo(
    out: Path | None,
    *,
    console: Console | None = None,
    end: datetime = END,
    live: bool | None = None,
    place: Place | None = None,
    checked: Callable[[Path, Sequence[DemoCheck]], None] = lambda folder, checks: None,
) -> bool:
    """Run the demo, with its store at `place`; return whether every check passed, after `checked` has seen them.

    Raises NotEmptyError or OSError for the folder.
    """
    console = console or Console(highlight=False)
    folder = _folder(out)
    timeline = Timeline()
    with logging_to(folder / "daemon.log"), DemoView(console, timeline, end, live=live) as view:
        observer = DemoObserver(view.add_event, view.add_mail, view.add_scripted, view.stepped, view.ended)
        month = asyncio.run(run_month(folder, observer=observer, end=end, place=place))
    mails = write_mails(month.world.mailbox.kept, folder)
    store = Store(month.config.store.place, readonly=True)
    try:
        evidence = Evidence(month, timeline, store.reader, facts_of(month, store))
        checks: list[DemoCheck] = check_all(evidence)
        show(console, evidence, checks, Outputs(folder, tuple(mails)))
    finally:
        store.close()
    checked(folder, checks)
    return all(check.passed for check in checks)


def _folder(out: Path | None) -> Path:
    if out is None:
        return Path(tempfile.mkdtemp(prefix="brimful-demo-"))
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise NotEmptyError(f"{out} is not empty: the demonstration overwrites nothing")
    return out.resolve()


def facts_of(month: Month, store: Store) -> ReportFacts | None:
    """Return the facts of the last month's report; None if no month has ended."""
    span = span_before(SpanKind.MONTH, month.end, ZONE)
    if span.start < START:
        return None
    return gather(month.config, store.reader, month.config.reports[0], span, month.end)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Send the daemon's log to a file as JSON, keys masked; restore the logging after."""
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
    """A text file that masks keys."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(mask(text))

    def flush(self) -> None:
        self._file.flush()
