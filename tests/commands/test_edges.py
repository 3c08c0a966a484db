"""What a person sees where something about the machine is wrong: a sentence, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
[store]
path = "{store}"

[http]
listen = ""
"""


def _brimful(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    config = folder / "config.toml"
    config.write_text(CONFIG.format(store=folder / "brimful.db"))
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "daemon", "--config", str(config), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root)} | environment,
    )


@pytest.mark.parametrize("command", [("status",), ("alerts",), ("deliveries",), ("topups",), ("once",)])
def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "brimful.db").write_bytes(b"this is no database" * 500)
    done = _brimful(tmp_path, *command)
    assert done.returncode == 1
    assert "brimful: " in done.stderr
    assert "not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_without_utf8_is_written_to_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "▁").mkdir()
    done = _brimful(tmp_path / "▁", "check", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert "/?/config.toml: 2 warnings" in done.stdout


def test_a_pass_with_nothing_to_say_says_nothing_on_stderr(tmp_path: Path) -> None:
    done = _brimful(tmp_path, "once")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_told_without_an_installation(tmp_path: Path) -> None:
    done = _brimful(tmp_path, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("brimful ")
