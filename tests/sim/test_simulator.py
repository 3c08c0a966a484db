"""The simulator itself: a handful of seeds, the same every time, and planted bugs that still fit the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.planted import MUTANTS
from tests.sim.runner import run_seed

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", [1, 7])
def test_a_world_that_breaks_and_is_healed_ends_in_order(seed: int) -> None:
    assert run_seed(seed, 5.0).violations == []


def test_a_world_that_is_changed_by_api_ends_in_order() -> None:
    found = run_seed(105, 6.0, frozenset({"api"}))
    assert found.violations == []
    assert any(" CHARGED " in line and " for a" in line for line in found.trace)
    for refusal in ("409 topup-open", "412 version-differs"):
        assert any(refusal in line for line in found.trace)


def test_the_same_seed_is_the_same_run() -> None:
    first, second = run_seed(5, 4.0), run_seed(5, 4.0)
    assert first.trace == second.trace
    assert first.trace


def test_there_are_at_least_25_planted_bugs_with_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_planted_bug_still_fits_the_code(mutant: object) -> None:
    from tests.mutants.planted import Mutant

    assert isinstance(mutant, Mutant)
    for file, old, _ in mutant.places:
        assert (ROOT / file).read_text().count(old) == 1
