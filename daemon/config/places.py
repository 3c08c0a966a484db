"""Where the file says something, and what it says there. The files are read anew: only people ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.config.load import documents


@dataclass(frozen=True, slots=True)
class Place:
    """One table of the configuration, as it is written. `line`: of its head, 0 where it has none of its own."""

    file: Path
    line: int
    table: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else str(self.file)


def place_of_account(path: Path, id: str) -> Place | None:
    """Return where the account's table is; None where the file, as it now is, has no such account."""
    head = re.compile(rf"""\s*\[\s*accounts\s*\.\s*["']?{re.escape(id)}["']?\s*[\].]""")
    for file, document in documents(path).items():
        accounts = document.get("accounts")
        if isinstance(accounts, dict) and isinstance(table := accounts.get(id), dict):
            found = (number for number, line in enumerate(_lines(file), 1) if head.match(line))
            return Place(file, next(found, 0), table)
    return None


def place_of_item(path: Path, array: str, id: str) -> Place | None:
    """Return where an item of an array of tables (`rules`, `webhooks`) is, by its id."""
    for file, document in documents(path).items():
        for item in document.get(array) or ():
            if isinstance(item, dict) and item.get("id") == id:
                return Place(file, _line_of_item(_lines(file), array, id), item)
    return None


def _line_of_item(lines: list[str], array: str, id: str) -> int:
    head = re.compile(rf"\s*\[\[\s*{array}\s*\]\]")
    said = re.compile(rf"""\s*id\s*=\s*["']{re.escape(id)}["']""")
    begins = 0
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("["):
            begins = number if head.match(line) else 0
        elif begins and said.match(line):
            return begins
    return 0


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []
