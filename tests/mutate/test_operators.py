"""The mutation run itself: it changes what it says, names it whatever the line, and sees a bug that lives."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.mutate.__main__ import JUDGED, TARGETS, _files, _judged
from tests.mutate.covering import Covering
from tests.mutate.operators import mutants, mutated
from tests.mutate.trial import failing_test
from tests.pure import ROOT, pure_modules

SOURCE = """
LIMIT = 10

class Box:
    size: int = 0

    def holds(self, one: int | None) -> bool:
        '''Say whether it fits.'''
        if one is None or not one:
            return False
        self.size += one
        return one + 1 < LIMIT and min(one, 5) == one
"""


def becomes(was: str) -> set[str]:
    return {mutant.becomes for mutant in mutants("box.py", SOURCE) if mutant.was == was}


def test_every_kind_of_change_is_made() -> None:
    assert becomes("LIMIT = 10") == {"LIMIT = 11", "LIMIT = 9"}
    assert becomes("size: int = 0") == {"size: int = 1", "size: int = -1"}
    assert becomes("return False") == {"return True"}
    assert becomes("self.size += one") == {"self.size -= one", "pass"}
    assert becomes("if one is None or not one:") == {
        "pass",
        "if one is None and (not one):",
        "if one is not None or not one:",
        "if one is None or one:",
    }
    assert {
        "return one + 1 <= LIMIT and min(one, 5) == one",
        "return one - 1 < LIMIT and min(one, 5) == one",
        "return one + 1 < LIMIT or min(one, 5) == one",
        "return one + 1 < LIMIT and max(one, 5) == one",
        "return one + 1 < LIMIT and min(one, 5) != one",
    } <= becomes("return one + 1 < LIMIT and min(one, 5) == one")


def test_what_is_written_is_the_change_that_is_named() -> None:
    plain = ast.unparse(ast.parse(SOURCE))
    every = list(mutants("box.py", SOURCE))
    assert len({mutated(SOURCE, mutant.number) for mutant in every} - {plain}) == len(every)
    for mutant in every:
        assert mutant.becomes in mutated(SOURCE, mutant.number)


def test_a_mutant_is_named_by_its_place_and_words_not_by_its_line() -> None:
    below = [(one.place, one.was, one.becomes) for one in mutants("box.py", "# a line more\n" + SOURCE)]
    assert below == [(one.place, one.was, one.becomes) for one in mutants("box.py", SOURCE)]
    assert ("box.py: Box.holds", "return False", "return True") in below


def test_a_constant_is_held_by_the_tests_of_what_uses_it(tmp_path: Path) -> None:
    (tmp_path / "box.py").write_text(SOURCE)
    covering = Covering()
    covering.add({"t::far": {"box.py": [9, 10]}, "t::near": {"box.py": [9, 11, 12]}}, {"t::far": 0.1, "t::near": 0.1})
    covering.mention(tmp_path, ["box.py"])
    constant, inside = (
        next(one for one in mutants("box.py", SOURCE) if one.was == was) for was in ("LIMIT = 10", "return False")
    )
    assert covering.tests_of(constant) == {"t::near"}
    assert covering.tests_of(inside) == {"t::far"}


def test_a_trial_names_the_test_that_fails_and_one_that_hangs(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "test_one.py").write_text(
        "def test_good(): pass\ndef test_bad(): assert False\ndef test_slow():\n    while True: pass\n"
    )
    assert failing_test(tmp_path, ["test_one.py::test_good"], 30) is None
    assert failing_test(tmp_path, ["test_one.py"], 30) == "test_one.py::test_bad"
    assert failing_test(tmp_path, ["test_one.py::test_slow"], 2) is not None


def test_only_pure_modules_are_mutated_and_every_judgement_has_its_reason() -> None:
    assert {ROOT / file for file in _files(TARGETS)} <= set(pure_modules())
    assert JUDGED.exists()
    assert all(why for why in _judged().values())
    every = {
        (one.place, one.was, one.becomes)
        for file in _files(TARGETS)
        for one in mutants(file, (ROOT / file).read_text())
    }
    assert set(_judged()) <= every
