"""The pure core is pure: no clock, no I/O, no chance of its own, in itself and in all that it imports of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pure import IMPURE, PURE_OF_DAEMON, RECORDS, ROOT, pure_modules, stains


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", pure_modules(), ids=_name)
def test_a_pure_module_has_no_clock_and_no_io(path: Path) -> None:
    assert path.is_file(), "listed as pure, and does not exist"
    assert stains(path) == ()


@pytest.mark.parametrize("name", IMPURE)
def test_no_module_is_excused_without_need(name: str) -> None:
    assert (ROOT / name).is_file(), "listed as impure, and does not exist"
    assert stains(ROOT / name) != (), "it is pure: strike it from the list"


@pytest.mark.parametrize("module", RECORDS)
def test_records_are_taken_from_modules_that_there_are(module: str) -> None:
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    assert path.is_file()
    assert stains(path) != (), "it is pure: strike it from the list"


def test_no_listed_module_could_leave_the_core_unseen() -> None:
    """What judges and what plans is in the core, by whatever name the lists call it."""
    core = {_name(path) for path in pure_modules()}
    assert {
        "alerts/rules/falls.py",
        "alerts/rules/plausibility.py",
        "alerts/rules/spike.py",
        "alerts/delivery/policy.py",
    } <= core
    assert set(PURE_OF_DAEMON) <= core
    assert core.isdisjoint(IMPURE)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for room in ("alerts", "daemon/topups/policy"):
        (tmp_path / room).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "stain"),
    [
        ("import asyncio", "imports asyncio"),
        ("from time import monotonic", "imports time"),
        ("from pathlib import Path", "imports pathlib"),
        ("import importlib.resources", "imports importlib.resources"),
        ("def later():\n    import socket", "imports socket"),
        ("import random\nx = random.random()", "uses random.random"),
        ("import random\nx = random.Random()", "draws without a seed"),
        ("from random import Random", "takes chance by name"),
        ("from datetime import datetime\nx = datetime.now(None)", "calls now()"),
        ("x = open('x')", "calls open()"),
    ],
)
def test_what_is_not_pure_is_seen(house: Path, text: str, stain: str) -> None:
    path = house / "alerts" / "one.py"
    path.write_text(text)
    assert any(found.endswith(stain) for found in stains(path, house))


def test_what_is_not_pure_is_seen_through_another_module(house: Path) -> None:
    (house / "alerts" / "far.py").write_text("import sqlite3")
    (house / "alerts" / "near.py").write_text("from alerts import far")
    path = house / "alerts" / "one.py"
    path.write_text("from alerts.near import anything")
    assert stains(path, house) == ("alerts/one.py:1 ▸ alerts/near.py:1 ▸ alerts/far.py:1 imports sqlite3",)


def test_a_module_for_the_type_checker_alone_is_no_import(house: Path) -> None:
    path = house / "alerts" / "one.py"
    path.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio")
    assert stains(path, house) == ()


def test_a_record_may_be_taken_and_a_function_beside_it_not(house: Path) -> None:
    (house / "daemon" / "config").mkdir()
    (house / "daemon" / "config" / "model.py").write_text("from pathlib import Path")
    path = house / "daemon" / "topups" / "policy" / "one.py"
    path.write_text("from daemon.config.model import TopupConfig")
    assert stains(path, house) == ()
    other = path.with_name("other.py")
    other.write_text("from daemon.config.model import of_file")
    assert stains(other, house) != ()


def test_every_module_of_a_policy_folder_is_held_without_being_listed(house: Path) -> None:
    path = house / "daemon" / "topups" / "policy" / "machine.py"
    path.write_text("import time")
    assert path in pure_modules(house)
    assert house / PURE_OF_DAEMON[0] in pure_modules(house), "a listed one that does not exist stays listed"
