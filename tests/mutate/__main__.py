"""`python -m tests.mutate`: change the pure core in one place at a time, and list what no test notices.

Each mutant meets the tests that run its lines. What survives is a missing test, dead code, or equivalent: then it is
written down in `survivors.toml` with the reason, and not reported again. All happens in a copy; results are kept in
`.mutate/`. Exit code 1 where a mutant survives that nobody has judged, or a judgement has lost its mutant.
"""

from __future__ import annotations

import argparse
import compileall
import json
import random
import shutil
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutate.covering import Covering, digest, measure
from tests.mutate.operators import Mutant, mutants, mutated
from tests.mutate.trial import failing_test, preload
from tests.pure import IMPURE, ROOT

TARGETS = (
    *(f"alerts/model/{name}.py" for name in ("money", "periods", "readings", "spend")),
    *("alerts/rules/*.py", "daemon/topups/policy/*.py", "daemon/stripe/answers.py", "daemon/stripe/declines.py"),
)
"""What is mutated: files or globs; one that finds nothing is left out."""
TESTS = ("tests/alerts", "tests/forecast", "tests/topups")
"""Whose tests are asked."""
KEPT = ROOT / ".mutate"
JUDGED = Path(__file__).with_name("survivors.toml")
NOT_COPIED = (".git", ".venv", ".mutate", "*_cache", "__pycache__", ".hypothesis", ".coverage*", "dist", "htmlcov")
START_S, SLOWER = 20.0, 5
"""A trial gets so many seconds, and so many times what its tests take without a mutant: then it is said to hang."""
ASKED_S = 12.0
"""At most so many seconds of tests are asked about one mutant."""


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        compileall.compile_dir(copy, quiet=2)
        return _hunt(copy, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="only so many mutants, drawn by --draw")
    parser.add_argument("--draw", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long, and count what was done")
    parser.add_argument("--judged", action="store_true", help="try those that are judged equivalent, too")
    parser.add_argument("files", nargs="*", help="only these, files or globs")
    return parser.parse_args()


def _hunt(copy: Path, options: argparse.Namespace) -> int:
    every = [mutant for file in _files(TARGETS) for mutant in mutants(file, (ROOT / file).read_text("utf-8"))]
    judged = _judged()
    lost = [name for name in judged if name not in {_name(mutant) for mutant in every}]
    wanted = {mutant for mutant in every if not options.files or mutant.file in _files(options.files)}
    chosen = sorted(wanted, key=lambda mutant: (mutant.file, mutant.number))
    if options.sample:
        chosen = random.Random(options.draw).sample(chosen, min(options.sample, len(chosen)))
    equivalent = [mutant for mutant in chosen if _name(mutant) in judged]
    if not options.judged:
        chosen = [mutant for mutant in chosen if _name(mutant) not in judged]
    KEPT.mkdir(exist_ok=True)
    preload()
    hunt = Hunt(copy, measure(copy, KEPT, TESTS), Results(KEPT / "results.json"))
    hunt.prove()
    until = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    survived, tried = [], 0
    for mutant in chosen:
        if time.monotonic() > until:
            break
        tried += 1
        if hunt.noticed_by(mutant) is None:
            survived.append(mutant)
            print(f"survived  {mutant.place} ({mutant.line})\n    {mutant.was}\n    {mutant.becomes}", flush=True)
    _sum_up(tried, len(chosen), survived, equivalent, judged, lost)
    unjudged = [mutant for mutant in survived if _name(mutant) not in judged]
    return 1 if unjudged or lost else 0


def _sum_up(
    tried: int,
    chosen: int,
    survived: Sequence[Mutant],
    equivalent: Sequence[Mutant],
    judged: Iterable[tuple[str, str, str]],
    lost: Sequence[tuple[str, str, str]],
) -> None:
    for place, was, becomes in lost:
        print(f"judged, but there is no such mutant any more: {place}\n    {was}\n    {becomes}")
    fresh = sum(_name(mutant) not in set(judged) for mutant in survived)
    print(
        f"{tried} mutants tried of {chosen}: {tried - len(survived)} noticed, {fresh} survived;"
        f" {len(equivalent)} judged equivalent"
    )


def _files(patterns: Iterable[str]) -> list[str]:
    found = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(name for name in found if name.endswith(".py") and name not in IMPURE)


def _name(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.place, mutant.was, mutant.becomes


def _judged() -> dict[tuple[str, str, str], str]:
    """Return what is judged equivalent, with the reason."""
    entries = tomllib.loads(JUDGED.read_text("utf-8")).get("equivalent", []) if JUDGED.exists() else []
    return {(entry["place"], entry["was"], entry["becomes"]): entry["why"] for entry in entries}


class Results:
    """Which test noticed a mutant: good for as long as its module and that test's file are what they were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, mutant: Mutant) -> str | None:
        noticed = self._kept.get(self._key(mutant))
        if noticed is None:
            return None
        test, _, of = noticed.rpartition(" ")
        file = ROOT / test.split("::")[0]
        return test if file.is_file() and digest([file]) == of else None

    def put(self, mutant: Mutant, test: str) -> None:
        file = ROOT / test.split("::")[0]
        if file.is_file():
            self._kept[self._key(mutant)] = f"{test} {digest([file])}"
            self._path.write_text(json.dumps(self._kept, indent=0, sort_keys=True))

    def _key(self, mutant: Mutant) -> str:
        return f"{mutant.file} {digest([ROOT / mutant.file])} {mutant.number}"


class Hunt:
    """Tries mutants in the copy, the tests first that noticed others of the same module."""

    def __init__(self, copy: Path, covering: Covering, results: Results) -> None:
        self._copy = copy
        self._covering = covering
        self._results = results
        self._noticed: dict[str, Counter[str]] = defaultdict(Counter)

    def prove(self) -> None:
        """Try the code as it is: a trial has to be able to pass. Raises RuntimeError where it does not."""
        tests = sorted(test for test, seconds in self._covering.seconds.items() if seconds <= 0.2)[:60]
        failed = failing_test(self._copy, tests, START_S * 3)
        if failed is not None:
            raise RuntimeError(f"a trial fails without a mutant: {failed}")

    def noticed_by(self, mutant: Mutant) -> str | None:
        """Return the test that notices the mutant, None where none does."""
        known = self._results.get(mutant)
        if known is not None:
            return known
        target = self._copy / mutant.file
        source = target.read_text("utf-8")
        try:
            target.write_text(mutated(source, mutant.number), "utf-8")
            for tests in self._asked(mutant):
                seconds = sum(self._covering.seconds[test] for test in tests)
                test = failing_test(self._copy, tests, START_S + SLOWER * seconds)
                if test is not None:
                    self._results.put(mutant, test)
                    self._noticed[mutant.file][test.split("::")[0]] += 1
                    return test
        finally:
            target.write_text(source, "utf-8")
        return None

    def _asked(self, mutant: Mutant) -> list[list[str]]:
        """Return the tests to ask, in two goes: the likeliest file, then the others.

        Those that run the fewest lines come first, since they are about this one, for as long as there is time.
        """
        covering, left_s = self._covering, ASKED_S
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in sorted(covering.tests_of(mutant), key=lambda test: (covering.breadth[test], test)):
            if covering.seconds[test] <= left_s:
                left_s -= covering.seconds[test]
                by_file[test.split("::")[0]].append(test)
        noticed = self._noticed[mutant.file]
        files = sorted(by_file, key=lambda file: (-noticed[file], -len(by_file[file]), file))
        goes = [[test for file in part for test in by_file[file]] for part in (files[:1], files[1:])]
        return [go for go in goes if go]


if __name__ == "__main__":
    sys.exit(main())
