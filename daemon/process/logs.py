"""Logs: one canonical line a unit of work, as JSON to stderr, readable on a terminal, under systemd to its journal.

Keys and URL queries are masked. `daemon.journal` has the lines.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.logs import mask
from daemon.process.journald import Journal, is_on_stderr


def _mask_all(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


class _ToJournal:
    """The last step under systemd: the line goes to the journal by its fields, and nothing to stderr."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        self._journal.send(_in_words(event), str(event.get("level", "info")), event)
        raise structlog.DropEvent


def _in_words(event: EventDict) -> str:
    """Return a line as `journalctl` shows it: its kind, then its fields; a traceback stands below."""
    said = [str(event.get("event", ""))]
    said += [
        f"{key}={value}"
        for key, value in event.items()
        if key not in ("event", "level", "timestamp", "exception") and value is not None
    ]
    return "\n".join(filter(None, (" ".join(said), str(event.get("exception") or ""))))


class _JournalHandler(logging.Handler):
    """What libraries say, for the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        said = mask(record.getMessage())
        if record.exc_info:
            said += "\n" + mask(logging.Formatter().formatException(record.exc_info))
        self._journal.send(said, record.levelname.lower(), {"event": "library", "logger": record.name})


def _database_in_a_line(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Say of a database that is away, full or another daemon's what it says, not where in the code that was met."""
    error = line.get("exc_info")
    if not isinstance(error, Exception):
        return line
    away, other = ExceptionGroup("", [error]).split(sqlite3.OperationalError)
    if other is None:
        said: BaseException | None = away
        while isinstance(said, ExceptionGroup):
            said = said.exceptions[0]
        del line["exc_info"]
        line["problem"] = str(said)
    return line


class _Stderr:
    """Standard error that never fails: a reader that is gone, or a full disk, must not stop a charge."""

    def write(self, text: str) -> int:
        """Write what can be written; returns the length of the text."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def set_up(level: str = "info") -> None:
    """Send structlog and the libraries' own warnings to stderr; where that is the journal, to it by its protocol."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _database_in_a_line,
        structlog.processors.format_exc_info,
        _mask_all,
    ]
    journal, stderr = Journal() if is_on_stderr() else None, cast("TextIO", _Stderr())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, renderer if journal is None else _ToJournal(journal)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stderr),
        cache_logger_on_first_use=False,
    )
    handler: logging.Handler = logging.StreamHandler(stderr) if journal is None else _JournalHandler(journal)
    if journal is None:
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for noisy in ("stripe", "apscheduler", "aiohttp", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
