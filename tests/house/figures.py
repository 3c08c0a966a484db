"""The structure of the house in figures, as its tests hold them: `python -m tests.house.figures` prints them."""

from __future__ import annotations

import re
from pathlib import Path

from daemon.sources.provider import Provider
from daemon.sources.registry import PROVIDERS

ROOT = Path(__file__).parents[2]
PRODUCT = ("alerts", "daemon", "templates")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def naming_providers() -> list[str]:
    """Return the files of the product that name a provider, in code or in words."""
    files = (path for room in PRODUCT for path in sorted((ROOT / room).rglob("*")))
    named = [re.compile(_name(one), re.IGNORECASE) for one in PROVIDERS.values()]
    texts = ((path, path.read_text(encoding="utf-8", errors="ignore")) for path in files if path.is_file())
    return [relative(path) for path, text in texts if path.suffix != ".pyc" and any(one.search(text) for one in named)]


def _name(provider: Provider) -> str:
    if provider.by_account:  # its name is a word of its own: only as a provider's it counts
        return rf"\bproviders?\b\W+{provider.name}\b"
    return rf"{provider.name}|{re.escape(provider.title)}"
