"""Wheels of releases that do not exist yet: what an index holds a year from now. Standard library only.

    python3 tests/newer_wheels.py FOLDER

writes version 9999 of every locked package, with nothing in it. CI installs with that folder in pip's view, so that an
installation that would look for the newest release fails today and not some day.
"""

from __future__ import annotations

import re
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
NEWER = "9999"


def make_wheel(folder: Path, name: str, version: str, *lines: str) -> str:
    """Write a wheel with nothing in it but `lines` of metadata, and return its SHA-256 digest."""
    escaped = name.replace("-", "_")
    path = folder / f"{escaped}-{version}-py3-none-any.whl"
    about = f"{escaped}-{version}.dist-info"
    said = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""))
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", said)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return sha256(path.read_bytes()).hexdigest()


def make_newer(folder: Path) -> list[str]:
    """Write a newer release of every locked package, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    found = re.findall(r"^([a-z0-9-]+)(?:\[([a-z0-9,-]+)\])?==", LOCK.read_text(encoding="utf-8"), re.M)
    for name, extras in found:
        make_wheel(folder, name, NEWER, *(f"Provides-Extra: {extra}" for extra in extras.split(",") if extra))
    return [name for name, _ in found]


if __name__ == "__main__":
    make_newer(Path(sys.argv[1]))
