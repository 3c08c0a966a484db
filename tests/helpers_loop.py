"""What of the database is asked on the thread of the event loop: each statement, and who asked for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from daemon.store.dialects import postgresql
from daemon.store.dialects.postgresql import PostgresqlConnection

_ROOT = f"{Path(__file__).parents[1]}/"
_BELOW = ("daemon/store/dialects/", "daemon/store/connection.py")
_ASKS = ("execute", "executemany", "write_rows", "load", "command")


def watch_loop(monkeypatch: pytest.MonkeyPatch, found: dict[str, str]) -> None:
    """From now on put into `found` each statement that PostgreSQL is asked on the loop, by who asked for it."""

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def asks(*args: Any, **more: Any) -> Any:
            if asyncio._get_running_loop() is not None and (who := _callers(sys._getframe(1))):
                found.setdefault(who, str(args[1] if len(args) > 1 else args))
            return real(*args, **more)

        return asks

    for name in _ASKS:
        monkeypatch.setattr(PostgresqlConnection, name, watched(getattr(PostgresqlConnection, name)))
    monkeypatch.setattr(postgresql, "_connect", watched(postgresql._connect))


def _callers(frame: FrameType | None) -> str:
    said = []
    while frame is not None:
        path = frame.f_code.co_filename.removeprefix(_ROOT)
        if path.startswith(("daemon/", "alerts/")) and not path.startswith(_BELOW):
            said.append(f"{path}:{frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(said)
