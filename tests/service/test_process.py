"""The small parts around the service: lock, jobs, logs, what systemd is told."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.clock import ManualClock
from daemon.jobs import Job
from daemon.logs import mask
from daemon.process.notify import notify, watchdog_s
from daemon.store.lock import DatabaseHeldError, held, lock_path

CLOCK = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))


def _job(work: Callable[[], Awaitable[None]], deadline_s: float = 5.0) -> Job:
    return Job("test", work, clock=CLOCK, deadline_s=deadline_s, finished=lambda: None)


def test_a_second_process_is_told_who_holds_the_database(tmp_path: Path) -> None:
    database = tmp_path / "brimful.db"
    script = (
        "import sys; from pathlib import Path; from daemon.store.lock import held\nwith held(Path(sys.argv[1])): pass"
    )
    with held(database):
        second = subprocess.run(
            [sys.executable, "-c", script, str(database)], capture_output=True, text=True, timeout=30, check=False
        )
    assert second.returncode == 1
    assert "DatabaseHeldError: a daemon (pid " in second.stderr
    with held(database):
        assert lock_path(database).exists()


def test_a_database_in_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DatabaseHeldError, match="Set \\[store\\] path"), held(blocked / "brimful.db"):
        pytest.fail("entered")


async def test_a_lane_started_while_busy_runs_once_more_and_never_twice_at_once() -> None:
    running = 0
    seen: list[int] = []

    async def work() -> None:
        nonlocal running
        running += 1
        seen.append(running)
        await asyncio.sleep(0.01)
        running -= 1

    job = _job(work)
    for _ in range(5):
        job.start()
        await asyncio.sleep(0)
    await job.idle()
    assert seen == [1, 1]
    assert job.health.passes == 2


async def test_a_pass_that_raises_is_counted_and_the_next_one_is_tried() -> None:
    outcomes = iter([ValueError("sk_test_secret123 was wrong"), None])

    async def work() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    job = _job(work)
    job.start()
    await job.idle()
    assert job.health.last_error == "ValueError: … was wrong"
    job.start()
    await job.idle()
    assert (job.health.failures, job.health.passes, job.health.last_error) == (1, 2, "")


async def test_a_pass_that_outlives_its_deadline_is_ended() -> None:
    job = _job(lambda: asyncio.sleep(60), deadline_s=0.02)
    job.start()
    await job.idle()
    assert job.health.failures == 1


async def test_a_lane_that_is_cut_ends_at_once() -> None:
    job = _job(lambda: asyncio.sleep(60))
    job.start()
    await asyncio.sleep(0)
    await job.cut()
    assert not job.busy


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Invalid API Key provided: sk_live_51Habc", "Invalid API Key provided: …"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw= is short", "… is short"),
        ("GET https://host/path?token=abc failed", "GET https://host/path?… failed"),
        ("smtp://user:pass@host", "smtp://…host"),
        ("key cs_live_abc123", "key …"),
        ("key trn_test_abc123", "key …"),
        ("Authorization: Bearer eyJhbGciOi.x", "Authorization: Bearer …"),
    ],
)
def test_no_key_reaches_a_log(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_systemd_is_told_where_it_listens_and_nobody_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        assert notify("READY=1") is True
        assert manager.recv(100) == b"READY=1"


def test_the_watchdog_is_told_twice_as_often_as_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_s() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "")
    assert watchdog_s() is None


def test_a_log_that_nobody_reads_any_more_stops_nothing() -> None:
    code = (
        "import os, structlog\n"
        "from daemon import journal\n"
        "from daemon.process.logs import set_up\n"
        "set_up()\n"
        "read, write = os.pipe()\n"
        "os.dup2(write, 2); os.close(write); os.close(read)\n"
        "structlog.get_logger().info('lost')\n"
        "journal.report('finance', '2026-10')\n"
        "print('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "went on\n"


def test_a_database_that_is_away_is_a_line_and_all_else_says_where_it_was() -> None:
    code = (
        "import sqlite3, structlog\n"
        "from daemon.process.logs import set_up\n"
        "set_up()\n"
        "def failed(error):\n"
        "    try: raise error\n"
        "    except Exception as caught: structlog.get_logger().error('pass failed', lane='money', exc_info=caught)\n"
        "away = sqlite3.OperationalError('server closed the connection of postgresql://me:hidden@db/x')\n"
        "failed(away)\n"
        "failed(ExceptionGroup('some', [ExceptionGroup('of them', [away]), away]))\n"
        "failed(ExceptionGroup('some', [away, KeyError('else')]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    line, group, other = map(json.loads, done.stderr.splitlines())
    assert line["problem"] == group["problem"] == "server closed the connection of postgresql://…db/x"
    assert "exception" not in line
    assert "exception" not in group
    assert "KeyError: 'else'" in other["exception"]
