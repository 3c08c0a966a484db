"""Which tests run which lines, and how long each takes: measured once a test file, kept until something changes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from xml.etree import ElementTree

from coverage import CoverageData

from tests.mutate.operators import Mutant

TIMEOUT_S = 20
SLOW_S = 5.0
"""A test that takes longer is not asked: a mutant that only it would notice counts as one that survives."""
NEVER_S = 1e6
"""What a test is said to take that does not pass as it is."""


class Covering:
    """Which tests are asked about a mutant. Test names are without parameters: `file::function`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.breadth: dict[str, int] = {}
        """How many lines a test runs."""
        self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._mentions: dict[str, set[tuple[str, int]]] = defaultdict(set)

    def tests_of(self, mutant: Mutant) -> set[str]:
        """Return the tests that run its lines; of what runs at import, those that run a line which uses its name.

        A field of a class is held by all the tests of its module, too.
        """
        found = self._running(mutant.file, range(mutant.line, mutant.end_line + 1))
        if mutant.at_import:
            for file, line in {place for name in mutant.names for place in self._mentions[name]}:
                found |= self._running(file, [line])
            if mutant.scope or not found:
                found = found.union(*self._lines[mutant.file].values())
        return found

    def _running(self, file: str, lines: Sequence[int]) -> set[str]:
        return {test for line in lines for test in self._lines[file].get(line, ())}

    def add(self, measured: dict[str, dict[str, list[int]]], seconds: dict[str, float]) -> None:
        self.seconds.update(seconds)
        for test, files in measured.items():
            self.breadth[test] = sum(len(lines) for lines in files.values())
            if self.seconds.setdefault(test, 0.0) <= SLOW_S:
                for file, lines in files.items():
                    for line in lines:
                        self._lines[file][line].add(test)

    def mention(self, root: Path, files: Sequence[str]) -> None:
        """Note where a name is used, so that a constant is held by the tests of what uses it."""
        for file in files:
            for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
                name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
                if name is not None and isinstance(node, ast.expr):
                    self._mentions[name].add((file, node.lineno))


def measure(copy: Path, kept: Path, tests: Sequence[str]) -> Covering:
    """Return what the test files of `tests` (folders or files) run in `copy`; what was measured before is in `kept`."""
    product = [path for room in ("alerts", "daemon") for path in sorted((copy / room).rglob("*.py"))]
    helpers = sorted((copy / "tests").glob("helpers_*.py"))
    base = digest([*product, *helpers])
    covering = Covering()
    for path in _test_files(copy, tests):
        name = path.relative_to(copy).as_posix()
        beside = path.parent / "conftest.py"
        wanted = digest([path, *([beside] if beside.exists() else [])]) + base
        cached = kept / f"{name.replace('/', '.')}.json"
        found = json.loads(cached.read_text()) if cached.exists() else {}
        if found.get("of") != wanted:
            print(f"measuring {name}", flush=True)
            found = {"of": wanted, **_measured(copy, name)}
            cached.write_text(json.dumps(found))
        covering.add(found["lines"], found["seconds"])
    covering.mention(copy, [path.relative_to(copy).as_posix() for path in product])
    return covering


def digest(paths: Sequence[Path]) -> str:
    made = blake2b(digest_size=12)
    for path in paths:
        made.update(path.read_bytes())
    return made.hexdigest()


def _test_files(copy: Path, tests: Sequence[str]) -> Iterator[Path]:
    for name in tests:
        path = copy / name
        yield from [path] if path.is_file() else sorted(path.rglob("test_*.py"))


def _measured(copy: Path, name: str) -> dict[str, object]:
    """Run one test file under the coverage tracer. Raises RuntimeError where pytest cannot run it at all."""
    data, report = copy / ".coverage-one", copy / "one.xml"
    command = [sys.executable, "-m", "pytest", name, "-q", "-p", "no:cacheprovider", f"--timeout={TIMEOUT_S}"]
    command += ["--cov=alerts", "--cov=daemon", "--cov-context=test", "--cov-report=", f"--junit-xml={report}"]
    done = subprocess.run(
        command,
        cwd=copy,
        env={**os.environ, "COVERAGE_FILE": str(data), "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{name} does not run without a mutant:\n{done.stdout[-2000:]}")
    lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    measured = CoverageData(str(data))
    measured.read()
    for file in measured.measured_files():
        inside = Path(file).relative_to(copy).as_posix()
        for line, contexts in measured.contexts_by_lineno(file).items():
            for test in {_function(context.split("|")[0]) for context in contexts if context}:
                lines[test][inside].append(line)
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        test = _function(f"{name}::{case.get('name')}")
        seconds[test] += float(case.get("time") or 0)
        if case.find("failure") is not None or case.find("error") is not None:
            print(f"left out, since it does not pass without a mutant: {test}", flush=True)
            seconds[test] += NEVER_S
    return {"lines": lines, "seconds": seconds}


def _function(test: str) -> str:
    return test.split("[")[0]
