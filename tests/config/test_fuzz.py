"""Whatever stands in the file: `inspect` answers with problems, never with an exception, and never with a secret."""

from __future__ import annotations

import copy
import random
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.config.build import build
from daemon.config.lint import LintFacts, lint
from daemon.config.lint.process import zone
from daemon.config.problems import Level, Problems
from daemon.config.reading import read
from daemon.config.secret import Secrets
from tests.helpers_config import ACCOUNT, look

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
JUNK: list[Any] = [
    None, 0, -1, 10**30, True, "", "x", "*", "env:NOPE", "[", "\x00", "ä" * 3000, [], [1], [[]], ["*"], {}, {"a": 1},
    Decimal("NaN"), Decimal("Infinity"), Decimal("1e-9"), Decimal("0.001"), "2026-01-01", "http://[", "https://x:99999/",
]  # fmt: skip
NAMES = ["id", "accounts", "a.b", 'q"q', "", "topup", "url", "ev ents", "below_usd", "ünïcode", "x" * 300]


def spots(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [spot for key, below in inner for spot in spots(below, (*at, key))]


def mutated(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the document with a few values replaced, removed or renamed."""
    document = copy.deepcopy(document)
    for _ in range(chance.randint(1, 6)):
        *above, last = chance.choice(spots(document))
        parent: Any = document
        for key in above:
            parent = parent[key]
        junk = copy.deepcopy(chance.choice(JUNK))
        what = chance.random()
        if what < 0.2 and isinstance(parent, dict):
            parent[chance.choice(NAMES)] = parent.pop(last)
        elif what < 0.4 or junk is None:
            parent.pop(last)
        else:
            parent[last] = junk
        if not document:
            break
    return document


@pytest.mark.parametrize("seed", range(40))
def test_mutated_configurations_raise_nothing(tmp_path: Path, seed: int) -> None:
    example = tomllib.loads(EXAMPLE.read_text(), parse_float=Decimal)
    chance = random.Random(seed)
    for _ in range(25):
        document = mutated(example, chance)
        problems = Problems()
        tables = read(document, problems)
        facts = LintFacts(tables, {}, zone(tables.root.timezone, problems), problems)
        lint(facts)
        for problem in problems:
            assert problem.message
            assert "\n" not in str(problem.message + problem.hint + problem.key_path)
        if not problems.errors:
            assert build(facts, tmp_path / "c.toml", tmp_path / "b.db", ()).accounts is not None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_answered_with_problems(tmp_path: Path, raw: bytes) -> None:
    found = look(tmp_path, raw)
    assert (found.config is None) is any(problem.severity is Level.ERROR for problem in found.problems)


@given(st.text(max_size=60))
def test_any_reference_is_answered_without_repeating_it(text: str) -> None:
    problems = Problems()
    secrets = Secrets({}, Path("/nonexistent"), problems, required=True)
    value = secrets.resolve(f"$SECRETSECRET{text}", "key").get_secret_value()
    assert value == "" or value == f"$SECRETSECRET{text}"
    assert all("SECRETSECRET" not in str(problem) for problem in problems)


def test_key_in_the_wrong_table_is_told_where_it_belongs(tmp_path: Path) -> None:
    text = ACCOUNT + 'customer = "cus_1"\n[smtp]\ntimezone = "UTC"\n'
    hints = {problem.key_path: problem.hint for problem in look(tmp_path, text).problems}
    assert hints["accounts.clips.customer"] == "it belongs into [accounts.NAME.topup]"
    assert hints["smtp.timezone"] == "it belongs to the top level, above the first table"
