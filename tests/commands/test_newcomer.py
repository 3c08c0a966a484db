"""The README's way from a clone to a first alert, typed as it stands but for the ports."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_newcomer_gets_a_verified_alert_by_typing_the_readme(tmp_path: Path) -> None:
    (block,) = re.findall(r"## The first alert.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    first, typed = block.split("\n", 1)
    assert first == "make .venv/.ready && . .venv/bin/activate"
    api, receiver = free_port(), free_port()
    typed = typed.replace("9810", str(api)).replace("9811", str(receiver))
    typed = typed.replace("daemon.demo.local", f"daemon.demo.local --api-port {api} --receiver-port {receiver}")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, module in (("brimful", " -m daemon"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
        (commands / name).chmod(0o755)
    script = f"set -e\ntrap 'kill $(jobs -p)' EXIT\n{typed}"
    environ = {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "available $12.45 is below $15.00" in done.stdout
    got = (tmp_path / "local.log").read_text()
    assert "the receiver got, verified" in got
    assert '"type": "balance.low"' in got
    assert '"available_usd": 12.45' in got
