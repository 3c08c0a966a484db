"""One trial: the tests are run against one mutant, in a process of its own, until the first fails or time is up."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PRELOADED = ("hypothesis", "jsonschema", "msgspec", "pydantic", "stripe", "httpx", "aiohttp", "structlog", "jinja2")
"""What the tests import of others: imported once, before any trial."""
MEMORY_BYTES = 3 << 30
WAIT_S = 0.005
BROKEN = 99
OPTIONS = ("-x", "-q", "--tb=no", "--assert=plain", "--hypothesis-seed=0")
WITHOUT = tuple(part for name in ("cacheprovider", "cov", "anyio", "junitxml") for part in ("-p", f"no:{name}"))


def preload() -> None:
    for name in PRELOADED:
        importlib.import_module(name)


def failing_test(copy: Path, tests: Sequence[str], limit_s: float) -> str | None:
    """Run `tests` in `copy` and return the first that fails, None where all pass; `time` where they take too long.

    The process is forked, so that what is preloaded need not be imported again, and killed with all its children.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            os._exit(_run(copy, tests, writing, limit_s))
        finally:
            os._exit(BROKEN)
    os.close(writing)
    code = _wait(pid, limit_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    if code == 0:
        return None
    if code in (BROKEN, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"the trial itself broke: {' '.join(tests)}")
    return said or ("time" if code is None else f"exit {code}")


def _wait(pid: int, limit_s: float) -> int | None:
    """Return the exit code, or None after killing a process that takes too long."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(WAIT_S)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


class _First:
    """Writes down the first test that fails."""

    def __init__(self, writing: int) -> None:
        self._writing = writing
        self._done = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._done:
            self._done = True
            os.write(self._writing, report.nodeid.split("[")[0].encode())


def _run(copy: Path, tests: Sequence[str], writing: int, limit_s: float) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.split(".")[0] in ("alerts", "daemon", "tests")]:
        del sys.modules[name]
    options = [*OPTIONS, *WITHOUT, f"--timeout={limit_s:.0f}", f"--rootdir={copy}"]
    return int(pytest.main([*options, *tests], plugins=[_First(writing)]))
