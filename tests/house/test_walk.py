"""The walk through the house: every step of it is where the document says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:alerts|daemon|tests|templates)/[\w/]+\.\w+)`", TEXT)))
STEPS = sorted(set(re.findall(r"`((?:alerts|daemon)/[\w/]+\.py)` · `(?:\w+\.)?(\w+)", TEXT)))
ROOMS = sorted(set(re.findall(r"`((?:alerts|daemon)/\w+)/?`", TEXT)))


def test_the_walk_has_steps() -> None:
    assert len(STEPS) >= 12
    assert len(ROOMS) >= 15


@pytest.mark.parametrize("name", [*FILES, *ROOMS])
def test_what_is_named_is_there(name: str) -> None:
    assert (ROOT / name).exists() or name.endswith("NAME.py")


@pytest.mark.parametrize(("file", "function"), STEPS)
def test_each_step_is_where_it_says(file: str, function: str) -> None:
    assert re.search(rf"\b(def|class) {function}\b", (ROOT / file).read_text(encoding="utf-8"))
