"""Logs: one canonical line a unit of work, JSON to stderr, readable on a terminal. Keys and URL queries are masked."""

from __future__ import annotations

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRETS = re.compile(
    r"\b[a-z]{2,8}_(?:live|test)_\w+|\bwhs(?:ec|k)_[\w+/=-]+|(?<=://)[^/@\s]+:[^/@\s]+@"
    r"|(?<=Bearer )[\w.~+/=-]{4,}"
)
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")


def mask(text: str) -> str:
    """Return `text` with everything that looks like a key, a password in a URL, or a URL's query replaced."""
    return _QUERY.sub(r"\1?…", _SECRETS.sub("…", text))


def _mask_all(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


def set_up(level: str = "info") -> None:
    """Send structlog and the libraries' own warnings to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_all,
    ]
    terminal = sys.stderr.isatty()
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for noisy in ("stripe", "apscheduler", "aiohttp", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
