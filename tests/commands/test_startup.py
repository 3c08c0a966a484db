"""What a command costs before it does anything: CPU of the whole process, as the kernel counts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.conftest import KEY, LOW, Town
from tests.service.conftest import town as town

ROOT = Path(__file__).parents[2]


def cpu_s(folder: Path, *arguments: str) -> float:
    """Return the least CPU of a few runs, in seconds: what else the machine does only adds to it."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed Brimful is compiled

    def once() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "daemon", *arguments], env=environ, check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    once()
    return min(once() for _ in range(3))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_no_command(tmp_path: Path, arguments: list[str]) -> None:
    assert cpu_s(tmp_path, *arguments) <= 0.25


async def test_status_imports_only_what_it_uses(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", active_videos=3)
    path = town.configure(LOW)
    await town.once()
    assert cpu_s(town.folder, "--config", str(path), "status") <= 0.5
