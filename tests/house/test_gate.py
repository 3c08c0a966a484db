"""The gate of the coverage holds what it names: a file that was renamed does not slip out of it."""

from __future__ import annotations

import re

import pytest

from tests.pure import ROOT, pure_modules

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
NAMED = [
    name
    for listed in re.findall(r"^(?:IM)?PURE := (?:\$\(PURE\),)?(.+)$", MAKEFILE, re.MULTILINE)
    for name in listed.split(",")
]


@pytest.mark.parametrize("name", NAMED)
def test_every_name_at_the_gate_is_a_file_that_there_is(name: str) -> None:
    assert any(path.suffix == ".py" for path in ROOT.glob(name))


def test_the_pure_core_is_held_at_every_line_and_branch() -> None:
    assert "alerts/*" in NAMED
    assert "--include='$(PURE)' --omit='$(IMPURE)' --fail-under=100" in MAKEFILE


def test_what_is_held_as_the_pure_core_is_pure() -> None:
    held = {path for name in NAMED if name.startswith("daemon/") for path in ROOT.glob(name) if path.suffix == ".py"}
    assert held <= set(pure_modules())
