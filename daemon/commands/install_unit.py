"""`install-unit`: systemd's unit, the user, the folders and a first configuration, written from inside the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.common import JsonOption, fail, tell
from daemon.commands.manual import completion_script, man_page

USER = "brimful"
UNIT = Path("etc/systemd/system/brimful.service")
CONFIG = Path("etc/brimful/config.toml")
SECRETS = Path("etc/brimful/secrets")
MANUAL = Path("usr/local/share/man/man1/brimful.1")
COMPLETION = Path("usr/share/bash-completion/completions/brimful")


def register(app: typer.Typer) -> None:
    """Add `install-unit`."""
    app.command("install-unit")(install_unit)


def install_unit(
    context: typer.Context,
    root: Annotated[Path, typer.Option("--root", help="Write below this folder and start nothing (for packages).")] = (
        Path("/")
    ),
    as_json: JsonOption = False,
) -> None:
    """Install systemd's unit, the user brimful, /etc/brimful and a first configuration.

    Run it again after an upgrade: the unit is written anew; the configuration and the secrets are never touched.
    """
    here = root.resolve() == Path("/")
    if here and os.geteuid() != 0:
        fail("only root may install a unit: sudo brimful install-unit")
    lines = list(_install(root, here=here))
    for path, text in ((MANUAL, man_page(context.find_root().command)), (COMPLETION, completion_script("bash"))):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        lines.append(f"wrote {root / path}")
    tell("\n".join(lines), {"root": str(root), "done": lines}, as_json=as_json)


def _install(root: Path, *, here: bool) -> Iterator[str]:
    if here and subprocess.run(["getent", "passwd", USER], capture_output=True).returncode != 0:
        home = ["--home-dir", "/var/lib/brimful", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", "--system", "--user-group", *home, USER], check=True)
        yield f"made the user {USER}"
    unit = root / UNIT
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(unit_text(Path(sys.prefix)), encoding="utf-8")
    unit.chmod(0o644)
    yield f"wrote {unit}"
    secrets, config = root / SECRETS, root / CONFIG
    secrets.mkdir(parents=True, exist_ok=True)
    secrets.chmod(0o700)
    if config.exists():
        yield f"left {config} as it is"
    else:
        config.write_text(sample(), encoding="utf-8")
        yield f"wrote {config}: edit it, and put each secret into a file of {secrets}"
    if here:
        config.chmod(0o640)
        shutil.chown(config, "root", USER)
        if Path("/run/systemd/system").is_dir():
            subprocess.run(["systemctl", "daemon-reload"], check=True)


def unit_text(prefix: Path) -> str:
    """Return the unit for the environment at `prefix`."""
    return _packaged("brimful.service").replace("/opt/brimful/", f"{prefix}/")


def sample() -> str:
    """Return the example with the unit's database and its secrets as credentials."""
    example = _packaged("config.example.toml").replace('"env:', '"credential:')
    return re.sub(r"^# path = ", "path = ", example, count=1, flags=re.MULTILINE)


def _packaged(name: str) -> str:
    inside = files("daemon") / "_packaging" / name
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    checkout = Path(__file__).parents[2]
    found = checkout / "packaging" / name
    return (found if found.is_file() else checkout / name).read_text(encoding="utf-8")
